/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_layers.c - see onnx_layers.h. One file, however long: each layer in each type of its weights, over one set of
 * helpers that nothing else uses. */
#include "convert/export/onnx_layers.h"

#include <stdio.h>

#include "convert/export/onnx_elements.h"

/* ---- tensors as initializers ---- */

const char *fvlm_onnx_path(const fvlm_onnx_builder *b, const char *module, const char *node)
{
    char path[FVLM_MAX_NAME + 2];
    size_t n = (size_t)snprintf(path, sizeof path, "/%s", module);
    for (size_t i = 0; i < n && i < sizeof path; i++)
        if (path[i] == '.') path[i] = '/';
    return fvlm_onnx_text(b->g, "%s/%s", path, node);
}

static const fvlm_tensor *find(const fvlm_onnx_builder *b, const char *module, const char *what)
{
    char name[FVLM_MAX_NAME + 8];
    snprintf(name, sizeof name, "%s.%s", module, what);
    return fvlm_reader_find(b->r, name);
}

/* Elements of a tensor that the caller knows to be there. */
static bool bind(const fvlm_onnx_builder *b, const fvlm_tensor *t, fvlm_onnx_elements *e)
{
    if (b->g->st) return false;
    b->g->st = fvlm_onnx_elements_bind(e, b->r, t, b->g->err);
    return !b->g->st;
}

typedef struct {
    fvlm_onnx_out_type type;
    unsigned rank;
    uint64_t dims[FVLM_ONNX_TENSOR_RANK];
    fvlm_onnx_fill fill;
} shape;

static const char *initialize(const fvlm_onnx_builder *b, const fvlm_onnx_elements *e, const char *name, shape s)
{
    fvlm_onnx_contents c = {
        .type = s.type, .rank = s.rank, .fill = s.fill, .of = e, .of_bytes = sizeof *e, .from = e->name};
    memcpy(c.dims, s.dims, sizeof c.dims);
    return fvlm_onnx_initialize(b->g, name, &c);
}

/* The type that floats get. bf16 becomes FLOAT unless BFLOAT16 is asked for, since few runtimes know it. */
static fvlm_onnx_out_type float_type(const fvlm_onnx_builder *b, fvlm_onnx_elements *e)
{
    e->as = b->type.kind ? b->type : e->type;
    if (!b->type.kind && e->type.kind == FVLM_BF16) e->as = (fvlm_type){.kind = FVLM_F32};
    return e->as.kind == FVLM_F32 ? FVLM_OUT_F32 : e->as.kind == FVLM_F16 ? FVLM_OUT_F16 : FVLM_OUT_BF16;
}

static const char *cast_to_f32(const fvlm_onnx_builder *b, const char *name, const char *x, const char *out)
{
    return fvlm_onnx_node(b->g, &(fvlm_onnx_call){.op = "Cast",
                                                  .name = fvlm_onnx_path(b, name, "Cast"),
                                                  .in = {x},
                                                  .out = {out},
                                                  .attr = {{.name = "to", .i = FVLM_OUT_F32}}});
}

/* Floats; 16-bit ones are cast where they are used. */
static const char *add_floats(const fvlm_onnx_builder *b, fvlm_onnx_elements *e, const char *name, shape s)
{
    s.type = float_type(b, e);
    s.fill = fvlm_onnx_fill_floats;
    const char *v = initialize(b, e, name, s);
    return s.type == FVLM_OUT_F32 ? v : cast_to_f32(b, name, v, NULL);
}

const char *fvlm_onnx_add_vector(const fvlm_onnx_builder *b, const char *tensor)
{
    const fvlm_tensor *t = fvlm_reader_find(b->r, tensor);
    fvlm_onnx_elements e;
    if (!bind(b, t, &e)) return "";
    return add_floats(b, &e, tensor, (shape){.rank = 1, .dims = {e.n}});
}

/* ---- integers ---- */

static uint8_t middle(fvlm_type t)
{
    return (uint8_t)(1u << (t.bits - 1));
}

static const char *add_scales(const fvlm_onnx_builder *b, const fvlm_onnx_elements *e, const char *module, shape s)
{
    s.type = FVLM_OUT_F32;
    s.fill = fvlm_onnx_fill_scales;
    return initialize(b, e, fvlm_onnx_text(b->g, "%s.scales", module), s);
}

/* Of asymmetric codes: 0 for every block, since their offsets are added apart (onnx_layers.h). */
static const char *add_zero_points(const fvlm_onnx_builder *b, const fvlm_onnx_elements *e, const char *module)
{
    const uint64_t n_bytes = (e->weight.m.n_groups * e->type.bits + 7) / 8;
    const shape s = {.type = FVLM_OUT_U8, .rank = 2, .dims = {e->n, n_bytes}, .fill = fvlm_onnx_fill_zeros};
    return initialize(b, e, fvlm_onnx_text(b->g, "%s.zero_points", module), s);
}

/* The codes as integers of ONNX, [n, k] or the kernel's shape, dequantized without offsets. */
static const char *add_dequantized(const fvlm_onnx_builder *b, fvlm_onnx_elements *e, const char *module, shape s,
                                   unsigned axis)
{
    const bool four = e->type.bits == 4, is_signed = !e->type.asymmetric, row = e->taps > 1 || !e->type.group;
    shape scales = {.rank = 1, .dims = {e->n}};
    int64_t block = 0;
    e->flip = is_signed ? middle(e->type) : 0;
    s.type = four ? (is_signed ? FVLM_OUT_I4 : FVLM_OUT_U4) : is_signed ? FVLM_OUT_I8 : FVLM_OUT_U8;
    s.fill = four ? fvlm_onnx_fill_codes4 : fvlm_onnx_fill_codes8;
    if (!row) { /* blocks along the inputs */
        scales = (shape){.rank = 4, .dims = {e->n, e->weight.m.n_groups, 1, 1}};
        block = (int64_t)e->weight.m.group;
        axis = 1;
    }
    fvlm_onnx_call c = {.op = "DequantizeLinear", .name = fvlm_onnx_path(b, module, "DequantizeLinear")};
    c.in[0] = initialize(b, e, fvlm_onnx_text(b->g, "%s.weight", module), s);
    c.in[1] = add_scales(b, e, module, scales);
    c.attr[0] = (fvlm_onnx_attr){.name = "axis", .i = axis};
    if (block) c.attr[1] = (fvlm_onnx_attr){.name = "block_size", .i = block};
    return fvlm_onnx_node(b->g, &c);
}

/* ---- matrices ---- */

static const char *matmul(const fvlm_onnx_builder *b, const char *name, const char *x, const char *w)
{
    return fvlm_onnx_node(b->g, &(fvlm_onnx_call){.op = "MatMul", .name = name, .in = {x, w}});
}

/* A scale for each row. The leading 1, which Squeeze takes away, keeps onnxruntime from making a MatMulNBits of
 * DequantizeLinear, Transpose and MatMul, in which it would round the activations to 8 bits. */
static const char *add_rows(const fvlm_onnx_builder *b, fvlm_onnx_elements *e, const char *module, const char *x)
{
    static const int64_t order[] = {0, 2, 1}, first[] = {0};
    const char *w = add_dequantized(b, e, module, (shape){.rank = 3, .dims = {1, e->n, e->k}}, 1);
    w = fvlm_onnx_node(b->g, &(fvlm_onnx_call){.op = "Transpose",
                                               .name = fvlm_onnx_path(b, module, "Transpose"),
                                               .in = {w},
                                               .attr = {{.name = "perm", .ints = order, .n = 3}}});
    w = fvlm_onnx_node(b->g, &(fvlm_onnx_call){.op = "Squeeze",
                                               .name = fvlm_onnx_path(b, module, "Squeeze"),
                                               .in = {w, fvlm_onnx_ints(b->g, "axes.0", 1, 1, first)}});
    return matmul(b, fvlm_onnx_path(b, module, "MatMul"), x, w);
}

static const char *add_blocks(const fvlm_onnx_builder *b, fvlm_onnx_elements *e, const char *module, const char *x)
{
    const uint64_t groups = e->weight.m.n_groups, group = e->weight.m.group, bits = e->type.bits;
    e->row = (size_t)(groups * group);
    fvlm_onnx_call c = {
        .op = "MatMulNBits", .domain = FVLM_ONNX_CONTRIB, .name = fvlm_onnx_path(b, module, "MatMul"), .in = {x}};
    c.in[1] = initialize(
        b, e, fvlm_onnx_text(b->g, "%s.weight", module),
        (shape){
            .type = FVLM_OUT_U8, .rank = 3, .dims = {e->n, groups, group * bits / 8}, .fill = fvlm_onnx_fill_blocks});
    c.in[2] = add_scales(b, e, module, (shape){.rank = 2, .dims = {e->n, groups}});
    if (e->type.asymmetric) c.in[3] = add_zero_points(b, e, module);
    c.attr[0] = (fvlm_onnx_attr){.name = "K", .i = (int64_t)e->k};
    c.attr[1] = (fvlm_onnx_attr){.name = "N", .i = (int64_t)e->n};
    c.attr[2] = (fvlm_onnx_attr){.name = "bits", .i = (int64_t)bits};
    c.attr[3] = (fvlm_onnx_attr){.name = "block_size", .i = (int64_t)group};
    c.attr[4] = (fvlm_onnx_attr){.name = "accuracy_level", .i = 1}; /* activations stay f32 */
    return fvlm_onnx_node(b->g, &c);
}

static const char *add(const fvlm_onnx_builder *b, const char *name, const char *x, const char *y)
{
    return fvlm_onnx_node(b->g, &(fvlm_onnx_call){.op = "Add", .name = name, .in = {x, y}});
}

/* (x E) offset^T. */
static const char *add_offsets(const fvlm_onnx_builder *b, fvlm_onnx_elements *e, const char *module, const char *x)
{
    const uint64_t groups = e->weight.m.n_groups;
    const char *members =
        initialize(b, e, fvlm_onnx_text(b->g, "groups.%zu.%zu", e->k, e->weight.m.group),
                   (shape){.type = FVLM_OUT_F32, .rank = 2, .dims = {e->k, groups}, .fill = fvlm_onnx_fill_groups});
    fvlm_onnx_elements turned = *e;
    turned.transposed = true;
    const char *offsets =
        initialize(b, &turned, fvlm_onnx_text(b->g, "%s.offsets", module),
                   (shape){.type = FVLM_OUT_F32, .rank = 2, .dims = {groups, e->n}, .fill = fvlm_onnx_fill_offsets});
    const char *sums = matmul(b, fvlm_onnx_path(b, module, "group_sums/MatMul"), x, members);
    return matmul(b, fvlm_onnx_path(b, module, "offsets/MatMul"), sums, offsets);
}

const char *fvlm_onnx_add_linear(const fvlm_onnx_builder *b, const char *module, const char *x)
{
    const fvlm_tensor *bias = find(b, module, "bias");
    fvlm_onnx_elements e;
    if (!bind(b, find(b, module, "weight"), &e)) return "";
    const char *y;
    if (e.type.kind != FVLM_INT) {
        e.transposed = true;
        const char *w =
            add_floats(b, &e, fvlm_onnx_text(b->g, "%s.weight", module), (shape){.rank = 2, .dims = {e.k, e.n}});
        y = matmul(b, fvlm_onnx_path(b, module, "MatMul"), x, w);
    } else {
        y = e.type.group ? add_blocks(b, &e, module, x) : add_rows(b, &e, module, x);
        if (e.type.asymmetric) y = add(b, fvlm_onnx_path(b, module, "offsets/Add"), y, add_offsets(b, &e, module, x));
    }
    return bias ? add(b, fvlm_onnx_path(b, module, "Add"), y, fvlm_onnx_add_vector(b, bias->name)) : y;
}

/* ---- convolutions ---- */

typedef struct {
    const char *name, *x, *w, *bias;
    int64_t side, stride, groups;
} conv;

static const char *put_conv(const fvlm_onnx_builder *b, const conv *v)
{
    const int64_t p = (v->side - 1) / 2, kernel[] = {v->side, v->side}, pads[] = {p, p, p, p};
    const int64_t strides[] = {v->stride, v->stride};
    fvlm_onnx_call c = {.op = "Conv", .name = v->name, .in = {v->x, v->w, v->bias}};
    c.attr[0] = (fvlm_onnx_attr){.name = "kernel_shape", .ints = kernel, .n = 2};
    c.attr[1] = (fvlm_onnx_attr){.name = "strides", .ints = strides, .n = 2};
    c.attr[2] = (fvlm_onnx_attr){.name = "pads", .ints = pads, .n = 4};
    c.attr[3] = (fvlm_onnx_attr){.name = "group", .i = v->groups};
    return fvlm_onnx_node(b->g, &c);
}

/* The same with kernels: E sums the inputs of each group, taps included, and the offsets are 1x1. */
static const char *add_conv_offsets(const fvlm_onnx_builder *b, fvlm_onnx_elements *e, const char *module, conv v)
{
    const uint64_t groups = e->weight.m.n_groups, side = (uint64_t)v.side;
    fvlm_onnx_elements turned = *e;
    turned.transposed = true;
    v.w = initialize(b, &turned, fvlm_onnx_text(b->g, "groups.conv.%zu.%zu", e->k, e->weight.m.group),
                     (shape){.type = FVLM_OUT_F32,
                             .rank = 4,
                             .dims = {groups, e->k / e->taps, side, side},
                             .fill = fvlm_onnx_fill_groups});
    v.name = fvlm_onnx_path(b, module, "group_sums/Conv");
    v.bias = NULL;
    conv offsets = {.name = fvlm_onnx_path(b, module, "offsets/Conv"), .side = 1, .stride = 1, .groups = 1};
    offsets.x = put_conv(b, &v);
    offsets.w = initialize(
        b, e, fvlm_onnx_text(b->g, "%s.offsets", module),
        (shape){.type = FVLM_OUT_F32, .rank = 4, .dims = {e->n, groups, 1, 1}, .fill = fvlm_onnx_fill_offsets});
    return put_conv(b, &offsets);
}

const char *fvlm_onnx_add_conv(const fvlm_onnx_builder *b, const fvlm_onnx_conv *of, const char *x)
{
    const fvlm_tensor *t = find(b, of->module, "weight"), *bias = find(b, of->module, "bias");
    fvlm_onnx_elements e;
    if (!bind(b, t, &e)) return "";
    const uint64_t side = t->rank == 4 ? t->dims[2] : 1;
    shape s = {.rank = 4, .dims = {e.n, e.k / e.taps, side, side}};
    conv v = {.name = fvlm_onnx_path(b, of->module, "Conv"), .x = x, .side = (int64_t)side, .stride = of->stride};
    v.groups = t->layout == FVLM_TAPS ? (int64_t)of->channels : 1;
    const bool offsets = e.type.kind == FVLM_INT && e.type.asymmetric;
    v.w = e.type.kind == FVLM_INT ? add_dequantized(b, &e, of->module, s, 0)
                                  : add_floats(b, &e, fvlm_onnx_text(b->g, "%s.weight", of->module), s);
    v.bias = offsets || !bias ? NULL : fvlm_onnx_add_vector(b, bias->name);
    const char *y = put_conv(b, &v);
    if (!offsets) return y;
    y = add(b, fvlm_onnx_path(b, of->module, "offsets/Add"), y, add_conv_offsets(b, &e, of->module, v));
    if (!bias) return y;
    static const int64_t axes[] = {1, 2};
    const char *shaped = fvlm_onnx_node(b->g, &(fvlm_onnx_call){.op = "Unsqueeze",
                                                                .name = fvlm_onnx_path(b, of->module, "Unsqueeze"),
                                                                .in = {fvlm_onnx_add_vector(b, bias->name),
                                                                       fvlm_onnx_ints(b->g, "axes.1.2", 1, 2, axes)}});
    return add(b, fvlm_onnx_path(b, of->module, "Add"), y, shaped);
}

/* ---- the embedding ---- */

/* For whole rows a power of 2 that holds one, and is not a group of ours. */
static int64_t block_of(const fvlm_onnx_elements *e)
{
    int64_t block = 256;
    while (!e->type.group && (uint64_t)block < e->k) block *= 2;
    return e->type.group ? e->type.group : block;
}

static const char *gather(const fvlm_onnx_builder *b, const char *name, const char *table, const char *ids,
                          const char *out)
{
    return fvlm_onnx_node(b->g, &(fvlm_onnx_call){.op = "Gather", .name = name, .in = {table, ids}, .out = {out}});
}

/* Offsets of the rows' groups, [.., groups], spread over the columns: offsets E^T. */
static const char *spread_offsets(const fvlm_onnx_builder *b, fvlm_onnx_elements *e, const char *module,
                                  const char *ids)
{
    const uint64_t groups = e->weight.m.n_groups;
    const char *table =
        initialize(b, e, fvlm_onnx_text(b->g, "%s.offsets", module),
                   (shape){.type = FVLM_OUT_F32, .rank = 2, .dims = {e->n, groups}, .fill = fvlm_onnx_fill_offsets});
    fvlm_onnx_elements turned = *e;
    turned.transposed = true;
    const char *members =
        initialize(b, &turned, fvlm_onnx_text(b->g, "groups.%zu.%zu", e->k, e->weight.m.group),
                   (shape){.type = FVLM_OUT_F32, .rank = 2, .dims = {groups, e->k}, .fill = fvlm_onnx_fill_groups});
    const char *offsets = gather(b, fvlm_onnx_path(b, module, "offsets/Gather"), table, ids, NULL);
    return matmul(b, fvlm_onnx_path(b, module, "offsets/MatMul"), offsets, members);
}

static const char *gather_codes(const fvlm_onnx_builder *b, fvlm_onnx_elements *e, const char *module, const char *ids,
                                const char *out)
{
    const uint64_t groups = e->weight.m.n_groups, bits = e->type.bits;
    const bool offsets = e->type.asymmetric;
    e->row = e->k;
    fvlm_onnx_call c = {
        .op = "GatherBlockQuantized", .domain = FVLM_ONNX_CONTRIB, .name = fvlm_onnx_path(b, module, "Gather")};
    c.in[0] = initialize(
        b, e, fvlm_onnx_text(b->g, "%s.weight", module),
        (shape){.type = FVLM_OUT_U8, .rank = 2, .dims = {e->n, e->k * bits / 8}, .fill = fvlm_onnx_fill_blocks});
    c.in[1] = ids;
    c.in[2] = add_scales(b, e, module, (shape){.rank = 2, .dims = {e->n, groups}});
    if (offsets) c.in[3] = add_zero_points(b, e, module);
    c.out[0] = offsets ? NULL : out;
    c.attr[0] = (fvlm_onnx_attr){.name = "bits", .i = (int64_t)bits};
    c.attr[1] = (fvlm_onnx_attr){.name = "block_size", .i = block_of(e)};
    c.attr[2] = (fvlm_onnx_attr){.name = "gather_axis", .i = 0};
    c.attr[3] = (fvlm_onnx_attr){.name = "quantize_axis", .i = 1};
    const char *rows = fvlm_onnx_node(b->g, &c);
    if (!offsets) return rows;
    const char *spread = spread_offsets(b, e, module, ids);
    return fvlm_onnx_node(
        b->g, &(fvlm_onnx_call){
                  .op = "Add", .name = fvlm_onnx_path(b, module, "offsets/Add"), .in = {rows, spread}, .out = {out}});
}

const char *fvlm_onnx_add_embedding(const fvlm_onnx_builder *b, const char *module, const char *ids, const char *out)
{
    fvlm_onnx_elements e;
    if (!bind(b, find(b, module, "weight"), &e)) return "";
    if (e.type.kind == FVLM_INT) return gather_codes(b, &e, module, ids, out);
    const fvlm_onnx_out_type type = float_type(b, &e);
    const char *table = initialize(b, &e, fvlm_onnx_text(b->g, "%s.weight", module),
                                   (shape){.type = type, .rank = 2, .dims = {e.n, e.k}, .fill = fvlm_onnx_fill_floats});
    const bool wide = type == FVLM_OUT_F32;
    const char *rows = gather(b, fvlm_onnx_path(b, module, "Gather"), table, ids, wide ? out : NULL);
    return wide ? rows : cast_to_f32(b, module, rows, out);
}
