/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_match GRAPH.onnx [SIZE]: what the matchers find in a graph: a line for each tensor, its name, shape, and where
 * its contents are. Exits 1 with the refusal. SIZE is for graphs with a dynamic picture. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "convert/graph/match.h"

static void print_tensor(const fvlm_match_tensor *t)
{
    printf("%s [", t->name);
    for (unsigned i = 0; i < t->rank; i++) printf("%s%" PRIu64, i ? "," : "", t->dims[i]);
    printf("]");
    for (unsigned i = 0; i < t->n_parts; i++) {
        const fvlm_match_part *p = &t->parts[i];
        printf(" %s%s rows %" PRIu64 "+%" PRIu64, p->weight.tensor->name,
               p->transposed != p->weight.transposed ? "^T" : "", p->first_row, p->n_rows);
    }
    if (!t->n_parts && t->numbers) printf(" computed, first %.9g", t->numbers[0]);
    if (!t->n_parts && !t->numbers) printf(" all %.9g", (double)t->fill);
    putchar('\n');
}

int main(int argc, char **argv)
{
    static const char *const roles[] = {"foreign", "vision", "embedding", "decoder"};
    fvlm_err err = {0};
    fvlm_graph *g = NULL;
    fvlm_match m = {0};
    if (argc < 2) return 2;
    fvlm_status st = fvlm_graph_open(&g, argv[1], &err);
    if (!st) {
        const fvlm_graph_role role = fvlm_match_role(g);
        printf("# %s\n", roles[role]);
        if (role == FVLM_GRAPH_EMBEDDING) st = fvlm_match_embedding(&m, g, &err);
        if (role == FVLM_GRAPH_DECODER) st = fvlm_match_decoder(&m, g, &err);
        if (role == FVLM_GRAPH_VISION) st = fvlm_match_vision(&m, g, argc > 2 ? (uint32_t)atoi(argv[2]) : 0, &err);
    }
    for (size_t i = 0; i < m.n && !st; i++) print_tensor(&m.tensors[i]);
    if (!st && m.has_tower)
        printf("# picture %" PRIu32 ", %swidth %" PRIu64 "\n", m.image_size, m.has_projector ? "projector, " : "",
               m.vision_width);
    if (st) fprintf(stderr, "%s\n", err.msg);
    fvlm_match_free(&m);
    fvlm_graph_close(&g);
    return fvlm_exit_code(st);
}
