/* SPDX-License-Identifier: Apache-2.0 */
/* inputs.h - private to verify/: what two models are compared on. First the user's prompt on each of the user's
 * pictures; where that gives too few positions, general questions about the same pictures, then about pictures that are
 * drawn here. Everything is fixed, so that a comparison can be repeated. */
#ifndef FVLM_VERIFY_INPUTS_H
#define FVLM_VERIFY_INPUTS_H

#include "reference/reference.h"

/* Every answer has at least one position. So one picture of the user's and the drawn ones, with all questions, give at
 * least 17 * 16 = 272 of them. */
enum { FVLM_N_QUESTIONS = 16, FVLM_N_DRAWN = 16 };

extern const char *const fvlm_questions[FVLM_N_QUESTIONS];

/* Picture number index < FVLM_N_DRAWN: one to four circles, squares and triangles in plain colours. The same values on
 * every machine. The caller frees it. */
fvlm_status fvlm_pixels_draw(fvlm_pixels *out, unsigned index, uint32_t side, fvlm_err *err);

#endif
