/* SPDX-License-Identifier: Apache-2.0 */
/* work.c - see work.h. Counts what vision.c and llm.c compute. */
#include "reference/work.h"

static double depthwise_macs(const fvlm_depthwise *d, double tokens)
{
    return tokens * d->out_c * d->kernel * d->kernel;
}

static double linear_macs(const fvlm_linear *l, double rows)
{
    return rows * (double)l->weight.m.n * (double)l->weight.m.k;
}

double fvlm_work_tower_macs(const fvlm_model *m, uint32_t side)
{
    const fvlm_vision_weights *v = &m->weights.vision;
    double tokens = side / 4.0 * (side / 4.0);
    double macs =
        linear_macs(&v->stem0, 4 * tokens) + depthwise_macs(&v->stem1, tokens) + linear_macs(&v->stem2, tokens);
    for (unsigned i = 0; i < m->config->vision.n_stages; i++) {
        const fvlm_stage *s = &m->config->vision.stage[i];
        if (i > 0) {
            tokens /= 4;
            macs += depthwise_macs(&v->stage[i].down_dw, tokens) + linear_macs(&v->stage[i].down_pw, tokens);
        }
        if (s->pos) macs += depthwise_macs(&v->stage[i].pos, tokens);
        for (unsigned k = 0; k < s->depth; k++) {
            const fvlm_vision_block *b = &v->stage[i].blocks[k];
            macs += depthwise_macs(&b->dw, tokens) + linear_macs(&b->fc1, tokens) + linear_macs(&b->fc2, tokens);
            if (s->mixer == FVLM_REPMIXER)
                macs += depthwise_macs(&b->mixer, tokens);
            else
                macs += linear_macs(&b->qkv, tokens) + linear_macs(&b->proj, tokens) + 2 * tokens * tokens * s->dim;
        }
    }
    return macs + depthwise_macs(&v->final_dw, tokens) + linear_macs(&v->se_reduce, 1) + linear_macs(&v->se_expand, 1);
}

/* The matrices of one layer, for that many rows of text. All layers are alike. */
static double layer_macs(const fvlm_llm_layer *y, double rows)
{
    return linear_macs(&y->q, rows) + linear_macs(&y->k, rows) + linear_macs(&y->v, rows) + linear_macs(&y->o, rows) +
           linear_macs(&y->gate, rows) + linear_macs(&y->up, rows) + linear_macs(&y->down, rows);
}

double fvlm_work_prefill_macs(const fvlm_model *m, double n)
{
    const double width = (double)m->config->llm.heads * m->config->llm.head_dim;
    return m->config->llm.layers * (layer_macs(&m->weights.llm.layers[0], n) + n * n * width) +
           linear_macs(&m->weights.llm.head, 1);
}

double fvlm_work_decode_bytes(const fvlm_model *m)
{
    double bytes = (double)m->weights.llm.head.weight.m.n_bytes;
    for (unsigned i = 0; i < m->config->llm.layers; i++) {
        const fvlm_llm_layer *y = &m->weights.llm.layers[i];
        const fvlm_linear *all[] = {&y->q, &y->k, &y->v, &y->o, &y->gate, &y->up, &y->down};
        for (size_t j = 0; j < sizeof all / sizeof all[0]; j++) bytes += (double)all[j]->weight.m.n_bytes;
    }
    return bytes;
}
