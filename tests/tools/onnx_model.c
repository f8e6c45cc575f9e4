/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_model.c - writes a fused checkpoint in Apple's names as ONNX files, as exporters do, for tests/cli.
 *
 *   onnx_model CHECKPOINT {vision|tower|embedding|decoder|foreign} FILE.onnx [VARIANT] [CHANGE]...
 *
 *   tower is the vision encoder without the projector. VARIANT: fp32, fp16 (all weights), or how the decoder's matrices
 *   are stored: q4, q4a, q4f16 (MatMulNBits: blocks of 32, symmetric or not), q8, q4b256, nf4 (MatMulBnb4), int8 (a
 *   scale for each output), uint8 (one scale and zero point). CHANGE: "round" rounds the blocks' scales to bf16;
 *   theta=X, eps=X, side=N, rows=N (of the embedding) are other values than those of config.json. step=X: pixels in
 *   unsigned bytes of this scale. "narrow": two activations of the stem are cast to BFLOAT16 and back.
 *
 * One file, however long: a tool is one program, and its parts are marked. */
#include <math.h>

#include "convert/checkpoint.h"
#include "tests/support/check.h"
#include "tests/support/onnx_build.h"
#include "tests/support/support.h"

#define T "model.vision_tower.vision_tower.model."

static fvlm_source *src;
static fvlm_config config;
static onnx_model m;
static const char *variant = "fp32";
static bool rounded, narrow;
static double step;
static unsigned n_values;
static double theta;
static FILE *beside; /* external data */
static const char *beside_name;

/* ---- nodes and weights ---- */

/* A node with one output, whose name is returned; inputs as of printf. */
static const char *out(const char *op, const char *attrs, const char *fmt, ...) FVLM_PRINTF(3, 4);
static const char *out(const char *op, const char *attrs, const char *fmt, ...)
{
    static char names[4096][8];
    char inputs[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(inputs, sizeof inputs, fmt, args);
    va_end(args);
    assert_true(n_values < 4096);
    char *name = names[n_values];
    snprintf(name, 8, "v%u", n_values++ % 10000);
    onnx_node(&m, op, inputs, name, attrs);
    return name;
}

static bool halves(void)
{
    return !strcmp(variant, "fp16") || !strcmp(variant, "q4f16");
}

/* An initializer, in the file or, if it is not small, in the file beside it. */
static void initializer(const char *name, int32_t type, const char *shape, const void *bytes, size_t n)
{
    static char offset[24], length[24];
    if (!beside || n < 1024) {
        onnx_tensor(&m, name, type, shape, bytes, n);
        return;
    }
    snprintf(offset, sizeof offset, "%ld", ftell(beside));
    snprintf(length, sizeof length, "%zu", n);
    if (fwrite(bytes, 1, n, beside) != n) fail_msg("the data cannot be written");
    onnx_outside(&m, name, type, shape, beside_name, offset, length);
}

static void floats(const char *name, const char *shape, const float *x)
{
    const size_t n = (size_t)onnx_count(shape);
    if (!halves()) {
        initializer(name, FVLM_ONNX_F32, shape, x, n * 4);
        return;
    }
    uint16_t *h = malloc(n * 2 + 1);
    for (size_t i = 0; i < n; i++) h[i] = fvlm_f32_to_f16(x[i]);
    initializer(name, FVLM_ONNX_F16, shape, h, n * 2);
    free(h);
}

static void ints(const char *name, const char *shape, const int64_t *v)
{
    onnx_int64s(&m, name, shape, v);
}

static const char *scalar(const char *name, double x)
{
    floats(name, "", &(float){(float)x});
    return name;
}

static const fvlm_source_tensor *find(const char *fmt, ...) FVLM_PRINTF(1, 2);
static const fvlm_source_tensor *find(const char *fmt, ...)
{
    char name[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    return fvlm_source_find(src, name);
}

/* The tensor's elements; malloc'd. */
static float *read(const fvlm_source_tensor *t)
{
    fvlm_err err;
    assert_non_null(t);
    uint8_t *raw = malloc((size_t)t->n_bytes);
    float *x = malloc((size_t)t->n_elems * 4);
    must(fvlm_source_read(src, t, 0, (size_t)t->n_bytes, raw, &err), &err);
    for (size_t i = 0; i < t->n_elems; i++)
        x[i] = t->type == FVLM_SOURCE_F32   ? fvlm_f32_from_bits(fvlm_load_u32(raw + 4 * i))
               : t->type == FVLM_SOURCE_F16 ? fvlm_f16_to_f32(fvlm_load_u16(raw + 2 * i))
                                            : fvlm_bf16_to_f32(fvlm_load_u16(raw + 2 * i));
    free(raw);
    return x;
}

/* An initializer in its own shape, named after nothing that is known. */
static const char *weight(const char *fmt, ...) FVLM_PRINTF(1, 2);
static const char *weight(const char *fmt, ...)
{
    static char onnx[16];
    static unsigned n;
    char name[256], shape[64] = "";
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    const fvlm_source_tensor *t = find("%s", name);
    if (!t) fail_msg("no tensor %s", name);
    for (unsigned i = 0; i < t->rank; i++) sprintf(shape + strlen(shape), i ? ",%d" : "%d", (int)t->dims[i]);
    float *x = read(t);
    snprintf(onnx, sizeof onnx, "w%u", n++);
    floats(onnx, shape, x);
    free(x);
    return onnx;
}

/* ---- matrices ---- */

static float *transposed(const float *w, size_t rows, size_t columns)
{
    float *t = malloc(rows * columns * sizeof *t);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++) t[c * rows + r] = w[r * columns + c];
    return t;
}

/* MatMulNBits as onnxruntime's quantizer has it: the value of largest magnitude is the lowest code; or from the least
 * value to the largest. */
static const char *nbits(const char *x, const char *name, const float *w, size_t n, size_t k, unsigned bits,
                         size_t block, bool asymmetric)
{
    const size_t nb = (k + block - 1) / block, n_codes = n * nb * block;
    const float low = (float)(1 << (bits - 1)), top = (float)((1 << bits) - 1);
    uint8_t *b = calloc(n_codes * bits / 8, 1), *zeros = calloc(n * (nb + 1), 1);
    float *scales = calloc(n * nb, sizeof *scales);
    for (size_t g = 0; g < n * nb; g++) {
        const size_t row = g / nb, from = g % nb * block, count = k - from < block ? k - from : block;
        float peak = 0, least = 0, most = 0;
        for (size_t i = 0; i < count; i++) {
            const float v = w[row * k + from + i];
            if (fabsf(v) > fabsf(peak)) peak = v;
            least = fminf(least, v), most = fmaxf(most, v);
        }
        float s = asymmetric ? (most - least) / top : peak / -low;
        if (rounded) s = fvlm_bf16_to_f32(fvlm_f32_to_bf16(s));
        if (halves()) s = fvlm_f16_to_f32(fvlm_f32_to_f16(s));
        const float zero = asymmetric ? roundf(-least / (s != 0 ? s : 1)) : low;
        scales[g] = s;
        if (bits == 4)
            zeros[row * ((nb + 1) / 2) + g % nb / 2] |= (uint8_t)((unsigned)zero << (g % nb % 2 ? 4 : 0));
        else
            zeros[g] = (uint8_t)zero;
        for (size_t i = 0; i < count; i++) {
            const float q = fminf(top, fmaxf(0, roundf(w[row * k + from + i] / (s != 0 ? s : 1)) + zero));
            const size_t at = g * block + i;
            b[at * bits / 8] |= (uint8_t)((unsigned)q << (bits == 4 && at % 2 ? 4 : 0));
        }
    }
    char text[160], shape[64], attrs[96];
    snprintf(text, sizeof text, "%s_Q", name);
    snprintf(shape, sizeof shape, "%zu,%zu,%zu", n, nb, block * bits / 8);
    initializer(text, FVLM_ONNX_U8, shape, b, n_codes * bits / 8);
    snprintf(text, sizeof text, "%s_scales", name);
    snprintf(shape, sizeof shape, "%zu", n * nb);
    floats(text, shape, scales);
    const size_t n_zeros = bits == 4 ? n * ((nb + 1) / 2) : n * nb;
    snprintf(text, sizeof text, "%s_zero_points", name);
    snprintf(shape, sizeof shape, "%zu", n_zeros);
    if (asymmetric) onnx_tensor(&m, text, FVLM_ONNX_U8, shape, zeros, n_zeros);
    snprintf(attrs, sizeof attrs, "K=%zu N=%zu bits=%u block_size=%zu", k, n, bits, block);
    free(b);
    free(zeros);
    free(scales);
    return asymmetric ? out("com.microsoft:MatMulNBits", attrs, "%s,%s_Q,%s_scales,%s_zero_points", x, name, name, name)
                      : out("com.microsoft:MatMulNBits", attrs, "%s,%s_Q,%s_scales", x, name, name);
}

/* MatMulBnb4 with codes of no meaning: only their decoding counts. */
static const char *bnb4(const char *x, const char *name, const float *w, size_t n, size_t k)
{
    const size_t block = 64, nb = n * k / block;
    uint8_t *b = malloc(n * k / 2);
    float *absmax = calloc(nb, sizeof *absmax);
    for (size_t i = 0; i < n * k; i++) absmax[i / block] = fmaxf(absmax[i / block], fabsf(w[i]));
    for (size_t i = 0; i < n * k / 2; i++) b[i] = (uint8_t)((int)(w[2 * i] * 1e6F) & 255);
    char text[160], shape[64], attrs[96];
    snprintf(text, sizeof text, "%s_B", name);
    snprintf(shape, sizeof shape, "%zu", n * k / 2);
    onnx_tensor(&m, text, FVLM_ONNX_U8, shape, b, n * k / 2);
    snprintf(text, sizeof text, "%s_absmax", name);
    snprintf(shape, sizeof shape, "%zu", nb);
    floats(text, shape, absmax);
    snprintf(attrs, sizeof attrs, "K=%zu N=%zu block_size=64 quant_type=1", k, n);
    free(b);
    free(absmax);
    return out("com.microsoft:MatMulBnb4", attrs, "%s,%s_B,%s_absmax", x, name, name);
}

/* DequantizeLinear in front of MatMul: a scale for each output, or one with a zero point. */
static const char *linear_int8(const char *x, const char *name, const float *w, size_t n, size_t k, bool tensor)
{
    uint8_t *q = malloc(n * k), zero = 0;
    float *scales = calloc(n, sizeof *scales), least = 0, most = 0;
    for (size_t i = 0; i < n * k; i++) {
        scales[i / k] = fmaxf(scales[i / k], fabsf(w[i]) / 127);
        least = fminf(least, w[i]), most = fmaxf(most, w[i]);
    }
    if (tensor) scales[0] = (most - least) / 255, zero = (uint8_t)roundf(-least / scales[0]);
    for (size_t r = 0; r < n; r++)
        for (size_t c = 0; c < k; c++) {
            const float s = scales[tensor ? 0 : r], v = roundf(w[r * k + c] / (s > 0 ? s : 1)) + (float)zero;
            q[c * n + r] = (uint8_t)(int)(tensor ? fminf(255, fmaxf(0, v)) : v);
        }
    char text[160], shape[64];
    snprintf(text, sizeof text, "%s_quantized", name);
    snprintf(shape, sizeof shape, "%zu,%zu", k, n);
    onnx_tensor(&m, text, tensor ? FVLM_ONNX_U8 : FVLM_ONNX_I8, shape, q, n * k);
    snprintf(text, sizeof text, "%s_scale", name);
    snprintf(shape, sizeof shape, "%zu", n);
    onnx_floats(&m, text, tensor ? "" : shape, scales);
    snprintf(text, sizeof text, "%s_zero", name);
    if (tensor) onnx_tensor(&m, text, FVLM_ONNX_U8, "", &zero, 1);
    free(q);
    free(scales);
    const char *dq = tensor ? out("DequantizeLinear", "", "%s_quantized,%s_scale,%s_zero", name, name, name)
                            : out("DequantizeLinear", "axis=1", "%s_quantized,%s_scale", name, name);
    return out("MatMul", "", "%s,%s", x, dq);
}

static const char *matmul(const char *x, const fvlm_source_tensor *t, uint64_t rows, bool quantize)
{
    static unsigned number;
    char name[32], shape[64];
    const size_t n = (size_t)rows, k = (size_t)t->dims[1];
    float *w = read(t);
    const char *y;
    snprintf(name, sizeof name, "onnx::MatMul_%u", number++);
    if (quantize && !strncmp(variant, "q4b256", 6)) {
        y = nbits(x, name, w, n, k, 4, 256, false);
    } else if (quantize && variant[0] == 'q') {
        y = nbits(x, name, w, n, k, variant[1] == '8' ? 8 : 4, 32, !strcmp(variant, "q4a"));
    } else if (quantize && !strcmp(variant, "nf4")) {
        y = bnb4(x, name, w, n, k);
    } else if (quantize && strstr(variant, "int8")) {
        y = linear_int8(x, name, w, n, k, variant[0] == 'u');
    } else {
        float *wt = transposed(w, n, k);
        snprintf(shape, sizeof shape, "%zu,%zu", k, n);
        floats(name, shape, wt);
        free(wt);
        y = out("MatMul", "", "%s,%s", x, name);
    }
    free(w);
    return y;
}

static const char *linear(const char *x, const char *name, bool quantize)
{
    const fvlm_source_tensor *t = find("%s.weight", name), *bias = find("%s.bias", name);
    assert_non_null(t);
    const char *y = matmul(x, t, t->dims[0], quantize);
    return bias ? out("Add", "", "%s,%s", weight("%s.bias", name), y) : y;
}

/* ---- the tower ---- */

static const char *gelu(const char *x)
{
    const char *e = out("Erf", "", "%s", out("Div", "", "%s,root2", x));
    return out("Mul", "", "%s,half", out("Mul", "", "%s,%s", x, out("Add", "", "%s,one", e)));
}

static const char *conv(const char *x, unsigned stride, const char *fmt, ...) FVLM_PRINTF(3, 4);
static const char *conv(const char *x, unsigned stride, const char *fmt, ...)
{
    char name[200], attrs[160], w[16];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    const fvlm_source_tensor *t = find("%s.weight", name), *bias = find("%s.bias", name);
    assert_non_null(t);
    const unsigned k = (unsigned)t->dims[2], p = k / 2;
    /* depthwise, with one or two outputs for an input; but for a picture */
    const bool twice = strstr(name, "lkb_reparam") || strstr(name, "conv_exp.reparam");
    const unsigned group = t->dims[1] > 1 ? 1 : (unsigned)t->dims[0] / (twice ? 2 : 1);
    snprintf(attrs, sizeof attrs, "group=%u kernel_shape=[%u,%u] pads=[%u,%u,%u,%u] strides=[%u,%u]", group, k, k, p, p,
             p, p, stride, stride);
    snprintf(w, sizeof w, "%s", weight("%s.weight", name));
    return bias ? out("Conv", attrs, "%s,%s,%s", x, w, weight("%s.bias", name)) : out("Conv", attrs, "%s,%s", x, w);
}

static const char *ffn(const char *x, const char *block, const char *scale)
{
    const char *y = conv(x, 1, "%s.convffn.conv.conv", block);
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    char w[4][16];
    for (int i = 0; i < 4; i++) snprintf(w[i], sizeof w[i], "%s", weight("%s.convffn.conv.bn.%s", block, parts[i]));
    y = out("BatchNormalization", "epsilon=1e-5", "%s,%s,%s,%s,%s", y, w[0], w[1], w[2], w[3]);
    y = conv(gelu(conv(y, 1, "%s.convffn.fc1", block)), 1, "%s.convffn.fc2", block);
    return out("Add", "", "%s,%s", x, out("Mul", "", "%s,%s", y, weight("%s.%s", block, scale)));
}

static const char *channel(const char *fmt, const char *block)
{
    static char onnx[16];
    static unsigned n;
    char name[200], shape[32];
    snprintf(name, sizeof name, "%s%s", block, fmt);
    const fvlm_source_tensor *t = find("%s", name);
    float *x = read(t);
    snprintf(onnx, sizeof onnx, "c%u", n++);
    snprintf(shape, sizeof shape, "%d,1,1", (int)t->dims[0]);
    floats(onnx, shape, x);
    free(x);
    return onnx;
}

static const char *attention(const char *x, const char *block, unsigned side)
{
    const unsigned c = (unsigned)find("%s.norm.weight", block)->dims[0], n = side * side, heads = c / 32;
    char name[200], shape[48];
    const char *d = out("Sub", "", "%s,%s", x, out("ReduceMean", "axes=[1] keepdims=1", "%s", x));
    const char *v = out("ReduceMean", "axes=[1] keepdims=1", "%s", out("Mul", "", "%s,%s", d, d));
    const char *y = out("Div", "", "%s,%s", d, out("Sqrt", "", "%s", out("Add", "", "%s,eps5", v)));
    y = out("Mul", "", "%s,%s", channel(".norm.weight", block), y);
    y = out("Add", "", "%s,%s", y, channel(".norm.bias", block));
    snprintf(name, sizeof name, "flat%u", n_values);
    snprintf(shape, sizeof shape, "shape%u", n_values);
    ints(name, "3", (int64_t[]){1, c, n});
    y = out("Transpose", "perm=[0,2,1]", "%s", out("Reshape", "", "%s,%s", y, name));
    snprintf(name, sizeof name, "%s.token_mixer.qkv", block);
    y = linear(y, name, false);
    ints(shape, "5", (int64_t[]){1, n, 3, heads, 32});
    y = out("Transpose", "perm=[2,0,3,1,4]", "%s", out("Reshape", "", "%s,%s", y, shape));
    const char *part[3];
    for (int i = 0; i < 3; i++) part[i] = out("Gather", "axis=0", "%s,%s", y, i == 0 ? "i0" : i == 1 ? "i1" : "i2");
    const char *s = out("MatMul", "", "%s,%s", out("Mul", "", "%s,scale32", part[0]),
                        out("Transpose", "perm=[0,1,3,2]", "%s", part[1]));
    y = out("MatMul", "", "%s,%s", out("Softmax", "axis=-1", "%s", s), part[2]);
    snprintf(shape, sizeof shape, "tokens%u", n_values);
    ints(shape, "3", (int64_t[]){1, n, c});
    y = out("Reshape", "", "%s,%s", out("Transpose", "perm=[0,2,1,3]", "%s", y), shape);
    snprintf(name, sizeof name, "%s.token_mixer.proj", block);
    y = out("Transpose", "perm=[0,2,1]", "%s", linear(y, name, false));
    snprintf(shape, sizeof shape, "plane%u", n_values);
    ints(shape, "4", (int64_t[]){1, c, side, side});
    y = out("Mul", "", "%s,%s", out("Reshape", "", "%s,%s", y, shape), weight("%s.layer_scale_1", block));
    return ffn(out("Add", "", "%s,%s", x, y), block, "layer_scale_2");
}

static const char *network(const char *x, unsigned *side)
{
    char at[128];
    for (unsigned i = 0; i < 32; i++) {
        snprintf(at, sizeof at, T "network.%u", i);
        if (find("%s.proj.0.lkb_reparam.weight", at)) {
            x = gelu(conv(x, 2, "%s.proj.0.lkb_reparam", at));
            x = gelu(conv(x, 1, "%s.proj.1.reparam_conv", at));
            *side /= 2;
        } else if (find("%s.reparam_conv.weight", at)) {
            x = conv(x, 1, "%s.reparam_conv", at);
        }
        for (unsigned b = 0; b < 32; b++) {
            snprintf(at, sizeof at, T "network.%u.%u", i, b);
            if (find("%s.token_mixer.qkv.weight", at))
                x = attention(x, at, *side);
            else if (find("%s.token_mixer.reparam_conv.weight", at))
                x = ffn(conv(x, 1, "%s.token_mixer.reparam_conv", at), at, "layer_scale");
        }
    }
    return x;
}

static const char *through_bf16(const char *x)
{
    return narrow ? out("Cast", "to=1", "%s", out("Cast", "to=16", "%s", x)) : x;
}

static void vision(bool projector)
{
    unsigned side = config.vision.image_size;
    char shape[64];
    scalar("root2", sqrt(2)), scalar("half", 0.5), scalar("one", 1), scalar("eps5", 1e-5),
        scalar("scale32", sqrt(1.0 / 32));
    for (int64_t i = 0; i < 3; i++) ints((const char *[]){"i0", "i1", "i2"}[i], "", &i);
    snprintf(shape, sizeof shape, "1,3,%u,%u", side, side);
    onnx_input(&m, "pixel_values", FVLM_ONNX_F32, shape);
    const char *x = halves() ? out("Cast", "to=10", "pixel_values") : "pixel_values";
    if (step > 0) {
        onnx_tensor(&m, "pixel_zero", FVLM_ONNX_U8, "", "", 1);
        x = out("QuantizeLinear", "", "%s,%s,pixel_zero", x, scalar("pixel_step", step));
        x = out("DequantizeLinear", "", "%s,pixel_step,pixel_zero", x);
    }
    x = through_bf16(gelu(conv(x, 2, T "patch_embed.0.reparam_conv")));
    x = through_bf16(gelu(conv(x, 2, T "patch_embed.1.reparam_conv")));
    x = gelu(conv(x, 1, T "patch_embed.2.reparam_conv"));
    side /= 4;
    x = conv(network(x, &side), 1, T "conv_exp.reparam_conv");
    const char *s = out("GlobalAveragePool", "", "%s", x);
    s = out("Relu", "", "%s", conv(s, 1, T "conv_exp.se.reduce"));
    s = out("Sigmoid", "", "%s", conv(s, 1, T "conv_exp.se.expand"));
    x = gelu(out("Mul", "", "%s,%s", x, s));
    ints("features", "3", (int64_t[]){1, (int64_t)find(T "conv_exp.reparam_conv.weight")->dims[0], side * side});
    x = out("Transpose", "perm=[0,2,1]", "%s", out("Reshape", "", "%s,features", x));
    if (projector) x = linear(gelu(linear(x, "model.mm_projector.0", false)), "model.mm_projector.2", false);
    onnx_node(&m, halves() ? "Cast" : "Identity", x, "image_features", halves() ? "to=1" : "");
    onnx_output(&m, "image_features", FVLM_ONNX_F32, NULL);
}

/* ---- the language model ---- */

/* The rows that a token needs, as exporters cut it. */
static float *embedding(char shape[64])
{
    snprintf(shape, 64, "%u,%u", config.llm.vocab, config.llm.hidden);
    return read(find("model.embed_tokens.weight"));
}

static void embed(void)
{
    char shape[64];
    float *x = embedding(shape);
    onnx_input(&m, "input_ids", FVLM_ONNX_I64, "batch,tokens");
    floats("model.embed_tokens.weight", shape, x);
    free(x);
    const char *y = out("Gather", "", "model.embed_tokens.weight,input_ids");
    onnx_node(&m, halves() ? "Cast" : "Identity", y, "inputs_embeds", halves() ? "to=1" : "");
    onnx_output(&m, "inputs_embeds", FVLM_ONNX_F32, NULL);
}

static void rotary(void)
{
    enum { POSITIONS = 256 };
    const size_t half = config.llm.head_dim / 2;
    float *c = malloc(POSITIONS * half * 4), *s = malloc(POSITIONS * half * 4);
    char shape[32];
    for (size_t p = 0; p < POSITIONS; p++)
        for (size_t i = 0; i < half; i++) {
            const double angle = (double)p * pow(theta, -(double)i / (double)half);
            c[p * half + i] = (float)cos(angle), s[p * half + i] = (float)sin(angle);
        }
    snprintf(shape, sizeof shape, "%d,%zu", POSITIONS, half);
    floats("cos_cache", shape, c);
    floats("sin_cache", shape, s);
    free(c);
    free(s);
}

static const char *norm(const char *x, const char *name)
{
    char attrs[64];
    snprintf(attrs, sizeof attrs, "axis=-1 epsilon=%.9e", config.llm.norm_eps);
    return out("SimplifiedLayerNormalization", attrs, "%s,%s", x, weight("%s.weight", name));
}

/* Its caches are outputs of the graph. */
static const char *grouped_attention(char in[3][8], unsigned i)
{
    static char y[64][24];
    char attrs[96], inputs[256], outputs[128], name[40];
    assert_true(i < 64);
    snprintf(y[i], sizeof y[i], "attention%u", i);
    snprintf(attrs, sizeof attrs, "num_heads=%u kv_num_heads=%u do_rotary=1", config.llm.heads, config.llm.kv_heads);
    snprintf(inputs, sizeof inputs,
             "%s,%s,%s,past_key_values.%u.key,past_key_values.%u.value,last,total32,cos_cache,sin_cache", in[0], in[1],
             in[2], i, i);
    snprintf(outputs, sizeof outputs, "%s,present.%u.key,present.%u.value", y[i], i, i);
    onnx_node(&m, "com.microsoft:GroupQueryAttention", inputs, outputs, attrs);
    for (unsigned k = 0; k < 2; k++) {
        snprintf(name, sizeof name, "present.%u.%s", i, k ? "value" : "key");
        onnx_output(&m, name, halves() ? FVLM_ONNX_F16 : FVLM_ONNX_F32, NULL);
    }
    return y[i];
}

static const char *layer(const char *x, unsigned i)
{
    char name[96], in[3][8];
    static const char *const qkv[] = {"q_proj", "k_proj", "v_proj"};
    snprintf(name, sizeof name, "model.layers.%u.input_layernorm", i);
    const char *y = norm(x, name);
    for (int k = 0; k < 3; k++) {
        snprintf(name, sizeof name, "model.layers.%u.self_attn.%s", i, qkv[k]);
        snprintf(in[k], sizeof in[k], "%s", linear(y, name, true));
    }
    y = grouped_attention(in, i);
    snprintf(name, sizeof name, "model.layers.%u.self_attn.o_proj", i);
    x = out("Add", "", "%s,%s", x, linear(y, name, true));
    snprintf(name, sizeof name, "model.layers.%u.post_attention_layernorm", i);
    y = norm(x, name);
    snprintf(name, sizeof name, "model.layers.%u.mlp.gate_proj", i);
    const char *g = linear(y, name, true);
    g = out("Mul", "", "%s,%s", g, out("Sigmoid", "", "%s", g));
    snprintf(name, sizeof name, "model.layers.%u.mlp.up_proj", i);
    g = out("Mul", "", "%s,%s", g, linear(y, name, true));
    snprintf(name, sizeof name, "model.layers.%u.mlp.down_proj", i);
    return out("Add", "", "%s,%s", x, linear(g, name, true));
}

static void decoder(void)
{
    char shape[64], name[64];
    snprintf(shape, sizeof shape, "batch,tokens,%u", config.llm.hidden);
    onnx_input(&m, "inputs_embeds", FVLM_ONNX_F32, shape);
    onnx_input(&m, "attention_mask", FVLM_ONNX_I64, "batch,total");
    snprintf(shape, sizeof shape, "batch,%u,past,%u", config.llm.kv_heads, config.llm.head_dim);
    for (unsigned i = 0; i < 2 * config.llm.layers; i++) {
        snprintf(name, sizeof name, "past_key_values.%u.%s", i / 2, i % 2 ? "value" : "key");
        onnx_input(&m, name, halves() ? FVLM_ONNX_F16 : FVLM_ONNX_F32, shape);
    }
    rotary();
    for (int64_t i = 0; i < 2; i++) ints(i ? "i1" : "i0", "", &i);
    ints("axis0", "1", (int64_t[]){0});
    onnx_node(&m, "Shape", "attention_mask", "shape", "");
    onnx_node(&m, "Gather", "shape,i1", "total", "");
    onnx_node(&m, "Cast", "total", "total32", "to=6");
    onnx_node(&m, "Sub", "total,i1", "last64", "");
    onnx_node(&m, "Cast", "last64", "last1", "to=6");
    onnx_node(&m, "Unsqueeze", "last1,axis0", "last", "");
    const char *x = halves() ? out("Cast", "to=10", "inputs_embeds") : "inputs_embeds";
    for (unsigned i = 0; i < config.llm.layers; i++) x = layer(x, i);
    x = matmul(norm(x, "model.norm"), find("model.embed_tokens.weight"), config.llm.vocab, true);
    onnx_node(&m, halves() ? "Cast" : "Identity", x, "logits", halves() ? "to=1" : "");
    onnx_output(&m, "logits", FVLM_ONNX_F32, NULL);
}

/* Another network: what it takes is neither a picture nor tokens. */
static void foreign(void)
{
    onnx_input(&m, "audio", FVLM_ONNX_F32, "batch,80,3000,2,2");
    onnx_input(&m, "lengths", FVLM_ONNX_I64, "batch");
    onnx_node(&m, "Relu", "audio", "features", "");
    onnx_output(&m, "features", FVLM_ONNX_F32, NULL);
}

/* ---- the program ---- */

static bool change(const char *text, const char *file)
{
    const char *equals = strchr(text, '=');
    const double x = equals ? atof(equals + 1) : 0;
    if (!strcmp(text, "round")) return rounded = true;
    if (!strcmp(text, "narrow")) return narrow = true;
    if (!strcmp(text, "external")) {
        char *path = fvlm_asprintf("%s_data", file);
        beside = fopen(path, "wb");
        beside_name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path; /* lives as long as the program */
        return beside != NULL;
    }
    if (!equals)
        variant = text;
    else if (!strncmp(text, "theta=", 6))
        theta = x;
    else if (!strncmp(text, "eps=", 4))
        config.llm.norm_eps = x;
    else if (!strncmp(text, "rows=", 5))
        config.llm.vocab = (uint32_t)x;
    else if (!strncmp(text, "step=", 5))
        step = x;
    else if (!strncmp(text, "side=", 5))
        config.vision.image_size = (uint32_t)x;
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    fvlm_err err;
    fvlm_checkpoint checkpoint;
    if (argc < 4) return 2;
    if (fvlm_source_open(&src, argv[1], &err) ||
        fvlm_checkpoint_read(&checkpoint, src, &(fvlm_vocabulary_options){0}, NULL, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    config = checkpoint.config;
    theta = config.llm.rope_theta;
    for (int i = 4; i < argc; i++)
        if (!change(argv[i], argv[3])) return 2;
    m = onnx_model_new();
    if (!strcmp(argv[2], "vision") || !strcmp(argv[2], "tower"))
        vision(argv[2][0] == 'v');
    else if (!strcmp(argv[2], "embedding"))
        embed();
    else if (!strcmp(argv[2], "decoder"))
        decoder();
    else if (!strcmp(argv[2], "foreign"))
        foreign();
    else
        return 2;
    onnx_save(&m, argv[3]);
    if (beside && fclose(beside)) return 1;
    fvlm_checkpoint_free(&checkpoint);
    fvlm_source_close(&src);
    return 0;
}
