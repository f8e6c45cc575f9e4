#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: where libraries are missing, set-up says which, with one command that installs them on this distribution; on
# Debian and Ubuntu `make demo` and `make check` run it themselves. Distributions and tools are faked.
. tests/support/tap.sh setup
mkdir "$dir/bin"
fake() { printf '#!/bin/sh\n%s\n' "$2" >"$dir/bin/$1"; chmod +x "$dir/bin/$1"; }
fake pkg-config 'case $2 in libpng | jansson) exit 1 ;; esac'
fake apt-get "echo apt-get \"\$@\" >>'$dir/ran'"
fake sudo 'exec "$@"'
fake id 'echo 0'
export PATH=$dir/bin:$PATH OS_RELEASE=$dir/os-release
# setup MODE OS_RELEASE_TEXT
setup() {
    printf '%b' "$2" >"$dir/os-release"
    tests/setup.sh --"$1" libzstd jansson libpng 2>&1
    echo "exit $?"
}
names() { same "$1" "$(setup check "$2")" "missing: jansson libpng
$3
exit 1"; }
names Debian 'PRETTY_NAME="Debian"\nID=debian\n' "install with: apt-get install libjansson-dev libpng-dev"
names Ubuntu 'ID=ubuntu\nID_LIKE=debian\n' "install with: apt-get install libjansson-dev libpng-dev"
names "Mint, by its likes" 'ID=linuxmint\nID_LIKE="ubuntu debian"\n' "install with: apt-get install libjansson-dev libpng-dev"
names Fedora 'ID=fedora\n' "install with: dnf install jansson-devel libpng-devel"
names Arch 'ID=arch\n' "install with: pacman -S jansson libpng"
names Alpine 'ID=alpine\n' "install with: apk add jansson-dev libpng-dev"
names openSUSE 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\n' "install with: zypper install libjansson-devel libpng16-devel"
names "an unknown one" 'ID=void\n' "this distribution is not known here; Debian calls them: libjansson-dev libpng-dev"
same "Fedora: --install installs nothing itself" "$(setup install 'ID=fedora\n' | tail -1; ls "$dir/ran" 2>&1 | wc -l)" "exit 1
1"
rm -f "$dir/ran"
same "Debian: --install installs" "$(setup install 'ID=debian\n')" "installing: libjansson-dev libpng-dev
exit 0"
same "by apt" "$(tail -1 "$dir/ran")" "apt-get install -y -qq --no-install-recommends libjansson-dev libpng-dev"
same "make stops and says so" "$(env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s BUILD="$dir/build" "$dir/build/fvlm" 2>&1 | head -2)" "missing: jansson libpng
install with: apt-get install libjansson-dev libpng-dev"
# What is not found by pkg-config.
mkdir "$dir/few"
for t in sh awk sed tr uname id cc gcc; do ln -s "$(command -v $t)" "$dir/few/$t"; done
cp "$dir/bin/pkg-config" "$dir/few/"
printf 'ID=debian\n' >"$dir/os-release"
same "protoc-c and the ONNX schema" "$(PATH=$dir/few ONNX_PROTO= sh tests/setup.sh --check libzstd 2>&1)" "missing: protoc-c onnx.proto
install with: apt-get install protobuf-c-compiler libonnx-dev
Python's onnx package has onnx.proto, too: make ONNX_PROTO=.../site-packages/onnx/onnx.proto"
fake uname 'echo Darwin'
names macOS '' "install with: brew install jansson libpng"
fake pkg-config 'exit 0'
same "nothing is missing" "$(setup check 'ID=fedora\n')" "exit 0"
