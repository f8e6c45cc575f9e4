#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: `make install` puts the stripped binary, its man page and three completions below PREFIX, and `make uninstall`
# removes just that; compile_commands.json names every source.
. tests/support/tap.sh install
files() { (cd "$dir" && find . ! -type d | sort); }
run() { env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s "$@" BUILD="$BUILD" CC="${CC:-cc}" DESTDIR="$dir" PREFIX=/opt/fvlm -o "$BUILD/fvlm" >"$dir.log" 2>&1; }
run install; ok "install" $?
same "what is there" "$(files)" "\
./opt/fvlm/bin/fvlm
./opt/fvlm/share/bash-completion/completions/fvlm
./opt/fvlm/share/fish/vendor_completions.d/fvlm.fish
./opt/fvlm/share/man/man1/fvlm.1
./opt/fvlm/share/zsh/site-functions/_fvlm"
same "nothing is empty" "$(find "$dir" -type f -empty)" ""
same "the binary runs" "$("$dir/opt/fvlm/bin/fvlm" --version)" "$("$FVLM" --version)"
same "and is stripped" "$(nm "$dir/opt/fvlm/bin/fvlm" 2>&1 | grep -c 'T main')" 0
touch "$dir/opt/fvlm/bin/other"
run uninstall; ok "uninstall" $?
same "what is left is not ours" "$(files)" "./opt/fvlm/bin/other"

run compile_commands.json; ok "compile_commands.json" $?
same "it names every source once" "$(grep -oE '"file": "[^"]*"' compile_commands.json | cut -d'"' -f4 | grep -v ^tests/ | sort)" \
    "$(find fvlm.c format convert quant reference verify -name '*.c' | sort)"
rm -f compile_commands.json "$dir.log"
