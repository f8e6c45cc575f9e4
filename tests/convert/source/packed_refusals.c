/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: packed weights that do not fit one another or config.json, and methods that are not read, are refused in
 * exact words. */
#include "tests/support/check.h"
#include "tests/support/packed_folder.h"

#define X PACKED_MODULE

static fvlm_err err;

/* The folder's verdict, with "F" for the folder. */
static const char *verdict(void)
{
    fvlm_source *src;
    if (!packed_open(&src, &err)) {
        fvlm_source_close(&src);
        return "accepted";
    }
    test_hide_folder(err.msg, packed_folder.path);
    return err.msg;
}

static void refused(const char *message)
{
    const char *got = verdict();
    if (strcmp(got, message)) fail_msg("\n got      %s\n expected %s", got, message);
}

static void drop(const char *name)
{
    packed_part *p = packed_find(name);
    free(p->bytes);
    memmove(p, p + 1, (size_t)(&packed_folder.parts[--packed_folder.n] - p) * sizeof *p);
}

static void reshape(const char *name, uint64_t d0, uint64_t d1, size_t size)
{
    packed_part *p = packed_find(name);
    p->rank = d1 ? 2 : 1;
    p->dims[0] = d0, p->dims[1] = d1;
    p->n_bytes = size * (size_t)(d0 * (d1 ? d1 : 1));
    p->bytes = realloc(p->bytes, p->n_bytes + 1);
    memset(p->bytes, 0, p->n_bytes);
}

static void retype(const char *name, const char *type)
{
    snprintf(packed_find(name)->type, 8, "%s", type);
}

#define FLOAT "give the checkpoint it was made from (BF16, F16 or F32)"
#define AGAIN "; download the folder again"
#define WRONG "; config.json has the wrong bits or group size"
#define ALONE(part)                                                                                                    \
    "tensor \"" X part "\" belongs to no packed weight: neither \"" X ".weight\" of type U32 nor \"" X                 \
    ".qweight\" is there" AGAIN

static void fresh_mlx(const char *config)
{
    packed_make_mlx(8, 128, 64, 4, "F16");
    if (config) snprintf(packed_folder.config, sizeof packed_folder.config, "%s", config);
}

static void refused_mlx(const char *config, const char *message)
{
    fresh_mlx(config);
    refused(message);
}

static void mlx_refusals(void **state)
{
    (void)state;
    fresh_mlx(NULL);
    assert_string_equal(verdict(), "accepted");
    drop(X ".scales");
    refused("tensor \"" X ".weight\" is packed (U32), but has no scales beside it" AGAIN);
    fresh_mlx(NULL), drop(X ".biases");
    refused("tensor \"" X ".weight\" has scales, but no biases beside them");
    fresh_mlx(NULL), drop(X ".weight");
    refused(ALONE(".biases"));
    fresh_mlx(NULL), retype(X ".weight", "I32");
    refused(ALONE(".biases"));
    fresh_mlx(NULL), retype(X ".scales", "I16");
    refused("tensor \"" X ".scales\" is I16 [8, 2], expected a matrix of F16, BF16 or F32");
    fresh_mlx(NULL), reshape(X ".weight", 128, 0, 4);
    refused("tensor \"" X ".weight\" is U32 [128], expected a matrix of U32");
    fresh_mlx(NULL), reshape(X ".weight", 8, 15, 4);
    refused("tensor \"" X ".weight\", U32 [8, 15], holds 120 inputs of 4 bits; \"" X
            ".scales\", F16 [8, 2], does not fit them in groups of 64" WRONG);
    fresh_mlx(NULL), reshape(X ".scales", 7, 2, 2);
    refused("tensor \"" X ".weight\", U32 [8, 16], holds 128 inputs of 4 bits; \"" X
            ".scales\", F16 [7, 2], does not fit them in groups of 64" WRONG);
    fresh_mlx(NULL), reshape(X ".biases", 8, 1, 2);
    refused("tensor \"" X ".biases\" is F16 [8, 1], expected [8, 2]");
    refused_mlx("{\"quantization\": {\"bits\": 8, \"group_size\": 64}}",
                "tensor \"" X ".weight\", U32 [8, 16], holds 64 inputs of 8 bits; \"" X
                ".scales\", F16 [8, 2], does not fit them in groups of 64" WRONG);
    refused_mlx("{\"quantization\": {\"bits\": 3, \"group_size\": 64}}",
                "tensor \"" X ".weight\", U32 [8, 16], does not hold whole inputs of 3 bits");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 32}}",
                "tensor \"" X ".weight\", U32 [8, 16], holds 128 inputs of 4 bits; \"" X
                ".scales\", F16 [8, 2], does not fit them in groups of 32" WRONG);
    refused_mlx("{\"quantization\": {\"bits\": 7, \"group_size\": 64}}",
                "\"config.json\": \"quantization\": MLX has no affine of 7 bits in groups of 64");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 48}}",
                "\"config.json\": \"quantization\": MLX has no affine of 4 bits in groups of 48");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 64, \"mode\": \"mxfp4\"}}",
                "\"config.json\": \"quantization\": MLX has no mxfp4 of 4 bits in groups of 64");
    refused_mlx("{\"quantization\": {\"mode\": \"nvfp4\"}}",
                "tensor \"" X ".scales\" is F16 [8, 2], expected a matrix of U8");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 64, \"mode\": \"fp5\"}}",
                "\"config.json\": \"quantization\": \"mode\" is \"fp5\"; affine, mxfp4, mxfp8 and nvfp4 are read");
    refused_mlx("{\"quantization\": {\"group_size\": 64}}",
                "\"config.json\": \"quantization\": \"bits\" is missing, expected a whole number");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 64, \"planes\": 2}}",
                "\"config.json\": \"quantization\": \"planes\" is not known; " FLOAT);
    refused_mlx("{\"quantization\": 4}", "\"config.json\": \"quantization\" is not an object");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 64}, \"quantization_config\": {\"bits\": 8}}",
                "\"config.json\": \"quantization\" and \"quantization_config\" differ; remove the wrong one");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 64, \"" X "\": false}}",
                "\"config.json\": \"quantization\": \"" X "\" is false, but tensor \"" X
                ".scales\" says that it is quantized");
    refused_mlx("{\"quantization\": {\"bits\": 4, \"group_size\": 64, \"" X "\": {\"bits\": 8, \"group_size\": 64}}}",
                "tensor \"" X ".weight\", U32 [8, 16], holds 64 inputs of 8 bits; \"" X
                ".scales\", F16 [8, 2], does not fit them in groups of 64" WRONG);
    refused_mlx("{}", "tensor \"" X ".weight\" is packed, but \"config.json\" is missing, damaged or without "
                      "\"quantization\": bits and group size are not known");
    /* "quantization_config" means the same, and a module's own setting goes first */
    fresh_mlx("{\"quantization_config\": {\"bits\": 2, \"group_size\": 32, \"" X
              "\": {\"bits\": 4, \"group_size\": 64}}}");
    assert_string_equal(verdict(), "accepted");
}

/* Writes a GPTQ checkpoint, symmetric, of 4 bits, with this in place of the config's end. */
static void fresh_gptq(const char *more)
{
    packed_make_columns(32, 128, 64, 4, "F16", (packed_columns){.plus = true});
    if (more)
        snprintf(packed_folder.config, sizeof packed_folder.config,
                 "{\"quantization_config\": {\"quant_method\": \"gptq\", %s}}", more);
}

static void refused_gptq(const char *more, const char *message)
{
    fresh_gptq(more);
    refused(message);
}

#define Q "\"config.json\": \"quantization_config\": "

static void gptq_refusals(void **state)
{
    (void)state;
    fresh_gptq(NULL);
    assert_string_equal(verdict(), "accepted");
    fvlm_store_u32(packed_find(X ".g_idx")->bytes + 4 * 77, 2);
    refused("tensor \"" X ".g_idx\": input 77 is in group 2, but there are 2 groups");
    fvlm_store_u32(packed_find(X ".g_idx")->bytes + 4 * 77, (uint32_t)-1);
    refused("tensor \"" X ".g_idx\": input 77 is in group -1, but there are 2 groups");
    fresh_gptq(NULL), reshape(X ".g_idx", 127, 0, 4);
    refused("tensor \"" X ".g_idx\" is I32 [127], expected I32 [128]");
    fresh_gptq(NULL), drop(X ".scales");
    refused("tensor \"" X ".qweight\" has no scales beside it");
    fresh_gptq(NULL), drop(X ".qzeros");
    refused("tensor \"" X ".qweight\" has no qzeros beside it");
    fresh_gptq(NULL), drop(X ".qweight");
    refused(ALONE(".g_idx"));
    fresh_gptq(NULL), retype(X ".qweight", "F32");
    refused("tensor \"" X ".qweight\" is F32 [16, 32], expected a matrix of I32");
    fresh_gptq(NULL), reshape(X ".qzeros", 2, 5, 4);
    refused("tensor \"" X ".qzeros\" is I32 [2, 5], expected [2, 4]");
    fresh_gptq(NULL), reshape(X ".qweight", 16, 31, 4);
    refused("tensor \"" X ".qweight\" is I32 [16, 31], expected [any, 32]");
    fresh_gptq(NULL), reshape(X ".scales", 2, 33, 2);
    refused("tensor \"" X ".scales\": 33 outputs of 4 bits do not fill words of 32 bits");
    fresh_gptq(NULL), memset(packed_find(X ".qzeros")->bytes, 0x77, 32), packed_find(X ".qzeros")->bytes[17] = 0xf7;
    refused("tensor \"" X ".qzeros\": group 1, output 3: a zero point of 15, which version 1 of GPTQ means as 16 or 0, "
            "depending on the program; save it as gptq_v2");
    fresh_gptq(NULL), packed_add(X ".weight", "F32", 4, 32, 128);
    refused("tensors \"" X ".qweight\" and \"" X ".weight\" are weights of one module");
    refused_gptq("\"bits\": 4, \"group_size\": 48",
                 "tensor \"" X ".qweight\", I32 [16, 32], holds 128 inputs of 4 bits; \"" X
                 ".scales\", F16 [2, 32], does not fit them in groups of 48" WRONG);
    refused_gptq("\"bits\": 8, \"group_size\": 64", "tensor \"" X ".qzeros\" is I32 [2, 4], expected [2, 8]");
    refused_gptq("\"bits\": 5, \"group_size\": 64", Q "\"bits\" must be 2, 3, 4 or 8; " FLOAT);
    refused_gptq("\"bits\": 4, \"group_size\": 0", Q "\"group_size\" must be a positive number, or -1");
    refused_gptq("\"bits\": 4", Q "\"group_size\" must be a positive number, or -1");
    refused_gptq("\"bits\": 4, \"group_size\": 64, \"checkpoint_format\": \"marlin\"", Q
                 "\"checkpoint_format\" is \"marlin\"; of GPTQ only gptq and gptq_v2 is read; save it in that layout, "
                 "or " FLOAT);
    refused_gptq("\"bits\": 4, \"group_size\": 64, \"pack_dtype\": \"int64\"",
                 Q "\"pack_dtype\" must be \"int32\"; " FLOAT);
    refused_gptq("\"bits\": 4, \"group_size\": 64, \"is_marlin_format\": true",
                 Q "\"is_marlin_format\" is not supported; " FLOAT);
    fresh_gptq("\"bits\": 4, \"group_size\": 64, \"desc_act\": true"), drop(X ".g_idx");
    refused("tensor \"" X ".qweight\" has no g_idx beside it, although config.json says \"desc_act\"");
    fresh_gptq(NULL), snprintf(packed_folder.config, sizeof packed_folder.config, "{}");
    refused("tensor \"" X
            ".qweight\" is packed by GPTQ or AWQ, but \"config.json\" has no \"quantization_config\" with "
            "\"quant_method\" gptq or awq: how it is packed is not known");
    /* without g_idx the inputs are in order; "dynamic" lets the shapes tell bits and groups */
    fresh_gptq(NULL), drop(X ".g_idx");
    assert_string_equal(verdict(), "accepted");
    fresh_gptq("\"bits\": 8, \"group_size\": 128, \"dynamic\": {\"+:.*up_proj\": {\"bits\": 4, \"group_size\": 64}}");
    packed_check("int4-asym-g64", true);
}

static void refused_awq(const char *more, const char *message)
{
    packed_make_columns(32, 128, 64, 4, "F16", (packed_columns){.awq = true});
    snprintf(packed_folder.config, sizeof packed_folder.config,
             "{\"quantization_config\": {\"quant_method\": \"awq\", %s}}", more);
    refused(message);
}

static void other_refusals(void **state)
{
    (void)state;
    refused_awq("\"bits\": 8, \"group_size\": 64", Q "\"bits\" must be 4; " FLOAT);
    refused_awq("\"bits\": 4, \"group_size\": 64, \"version\": \"gemv_fast\"",
                Q "\"version\" is \"gemv_fast\"; of AWQ only gemm is read; save it in that layout, or " FLOAT);
    refused_awq("\"bits\": 4, \"group_size\": 128",
                "tensor \"" X ".qweight\", I32 [128, 4], holds 128 inputs of 4 bits; \"" X
                ".scales\", F16 [2, 32], does not fit them in groups of 128" WRONG);
    refused_awq("\"w_bit\": 4, \"q_group_size\": 64", "accepted");
    packed_make_columns(32, 128, 64, 4, "F16", (packed_columns){.awq = true});
    packed_add(X ".g_idx", "I32", 4, 128, 0);
    refused("tensor \"" X ".g_idx\": AWQ has no g_idx; is \"quant_method\" gptq?");
    static const char *const advice[][2] = {
        {"bitsandbytes", "load it in transformers, call dequantize(), then save_pretrained, and give the result"},
        {"compressed-tensors", "load it in transformers with CompressedTensorsConfig(run_compressed=False), "
                               "save_pretrained, and give the result"},
        {"fp8",
         "load it in transformers with FineGrainedFP8Config(dequantize=True), save_pretrained, and give the result"},
        {"mxfp4", "load it in transformers with Mxfp4Config(dequantize=True), save_pretrained, and give the result"},
        {"auto-round", "export it again in the format auto_gptq or auto_awq, or " FLOAT},
        {"hqq", FLOAT},
        {"torchao", FLOAT},
    };
    for (size_t i = 0; i < sizeof advice / sizeof advice[0]; i++) {
        char message[512];
        fresh_mlx(NULL);
        snprintf(packed_folder.config, sizeof packed_folder.config,
                 "{\"quantization_config\": {\"quant_method\": \"%s\"}}", advice[i][0]);
        snprintf(
            message, sizeof message,
            "\"F\" is quantized by a method that is not read (config.json: \"quantization_config.quant_method\" is "
            "\"%s\"; MLX, gptq and awq are); %s",
            advice[i][0], advice[i][1]);
        refused(message);
    }
    packed_start(); /* a setting without a packed weight is told, and changes nothing */
    snprintf(packed_folder.config, sizeof packed_folder.config,
             "{\"quantization\": {\"bits\": 4, \"group_size\": 64}}");
    fvlm_source *src;
    must(packed_open(&src, &err), &err);
    assert_string_equal(fvlm_source_warning_at(src, 0), "config.json says that the weights are quantized, but none is "
                                                        "packed; they are taken as they are");
    fvlm_source_close(&src);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlx_refusals),
        cmocka_unit_test(gptq_refusals),
        cmocka_unit_test(other_refusals),
    };
    test_folder(packed_folder.path);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    packed_clear();
    return failed;
}
