#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Who may include whom (design: arrows point at what may be included). Fails on any other #include "...".
#   format -> format    convert, quant, reference -> format, themselves
#   verify, */cmd_*.c, fvlm.c -> everything
set -eu
bad=$(grep -n '^#include "' fvlm.c $(find format convert quant reference verify -name '*.[ch]') 2>/dev/null |
    awk -F'[:"]' '
    { file = $1; inc = $4; room = file; sub("/.*", "", room); to = inc; sub("/.*", "", to)
      if (room == "verify" || file == "fvlm.c" || file ~ /\/cmd_[a-z]*\.c$/) next
      if (to == room || to == "format") next
      print file ":" $2 ": may not include \"" inc "\"" }')
[ -z "$bad" ] || { echo "$bad"; exit 1; }
# Libraries with one owner: CPU features and pictures belong to reference.
bad=$(grep -lE '#include <(jpeglib|png|pcre2|utf8proc|immintrin|arm_neon)\.h>' $(find format convert verify -type f) 2>/dev/null || true)
[ -z "$bad" ] || { echo "$bad: includes a library that belongs to another folder"; exit 1; }
# ar keeps one object of a name: two files called alike in different folders would lose one.
twice=$(basename -a $(find format convert quant reference verify -name '*.c') | sort | uniq -d)
[ -z "$twice" ] || { echo "two files named $twice: rename one"; exit 1; }
