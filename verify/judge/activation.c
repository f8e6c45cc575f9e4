/* SPDX-License-Identifier: Apache-2.0 */
/* activation.c - activations inside other operators. Those and their numbers: onnxruntime's fused_activation.cc. */
#include "verify/judge/activation.h"

#include <math.h>

typedef enum { NONE, RELU, TANH, SIGMOID, LEAKY_RELU, CLIP, HARD_SIGMOID } kind;

static const struct {
    const char *name;
    unsigned n_params;
} known[] = {
    [RELU] = {"Relu", 0},       [TANH] = {"Tanh", 0},
    [SIGMOID] = {"Sigmoid", 0}, [LEAKY_RELU] = {"LeakyRelu", 1},
    [CLIP] = {"Clip", 2},       [HARD_SIGMOID] = {"HardSigmoid", 2},
};

fvlm_status fvlm_activation_read(fvlm_activation *a, const fvlm_judge_call *c)
{
    const char *name;
    float alpha, beta;
    *a = (fvlm_activation){0};
    fvlm_status st = fvlm_judge_attr_string(c, "activation", &name);
    if (!st) st = fvlm_judge_attr_float(c, "activation_alpha", 0, &alpha);
    if (!st) st = fvlm_judge_attr_float(c, "activation_beta", 0, &beta);
    if (st || !name || !*name) return st;
    for (int i = RELU; i <= HARD_SIGMOID; i++)
        if (!strcmp(known[i].name, name)) a->kind = i;
    if (!a->kind) return fvlm_judge_unsupported(c, "activation \"%.40s\" is not known", name);
    a->p[0] = (double)alpha;
    a->p[1] = (double)beta;
    const fvlm_graph_attr *list = fvlm_graph_attr_find(c->node, "activation_params");
    if (list && list->kind != FVLM_ATTR_FLOATS)
        return fvlm_judge_refuse(c, "\"activation_params\" is not a list of numbers");
    if (list && list->n != known[a->kind].n_params)
        return fvlm_judge_refuse(c, "%s has %u numbers, \"activation_params\" %zu", name, known[a->kind].n_params,
                                 list->n);
    for (size_t i = 0; list && i < list->n; i++) a->p[i] = (double)list->floats[i];
    return FVLM_OK;
}

void fvlm_activation_apply(const fvlm_activation *a, float *x, uint64_t n)
{
    const double p = a->p[0], q = a->p[1];
    for (uint64_t i = 0; i < n && a->kind; i++) {
        double v = (double)x[i];
        switch (a->kind) {
        case RELU:
            v = v < 0 ? 0 : v;
            break;
        case TANH:
            v = tanh(v);
            break;
        case SIGMOID:
            v = 1 / (1 + exp(-v));
            break;
        case LEAKY_RELU:
            v = v < 0 ? p * v : v;
            break;
        case CLIP:
            v = v < p ? p : v > q ? q : v;
            break;
        default:
            v = p * v + q;
            v = v < 0 ? 0 : v > 1 ? 1 : v;
        }
        x[i] = (float)v;
    }
}
