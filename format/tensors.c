/* SPDX-License-Identifier: Apache-2.0 */
/* tensors.c - see tensors.h. The list is the table below; the rest of the file is what its columns mean. */
#include "format/tensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
/* How often a module occurs, and so what its name begins with. */
typedef enum { ONCE, STAGE /* "vision.stageS." */, BLOCK /* "vision.stageS.blockB." */, LAYER /* "llm.layerL." */ } scope;

/* Layout and shape of the weight: panels [out, in], [out, in, 1, 1], [out, in, 3, 3]; taps [out, 1, k, k]; rows [out] */
typedef enum { LINEAR, CONV1, CONV3, DEPTHWISE, VECTOR } form;

/* Numbers of the config. DIM, HIDDEN and BEFORE (the dim of the stage before) belong to the current stage. */
typedef enum {
    ONE, RGB, FIRST, LAST, BEFORE, DIM, DIM3, HIDDEN, OUT, SE, P_IN, P_HIDDEN, P_OUT, VOCAB, WIDTH, Q, KV, INNER
} size;

typedef struct {
    const char *name;
    scope scope;
    form form;
    fvlm_part part;
    enum { NO = 0, YES = 1, QKV /* as config.llm.bias says */, OUTPUT /* likewise */ } bias;
    size out, in;
    uint32_t stride;
} module;

static const module modules[FVLM_N_MODULES] = {
    [FVLM_MODULE_STEM_0] =      {"vision.stem.0",          ONCE,  CONV3,     FVLM_PART_STEM,          true,  FIRST,    RGB,      2},
    [FVLM_MODULE_STEM_1] =      {"vision.stem.1",          ONCE,  DEPTHWISE, FVLM_PART_STEM,          true,  FIRST,    FIRST,    2},
    [FVLM_MODULE_STEM_2] =      {"vision.stem.2",          ONCE,  CONV1,     FVLM_PART_STEM,          true,  FIRST,    FIRST,    1},
    [FVLM_MODULE_DOWN_DW] =     {"downsample.dw",          STAGE, DEPTHWISE, FVLM_PART_DOWNSAMPLE,    true,  DIM,      BEFORE,   2},
    [FVLM_MODULE_DOWN_PW] =     {"downsample.pw",          STAGE, CONV1,     FVLM_PART_DOWNSAMPLE,    true,  DIM,      DIM,      1},
    [FVLM_MODULE_POS] =         {"pos",                    STAGE, DEPTHWISE, FVLM_PART_POSITION,      true,  DIM,      DIM,      1},
    [FVLM_MODULE_MIXER] =       {"mixer",                  BLOCK, DEPTHWISE, FVLM_PART_MIXER,         true,  DIM,      DIM,      1},
    [FVLM_MODULE_QKV] =         {"attn.qkv",               BLOCK, LINEAR,    FVLM_PART_ATTENTION,     true,  DIM3,     DIM,      1},
    [FVLM_MODULE_PROJ] =        {"attn.proj",              BLOCK, LINEAR,    FVLM_PART_ATTENTION,     true,  DIM,      DIM,      1},
    [FVLM_MODULE_DW] =          {"ffn.dw",                 BLOCK, DEPTHWISE, FVLM_PART_FFN,           true,  DIM,      DIM,      1},
    [FVLM_MODULE_FC1] =         {"ffn.fc1",                BLOCK, CONV1,     FVLM_PART_FFN,           true,  HIDDEN,   DIM,      1},
    [FVLM_MODULE_FC2] =         {"ffn.fc2",                BLOCK, CONV1,     FVLM_PART_FFN,           true,  DIM,      HIDDEN,   1},
    [FVLM_MODULE_FINAL_DW] =    {"vision.final.dw",        ONCE,  DEPTHWISE, FVLM_PART_FINAL,         true,  OUT,      LAST,     1},
    [FVLM_MODULE_SE_REDUCE] =   {"vision.final.se.reduce", ONCE,  CONV1,     FVLM_PART_SE,            true,  SE,       OUT,      1},
    [FVLM_MODULE_SE_EXPAND] =   {"vision.final.se.expand", ONCE,  CONV1,     FVLM_PART_SE,            true,  OUT,      SE,       1},
    [FVLM_MODULE_PROJECTOR_0] = {"projector.0",            ONCE,  LINEAR,    FVLM_PART_PROJECTOR,     true,  P_HIDDEN, P_IN,     1},
    [FVLM_MODULE_PROJECTOR_2] = {"projector.2",            ONCE,  LINEAR,    FVLM_PART_PROJECTOR,     true,  P_OUT,    P_HIDDEN, 1},
    [FVLM_MODULE_NEWLINE] =     {"projector.newline",      ONCE,  VECTOR,    FVLM_PART_PROJECTOR,     false, WIDTH,    ONE,      1},
    [FVLM_MODULE_EMBED] =       {"llm.embed",              ONCE,  LINEAR,    FVLM_PART_EMBEDDING,     false, VOCAB,    WIDTH,    1},
    [FVLM_MODULE_ATTN_NORM] =   {"attn_norm",              LAYER, VECTOR,    FVLM_PART_LLM_NORMS,     false, WIDTH,    ONE,      1},
    [FVLM_MODULE_Q] =           {"attn.q",                 LAYER, LINEAR,    FVLM_PART_LLM_ATTENTION, QKV,   Q,        WIDTH,    1},
    [FVLM_MODULE_K] =           {"attn.k",                 LAYER, LINEAR,    FVLM_PART_LLM_ATTENTION, QKV,   KV,       WIDTH,    1},
    [FVLM_MODULE_V] =           {"attn.v",                 LAYER, LINEAR,    FVLM_PART_LLM_ATTENTION, QKV,   KV,       WIDTH,    1},
    [FVLM_MODULE_O] =           {"attn.o",                 LAYER, LINEAR,    FVLM_PART_LLM_ATTENTION, OUTPUT, WIDTH,    Q,        1},
    [FVLM_MODULE_FFN_NORM] =    {"ffn_norm",               LAYER, VECTOR,    FVLM_PART_LLM_NORMS,     false, WIDTH,    ONE,      1},
    [FVLM_MODULE_GATE] =        {"ffn.gate",               LAYER, LINEAR,    FVLM_PART_LLM_FFN,       false, INNER,    WIDTH,    1},
    [FVLM_MODULE_UP] =          {"ffn.up",                 LAYER, LINEAR,    FVLM_PART_LLM_FFN,       false, INNER,    WIDTH,    1},
    [FVLM_MODULE_DOWN] =        {"ffn.down",               LAYER, LINEAR,    FVLM_PART_LLM_FFN,       false, WIDTH,    INNER,    1},
    [FVLM_MODULE_NORM] =        {"llm.norm",               ONCE,  VECTOR,    FVLM_PART_LLM_NORMS,     false, WIDTH,    ONE,      1},
    [FVLM_MODULE_HEAD] =        {"llm.head",               ONCE,  LINEAR,    FVLM_PART_LLM_HEAD,      false, VOCAB,    WIDTH,    1},
};
/* clang-format on */

static const struct {
    const char *name;
    fvlm_part_group group;
} parts[FVLM_N_PARTS] = {
    [FVLM_PART_STEM] = {"tower stem", FVLM_GROUP_TOWER},
    [FVLM_PART_DOWNSAMPLE] = {"tower downsample", FVLM_GROUP_TOWER},
    [FVLM_PART_POSITION] = {"tower position", FVLM_GROUP_TOWER},
    [FVLM_PART_MIXER] = {"tower mixer", FVLM_GROUP_TOWER},
    [FVLM_PART_ATTENTION] = {"tower attention", FVLM_GROUP_TOWER},
    [FVLM_PART_FFN] = {"tower ffn", FVLM_GROUP_TOWER},
    [FVLM_PART_FINAL] = {"tower final", FVLM_GROUP_TOWER},
    [FVLM_PART_SE] = {"tower SE", FVLM_GROUP_TOWER},
    [FVLM_PART_PROJECTOR] = {"projector", FVLM_GROUP_PROJECTOR},
    [FVLM_PART_EMBEDDING] = {"embedding", FVLM_GROUP_EMBEDDING},
    [FVLM_PART_LLM_ATTENTION] = {"llm attention", FVLM_GROUP_LLM},
    [FVLM_PART_LLM_FFN] = {"llm ffn", FVLM_GROUP_LLM},
    [FVLM_PART_LLM_NORMS] = {"llm norms", FVLM_GROUP_LLM},
    [FVLM_PART_LLM_HEAD] = {"llm head", FVLM_GROUP_EMBEDDING},
    [FVLM_PART_OTHER] = {"other", FVLM_GROUP_OTHER},
};

const char *fvlm_part_name(fvlm_part p)
{
    return parts[p].name;
}

fvlm_part_group fvlm_part_group_of(fvlm_part p)
{
    return parts[p].group;
}

const char *fvlm_part_group_name(fvlm_part_group g)
{
    static const char *const names[FVLM_N_GROUPS] = {"tower", "projector", "embedding", "llm", "other"};
    return names[g];
}

static uint32_t size_of(const fvlm_config *c, unsigned stage, size s)
{
    const fvlm_stage *at = &c->vision.stage[stage];
    switch (s) {
    case ONE:
        return 1;
    case RGB:
        return 3;
    case FIRST:
        return c->vision.stage[0].dim;
    case LAST:
        return c->vision.stage[c->vision.n_stages - 1].dim;
    case BEFORE:
        return at[-1].dim;
    case DIM:
        return at->dim;
    case DIM3:
        return 3 * at->dim;
    case HIDDEN:
        return at->hidden;
    case OUT:
        return c->vision.out_dim;
    case SE:
        return c->vision.se_dim;
    case P_IN:
        return c->projector.in;
    case P_HIDDEN:
        return c->projector.hidden;
    case P_OUT:
        return c->projector.out;
    case VOCAB:
        return c->llm.vocab;
    case WIDTH:
        return c->llm.hidden;
    case Q:
        return c->llm.heads * c->llm.head_dim;
    case KV:
        return c->llm.kv_heads * c->llm.head_dim;
    case INNER:
        return c->llm.intermediate;
    }
    return 0;
}

/* ---- from one module to the next ---- */

static bool occurs(const fvlm_tensors *x)
{
    const fvlm_stage *s = &x->config->vision.stage[x->stage];
    switch (x->module) {
    case FVLM_MODULE_DOWN_DW:
    case FVLM_MODULE_DOWN_PW:
        return x->stage > 0;
    case FVLM_MODULE_POS:
        return s->pos;
    case FVLM_MODULE_MIXER:
        return s->mixer == FVLM_REPMIXER;
    case FVLM_MODULE_QKV:
    case FVLM_MODULE_PROJ:
        return s->mixer == FVLM_ATTENTION;
    case FVLM_MODULE_HEAD:
        return fvlm_config_has_llm(x->config) && !x->config->llm.tied;
    case FVLM_MODULE_PROJECTOR_0:
    case FVLM_MODULE_PROJECTOR_2:
        return fvlm_config_has_projector(x->config);
    case FVLM_MODULE_NEWLINE:
        return x->config->tiles.merge == FVLM_MERGE_UNPAD;
    default:
        return x->module < FVLM_MODULE_EMBED || fvlm_config_has_llm(x->config);
    }
}

/* Blocks repeat inside a stage, then the stage repeats, then what follows it begins. */
static void step(fvlm_tensors *x)
{
    const fvlm_config *c = x->config;
    if (x->module == FVLM_MODULE_FC2 && ++x->block < c->vision.stage[x->stage].depth) {
        x->module = FVLM_MODULE_MIXER;
    } else if (x->module == FVLM_MODULE_FC2 && x->stage + 1 < c->vision.n_stages) {
        x->module = FVLM_MODULE_DOWN_DW;
        x->stage++;
        x->block = 0;
    } else if (x->module == FVLM_MODULE_DOWN && ++x->layer < c->llm.layers) {
        x->module = FVLM_MODULE_ATTN_NORM;
    } else {
        x->module++;
    }
}

static bool has_bias(const fvlm_tensors *x)
{
    const uint32_t llm = x->config->llm.bias;
    switch (modules[x->module].bias) {
    case QKV:
        return llm != FVLM_BIAS_NONE;
    case OUTPUT:
        return llm == FVLM_BIAS_QKVO;
    default:
        return modules[x->module].bias;
    }
}

static void name_tensor(fvlm_tensors *x, const module *m)
{
    static const char *const ends[] = {"weight", "bias"};
    const char *end = ends[x->bias];
    if (m->scope == ONCE) snprintf(x->name, sizeof x->name, "%s.%s", m->name, end);
    if (m->scope == STAGE) snprintf(x->name, sizeof x->name, "vision.stage%u.%s.%s", x->stage, m->name, end);
    if (m->scope == BLOCK)
        snprintf(x->name, sizeof x->name, "vision.stage%u.block%u.%s.%s", x->stage, x->block, m->name, end);
    if (m->scope == LAYER) snprintf(x->name, sizeof x->name, "llm.layer%u.%s.%s", x->layer, m->name, end);
}

static void shape_tensor(fvlm_tensors *x, const module *m)
{
    const uint64_t out = size_of(x->config, x->stage, m->out), in = size_of(x->config, x->stage, m->in);
    const bool vector = x->bias || m->form == VECTOR, depthwise = m->form == DEPTHWISE;
    const uint64_t k = depthwise ? 0 : m->form == CONV3 ? 3 : 1;
    x->layout = vector ? FVLM_ROWS : depthwise ? FVLM_TAPS : FVLM_PANELS;
    x->rank = vector ? 1 : m->form == LINEAR ? 2 : 4;
    const uint64_t dims[] = {out, depthwise ? 1 : in, k, k};
    for (unsigned i = 0; i < FVLM_MAX_RANK; i++) x->dims[i] = i < x->rank ? dims[i] : 0;
    x->in = (uint32_t)in;
    x->stride = m->stride;
}

bool fvlm_tensors_next(fvlm_tensors *x)
{
    if (x->module == FVLM_N_MODULES) return false;
    x->bias = x->begun && !x->bias && has_bias(x);
    if (x->begun && !x->bias) step(x);
    while (x->module < FVLM_N_MODULES && !occurs(x)) x->module++;
    x->begun = true;
    if (x->module == FVLM_N_MODULES) return false;
    const module *m = &modules[x->module];
    x->part = m->part;
    name_tensor(x, m);
    shape_tensor(x, m);
    return true;
}

/* ---- does a tensor fit ---- */

static const char *shape_text(unsigned rank, const uint64_t *dims, char out[112])
{
    size_t n = (size_t)snprintf(out, 112, "[");
    for (unsigned i = 0; i < rank; i++)
        n += (size_t)(dims[i] ? snprintf(out + n, 112 - n, "%s%" PRIu64, i ? ", " : "", dims[i])
                              : snprintf(out + n, 112 - n, "%sk", i ? ", " : ""));
    snprintf(out + n, 112 - n, "]%s", dims[rank - 1] ? "" : " with odd k");
    return out;
}

static bool shape_fits(const fvlm_tensors *x, const fvlm_tensor *t)
{
    if (t->rank != x->rank && (x->layout != FVLM_PANELS || t->rank + x->rank != 2 + 4)) return false;
    for (unsigned i = 0; i < FVLM_MAX_RANK; i++) {
        const uint64_t want = i < x->rank ? x->dims[i] : 1, found = i < t->rank ? t->dims[i] : 1;
        if (want ? found != want : found % 2 == 0 || found > FVLM_MAX_DW_KERNEL) return false;
    }
    return x->layout != FVLM_TAPS || t->dims[2] == t->dims[3];
}

fvlm_status fvlm_tensors_fit(const fvlm_tensors *x, const fvlm_tensor *t, fvlm_err *err)
{
    char found[112], wanted[112];
    if (t->layout != x->layout)
        return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%s\" is stored in %s, expected %s", t->name,
                         fvlm_layout_name(t->layout), fvlm_layout_name(x->layout));
    if (shape_fits(x, t)) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%s\" has shape %s, expected %s", t->name,
                     shape_text(t->rank, t->dims, found), shape_text(x->rank, x->dims, wanted));
}

void fvlm_tensors_parts(const fvlm_reader *r, fvlm_part *part)
{
    fvlm_tensors x = {.config = fvlm_reader_config(r)};
    for (size_t i = 0; i < fvlm_reader_n_tensors(r); i++) part[i] = FVLM_PART_OTHER;
    while (fvlm_tensors_next(&x)) {
        const fvlm_tensor *t = fvlm_reader_find(r, x.name);
        if (t) part[t - fvlm_reader_tensor(r, 0)] = x.part;
    }
}
