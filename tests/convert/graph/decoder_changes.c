/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: whatever a decoder's graph holds, it is matched or refused with a message. */
#include "convert/graph/match.h"
#include "tests/support/check.h"
#include "tests/support/onnx_decoder.h"
#include "tests/support/support.h"

static char folder[256], file[300];

static uint32_t draw(uint32_t *seed, size_t n)
{
    *seed = *seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(*seed >> 8) * n >> 24);
}

/* Any input, operator, attribute list and small constant may take the place of any other: nothing crashes, and what is
 * refused has a message. Sanitizers watch. */
static void survives_random_changes(void **state)
{
    (void)state;
    uint32_t seed = 1;
    unsigned refused = 0, n = 400;
    for (unsigned i = 0; i < n; i++) {
        const decoder_style style = {.norm = draw(&seed, 4),
                                     .core = draw(&seed, 3),
                                     .packed_gate = draw(&seed, 2) == 1,
                                     .gemm = draw(&seed, 4) == 1,
                                     .no_cache = draw(&seed, 4) == 1};
        decoder_graph *d = decoder_graph_new(&style);
        for (uint32_t changes = 1 + draw(&seed, 3); changes; changes--) {
            decoder_node *a = &d->nodes[draw(&seed, d->n_nodes)], *b = &d->nodes[draw(&seed, d->n_nodes)];
            const uint32_t what = draw(&seed, 4);
            char **x = what == 0 ? &a->op : what == 1 ? &a->attrs : &a->inputs;
            char **y = what == 0 ? &b->op : what == 1 ? &b->attrs : &b->inputs;
            char *t = *x;
            *x = *y;
            *y = t;
            decoder_constant *c = &d->constants[draw(&seed, d->n_constants)];
            if (what == 3 && c->ints) c->ints[0] ^= draw(&seed, 5);
            if (what == 3 && c->floats) c->floats[0] *= (float)draw(&seed, 9) - 4;
        }
        decoder_graph_save(d, file);
        fvlm_match m = {0};
        fvlm_graph *g = NULL;
        fvlm_err err = {0};
        fvlm_status st = fvlm_graph_open(&g, file, &err);
        if (!st) st = fvlm_match_decoder(&m, g, &err);
        if (st) assert_true(err.code == st && err.msg[0] && fvlm_exit_code(st) == 1);
        refused += st != FVLM_OK;
        fvlm_match_free(&m);
        fvlm_graph_close(&g);
    }
    print_message("%u of %u refused\n", refused, n);
    assert_true(refused > n / 2 && refused < n);
}

int main(void)
{
    snprintf(file, sizeof file, "%s/decoder.onnx", test_folder(folder));
    const struct CMUnitTest tests[] = {cmocka_unit_test(survives_random_changes)};
    return cmocka_run_group_tests_name("decoder_changes", tests, NULL, NULL);
}
