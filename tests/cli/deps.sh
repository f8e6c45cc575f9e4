#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: `make deps` refuses a wrong include, a wrong use, a foreign library and a circle, each by name. Planted in a
# copy, whose objects are links to those of the build.
. tests/support/tap.sh deps
rooms="format convert quant reference verify"
cc=${CC:-cc}
tar cf - fvlm.c tests/deps.sh $rooms | tar xf - -C "$dir"
(cd "$BUILD" && find fvlm.o $rooms -name '*.o') | while read -r o; do
    mkdir -p "$dir/build/$(dirname "$o")"
    ln -s "$PWD/$BUILD/$o" "$dir/build/$o"
done

check() { (cd "$dir" && tests/deps.sh build 2>&1); }
# plant FILE.c TEXT: a new source, compiled.
plant() {
    printf '%s\n' "$2" >"$dir/$1"
    (cd "$dir" && $cc -I. -c -o "build/${1%.c}.o" "$1") || give_up "compiling $1"
}
clean() { rm -f "$dir"/*/planted* "$dir"/*/*/planted* "$dir"/build/*/planted* "$dir"/build/*/*/planted*; }

same "the tree as it is passes" "$(check)" ""
echo '#include "quant/quant.h"' >"$dir/format/planted.inc"
same "a wrong include, whatever the file's suffix" "$(check)" 'format/planted.inc:1: format may not include "quant/quant.h"'
clean
echo '#include "format/cli/cli.h"' >"$dir/convert/planted.h"
same "the command line's inside a library" "$(check)" 'convert/planted.h:1: convert may not include "format/cli/cli.h"'
clean
echo '# include "quant/plan.h"' >"$dir/verify/planted.h"
same "a private header" "$(check)" 'verify/planted.h:1: verify may not include "quant/plan.h"'
clean
echo '#include <png.h>' >"$dir/convert/planted.h"
same "another's library" "$(check)" 'convert/planted.h:1: <png.h> belongs to reference/image'
clean
plant quant/planted.c 'void planted(void); int fvlm_model_open(void); void planted(void) { (void)fvlm_model_open(); }'
same "a use without an include" "$(check)" "quant/planted.c: quant may not use fvlm_model_open of reference/model.c"
clean
plant quant/planted_a.c 'void planted_a(void); void planted_b(void); void planted_a(void) { planted_b(); }'
plant quant/planted_b.c 'void planted_b(void); void planted_c(void); void planted_b(void) { planted_c(); }'
plant quant/planted_c.c 'void planted_c(void); void planted_a(void); void planted_c(void) { planted_a(); }'
same "a circle" "$(check | sed 's/^a circle: //; s/; /\n/g' | sort)" "\
quant/planted_a.c uses planted_b of quant/planted_b.c
quant/planted_b.c uses planted_c of quant/planted_c.c
quant/planted_c.c uses planted_a of quant/planted_a.c"
clean
plant convert/plan.c ''
same "two files of one name" "$(check)" "plan.c: two files of this name; rename one"
