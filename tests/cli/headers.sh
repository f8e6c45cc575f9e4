#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: every header compiles alone, twice in one file, with nothing included before it. Templates (*_tmpl.h) and the
# vectors of one instruction set (vec_*.h) are parts of another file, and are not tried.
. tests/support/tap.sh headers
flags="-I$BUILD/generated $(pkg-config --cflags libzstd libxxhash jansson libpcre2-8 libutf8proc libjpeg libpng libwebp zlib libprotobuf-c)"
for h in $(find format convert quant reference verify tests/support -name '*.h' | grep -vE '_tmpl\.h$|/vec[a-z0-9_]*\.h$' | sort); do
    printf '#include "%s"\n#include "%s"\n' "$h" "$h" >"$dir/alone.c"
    # shellcheck disable=SC2086
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -I. $flags -Wall -Wextra -Werror -fsyntax-only "$dir/alone.c" 2>"$dir/err"
    ok "$h" $?
    sed 's/^/# /' "$dir/err"
done
