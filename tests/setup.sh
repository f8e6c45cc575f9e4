#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Finds the libraries that fvlm needs, or says how this distribution calls them.
#   tests/setup.sh --check LIBRARY...     LIBRARY as pkg-config calls it; exits 1 and names the command that installs them
#   tests/setup.sh --install LIBRARY...   the same, but runs that command where it is apt (Debian, Ubuntu)
#   tests/setup.sh PACKAGE[:ARCH]...      installs Debian packages that are missing
# OS_RELEASE names another file than /etc/os-release.
set -eu

# library        Debian, Ubuntu    Fedora               Arch           Alpine             openSUSE          Homebrew
names='
compiler         build-essential   gcc,make             base-devel     build-base         gcc,make          -
pkg-config       pkg-config        pkgconf-pkg-config   pkgconf        pkgconf            pkgconf           pkgconf
libzstd          libzstd-dev       libzstd-devel        zstd           zstd-dev           libzstd-devel     zstd
libxxhash        libxxhash-dev     xxhash-devel         xxhash         xxhash-dev         xxhash-devel      xxhash
jansson          libjansson-dev    jansson-devel        jansson        jansson-dev        libjansson-devel  jansson
libpcre2-8       libpcre2-dev      pcre2-devel          pcre2          pcre2-dev          pcre2-devel       pcre2
libutf8proc      libutf8proc-dev   utf8proc-devel       libutf8proc    utf8proc-dev       utf8proc-devel    utf8proc
libjpeg          libjpeg-dev       libjpeg-turbo-devel  libjpeg-turbo  libjpeg-turbo-dev  libjpeg8-devel    jpeg-turbo
libpng           libpng-dev        libpng-devel         libpng         libpng-dev         libpng16-devel    libpng
libwebp          libwebp-dev       libwebp-devel        libwebp        libwebp-dev        libwebp-devel     webp
zlib             zlib1g-dev        zlib-devel           zlib           zlib-dev           zlib-devel        zlib
libprotobuf-c    libprotobuf-c-dev protobuf-c-devel     protobuf-c     protobuf-c-dev     libprotobuf-c-devel protobuf-c
protoc-c         protobuf-c-compiler protobuf-c-compiler protobuf-c    protobuf-c-compiler protobuf-c       protobuf-c
onnx.proto       libonnx-dev       onnx-devel           python-onnx    -                  -                 onnx
cmocka           libcmocka-dev     libcmocka-devel      cmocka         cmocka-dev         libcmocka-devel   cmocka'

# Prints the libraries that are missing, one a line.
missing_libraries() {
    command -v "${CC:-cc}" >/dev/null || command -v gcc >/dev/null || echo compiler
    command -v pkg-config >/dev/null || echo pkg-config
    command -v protoc-c >/dev/null || command -v protoc-gen-c >/dev/null || echo protoc-c
    [ -n "${ONNX_PROTO-/usr/include/onnx/onnx.proto}" ] && [ -f "${ONNX_PROTO-/usr/include/onnx/onnx.proto}" ] || echo onnx.proto
    for l in "$@"; do pkg-config --exists "$l" 2>/dev/null || echo "$l"; done
}

# Sets install (the command) and column (of the table).
know_distribution() {
    id=$(sed -nE 's/^ID(_LIKE)?="?([^"]*)"?$/\2/p' "${OS_RELEASE:-/etc/os-release}" 2>/dev/null | tr '\n' ' ')
    [ "$(uname)" != Darwin ] || id=macos
    for i in $id none; do
        case $i in
        debian | ubuntu) column=2 install="apt-get install" ;;
        fedora | rhel) column=3 install="dnf install" ;;
        arch) column=4 install="pacman -S" ;;
        alpine) column=5 install="apk add" ;;
        *suse*) column=6 install="zypper install" ;;
        macos) column=7 install="brew install" ;;
        *) column=2 install= && continue ;;
        esac
        return
    done
}

# Asks for the architecture too: NAME for arm64 does not stand in for NAME here.
installed() {
    case $1 in *:*) arch=${1#*:} ;; *) arch=$(dpkg --print-architecture) ;; esac
    dpkg-query -W -f '${Architecture} ${db:Status-Status}\n' "${1%:*}" 2>/dev/null | grep -qxE "($arch|all) installed"
}

apt_install() {
    if [ "$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi
    echo "installing: $*" >&2
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get update -qq
    $as_root apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

mode=$1
case $mode in
--check | --install)
    shift
    missing=$(missing_libraries "$@")
    [ -n "$missing" ] || exit 0
    know_distribution
    packages=$(for l in $missing; do
        echo "$names" | awk -v l="$l" -v c=$column '$1 == l && $c != "-" { gsub(",", " ", $c); print $c }'
    done | tr '\n' ' ')
    if [ "$mode $column" = "--install 2" ] && [ -n "$install" ]; then
        # shellcheck disable=SC2086
        apt_install $packages
        exit
    fi
    # shellcheck disable=SC2086
    echo "missing:" $missing >&2
    if [ "$(id -u)" != 0 ] && [ $column != 7 ]; then install="${install:+sudo $install}"; fi
    if [ -n "$install" ]; then echo "install with: $install ${packages% }" >&2
    else echo "this distribution is not known here; Debian calls them: ${packages% }" >&2; fi
    case " $(echo $missing) " in
    *" onnx.proto "*) echo "Python's onnx package has onnx.proto, too: make ONNX_PROTO=.../site-packages/onnx/onnx.proto" >&2 ;;
    esac
    exit 1 ;;
*)
    missing=
    for p in "$@"; do installed "$p" || missing="$missing $p"; done
    # shellcheck disable=SC2086
    [ -z "$missing" ] || apt_install $missing ;;
esac
