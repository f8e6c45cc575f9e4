/* SPDX-License-Identifier: Apache-2.0 */
/* names.c - keeps account of every tensor; the grammar of projector and language model.
 * The tower's is in apple_tower.c. */
#include "convert/names/names.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/names/resolver.h"

#define MAX_NAME 256
#define COMPARE_BLOCK ((size_t)1 << 17)

/* ---- account ---- */

#define FORMAT_NAME(name, fmt)                                                                                         \
    do {                                                                                                               \
        va_list args;                                                                                                  \
        va_start(args, fmt);                                                                                           \
        vsnprintf(name, sizeof name, fmt, args);                                                                       \
        va_end(args);                                                                                                  \
    } while (0)

const fvlm_source_tensor *fvlm_resolver_require(fvlm_resolver *r, const char *fmt, ...)
{
    char name[MAX_NAME];
    FORMAT_NAME(name, fmt);
    size_t i = fvlm_source_first_at_or_after(r->src, name);
    if (i < fvlm_source_n_tensors(r->src)) {
        const fvlm_source_tensor *t = fvlm_source_tensor_at(r->src, i);
        if (!strcmp(t->name, name)) {
            r->used[i] = true;
            if (t->type == FVLM_SOURCE_I64 && !r->shape.code)
                fvlm_fail(&r->shape, FVLM_BAD_INPUT, "tensor \"%.200s\": I64 cannot hold a weight", name);
            return t;
        }
    }
    if (r->n_missing < FVLM_LISTED && !(r->missing[r->n_missing] = fvlm_strdup(name)))
        r->st = fvlm_fail(r->err, FVLM_NOMEM, "out of memory");
    r->n_missing++;
    return NULL;
}

bool fvlm_resolver_has(const fvlm_resolver *r, const char *fmt, ...)
{
    char name[MAX_NAME];
    FORMAT_NAME(name, fmt);
    return fvlm_source_find(r->src, name) != NULL;
}

bool fvlm_resolver_has_prefix(const fvlm_resolver *r, const char *fmt, ...)
{
    char name[MAX_NAME];
    FORMAT_NAME(name, fmt);
    size_t i = fvlm_source_first_at_or_after(r->src, name);
    return i < fvlm_source_n_tensors(r->src) && !strncmp(fvlm_source_tensor_at(r->src, i)->name, name, strlen(name));
}

unsigned fvlm_resolver_count(fvlm_resolver *r, unsigned max, const char *fmt, ...)
{
    char name[MAX_NAME];
    FORMAT_NAME(name, fmt);
    size_t n = strlen(name), most = 0;
    for (size_t i = fvlm_source_first_at_or_after(r->src, name); i < fvlm_source_n_tensors(r->src); i++) {
        const char *found = fvlm_source_tensor_at(r->src, i)->name;
        if (strncmp(found, name, n) != 0) break;
        size_t number = 0;
        const char *p = found + n;
        for (; *p >= '0' && *p <= '9' && number < 100000; p++) number = 10 * number + (size_t)(*p - '0');
        if (p > found + n && *p == '.' && number >= most) most = number + 1;
    }
    if (most > max && !r->st)
        r->st = fvlm_fail(r->err, FVLM_LIMIT, "tensors \"%s0.\" to \"%s%zu.\": at most %u are supported", name, name,
                          most - 1, max);
    return most > max ? max : (unsigned)most;
}

bool fvlm_resolver_check_shape(fvlm_resolver *r, const fvlm_source_tensor *t, unsigned rank, const uint64_t *dims)
{
    if (!t) return false;
    bool fits = t->rank == rank;
    for (unsigned i = 0; i < rank && fits; i++) fits = dims[i] ? t->dims[i] == dims[i] : t->dims[i] > 0;
    if (fits) return true;
    if (!r->shape.code) {
        char wanted[128], found[128];
        int n = snprintf(wanted, sizeof wanted, "[");
        for (unsigned i = 0; i < rank; i++) {
            const char *comma = i ? ", " : "";
            n += dims[i] ? snprintf(wanted + n, sizeof wanted - (size_t)n, "%s%" PRIu64, comma, dims[i])
                         : snprintf(wanted + n, sizeof wanted - (size_t)n, "%sany", comma);
        }
        fvlm_fail(&r->shape, FVLM_BAD_INPUT, "tensor \"%.200s\" is %s, expected %s]", t->name,
                  fvlm_source_shape_text(t, found), wanted);
    }
    return false;
}

fvlm_recipe *fvlm_resolver_new_recipe(fvlm_resolver *r, unsigned part, const char *fmt, ...)
{
    static fvlm_recipe nowhere; /* what a search out of memory writes to; never read */
    char name[MAX_NAME];
    FORMAT_NAME(name, fmt);
    fvlm_recipes *all = &r->out->recipes;
    if (all->n == all->room) {
        size_t more = all->room ? 2 * all->room : 128;
        fvlm_recipe *items = realloc(all->items, more * sizeof *items);
        if (!items) {
            r->st = fvlm_fail(r->err, FVLM_NOMEM, "out of memory");
            return &nowhere;
        }
        all->items = items;
        all->room = more;
    }
    fvlm_recipe *m = &all->items[all->n++];
    *m = (fvlm_recipe){.name = fvlm_strdup(name), .part = part, .groups = 1, .k = 1, .stride = 1, .q_scale = 1};
    if (!m->name) r->st = fvlm_fail(r->err, FVLM_NOMEM, "out of memory");
    return m;
}

/* ---- projector and language model ---- */

void fvlm_resolver_plain_linear(fvlm_resolver *r, fvlm_recipe *m, const fvlm_source_tensor *weight,
                                const fvlm_source_tensor *bias, uint64_t out, uint64_t in)
{
    m->branch[0] = (fvlm_branch){.kernel = weight, .bias = bias, .sign = 1, .k = 1};
    m->n_branches = 1;
    m->out = m->dims[0] = out;
    m->in = m->dims[1] = in ? in : 1;
    m->rank = in ? 2 : 1;
    m->layout = in ? FVLM_PANELS : FVLM_ROWS;
    m->has_bias = bias != NULL;
    fvlm_resolver_check_shape(r, weight, m->rank, m->dims);
    if (bias) fvlm_resolver_check_shape(r, bias, 1, &out);
}

static void resolve_projector(fvlm_resolver *r)
{
    const fvlm_config *c = &r->out->config;
    for (unsigned i = 0; i <= 2; i += 2) {
        fvlm_recipe *m = fvlm_resolver_new_recipe(r, FVLM_PART_PROJECTOR, "projector.%u", i);
        const fvlm_source_tensor *weight = fvlm_resolver_require(r, "model.mm_projector.%u.weight", i);
        const fvlm_source_tensor *bias = fvlm_resolver_require(r, "model.mm_projector.%u.bias", i);
        fvlm_resolver_plain_linear(r, m, weight, bias, c->projector.out, i ? c->projector.hidden : c->projector.in);
    }
}

static void plain(fvlm_resolver *r, unsigned part, const char *name, const char *source, bool biased, uint64_t out,
                  uint64_t in)
{
    fvlm_recipe *m = fvlm_resolver_new_recipe(r, part, "%s", name);
    const fvlm_source_tensor *weight = fvlm_resolver_require(r, "%s.weight", source);
    const fvlm_source_tensor *bias = biased ? fvlm_resolver_require(r, "%s.bias", source) : NULL;
    fvlm_resolver_plain_linear(r, m, weight, bias, out, in);
}

static void resolve_layer(fvlm_resolver *r, unsigned layer)
{
    const fvlm_config *c = &r->out->config;
    uint64_t hidden = c->llm.hidden, kv = (uint64_t)c->llm.kv_heads * c->llm.head_dim, inner = c->llm.intermediate;
    const struct {
        unsigned part;
        const char *name, *source;
        bool biased;
        uint64_t out, in;
    } parts[] = {
        {FVLM_PART_NORMS, "attn_norm", "input_layernorm", false, hidden, 0},
        {FVLM_PART_ATTENTION, "attn.q", "self_attn.q_proj", true, hidden, hidden},
        {FVLM_PART_ATTENTION, "attn.k", "self_attn.k_proj", true, kv, hidden},
        {FVLM_PART_ATTENTION, "attn.v", "self_attn.v_proj", true, kv, hidden},
        {FVLM_PART_ATTENTION, "attn.o", "self_attn.o_proj", false, hidden, hidden},
        {FVLM_PART_NORMS, "ffn_norm", "post_attention_layernorm", false, hidden, 0},
        {FVLM_PART_FFN, "ffn.gate", "mlp.gate_proj", false, inner, hidden},
        {FVLM_PART_FFN, "ffn.up", "mlp.up_proj", false, inner, hidden},
        {FVLM_PART_FFN, "ffn.down", "mlp.down_proj", false, hidden, inner},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char name[64], source[64];
        snprintf(name, sizeof name, "llm.layer%u.%s", layer, parts[i].name);
        snprintf(source, sizeof source, "model.layers.%u.%s", layer, parts[i].source);
        plain(r, parts[i].part, name, source, parts[i].biased, parts[i].out, parts[i].in);
    }
}

/* The first 'rows' rows of the two stored matrices, byte for byte. */
static fvlm_status compare_rows(fvlm_resolver *r, const fvlm_source_tensor *a, const fvlm_source_tensor *b,
                                uint64_t rows, bool *equal)
{
    *equal = a->type == b->type;
    uint64_t left = rows * a->dims[1] * fvlm_source_type_bytes(a->type);
    uint8_t *block = fvlm_alloc(2, COMPARE_BLOCK);
    if (!block) return fvlm_fail(r->err, FVLM_NOMEM, "out of memory");
    fvlm_status st = FVLM_OK;
    for (uint64_t at = 0; !st && *equal && at < left;) {
        size_t n = left - at < COMPARE_BLOCK ? (size_t)(left - at) : COMPARE_BLOCK;
        st = fvlm_source_read(r->src, a, at, n, block, r->err);
        if (!st) st = fvlm_source_read(r->src, b, at, n, block + COMPARE_BLOCK, r->err);
        if (!st) *equal = memcmp(block, block + COMPARE_BLOCK, n) == 0;
        at += n;
    }
    free(block);
    return st;
}

/* The embedding keeps the rows that an id can reach. */
static void embedding(fvlm_resolver *r, unsigned part, const char *name, const fvlm_source_tensor *t)
{
    const fvlm_config *c = &r->out->config;
    fvlm_recipe *m = fvlm_resolver_new_recipe(r, part, "%s", name);
    const uint64_t stored[] = {r->checkpoint->embed_rows, c->llm.hidden};
    m->branch[0] = (fvlm_branch){.kernel = t, .sign = 1, .k = 1};
    m->n_branches = 1;
    m->rank = 2;
    m->out = m->dims[0] = c->llm.vocab;
    m->in = m->dims[1] = c->llm.hidden;
    m->layout = FVLM_PANELS;
    fvlm_resolver_check_shape(r, t, 2, stored);
}

static void drop(fvlm_resolver *r, size_t i, const char *rule)
{
    fvlm_names *out = r->out;
    r->used[i] = true;
    unsigned k = 0;
    while (k < out->n_dropped && strcmp(out->dropped[k].rule, rule) != 0) k++;
    if (k == out->n_dropped) out->dropped[out->n_dropped++].rule = rule;
    out->dropped[k].n_tensors++;
    out->dropped[k].n_bytes += fvlm_source_tensor_at(r->src, i)->n_bytes;
}

/* Whether the head is the embedding (§1.6 of the checkpoint notes): config.json decides when it says tied, even
 * against a stored head, as transformers does; bytes decide when it does not. */
static void resolve_head(fvlm_resolver *r, const fvlm_source_tensor *embed)
{
    static const char name[] = "lm_head.weight";
    const fvlm_checkpoint *k = r->checkpoint;
    bool stored = fvlm_resolver_has(r, "%s", name), equal = false;
    bool tied = k->tied_given ? k->tied : !stored;
    const fvlm_source_tensor *head = tied && !stored ? NULL : fvlm_resolver_require(r, "%s", name);
    const uint64_t shape[] = {k->embed_rows, k->config.llm.hidden};
    if (embed && head && fvlm_resolver_check_shape(r, embed, 2, shape) &&
        fvlm_resolver_check_shape(r, head, 2, shape) && !r->n_missing && !r->st)
        r->st = compare_rows(r, embed, head, r->out->config.llm.vocab, &equal);
    r->out->head_differs = tied && head && !equal;
    r->out->config.llm.tied = tied || equal;
    if (head && r->out->config.llm.tied)
        drop(r, fvlm_source_first_at_or_after(r->src, name),
             tied ? "head tied by config.json" : "head equal to the embedding");
    if (!r->out->config.llm.tied) embedding(r, FVLM_PART_HEAD, "llm.head", head);
}

static void resolve_llm(fvlm_resolver *r)
{
    const fvlm_config *c = &r->out->config;
    const fvlm_source_tensor *embed = fvlm_resolver_require(r, "model.embed_tokens.weight");
    embedding(r, FVLM_PART_EMBEDDING, "llm.embed", embed);
    for (unsigned i = 0; i < c->llm.layers && !r->st; i++) resolve_layer(r, i);
    plain(r, FVLM_PART_NORMS, "llm.norm", "model.norm", false, c->llm.hidden, 0);
    resolve_head(r, embed);
    r->out->rows_dropped = r->checkpoint->embed_rows - c->llm.vocab;
}

/* ---- the balance ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* Tensors that nothing needs, each by a rule with a name. */
static void drop_by_rule(fvlm_resolver *r)
{
    for (size_t i = 0; i < fvlm_source_n_tensors(r->src); i++) {
        const fvlm_source_tensor *t = fvlm_source_tensor_at(r->src, i);
        if (r->used[i]) continue;
        if (t->type == FVLM_SOURCE_I64 && t->rank == 0 && ends_with(t->name, ".num_batches_tracked"))
            drop(r, i, "BatchNorm counters");
        else if (!strcmp(t->name, FVLM_TOWER_PREFIX "head.proj"))
            drop(r, i, "CLIP head, which the language model never sees");
    }
}

/* "A", "B" and 3 more */
static size_t list(char *to, size_t room, const char *const *names, size_t n_names, size_t n)
{
    size_t used = 0;
    to[0] = 0;
    for (size_t i = 0; i < n_names && used < room; i++)
        used += (size_t)snprintf(to + used, room - used, "%s\"%.150s\"", i ? ", " : "", names[i]);
    if (n > n_names && used < room) used += (size_t)snprintf(to + used, room - used, " and %zu more", n - n_names);
    return used < room ? used : room - 1;
}

/* Names of another producer, recognised so that the refusal can say what the folder is. */
static const char *dialect_hint(const fvlm_resolver *r)
{
    if (fvlm_resolver_has_prefix(r, "model.vision_tower.timm_model."))
        return "; these are the transformers port's names: give Apple's own checkpoint";
    if (fvlm_resolver_has_prefix(r, "vision_tower.vision_model.") || fvlm_resolver_has_prefix(r, "language_model."))
        return "; these are MLX names: give Apple's own checkpoint";
    if (fvlm_resolver_has_prefix(r, "image_encoder.")) return "; this is a MobileCLIP checkpoint, not a FastVLM one";
    if (!fvlm_resolver_has_prefix(r, FVLM_TOWER_PREFIX)) return "; the vision tower is not in this checkpoint";
    return "";
}

static fvlm_status balance(fvlm_resolver *r)
{
    const char *left[FVLM_LISTED];
    size_t n_left = 0;
    for (size_t i = 0; i < fvlm_source_n_tensors(r->src); i++) {
        if (r->used[i]) continue;
        if (n_left < FVLM_LISTED) left[n_left] = fvlm_source_tensor_at(r->src, i)->name;
        n_left++;
    }
    if (!r->n_missing && !n_left) {
        if (r->shape.code && r->err) *r->err = r->shape;
        return r->shape.code;
    }
    char text[1900];
    size_t n = 0, n_shown = r->n_missing < FVLM_LISTED ? r->n_missing : FVLM_LISTED;
    if (r->n_missing) {
        n = (size_t)snprintf(text, sizeof text, "%zu tensor%s missing: ", r->n_missing,
                             r->n_missing == 1 ? " is" : "s are");
        n += list(text + n, sizeof text / 2 - n, (const char *const *)r->missing, n_shown, r->n_missing);
    }
    if (n_left) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%zu tensor%s left over: ", n ? "; " : "", n_left,
                              n_left == 1 ? " is" : "s are");
        list(text + n, sizeof text - n, left, n_left < FVLM_LISTED ? n_left : FVLM_LISTED, n_left);
    }
    return fvlm_fail(r->err, FVLM_BAD_INPUT, "%s%s", text, dialect_hint(r));
}

fvlm_status fvlm_names_resolve(fvlm_names *out, const fvlm_source *src, const fvlm_checkpoint *checkpoint,
                               fvlm_err *err)
{
    *out = (fvlm_names){.config = checkpoint->config};
    fvlm_resolver r = {.src = src, .checkpoint = checkpoint, .out = out, .err = err};
    r.used = fvlm_alloc(fvlm_source_n_tensors(src), sizeof *r.used);
    if (!r.used) return fvlm_fail(err, FVLM_NOMEM, "out of memory");
    fvlm_apple_tower_resolve(&r);
    if (!r.st) resolve_projector(&r);
    if (!r.st) resolve_llm(&r);
    if (!r.st) drop_by_rule(&r);
    if (!r.st) r.st = balance(&r);
    if (!r.st && out->config.vision.out_dim != out->config.projector.in)
        r.st =
            fvlm_fail(err, FVLM_BAD_INPUT,
                      "\"config.json\": \"mm_hidden_size\" is %" PRIu32 ", but the tower ends in %" PRIu32 " channels",
                      out->config.projector.in, out->config.vision.out_dim);
    for (size_t i = 0; i < FVLM_LISTED; i++) free(r.missing[i]);
    free(r.used);
    if (r.st) fvlm_names_free(out);
    return r.st;
}

static void recipes_free(fvlm_recipes *r)
{
    for (size_t i = 0; i < r->n; i++) free(r->items[i].name);
    free(r->items);
    *r = (fvlm_recipes){0};
}

void fvlm_names_free(fvlm_names *n)
{
    recipes_free(&n->recipes);
}
