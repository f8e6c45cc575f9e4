/* SPDX-License-Identifier: Apache-2.0 */
/* tensors.h - the one list of tensors that a config demands: name, layout, shape and part of each, in the order of
 * the file. convert writes exactly this list, the executor binds it, reports group by its parts. SPEC.md, section 6,
 * is the same table in prose.
 *
 *   fvlm_tensors t = {.config = config};
 *   while (fvlm_tensors_next(&t)) use(t.name, t.layout, t.rank, t.dims);
 */
#ifndef FVLM_FORMAT_TENSORS_H
#define FVLM_FORMAT_TENSORS_H

#include "format/reader.h"

typedef enum {
    FVLM_PART_STEM,
    FVLM_PART_DOWNSAMPLE,
    FVLM_PART_POSITION,
    FVLM_PART_MIXER,
    FVLM_PART_ATTENTION,
    FVLM_PART_FFN,
    FVLM_PART_FINAL,
    FVLM_PART_SE,
    FVLM_PART_PROJECTOR,
    FVLM_PART_EMBEDDING,
    FVLM_PART_LLM_ATTENTION,
    FVLM_PART_LLM_FFN,
    FVLM_PART_LLM_NORMS,
    FVLM_PART_LLM_HEAD,
    FVLM_PART_OTHER, /* not demanded by the config */
    FVLM_N_PARTS
} fvlm_part;

/* Parts as coarse as `fvlm info` shows them; the head belongs to the embedding. */
typedef enum {
    FVLM_GROUP_TOWER,
    FVLM_GROUP_PROJECTOR,
    FVLM_GROUP_EMBEDDING,
    FVLM_GROUP_LLM,
    FVLM_GROUP_OTHER,
    FVLM_N_GROUPS
} fvlm_part_group;

const char *fvlm_part_name(fvlm_part p); /* "tower stem", "llm ffn", ... */
fvlm_part_group fvlm_part_group_of(fvlm_part p);
const char *fvlm_part_group_name(fvlm_part_group g); /* "tower", "projector", ... */

/* A module has a weight and perhaps a bias. In the order of the file. */
typedef enum {
    FVLM_MODULE_STEM_0,
    FVLM_MODULE_STEM_1,
    FVLM_MODULE_STEM_2,
    FVLM_MODULE_DOWN_DW, /* this and the next two: once in a stage */
    FVLM_MODULE_DOWN_PW,
    FVLM_MODULE_POS,
    FVLM_MODULE_MIXER, /* up to FC2: in every block of the stage */
    FVLM_MODULE_QKV,
    FVLM_MODULE_PROJ,
    FVLM_MODULE_DW,
    FVLM_MODULE_FC1,
    FVLM_MODULE_FC2,
    FVLM_MODULE_FINAL_DW,
    FVLM_MODULE_SE_REDUCE,
    FVLM_MODULE_SE_EXPAND,
    FVLM_MODULE_PROJECTOR_0,
    FVLM_MODULE_PROJECTOR_2,
    FVLM_MODULE_NEWLINE,
    FVLM_MODULE_EMBED,
    FVLM_MODULE_ATTN_NORM, /* up to DOWN: in every layer */
    FVLM_MODULE_Q,
    FVLM_MODULE_K,
    FVLM_MODULE_V,
    FVLM_MODULE_O,
    FVLM_MODULE_FFN_NORM,
    FVLM_MODULE_GATE,
    FVLM_MODULE_UP,
    FVLM_MODULE_DOWN,
    FVLM_MODULE_NORM,
    FVLM_MODULE_HEAD,
    FVLM_N_MODULES
} fvlm_module;

/* An iterator and the tensor it is at. It holds no memory; copy it freely. */
typedef struct {
    const fvlm_config *config; /* set by the caller; valid, as fvlm_config_from_json leaves it */
    char name[64];
    fvlm_module module;
    bool bias; /* this is the module's bias */
    fvlm_part part;
    unsigned stage, block, layer; /* where the module belongs to one */
    fvlm_layout layout;
    unsigned rank;
    uint64_t dims[FVLM_MAX_RANK]; /* 0 = the side of a depthwise kernel: odd, at most FVLM_MAX_DW_KERNEL, free */
    uint32_t in, stride;          /* channels or inputs that the module reads; step of a convolution */
    bool begun;                   /* internal */
} fvlm_tensors;

/* Moves to the next tensor; false at the end. Never fails. */
bool fvlm_tensors_next(fvlm_tensors *x);

/* Whether tensor t has the layout and shape that x demands of it. A 1x1 convolution [N, K, 1, 1] may be stored as
 * the matrix [N, K], and the other way round. Names are not compared. */
fvlm_status fvlm_tensors_fit(const fvlm_tensors *x, const fvlm_tensor *t, fvlm_err *err);

/* The part of each tensor of the file, in the reader's order: part[i] for fvlm_reader_tensor(r, i). Goes by name;
 * tensors that the config does not demand are FVLM_PART_OTHER. part holds fvlm_reader_n_tensors(r) elements. */
void fvlm_tensors_parts(const fvlm_reader *r, fvlm_part *part);

#endif
