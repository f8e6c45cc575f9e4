#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages named (NAME or NAME:ARCH) that are missing. Prints nothing when all are there.
set -eu
native=$(dpkg --print-architecture)

# Asks for the architecture too: NAME for arm64 does not stand in for NAME here.
installed() {
    case $1 in *:*) arch=${1#*:} ;; *) arch=$native ;; esac
    dpkg-query -W -f '${Architecture} ${db:Status-Status}\n' "${1%:*}" 2>/dev/null | grep -qxE "($arch|all) installed"
}

missing=
for p in "$@"; do
    installed "$p" || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
