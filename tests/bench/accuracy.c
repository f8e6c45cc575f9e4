/* SPDX-License-Identifier: Apache-2.0 */
/* accuracy.c - exact match of models on held-out questions about pictures.
 *   accuracy FOLDER MODEL...     FOLDER holds questions.tsv (picture, kind, question, answer) and the pictures
 * One column for every model and activation mode that it has; one row for every kind of question.
 * Each picture is encoded once a column. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/clock.h"
#include "reference/reference.h"

enum { MAX_KINDS = 32, MAX_COLUMNS = 16, MAX_ANSWER = 32 };

typedef struct {
    const char *picture, *question, *answer;
    size_t kind;
} item;

typedef struct {
    char *text; /* the file, cut into fields */
    item *items;
    size_t n;
    const char *kinds[MAX_KINDS];
    size_t n_kinds, asked[MAX_KINDS];
} questions;

typedef struct {
    char weights[24];
    const char *act;
    size_t right[MAX_KINDS], all;
    double seconds;
} column;

static void quit(const char *what, const fvlm_err *err)
{
    fprintf(stderr, "accuracy: %s%s%s\n", what, err ? ": " : "", err ? err->msg : "");
    exit(1);
}

static char *read_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = malloc(1 << 20);
    if (!f || !text) quit(path, &(fvlm_err){.msg = "cannot read"});
    const size_t n = fread(text, 1, (1 << 20) - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

static size_t kind_of(questions *q, const char *name)
{
    size_t k = 0;
    while (k < q->n_kinds && strcmp(q->kinds[k], name) != 0) k++;
    if (k == MAX_KINDS) quit("too many kinds of question", NULL);
    if (k == q->n_kinds) q->kinds[q->n_kinds++] = name;
    q->asked[k]++;
    return k;
}

/* Cuts the next field off a line. */
static char *field(char **line, char end)
{
    char *start = *line, *at = strchr(start, end);
    if (!at) quit("questions.tsv: a line has too few fields", NULL);
    *at = '\0';
    *line = at + 1;
    return start;
}

static questions read_questions(const char *folder)
{
    char *path = fvlm_asprintf("%s/questions.tsv", folder);
    questions q = {.text = read_text(path)};
    char *line = q.text;
    q.items = fvlm_alloc(strlen(q.text) / 4, sizeof *q.items);
    free(path);
    if (strcmp(field(&line, '\n'), "picture\tkind\tquestion\tanswer") != 0)
        quit("questions.tsv: unknown heading", NULL);
    while (*line) {
        item *i = &q.items[q.n++];
        i->picture = field(&line, '\t');
        i->kind = kind_of(&q, field(&line, '\t'));
        i->question = field(&line, '\t');
        i->answer = field(&line, '\n');
    }
    return q;
}

typedef struct {
    char text[256];
    size_t n;
} heard;

static void hear(void *ctx, const char *text, size_t n_bytes)
{
    heard *h = ctx;
    if (n_bytes > sizeof h->text - 1 - h->n) n_bytes = sizeof h->text - 1 - h->n;
    memcpy(h->text + h->n, text, n_bytes);
    h->text[h->n += n_bytes] = '\0';
}

static void look(fvlm_model *m, const char *folder, const char *picture, float *features, float *rows)
{
    const uint32_t side = fvlm_model_config(m)->vision.image_size;
    char *path = fvlm_asprintf("%s/%s", folder, picture);
    fvlm_pixels p = {0};
    fvlm_err err;
    if (fvlm_pixels_load(&p, path, &(fvlm_pixels_options){.side = side}, &err) ||
        fvlm_model_tower(m, &p, features, &err) ||
        fvlm_model_project(m, features, fvlm_model_image_tokens(fvlm_model_config(m), side), rows, &err))
        quit(path, &err);
    fvlm_pixels_free(&p);
    free(path);
}

static void ask_all(fvlm_model *m, const questions *q, const char *folder, column *c)
{
    const fvlm_config *config = fvlm_model_config(m);
    const size_t tokens = fvlm_model_image_tokens(config, config->vision.image_size);
    float *features = fvlm_alloc(tokens * config->vision.out_dim, sizeof *features);
    float *rows = fvlm_alloc(tokens * config->llm.hidden, sizeof *rows);
    const char *seen = "";
    for (size_t i = 0; i < q->n; i++) {
        const item *t = &q->items[i];
        heard h = {.n = 0};
        fvlm_err err;
        if (strcmp(t->picture, seen) != 0) look(m, folder, seen = t->picture, features, rows);
        const fvlm_question question = {.rows = rows,
                                        .n_rows = tokens,
                                        .text = t->question,
                                        .sampling = {.max_new_tokens = MAX_ANSWER, .top_p = 1},
                                        .emit = hear,
                                        .emit_ctx = &h};
        fvlm_answer a;
        if (fvlm_model_answer(m, &question, &a, &err)) quit(t->question, &err);
        fvlm_answer_free(&a);
        if (strcmp(h.text, t->answer) == 0) c->right[t->kind]++, c->all++;
    }
    free(features);
    free(rows);
}

/* What most of the language model's weights are, for the heading. */
static void name_weights(const fvlm_model *m, char out[24])
{
    const fvlm_tensor *t = fvlm_reader_find(fvlm_model_reader(m), "llm.layer0.ffn.up.weight");
    fvlm_type_name(t->type, out);
}

static void test_model(const char *path, const questions *q, const char *folder, column *columns, size_t *n)
{
    static const fvlm_act_mode modes[] = {FVLM_ACT_F32, FVLM_ACT_INT8};
    for (size_t i = 0; i < 2; i++) {
        fvlm_model_options o = {.act = modes[i]};
        fvlm_model *m;
        fvlm_err err;
        if (*n == MAX_COLUMNS) quit("too many models", NULL);
        if (fvlm_model_open(&m, path, &o, &err)) quit(path, &err);
        column *c = &columns[(*n)++];
        name_weights(m, c->weights);
        c->act = fvlm_act_name(modes[i]);
        const double since = fvlm_clock_seconds();
        ask_all(m, q, folder, c);
        c->seconds = fvlm_clock_seconds() - since;
        fvlm_model_close(&m);
    }
}

static void print_table(const questions *q, const column *columns, size_t n)
{
    printf("%-14s%6s", "weights", "");
    for (size_t i = 0; i < n; i++) printf("  %14s", columns[i].weights);
    printf("\n%-14s%6s", "activations", "asked");
    for (size_t i = 0; i < n; i++) printf("  %14s", columns[i].act);
    printf("\n");
    for (size_t k = 0; k < q->n_kinds; k++) {
        printf("%-14s%6zu", q->kinds[k], q->asked[k]);
        for (size_t i = 0; i < n; i++) printf("  %12.1f %%", 100.0 * (double)columns[i].right[k] / (double)q->asked[k]);
        printf("\n");
    }
    printf("%-14s%6zu", "all", q->n);
    for (size_t i = 0; i < n; i++) printf("  %12.1f %%", 100.0 * (double)columns[i].all / (double)q->n);
    printf("\n%-14s%6s", "seconds", "");
    for (size_t i = 0; i < n; i++) printf("  %14.1f", columns[i].seconds);
    printf("\n");
}

int main(int argc, char **argv)
{
    static column columns[MAX_COLUMNS];
    size_t n = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: accuracy FOLDER MODEL...\n");
        return 2;
    }
    questions q = read_questions(argv[1]);
    for (int i = 2; i < argc; i++) test_model(argv[i], &q, argv[1], columns, &n);
    print_table(&q, columns, n);
    free(q.items);
    free(q.text);
    return 0;
}
