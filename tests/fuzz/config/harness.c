/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c - any bytes as config.json, generation_config.json and preprocessor_config.json beside a small tokenizer:
 * refused with a message, or a config that the executor's arithmetic can bear, whose rotary embeddings nothing scales,
 * and whose answers end. The JSON trees are jansson's wherever jansson reads the text.
 *
 * Input: the three texts, with a zero byte between them; an empty one is absent. The target 'checkpoint' has the files
 * of the tokenizer. */
#include "convert/checkpoint.h"
#include "format/base/json.h"
#include "tests/fuzz/harness.h"

static const char *const names[] = {"config.json", "generation_config.json", "preprocessor_config.json"};

enum { N_IDS = 258, TURN_END = 257 };

/* Written once. The tokens are the 256 letters of byte-level BPE (format/byte_letters.h). */
static void write_the_rest(void)
{
    static const char merges[] = "#version: 0.2\n", added[] = "{\"<|im_start|>\":256,\"<|im_end|>\":257}";
    char vocab[8192];
    size_t n = (size_t)sprintf(vocab, "{");
    for (unsigned byte = 0, others = 0x100; byte < 256; byte++) {
        const bool printable = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
        n += (size_t)sprintf(vocab + n, "%s\"\\u%04x\":%u", byte ? "," : "", printable ? byte : others++, byte);
    }
    n += (size_t)sprintf(vocab + n, "}");
    fuzz_write_weights();
    fuzz_write("vocab.json", vocab, n);
    fuzz_write("merges.txt", merges, sizeof merges - 1);
    fuzz_write("added_tokens.json", added, sizeof added - 1);
}

static void same_tree(const char *text, size_t n)
{
    fvlm_err err = {0};
    json_t *ours, *config, *theirs = json_loadb(text, n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    fvlm_status st = fvlm_json_parse(&ours, text, n, FVLM_JSON_SECTION, "t", &err);
    must_explain(st, &err);
    MUST(st == FVLM_LIMIT || !st == !!theirs);
    MUST(st || json_equal(ours, theirs));
    if (!st) { /* whoever reads all numbers reads these */
        MUST(!fvlm_json_parse(&config, text, n, FVLM_JSON_CONFIG, "t", &err) && json_equal(config, ours));
        json_decref(config);
    }
    json_decref(ours);
    json_decref(theirs);
}

/* No type of rotary embeddings that scales, at any depth. */
static void nothing_scales(const json_t *v)
{
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)v, key, member)
    {
        const char *type = json_string_value(member);
        if (!strcmp(key, "rope_type") || !strcmp(key, "type"))
            MUST(json_is_null(member) || !strcmp(type, "default") ||
                 (!strcmp(type, "linear") && json_number_value(json_object_get(v, "factor")) == 1));
        nothing_scales(member);
    }
}

static void check(const fvlm_config *c, const char *text, size_t n)
{
    const double reals[] = {c->llm.rope_theta, c->llm.norm_eps};
    for (size_t i = 0; i < 2; i++) MUST((float)reals[i] >= 1e-13F && (float)reals[i] <= 1e13F);
    MUST(c->llm.rope_theta >= 100 && c->llm.norm_eps <= 0.1);
    MUST(c->llm.hidden && c->llm.heads * c->llm.head_dim == c->llm.hidden && c->llm.heads % c->llm.kv_heads == 0);
    MUST(c->llm.context >= 1 && c->vision.image_size >= 1 && c->vision.image_size <= 4096);
    MUST(c->tiles.n_sizes <= FVLM_MAX_TILE_SIZES && (c->tiles.n_sizes > 0) == (c->tiles.merge > 0));
    for (uint32_t i = 0; i < 2 * c->tiles.n_sizes; i++) {
        const uint32_t n = c->tiles.size[i / 2][i % 2];
        MUST(n >= 1 && n <= FVLM_MAX_SIDE && n % c->vision.image_size == 0);
    }
    MUST(c->n_eos >= 1 && c->n_eos <= FVLM_MAX_EOS && fvlm_config_is_eos(c, TURN_END));
    for (uint32_t i = 0; i < c->n_eos; i++) {
        MUST(c->eos[i] < N_IDS);
        for (uint32_t k = 0; k < i; k++) MUST(c->eos[i] != c->eos[k]);
    }
    json_t *j = json_loadb(text, n, 0, NULL); /* NULL where only a lenient parser reads it */
    nothing_scales(json_object_get(j, "rope_scaling"));
    nothing_scales(json_object_get(j, "rope_parameters"));
    json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready) write_the_rest();
    ready = true;
    const uint8_t *end = data + size, *first = data;
    size_t n_first = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const uint8_t *next = data < end ? memchr(data, 0, (size_t)(end - data)) : NULL;
        const size_t n = next ? (size_t)(next - data) : (size_t)(end - data);
        if (i == 0) n_first = n;
        if (n)
            fuzz_write(names[i], data, n);
        else
            fuzz_remove(names[i]);
        same_tree((const char *)data, n);
        data = next ? next + 1 : end;
    }
    fvlm_err err = {0};
    fvlm_source *src;
    fvlm_checkpoint c;
    fvlm_status st = fvlm_source_open(&src, fuzz_folder(), &err);
    must_explain(st, &err);
    if (st) return 0; /* another kind of model */
    st = fvlm_checkpoint_read(&c, src, &(fvlm_vocabulary_options){0}, NULL, &err);
    must_explain(st, &err);
    if (!st) {
        check(&c.config, (const char *)first, n_first);
        fvlm_checkpoint_free(&c);
    }
    fvlm_source_close(&src);
    return 0;
}
