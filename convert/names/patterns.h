/* SPDX-License-Identifier: Apache-2.0 */
/* patterns.h - rewrites a name by a table of pattern pairs; private to names/.
 *
 * A pattern is text with:
 *   {n}  a number that stays
 *   {D}, {P}, {B}  the downsample, position encoding or blocks of a stage: the stage's number in timm's names, the
 *                  index in network[], which counts all three, in Apple's
 *   *    any rest, at the end
 * Both patterns of a pair have the same of them in the same order, so a table works in both directions. */
#ifndef FVLM_CONVERT_NAMES_PATTERNS_H
#define FVLM_CONVERT_NAMES_PATTERNS_H

#include <stdbool.h>
#include <stddef.h>

#define FVLM_PATTERN_MAX_NAME 512
#define FVLM_PATTERN_MAX_STAGES 64

typedef struct {
    const char *theirs, *apples;
} fvlm_pattern_pair;

/* network[] in the order of the stages; -1: the stage has no such part. */
typedef struct {
    int index[3][FVLM_PATTERN_MAX_STAGES]; /* downsample, position, blocks */
} fvlm_stage_map;

/* Notes what a name in timm's form says about its stage; then number them. Begin with all -1. */
void fvlm_stage_map_note(fvlm_stage_map *m, const char *name);
void fvlm_stage_map_number(fvlm_stage_map *m);

/* The pair's rewriting of 'name', of one direction; false if it does not match, or does not fit 'out'. */
bool fvlm_pattern_rewrite(const fvlm_pattern_pair *pair, bool to_apple, const fvlm_stage_map *stages, const char *name,
                          char *out, size_t size);

#endif
