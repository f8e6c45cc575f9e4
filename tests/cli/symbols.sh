#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: libfvlm.so exports the names of tests/exported.list and no other; libfvlm.a defines nothing without the prefix
# and holds no part of the command line; a program needs nothing but the public headers and the library.
. tests/support/tap.sh symbols
listed=$(grep -o '^fvlm_.*' tests/exported.list | sort)
same "the shared library exports the list" "$(nm -D --defined-only "$BUILD/libfvlm.so" | awk '$2 ~ /[A-Z]/ { print $3 }' | sort)" "$listed"
same "each name is listed once" "$(uniq -d <<<"$listed")" ""
api="reference/reference.h reference/image/image.h reference/tokenizer/tokenizer.h convert/convert.h quant/quant.h"
api="$api verify/weights.h verify/parity.h verify/verdict.h"
# shellcheck disable=SC2086
declared=$(grep -hvE '^(/\*| \*)' $api | grep -oE '\bfvlm_[a-z0-9_]+\(' | tr -d '(' | sort -u)
[ "$(wc -l <<<"$declared")" -ge 40 ]; ok "the API's headers are read" $?
same "every function of the API's headers is exported" "$(comm -23 <(echo "$declared") <(echo "$listed"))" ""
same "nothing in the archive lacks the prefix" \
    "$(nm -g --defined-only "$BUILD/libfvlm.a" 2>/dev/null | awk 'NF == 3 && $3 !~ /^(fvlm_|__[a-z]*san|_?_odr_asan)/ { print $3 }')" ""
same "no command in the archive" "$(ar t "$BUILD/libfvlm.a" | grep -E '^(cmd_|cli|fvlm\.)')" ""
same "nothing of the command line in the archive" "$(nm -g "$BUILD/libfvlm.a" 2>/dev/null | grep -oE 'fvlm_cli_[a-z_]*' | sort -u)" ""

cat >"$dir/user.c" <<'C'
#include <stdio.h>
#include "reference/reference.h"
int main(int argc, char **argv)
{
    fvlm_err err = {0};
    fvlm_model *m;
    const fvlm_model_options options = {.act_by_file = true, .check = true};
    if (argc != 2 || fvlm_model_open(&m, argv[1], &options, &err)) return fprintf(stderr, "%s\n", err.msg), 1;
    printf("%zu\n", fvlm_model_image_tokens(fvlm_model_config(m), 64));
    fvlm_model_close(&m);
    return 0;
}
C
san=$(nm -D "$BUILD/libfvlm.so" | grep -oE -m1 '__(asan|tsan)_init')
case $san in *asan*) san=-fsanitize=address,undefined ;; *tsan*) san=-fsanitize=thread ;; esac
# shellcheck disable=SC2086
${CC:-cc} $san -std=c11 -D_GNU_SOURCE -I. $(pkg-config --cflags jansson) -o "$dir/user" "$dir/user.c" "$BUILD/libfvlm.so" -Wl,-rpath,"$PWD/$BUILD"
ok "a program links with the library alone" $?
"$FVLM" convert "$tiny/fused" -o "$dir/m.fvlm" -q
same "and runs" "$("$dir/user" "$dir/m.fvlm" 2>&1)" 1
