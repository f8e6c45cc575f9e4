/* SPDX-License-Identifier: Apache-2.0 */
/* config_rope.c - the frequencies of the rotary embedding, with their scaling. */
#include "format/config.h"

#include <math.h>

float fvlm_config_rope_base(const fvlm_config *c, size_t i)
{
    const float exponent = (float)(2 * i) / (float)c->llm.head_dim;
    return 1.0f / (float)pow(c->llm.rope_theta, (double)exponent);
}

/* As transformers scales it, in f32. "llama3" keeps short waves, divides long ones by the factor, and blends in
 * between.
 */
float fvlm_config_rope_frequency(const fvlm_config *c, size_t i)
{
    const float frequency = fvlm_config_rope_base(c, i);
    const float factor = (float)c->llm.rope_factor;
    if (c->llm.rope_scaling == FVLM_ROPE_PLAIN) return frequency;
    if (c->llm.rope_scaling == FVLM_ROPE_LINEAR) return frequency / factor;
    const double low = c->llm.rope_low, high = c->llm.rope_high, context = c->llm.rope_original;
    const float wave = (float)(2 * 3.14159265358979323846) / frequency;
    if (wave < (float)(context / high)) return frequency;
    if (wave > (float)(context / low)) return frequency / factor;
    const float smooth = ((float)context / wave - (float)low) / (float)(high - low);
    return (1 - smooth) * frequency / factor + smooth * frequency;
}
