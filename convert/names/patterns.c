/* SPDX-License-Identifier: Apache-2.0 */
/* patterns.c - see patterns.h. */
#include "convert/names/patterns.h"

#include <stdio.h>
#include <string.h>

#define MAX_NUMBERS 4

static const char parts[] = "DPB"; /* the order of fvlm_stage_map.index */

typedef struct {
    unsigned numbers[MAX_NUMBERS];
    unsigned n;
    const char *rest; /* what '*' stands for */
} found;

/* A number as programs write it: no leading zeros, at most five digits. */
static bool read_number(const char **text, unsigned *number)
{
    const char *p = *text;
    *number = 0;
    while (*p >= '0' && *p <= '9' && p - *text < 6) *number = 10 * *number + (unsigned)(*p++ - '0');
    const bool ok = p > *text && p - *text < 6 && (**text != '0' || p == *text + 1);
    *text = p;
    return ok;
}

static bool match(const char *pattern, const char *text, found *f)
{
    *f = (found){.rest = ""};
    for (; *pattern; pattern++) {
        if (*pattern == '*') {
            f->rest = text;
            return *text != 0;
        }
        if (*pattern == '{') {
            if (f->n == MAX_NUMBERS || !read_number(&text, &f->numbers[f->n++])) return false;
            pattern += 2;
        } else if (*pattern != *text++) {
            return false;
        }
    }
    return *text == 0;
}

/* The other side's number for the same part of the tower; -1 if there is none. */
static int translate(char letter, unsigned number, bool to_apple, const fvlm_stage_map *m)
{
    if (letter == 'n') return (int)number;
    const int *index = m->index[strchr(parts, letter) - parts];
    if (to_apple) return number < FVLM_PATTERN_MAX_STAGES ? index[number] : -1;
    for (int stage = 0; stage < FVLM_PATTERN_MAX_STAGES; stage++)
        if (index[stage] == (int)number) return stage;
    return -1;
}

bool fvlm_pattern_rewrite(const fvlm_pattern_pair *pair, bool to_apple, const fvlm_stage_map *stages, const char *name,
                          char *out, size_t size)
{
    found f;
    size_t n = 0;
    unsigned k = 0;
    if (!match(to_apple ? pair->theirs : pair->apples, name, &f)) return false;
    for (const char *p = to_apple ? pair->apples : pair->theirs; *p && n < size; p++) {
        if (*p == '*') {
            n += (size_t)snprintf(out + n, size - n, "%s", f.rest);
        } else if (*p == '{') {
            const int number = translate(p[1], f.numbers[k++], to_apple, stages);
            if (number < 0) return false;
            n += (size_t)snprintf(out + n, size - n, "%d", number);
            p += 2;
        } else {
            out[n++] = *p;
        }
    }
    if (n >= size) return false;
    out[n] = 0;
    return true;
}

void fvlm_stage_map_note(fvlm_stage_map *m, const char *name)
{
    static const char *const patterns[] = {"stages.{n}.downsample.*", "stages.{n}.pos_emb.*", "stages.{n}.blocks.*"};
    found f;
    for (unsigned i = 0; i < 3; i++)
        if (match(patterns[i], name, &f) && f.numbers[0] < FVLM_PATTERN_MAX_STAGES) m->index[i][f.numbers[0]] = 0;
}

void fvlm_stage_map_number(fvlm_stage_map *m)
{
    int next = 0;
    for (unsigned stage = 0; stage < FVLM_PATTERN_MAX_STAGES; stage++)
        for (unsigned i = 0; i < 3; i++)
            if (m->index[i][stage] >= 0) m->index[i][stage] = next++;
}
