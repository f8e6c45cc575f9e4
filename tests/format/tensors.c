/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: the list of tensors is the table of SPEC.md, section 6, row for row: names, shapes, layouts, biases and
 * order; a tensor fits exactly when its layout and shape do. */
#include "format/tensors.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

typedef struct {
    char module[64], shape[32], layout[16], present[16];
    bool bias;
} row;

static row rows[64];
static size_t n_rows;

/* Cell i of a Markdown table row, without spaces and backquotes at its ends. */
static void cell(const char *line, int i, char *out, size_t size)
{
    for (; i >= 0; i--) line = strchr(line, '|') + 1;
    size_t n = strcspn(line, "|");
    while (n && strchr(" `", *line)) line++, n--;
    while (n && strchr(" `", line[n - 1])) n--;
    assert_true(n < size);
    snprintf(out, size, "%.*s", (int)n, line);
}

static int read_spec(void **state)
{
    (void)state;
    char line[512], bias[8];
    bool inside = false;
    FILE *f = fopen("format/SPEC.md", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#') inside = !strncmp(line, "## 6.", 5);
        if (!inside || strncmp(line, "| `", 3) != 0) continue;
        row *r = &rows[n_rows++];
        cell(line, 0, r->module, sizeof r->module);
        cell(line, 1, r->shape, sizeof r->shape);
        cell(line, 2, r->layout, sizeof r->layout);
        cell(line, 3, bias, sizeof bias);
        cell(line, 4, r->present, sizeof r->present);
        r->bias = !strcmp(bias, "yes");
    }
    fclose(f);
    assert_int_equal(n_rows, FVLM_N_MODULES);
    return 0;
}

/* The letters of section 6. */
static uint64_t value_of(const char *s, size_t n, const fvlm_config *c, unsigned stage)
{
    const fvlm_stage *at = &c->vision.stage[stage];
    const struct {
        const char *letter;
        uint64_t value;
    } letters[] = {
        {"D0", c->vision.stage[0].dim},
        {"D", at->dim},
        {"3D", 3 * (uint64_t)at->dim},
        {"H", at->hidden},
        {"E", c->vision.out_dim},
        {"R", c->vision.se_dim},
        {"I", c->projector.in},
        {"J", c->projector.hidden},
        {"W", c->projector.out},
        {"V", c->llm.vocab},
        {"F", c->llm.intermediate},
        {"Q", (uint64_t)c->llm.heads * c->llm.head_dim},
        {"G", (uint64_t)c->llm.kv_heads * c->llm.head_dim},
        {"k", 0},
        {"1", 1},
        {"3", 3},
    };
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
        if (strlen(letters[i].letter) == n && !strncmp(letters[i].letter, s, n)) return letters[i].value;
    fail_msg("\"%.*s\" means nothing", (int)n, s);
    return 0;
}

/* "vision.stageS.blockB" with the numbers in. */
static void number(const row *r, unsigned stage, unsigned block, unsigned layer, char out[64])
{
    size_t n = 0;
    for (const char *p = r->module; *p; p++)
        n += (size_t)(*p == 'S'   ? snprintf(out + n, 64 - n, "%u", stage)
                      : *p == 'B' ? snprintf(out + n, 64 - n, "%u", block)
                      : *p == 'L' ? snprintf(out + n, 64 - n, "%u", layer)
                                  : snprintf(out + n, 64 - n, "%c", *p));
}

static bool present(const row *r, const fvlm_config *c, unsigned stage)
{
    const fvlm_stage *s = &c->vision.stage[stage];
    if (!strcmp(r->present, "always")) return true;
    if (!strcmp(r->present, "S > 0")) return stage > 0;
    if (!strcmp(r->present, "pos")) return s->pos;
    if (!strcmp(r->present, "repmixer")) return s->mixer == FVLM_REPMIXER;
    if (!strcmp(r->present, "attention")) return s->mixer == FVLM_ATTENTION;
    if (!strcmp(r->present, "projector")) return fvlm_config_has_projector(c);
    if (!strcmp(r->present, "llm")) return fvlm_config_has_llm(c);
    if (!strcmp(r->present, "spatial_unpad")) return c->tiles.merge == FVLM_MERGE_UNPAD;
    assert_string_equal(r->present, "llm, not tied");
    return fvlm_config_has_llm(c) && !c->llm.tied;
}

/* The next tensors of the list are those of row r. */
static void expect_row(fvlm_tensors *x, const row *r, unsigned stage, unsigned block, unsigned layer)
{
    char module[64], name[80];
    if (!present(r, x->config, stage)) return;
    number(r, stage, block, layer, module);
    snprintf(name, sizeof name, "%s.weight", module);
    assert_true(fvlm_tensors_next(x));
    assert_string_equal(x->name, name);
    assert_string_equal(fvlm_layout_name(x->layout), r->layout);
    unsigned rank = 0;
    const char *p = r->shape;
    assert_int_equal(*p, '[');
    for (; *p != ']'; rank++) {
        const size_t n = strcspn(p += 1 + (rank > 0), ",]");
        assert_int_equal(x->dims[rank], value_of(p, n, x->config, stage));
        p += n;
    }
    assert_int_equal(x->rank, rank);
    if (!r->bias) return;
    const uint64_t out = x->dims[0];
    snprintf(name, sizeof name, "%s.bias", module);
    assert_true(fvlm_tensors_next(x));
    assert_string_equal(x->name, name);
    assert_int_equal(x->layout, FVLM_ROWS);
    assert_int_equal(x->rank, 1);
    assert_int_equal(x->dims[0], out);
}

static void expect_table(const fvlm_config *c)
{
    fvlm_tensors x = {.config = c};
    for (size_t i = 0; i < n_rows;) {
        size_t end = i + 1;
        const char what = strstr(rows[i].module, "stageS") ? 'S' : strstr(rows[i].module, "layerL") ? 'L' : 0;
        while (what && end < n_rows && strchr(rows[end].module, what)) end++;
        const unsigned times = what == 'S' ? c->vision.n_stages : what ? c->llm.layers : 1;
        for (unsigned k = 0; k < times; k++) {
            size_t first = i;
            while (what == 'S' && !strchr(rows[first].module, 'B')) expect_row(&x, &rows[first++], k, 0, 0);
            const unsigned depth = what == 'S' ? c->vision.stage[k].depth : 1;
            for (unsigned b = 0; b < depth; b++)
                for (size_t j = first; j < end; j++) expect_row(&x, &rows[j], what == 'S' ? k : 0, b, k);
        }
        i = end;
    }
    assert_false(fvlm_tensors_next(&x));
    assert_false(fvlm_tensors_next(&x));
}

static void spec_and_list_agree(void **state)
{
    (void)state;
    fvlm_config c;
    test_config(&c);
    expect_table(&c);
    for (unsigned k = 0; k < 64; k++) { /* every switch, and more than one block and layer */
        test_config(&c);
        c.llm.tied = k & 1;
        c.llm.layers = 1 + k % 3;
        c.vision.stage[0].pos = k & 2;
        c.vision.stage[0].mixer = k & 4 ? FVLM_ATTENTION : FVLM_REPMIXER;
        c.vision.stage[0].depth = 1 + k % 5;
        c.vision.n_stages = k & 8 ? 1 : 3;
        c.vision.stage[2] = (fvlm_stage){.dim = 64, .depth = 2, .hidden = 100, .mixer = FVLM_REPMIXER, .pos = k & 16};
        expect_table(&c);
        c.tiles.merge = k % 4; /* none, flat, spatial, spatial_unpad */
        expect_table(&c);
        c.tiles.merge = 0;
        memset(&c.llm, 0, sizeof c.llm);
        expect_table(&c);
        memset(&c.projector, 0, sizeof c.projector);
        expect_table(&c);
    }
}

static fvlm_tensors find(const fvlm_config *c, const char *name)
{
    fvlm_tensors x = {.config = c};
    while (fvlm_tensors_next(&x))
        if (!strcmp(x.name, name)) return x;
    fail_msg("no %s", name);
    return x;
}

static void only_what_is_demanded_fits(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint8_t layout, rank;
        uint64_t dims[4];
        const char *refusal; /* NULL: fits */
    } cases[] = {
        {"vision.stem.2.weight", FVLM_PANELS, 4, {16, 16, 1, 1}, NULL},
        {"vision.stem.2.weight", FVLM_PANELS, 2, {16, 16}, NULL},
        {"vision.stem.2.weight", FVLM_PANELS, 3, {16, 16, 1}, "has shape [16, 16, 1], expected [16, 16, 1, 1]"},
        {"vision.stem.2.weight", FVLM_PANELS, 4, {16, 16, 3, 3}, "has shape [16, 16, 3, 3], expected [16, 16, 1, 1]"},
        {"vision.stem.2.weight", FVLM_ROWS, 2, {16, 16}, "is stored in rows, expected panels"},
        {"vision.stem.0.weight", FVLM_PANELS, 2, {16, 3}, "has shape [16, 3], expected [16, 3, 3, 3]"},
        {"llm.layer0.attn.q.weight", FVLM_PANELS, 4, {32, 32, 1, 1}, NULL},
        {"llm.layer0.attn.q.weight", FVLM_PANELS, 1, {32}, "has shape [32], expected [32, 32]"},
        {"llm.layer0.attn.q.bias", FVLM_ROWS, 1, {32}, NULL},
        {"llm.layer0.attn.q.bias", FVLM_ROWS, 2, {32, 1}, "has shape [32, 1], expected [32]"},
        {"vision.stem.1.weight", FVLM_TAPS, 4, {16, 1, 1, 1}, NULL},
        {"vision.stem.1.weight", FVLM_TAPS, 4, {16, 1, 15, 15}, NULL},
        {"vision.stem.1.weight",
         FVLM_TAPS,
         4,
         {16, 1, 17, 17},
         "has shape [16, 1, 17, 17], expected [16, 1, k, k] with odd k"},
        {"vision.stem.1.weight",
         FVLM_TAPS,
         4,
         {16, 1, 4, 4},
         "has shape [16, 1, 4, 4], expected [16, 1, k, k] with odd k"},
        {"vision.stem.1.weight",
         FVLM_TAPS,
         4,
         {16, 1, 3, 5},
         "has shape [16, 1, 3, 5], expected [16, 1, k, k] with odd k"},
    };
    fvlm_config c;
    test_config(&c);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fvlm_tensor t = {.name = cases[i].name, .layout = cases[i].layout, .rank = cases[i].rank};
        memcpy(t.dims, cases[i].dims, sizeof t.dims);
        const fvlm_tensors x = find(&c, t.name);
        fvlm_err err = {0};
        const fvlm_status st = fvlm_tensors_fit(&x, &t, &err);
        assert_int_equal(st, cases[i].refusal ? FVLM_BAD_INPUT : FVLM_OK);
        if (cases[i].refusal) assert_non_null(strstr(err.msg, cases[i].refusal));
    }
}

/* Every part has a name of its own and a group, and the list uses every part but "other". */
static void parts_have_names(void **state)
{
    (void)state;
    bool seen[FVLM_N_PARTS] = {false};
    fvlm_config c;
    test_config(&c);
    c.llm.tied = false;
    fvlm_tensors x = {.config = &c};
    while (fvlm_tensors_next(&x)) seen[x.part] = true;
    for (unsigned p = 0; p < FVLM_N_PARTS; p++) {
        assert_int_equal(seen[p], p != FVLM_PART_OTHER);
        assert_non_null(fvlm_part_group_name(fvlm_part_group_of(p)));
        for (unsigned q = 0; q < p; q++) assert_string_not_equal(fvlm_part_name(p), fvlm_part_name(q));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spec_and_list_agree),
        cmocka_unit_test(only_what_is_demanded_fits),
        cmocka_unit_test(parts_have_names),
    };
    return cmocka_run_group_tests(tests, read_spec, NULL);
}
