/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: what is not a sound ONNX file, or holds what fvlm does not support, is refused in one line that names the
 * file and the node, tensor or value, and says what is wrong. Each refusal of skeleton.c, graph_*.c, with its exact
 * text. One file, however long: its rows are one table, in the order in which a file is read. */
#include <inttypes.h>
#include <unistd.h>

#include <sys/stat.h>

#include "convert/graph/graph.h"
#include "tests/support/check.h"
#include "tests/support/onnx_build.h"
#include "tests/support/support.h"

static char folder[256];
static unsigned n_refused, n_wrong;

/* Opens "m.onnx" of the test's folder; it must be refused with this text after its path. Mismatches are counted, so
 * that one run shows them all. */
static void expect(const char *message)
{
    fvlm_err err = {0};
    fvlm_graph *g;
    char *path = test_path(folder, "m.onnx"), whole[4096];
    const fvlm_status st = fvlm_graph_open(&g, path, &err);
    snprintf(whole, sizeof whole, "\"%s\"%s", path, message);
    if (!st || strcmp(err.msg, whole)) {
        print_error("have %s\nwant %s\n", st ? err.msg : "(accepted)", whole);
        n_wrong++;
    }
    assert_int_equal(st, err.code);
    if (st) assert_int_equal(fvlm_exit_code(st), 1);
    if (st) assert_null(g);
    if (!st) fvlm_graph_close(&g);
    n_refused++;
    free(path);
}

static void expect_bytes(const void *bytes, size_t n, const char *message)
{
    char *path = test_path(folder, "m.onnx");
    assert_true(test_write_file(path, bytes, n));
    free(path);
    expect(message);
}

static void expect_model(onnx_model *m, const char *message)
{
    char *path = test_path(folder, "m.onnx");
    onnx_save(m, path);
    free(path);
    expect(message);
}

/* A sound model: x -> Relu -> y. */
static onnx_model base(void)
{
    onnx_model m = onnx_model_new();
    onnx_input(&m, "x", FVLM_ONNX_F32, "1,3");
    onnx_node(&m, "Relu", "x", "y", "");
    onnx_output(&m, "y", FVLM_ONNX_F32, "1,3");
    return m;
}

/* The sound model, changed by the statements, is refused. */
#define REFUSED(message, ...)                                                                                          \
    do {                                                                                                               \
        onnx_model m = base();                                                                                         \
        __VA_ARGS__;                                                                                                   \
        expect_model(&m, message);                                                                                     \
    } while (0)

/* The same with a further initializer t. */
#define TENSOR(message, name, type, shape, ...)                                                                        \
    REFUSED(message, onnx_bytes t = onnx_tensor_message(name, type, shape); __VA_ARGS__; onnx_message(&m.graph, 5, &t))

/* With a further node n: Op x -> z. */
#define NODE(message, attrs, ...)                                                                                      \
    REFUSED(message, onnx_bytes n = onnx_node_message("Op", "x", "z", attrs); __VA_ARGS__;                             \
            onnx_message(&m.graph, 1, &n))

/* And an attribute a of it, called "a". */
#define ATTRIBUTE(message, ...)                                                                                        \
    NODE(message, "", onnx_bytes a = {0}; onnx_text(&a, 1, "a"); __VA_ARGS__; onnx_message(&n, 5, &a))

/* A value v of value_info. */
#define VALUE(message, ...)                                                                                            \
    REFUSED(message, onnx_bytes v = {0}; onnx_text(&v, 1, "v"); __VA_ARGS__; onnx_message(&m.graph, 13, &v))

#define BYTES(message, text) expect_bytes(text, sizeof text - 1, message)

static void test_base_is_sound(void **state)
{
    (void)state;
    onnx_model m = base();
    fvlm_err err = {0};
    fvlm_graph *g;
    char *path = test_path(folder, "m.onnx");
    onnx_save(&m, path);
    must(fvlm_graph_open(&g, path, &err), &err);
    fvlm_graph_close(&g);
    free(path);
}

/* ---- other files ---- */

static void test_other_files(void **state)
{
    (void)state;
    BYTES(" is empty; download it again", "");
    BYTES(" is text, not weights: 'Entry not found'; download it again", "Entry not found");
    BYTES(" is a Git LFS pointer, not the file itself; run 'git lfs pull' in its folder",
          "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    BYTES(" is a web page, not the file itself; download it again, logged in if its repository requires it",
          "<!DOCTYPE html>\n<html>");
    BYTES(" begins with zeros: the download is incomplete; download it again", "\0\0\0\0\0\0\0\0\0\0\0\0");
    BYTES(" is a zip archive (PyTorch's .bin and .pth files are zip archives, too); give an ONNX export, or "
          "Apple's own checkpoint",
          "PK\3\4\0\0\0\0\0\0");
    BYTES(" is a pickled PyTorch checkpoint; give an ONNX export, or Apple's own checkpoint",
          "\x80\2}q\1(X\5\0\0\0model");
    BYTES(" is a GGUF file (llama.cpp); give an ONNX export, or Apple's own checkpoint", "GGUF\3\0\0\0\0\0\0\0");
    BYTES(" is a LiteRT (TensorFlow Lite) model; give an ONNX export, or Apple's own checkpoint",
          "\x1c\0\0\0TFL3\x14\0\x20\0\0\0");
    BYTES(" is an HDF5 file (TensorFlow or Keras); give an ONNX export, or Apple's own checkpoint",
          "\x89HDF\r\n\x1a\n\0\0\0\0");
    BYTES(" is a safetensors file, expected an ONNX model",
          "\x3c\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}    \0\0\0\0");
    BYTES(" is a picture; download it again", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    /* other messages of protobuf: a TensorProto, and Core ML's Model */
    BYTES(" is cut short, or not an ONNX model (byte 2: ir_version of ModelProto is given twice)",
          "\x08\x01\x08\x03\x10\x01\x4a\x0c\0\0\0\0\0\0\0\0\0\0\0\0");
    BYTES(" is cut short, or not an ONNX model (byte 4: producer_name holds a control character)",
          "\x08\x04\x12\x04\x0a\1\x52\1\xa2\x1f\0");
    BYTES(" is cut short, or not an ONNX model (byte 0: an unknown wire type)", "\xff\xd9\xff\xff\x01\0\0\0");

    fvlm_err err = {0};
    fvlm_graph *g;
    char whole[512];
    snprintf(whole, sizeof whole, "\"%s\" is a folder, expected a file", folder);
    assert_int_equal(fvlm_graph_open(&g, folder, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, whole);
    char *path = test_path(folder, "pipe.onnx");
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(whole, sizeof whole, "\"%s\" is not a regular file", path);
    assert_int_equal(fvlm_graph_open(&g, path, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, whole);
    free(path);
    path = test_path(folder, "absent.onnx");
    snprintf(whole, sizeof whole, "\"%s\": No such file or directory", path);
    assert_int_equal(fvlm_graph_open(&g, path, &err), FVLM_IO);
    assert_string_equal(err.msg, whole);
    free(path);
    n_refused += 3;
}

/* ---- the encoding ---- */

#define OUTSIDE(byte, what) " is cut short, or not an ONNX model (byte " byte ": " what ")"

static void test_wire(void **state)
{
    (void)state;
    BYTES(OUTSIDE("0", "a number is cut off"), "\x88");
    BYTES(OUTSIDE("1", "a number is cut off"), "\x08");
    BYTES(OUTSIDE("1", "a number is cut off"), "\x08\x88\x80");
    BYTES(OUTSIDE("1", "a number over 64 bits"), "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02");
    BYTES(OUTSIDE("1", "a number over 64 bits"), "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01");
    BYTES(OUTSIDE("0", "a number over 64 bits"), "\x88\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00\x01");
    BYTES(OUTSIDE("0", "a field number over 2^29 - 1"), "\x88\x80\x80\x80\x80\x01\x01");
    BYTES(OUTSIDE("0", "field number 0"), "\x00\x01\x01");
    BYTES(OUTSIDE("0", "field number 0"), "\x02\x01\x01");
    BYTES(OUTSIDE("2", "a group, which no schema of ours has"), "\x08\x08\x0b\x0c");
    BYTES(OUTSIDE("2", "a group, which no schema of ours has"), "\x08\x08\x0c");
    BYTES(OUTSIDE("2", "an unknown wire type"), "\x08\x08\x0e\x01");
    BYTES(OUTSIDE("2", "an unknown wire type"), "\x08\x08\x0f\x01");
    BYTES(OUTSIDE("2", "a length beyond the end of what encloses it"), "\x08\x08\x12\x05toto");
    BYTES(" is cut short: its graph has 9223372036854775807 bytes, of which 0 are there; get the file again",
          "\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f");
    BYTES(" is cut short: its graph has 5 bytes, of which 4 are there; get the file again", "\x08\x08\x3a\x05toto");
    BYTES(OUTSIDE("0", "a length beyond the end of what encloses it"), "\x3a\x05toto");
    BYTES(": what follows its graph, from byte 4 on, is not ONNX (field number 0); get the file again",
          "\x08\x08\x3a\x00\0\0\0\0");
    BYTES(
        ": what follows its graph, from byte 4 on, is not ONNX (a group, which no schema of ours has); get the file again",
        "\x08\x08\x3a\x00trailing");
    BYTES(OUTSIDE("2", "a length beyond the end of what encloses it"),
          "\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    BYTES(OUTSIDE("3", "a number is cut off"), "\x08\x08\x3a");
    BYTES(OUTSIDE("3", "a number is cut off"), "\x08\x08\x35\x01\x02\x03");
    BYTES(OUTSIDE("3", "a number is cut off"), "\x08\x08\x31\x01\x02\x03\x04\x05\x06\x07");
    BYTES(OUTSIDE("0", "ir_version of ModelProto has wire type 2, expected 0"), "\x0a\x01\x08");
    BYTES(OUTSIDE("2", "graph of ModelProto has wire type 0, expected 2"), "\x08\x08\x38\x01");
    BYTES(": what follows its graph, from byte 4 on, is not ONNX (graph of ModelProto is given twice); get the file "
          "again",
          "\x08\x08\x3a\x00\x3a\x00");
    /* inside the graph: byte 2 is the graph's tag, 4 the field's */
    BYTES(": byte 4: a number is cut off", "\x08\x08\x3a\x01\x88");
    BYTES(": byte 4: a length beyond the end of what encloses it", "\x08\x08\x3a\x02\x0a\x01\x01\x01");
    BYTES(": a node () without a name: byte 6: a length beyond the end of what encloses it",
          "\x08\x08\x3a\x05\x0a\x03\x0a\x02y");
    BYTES(": node \"n\" (Op): byte 13: a length beyond the end of what encloses it",
          "\x08\x08\x3a\x0c\x0a\x0a\x1a\x01n\x22\x02Op\x0a\x7f\x01");
    BYTES(": byte 4: GraphProto has a field 3, which ONNX up to IR version 14 does not have",
          "\x08\x08\x3a\x02\x18\x01");
}

static void test_fields(void **state)
{
    (void)state;
    NODE(": node \"n_z\" (Op): byte 119: op_type of NodeProto is given twice", "", onnx_text(&n, 4, "Other"));
    NODE(": node \"n_z\" (Op): byte 119: op_type of NodeProto has wire type 0, expected 2", "", onnx_int(&n, 4, 1));
    NODE(": node \"n_z\" (Op): byte 119: NodeProto has a field 11, which ONNX up to IR version 14 does not have", "",
         onnx_int(&n, 11, 1));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": byte 124: f of AttributeProto has wire type 0, expected 5",
              onnx_int(&a, 2, 1));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": byte 124: i of AttributeProto has wire type 5, expected 0",
              onnx_float(&a, 3, 1));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": byte 126: i of AttributeProto is given twice", onnx_int(&a, 3, 1);
              onnx_int(&a, 3, 1));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": byte 124: AttributeProto has a field 12, which ONNX up to IR "
              "version 14 does not have",
              onnx_int(&a, 12, 1));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": byte 126: a number is cut off", onnx_data(&a, 7, "\0\0", 2));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": byte 127: a number is cut off", onnx_data(&a, 8, "\1\x80", 2));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": byte 124: floats of AttributeProto has wire type 1, expected 5",
              onnx_tag(&a, 7, 1);
              onnx_append(&a, "12345678", 8));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": byte 124: type is 4294967296, which does not fit into 32 bits",
              onnx_int(&a, 20, 1ll << 32));
    TENSOR(": tensor \"t\": byte 109: data_type of TensorProto is given twice", "t", 1, "", onnx_int(&t, 2, 1));
    TENSOR(": tensor \"t\": byte 114: raw_data of TensorProto is given twice", "t", 1, "", onnx_data(&t, 9, "abc", 3);
           onnx_data(&t, 9, "d", 1));
    TENSOR(": tensor \"t\": byte 109: raw_data of TensorProto has wire type 0, expected 2", "t", 1, "",
           onnx_int(&t, 9, 1));
    TENSOR(": tensor \"t\": byte 109: float_data of TensorProto has wire type 0, expected 5", "t", 1, "",
           onnx_int(&t, 4, 1));
    TENSOR(": tensor \"t\": byte 109: int32_data of TensorProto has wire type 5, expected 0", "t", 6, "",
           onnx_float(&t, 5, 1));
    TENSOR(": tensor \"t\": byte 109: TensorProto has a field 15, which ONNX up to IR version 14 does not have", "t", 1,
           "", onnx_int(&t, 15, 1));
    TENSOR(": tensor \"t\": byte 107: data_type is 2147483648, which does not fit into 32 bits", "t", (int32_t)1, "",
           onnx_free(&t);
           onnx_text(&t, 8, "t"); onnx_int(&t, 2, 1ll << 31));
    TENSOR(
        ": tensor \"t\": byte 111: StringStringEntryProto has a field 3, which ONNX up to IR version 14 does not have",
        "t", 1, "", onnx_data(&t, 13, "\x18\x01", 2));
    VALUE(": value \"v\": byte 117: the value of Dimension is given twice",
          onnx_data(&v, 2, "\x0a\x08\x12\x06\x0a\x04\x08\x01\x12\x00", 10));
    VALUE(": value \"v\": byte 117: the value of Dimension is given twice",
          onnx_data(&v, 2, "\x0a\x08\x12\x06\x0a\x04\x08\x01\x08\x01", 10));
    VALUE(": value \"v\": byte 111: Tensor has a field 3, which ONNX up to IR version 14 does not have",
          onnx_data(&v, 2, "\x0a\x02\x18\x01", 4));
    VALUE(": value \"v\": byte 109: TypeProto has a field 10, which ONNX up to IR version 14 does not have",
          onnx_data(&v, 2, "\x50\x01", 2));
    VALUE(": value \"v\": byte 107: ValueInfoProto has a field 5, which ONNX up to IR version 14 does not have",
          onnx_int(&v, 5, 1));
    VALUE(": value \"v\": byte 113: TensorShapeProto has a field 2, which ONNX up to IR version 14 does not have",
          onnx_data(&v, 2, "\x0a\x04\x12\x02\x10\x01", 6));
    VALUE(": value \"v\": byte 115: Dimension has a field 4, which ONNX up to IR version 14 does not have",
          onnx_data(&v, 2, "\x0a\x06\x12\x04\x0a\x02\x20\x01", 8));
}

static void test_texts(void **state)
{
    (void)state;
    char longest[4098];
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    REFUSED(": value "
            "\"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
            "nnnnnnnnnnnnnnnnnnnnnnn\": byte 109: name has 4097 bytes; the limit is 4096",
            onnx_input(&m, longest, 1, "1"));
    NODE(": node \"n_z\" (Op): byte 121: domain holds the character NUL", "", onnx_data(&n, 7, "a\0b", 3));
    NODE(": node \"n_z\" (Op): byte 121: domain is not UTF-8", "", onnx_data(&n, 7, "\xc3\x28", 2));
    NODE(": node \"n_z\" (Op): byte 121: domain is not UTF-8", "", onnx_data(&n, 7, "\xed\xa0\x80", 3));
    NODE(": node \"n_z\" (Op): byte 121: domain holds a control character", "", onnx_text(&n, 7, "a\nb"));
    NODE(": node \"n_z\" (Op): byte 121: domain holds a control character", "", onnx_text(&n, 7, "a\x1b[31mb"));
    NODE(": node \"n_z\" (Op): byte 121: domain holds a control character", "",
         onnx_text(&n, 7,
                   "a\xe2\x80\xae"
                   "b")); /* right-to-left override */
    NODE(": node \"n_z\" (Op): byte 124: domain has 4097 bytes; the limit is 4096", "", onnx_text(&n, 7, longest));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": byte 126: s holds the character NUL", onnx_data(&a, 4, "a\0b", 3));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": byte 126: strings holds the character NUL",
              onnx_data(&a, 9, "a\0b", 3));
    TENSOR(": tensor \"?\": byte 108: name holds a control character", "\x7f", 1, "", onnx_int(&t, 5, 1));
    VALUE(": value \"v\": byte 117: dim_param holds a control character",
          onnx_data(&v, 2, "\x0a\x07\x12\x05\x0a\x03\x12\x01\x01", 9));
}

/* ---- what fvlm does not support ---- */

static void test_unsupported(void **state)
{
    (void)state;
    REFUSED(": the model has training_info; export it for inference", onnx_text(&m.head, 20, ""));
    REFUSED(": the model has local functions, which are not supported; export it without them, or inline them "
            "(onnx.inliner.inline_local_functions)",
            onnx_text(&m.head, 25, "function"));
    REFUSED(": the graph has a sparse initializer; save it as a dense one", onnx_text(&m.graph, 15, "sparse"));
    NODE(": node \"n_z\" (Op): calls an overload of a local function, which is not supported", "",
         onnx_text(&n, 8, "overload"));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": holds a graph; operators with graphs inside (If, Loop, Scan) are "
              "not supported",
              onnx_text(&a, 6, ""));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": holds a graph; operators with graphs inside (If, Loop, Scan) are "
              "not supported",
              onnx_text(&a, 11, "graph"));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": holds a list of tensors, which is not supported",
              onnx_text(&a, 10, ""));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": holds a type, which is not supported", onnx_text(&a, 14, ""));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": holds a list of types, which is not supported",
              onnx_text(&a, 15, ""));
    ATTRIBUTE(
        ": node \"n_z\" (Op): attribute \"a\": refers to an attribute of a local function, which is not supported",
        onnx_text(&a, 21, "alpha"));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": is a sparse tensor; save it as a dense one",
              onnx_text(&a, 22, ""));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": holds a list of sparse tensors, which is not supported",
              onnx_text(&a, 23, ""));
    TENSOR(": tensor \"t\": is a segment of a larger tensor, which is not supported", "t", 1, "",
           onnx_data(&t, 3, "\x08\0\x10\1", 4));
    VALUE(": value \"v\": is a sequence; only tensors are supported", onnx_data(&v, 2, "\x22\0", 2));
    VALUE(": value \"v\": is a map; only tensors are supported", onnx_data(&v, 2, "\x2a\0", 2));
    VALUE(": value \"v\": is of an opaque type; only tensors are supported", onnx_data(&v, 2, "\x3a\0", 2));
    VALUE(": value \"v\": is a sparse tensor; only dense ones are supported", onnx_data(&v, 2, "\x42\0", 2));
    VALUE(": value \"v\": is optional; only tensors are supported", onnx_data(&v, 2, "\x4a\0", 2));
    /* a node without a name is called by its first output; one with neither is not */
    REFUSED(": the node (If) that computes \"z\": attribute \"g\": holds a graph; operators with graphs inside (If, "
            "Loop, Scan) are not supported",
            onnx_data(&m.graph, 1, "\x12\x01z\x22\x02If\x2a\x06\x0a\x01g\x32\x01q", 15));
    REFUSED(": a node (If) without a name: attribute \"\": holds a graph; operators with graphs inside (If, Loop, "
            "Scan) are not supported",
            onnx_data(&m.graph, 1, "\x22\x02If\x2a\x03\x32\x01q", 9));
    /* a thousand graphs in graphs: refused at the first */
    onnx_bytes bomb = {0};
    for (int i = 0; i < 1000; i++) {
        onnx_bytes attribute = {0}, node = {0}, graph = {0};
        onnx_message(&attribute, 6, &bomb);
        onnx_message(&node, 5, &attribute);
        onnx_message(&graph, 1, &node);
        bomb = graph;
    }
    NODE(": node \"n_z\" (Op): attribute \"body\": holds a graph; operators with graphs inside (If, Loop, Scan) are "
         "not supported",
         "", onnx_bytes a = {0};
         onnx_text(&a, 1, "body"); onnx_message(&a, 6, &bomb); onnx_message(&n, 5, &a));
    onnx_bytes type = {0};
    for (int i = 0; i < 1000; i++) { /* sequences of sequences */
        onnx_bytes sequence = {0}, outer = {0};
        onnx_message(&sequence, 1, &type);
        onnx_message(&outer, 4, &sequence);
        type = outer;
    }
    VALUE(": value \"v\": is a sequence; only tensors are supported", onnx_message(&v, 2, &type));
}

/* ---- the model ---- */

static void test_model(void **state)
{
    (void)state;
    BYTES(": holds no graph; is it an ONNX model?", "\x08\x08");
    BYTES(": has no ir_version; is it an ONNX model?", "\x3a\x00");
    BYTES(": the graph has no outputs", "\x08\x08\x3a\x00");
    static const int64_t versions[] = {0, 2, 15, -1};
    for (size_t i = 0; i < 4; i++) {
        onnx_model m = onnx_model_of(versions[i], 17);
        char message[128];
        snprintf(message, sizeof message, ": has IR version %" PRId64 "; 3 to 14 are supported", versions[i]);
        expect_model(&m, message);
    }
    REFUSED(": imports the operators of \"ai.onnx\" twice", onnx_data(&m.head, 8, "\x0a\0\x10\x11", 4));
    REFUSED(": imports the operators of \"ai.onnx\" twice", onnx_data(&m.head, 8,
                                                                      "\x0a\x07"
                                                                      "ai.onnx\x10\x11",
                                                                      11));
    REFUSED(": imports version 0 of the operators of \"z\"", onnx_data(&m.head, 8, "\x0a\x01z\x10\0", 5));
    REFUSED(": imports version 0 of the operators of \"z\"", onnx_data(&m.head, 8, "\x0a\x01z", 3));
    REFUSED(": imports version -1 of the operators of \"z\"",
            onnx_data(&m.head, 8, "\x0a\x01z\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 14));
    REFUSED(": node \"n_z\" (Op): the model does not import the operators of \"z\" (opset_import)",
            onnx_node(&m, "z:Op", "x", "z", ""));
    onnx_model m = onnx_model_of(8, 0);
    onnx_input(&m, "x", FVLM_ONNX_F32, "1,3");
    onnx_node(&m, "Relu", "x", "y", "");
    onnx_output(&m, "y", FVLM_ONNX_F32, "1,3");
    expect_model(&m, ": node \"n_y\" (Relu): the model does not import the operators of \"ai.onnx\" (opset_import)");
}

/* ---- tensors ---- */

static void test_tensors(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    static const int64_t v[] = {1, 2, 300, -129, 65536, 1ll << 32, 2};
    REFUSED(": tensor \"t\": has no data_type", onnx_data(&m.graph, 5, "\x42\x01t", 3));
    TENSOR(": tensor \"t\": has no data_type", "t", 0, "", (void)0);
    TENSOR(": tensor \"t\": has data_type 99, which ONNX up to IR version 14 does not have", "t", 99, "", (void)0);
    TENSOR(": tensor \"t\": has data_type -1, which ONNX up to IR version 14 does not have", "t", -1, "", (void)0);
    TENSOR(": tensor \"t\": holds elements of type STRING, which is not supported", "t", FVLM_ONNX_STRING, "1",
           onnx_text(&t, 6, "text"));
    TENSOR(": tensor \"t\": holds elements of type COMPLEX64, which is not supported", "t", 14, "1",
           onnx_data(&t, 9, zeros, 8));
    TENSOR(": tensor \"t\": holds elements of type FLOAT8E4M3FN, which is not supported", "t", 17, "1",
           onnx_data(&t, 9, zeros, 1));
    TENSOR(": tensor \"t\": holds elements of type FLOAT4E2M1, which is not supported", "t", 23, "2",
           onnx_data(&t, 9, zeros, 1));
    TENSOR(": tensor \"t\": holds elements of type INT2, which is not supported", "t", 26, "4",
           onnx_data(&t, 9, zeros, 1));
    TENSOR(": tensor \"t\": has 9 dimensions; at most 8 are supported", "t", 1, "1,1,1,1,1,1,1,1,1",
           onnx_data(&t, 9, zeros, 4));
    TENSOR(": tensor \"t\": dimension 1 is -1, expected 0 or more", "t", 1, "2,-1", (void)0);
    TENSOR(": tensor \"t\": dimension 0 is -9223372036854775808, expected 0 or more", "t", 1, "-9223372036854775808",
           (void)0);
    TENSOR(": tensor \"t\": has more elements than any file can hold", "t", 1, "9223372036854775807",
           onnx_data(&t, 9, zeros, 4));
    TENSOR(": tensor \"t\": has more elements than any file can hold", "t", 1, "4294967296,4294967296", (void)0);
    TENSOR(": tensor \"t\": has more elements than any file can hold", "t", 1, "4294967296,4294967297",
           onnx_data(&t, 9, zeros, 4));
    TENSOR(": tensor \"t\": has more elements than any file can hold", "t", 1,
           "9223372036854775807,9223372036854775807,9223372036854775807", (void)0);
    TENSOR(": tensor \"t\": has more elements than any file can hold", "t", 2, "1152921504606846976", (void)0);
    TENSOR(": tensor \"t\": has no data, but is FLOAT [2, 3]", "t", 1, "2,3", (void)0);
    TENSOR(": tensor \"t\": raw_data has 23 bytes, but FLOAT [2, 3] needs 24", "t", 1, "2,3",
           onnx_data(&t, 9, zeros, 23));
    TENSOR(": tensor \"t\": raw_data has 25 bytes, but FLOAT [2, 3] needs 24", "t", 1, "2,3",
           onnx_data(&t, 9, zeros, 25));
    TENSOR(": tensor \"t\": raw_data has 4 bytes, but FLOAT [0] needs 0", "t", 1, "0", onnx_data(&t, 9, zeros, 4));
    TENSOR(": tensor \"t\": raw_data has 8 bytes, but FLOAT [] needs 4", "t", 1, "", onnx_data(&t, 9, zeros, 8));
    TENSOR(": tensor \"t\": raw_data has 2 bytes, but INT4 [5] needs 3", "t", FVLM_ONNX_I4, "5",
           onnx_data(&t, 9, zeros, 2));
    TENSOR(": tensor \"t\": float_data has 2 numbers, but FLOAT [1] needs 1", "t", 1, "1", onnx_data(&t, 4, zeros, 8));
    TENSOR(": tensor \"t\": float_data has 1 number, but FLOAT [2] needs 2", "t", 1, "2", onnx_float(&t, 4, 1));
    TENSOR(": tensor \"t\": float_data: a number is cut off", "t", 1, "1", onnx_data(&t, 4, zeros, 5));
    TENSOR(": tensor \"t\": float_data: a number is cut off", "t", 1, "2", onnx_data(&t, 4, zeros, 3);
           onnx_data(&t, 4, zeros, 5));
    TENSOR(": tensor \"t\": double_data: a number is cut off", "t", 11, "1", onnx_data(&t, 10, zeros, 7));
    TENSOR(": tensor \"t\": int64_data has 2 numbers, but INT64 [3] needs 3", "t", 7, "3", onnx_ints(&t, 7, v, 2));
    TENSOR(": tensor \"t\": int64_data has 2 numbers, but INT64 [1] needs 1", "t", 7, "1", onnx_ints(&t, 7, v, 2));
    TENSOR(": tensor \"t\": int64_data: a number is cut off", "t", 7, "1", onnx_data(&t, 7, "\x80", 1));
    TENSOR(": tensor \"t\": int64_data: a number over 64 bits", "t", 7, "1",
           onnx_data(&t, 7, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10));
    TENSOR(": tensor \"t\": int32_data has 3 numbers, but UINT4 [3] needs 2", "t", FVLM_ONNX_U4, "3",
           onnx_ints(&t, 5, v, 3));
    TENSOR(": tensor \"t\": has its data in int64_data; FLOAT belongs into raw_data or float_data", "t", 1, "1",
           onnx_ints(&t, 7, v, 1));
    TENSOR(": tensor \"t\": has its data in int32_data; INT64 belongs into raw_data or int64_data", "t", 7, "1",
           onnx_ints(&t, 5, v, 1));
    TENSOR(": tensor \"t\": has its data in float_data; FLOAT16 belongs into raw_data or int32_data", "t",
           FVLM_ONNX_F16, "1", onnx_float(&t, 4, 1));
    TENSOR(": tensor \"t\": has its data in string_data; FLOAT belongs into raw_data or float_data", "t", 1, "1",
           onnx_text(&t, 6, ""));
    TENSOR(": tensor \"t\": has data both in raw_data and in float_data", "t", 1, "1", onnx_data(&t, 9, zeros, 4);
           onnx_float(&t, 4, 1));
    TENSOR(": tensor \"t\": has data both in int64_data and in int32_data", "t", 7, "1", onnx_ints(&t, 7, v, 1);
           onnx_ints(&t, 5, v, 1));
    TENSOR(": tensor \"t\": int32_data[2] is 300, which does not fit into UINT8", "t", FVLM_ONNX_U8, "3",
           onnx_ints(&t, 5, v, 3));
    TENSOR(": tensor \"t\": int32_data[0] is -129, which does not fit into INT8", "t", FVLM_ONNX_I8, "1",
           onnx_ints(&t, 5, v + 3, 1));
    TENSOR(": tensor \"t\": int32_data[0] is 65536, which does not fit into UINT16", "t", FVLM_ONNX_U16, "1",
           onnx_ints(&t, 5, v + 4, 1));
    TENSOR(": tensor \"t\": int32_data[0] is 65536, which does not fit into INT16", "t", FVLM_ONNX_I16, "1",
           onnx_ints(&t, 5, v + 4, 1));
    TENSOR(": tensor \"t\": int32_data[0] is -129, which does not fit into FLOAT16", "t", FVLM_ONNX_F16, "1",
           onnx_ints(&t, 5, v + 3, 1));
    TENSOR(": tensor \"t\": int32_data[0] is 65536, which does not fit into BFLOAT16", "t", FVLM_ONNX_BF16, "1",
           onnx_ints(&t, 5, v + 4, 1));
    TENSOR(": tensor \"t\": int32_data[0] is 4294967296, which does not fit into INT32", "t", FVLM_ONNX_I32, "1",
           onnx_ints(&t, 5, v + 5, 1));
    TENSOR(": tensor \"t\": uint64_data[0] is 4294967296, which does not fit into UINT32", "t", FVLM_ONNX_U32, "1",
           onnx_ints(&t, 11, v + 5, 1));
    TENSOR(": tensor \"t\": int32_data[0] is 2, which does not fit into BOOL", "t", FVLM_ONNX_BOOL, "1",
           onnx_ints(&t, 5, v + 6, 1));
    TENSOR(": tensor \"t\": int32_data[0] is 300, which does not fit into UINT4", "t", FVLM_ONNX_U4, "2",
           onnx_ints(&t, 5, v + 2, 1));
    TENSOR(": tensor \"t\": data_location is 2, expected 0 or 1", "t", 1, "1", onnx_int(&t, 14, 2));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": has no data, but is FLOAT [2]",
              onnx_bytes t = onnx_tensor_message(NULL, 1, "2");
              onnx_message(&a, 5, &t); onnx_int(&a, 20, 4));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": tensor \"t\": has no data, but is FLOAT [2]",
              onnx_bytes t = onnx_tensor_message("t", 1, "2");
              onnx_message(&a, 5, &t); onnx_int(&a, 20, 4));
}

/* ---- the graph ---- */

static void test_graph(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    TENSOR(": initializer 0 has no name", NULL, 1, "", onnx_data(&t, 9, zeros, 4));
    TENSOR(": initializer 0 has no name", "", 1, "", onnx_data(&t, 9, zeros, 4));
    REFUSED(": tensor \"t\" is given twice", for (int i = 0; i < 2; i++) onnx_tensor(&m, "t", 1, "1", zeros, 4));
    REFUSED(": input \"x\" is given twice", onnx_input(&m, "x", 1, "1,3"));
    REFUSED(": input 1 has no name", onnx_input(&m, "", 1, "1,3"));
    REFUSED(": output \"y\" is given twice", onnx_output(&m, "y", 1, "1,3"));
    REFUSED(": output 1 has no name", onnx_output(&m, "", 1, "1,3"));
    REFUSED(": output \"none\" is computed by no node", onnx_output(&m, "none", 1, "1,3"));
    REFUSED(": output \"none\" is computed by no node", onnx_node(&m, "Relu", "none", "z", "");
            onnx_output(&m, "none", 1, NULL));
    REFUSED(": node \"n_z\" (Relu): input \"none\" is computed by no node", onnx_node(&m, "Relu", "none", "z", ""));
    REFUSED(": node \"n_y\" (Relu): computes \"y\", which is computed by another node already",
            onnx_node(&m, "Relu", "x", "y", ""));
    REFUSED(": node \"n_a\" (Split): computes \"a\", which is computed by another node already",
            onnx_node(&m, "Split", "x", "a,a", ""));
    REFUSED(": node \"n_x\" (Relu): computes \"x\", which is an input already", onnx_node(&m, "Relu", "x", "x", ""));
    REFUSED(": node \"n_t\" (Relu): computes \"t\", which is a constant already",
            onnx_tensor(&m, "t", 1, "1", zeros, 4);
            onnx_node(&m, "Relu", "x", "t", ""));
    REFUSED(": node \"n_c\" (Relu): computes \"c\", which is a constant already",
            onnx_node(&m, "Constant", "", "c", "value_int=1");
            onnx_node(&m, "Relu", "x", "c", ""));
    REFUSED(": node \"n_c\" (Constant): computes \"c\", which is computed by another node already",
            onnx_node(&m, "Relu", "x", "c", "");
            onnx_node(&m, "Constant", "", "c", "value_int=1"));
    REFUSED(": node \"n_a\" (Add): its input \"a\" depends on its own output; the graph has a cycle",
            onnx_node(&m, "Add", "x,a", "a", ""));
    REFUSED(": node \"n_b\" (Relu): its input \"a\" depends on its own output; the graph has a cycle",
            onnx_node(&m, "Add", "x,c", "a", "");
            onnx_node(&m, "Relu", "a", "b", ""); onnx_node(&m, "Relu", "b", "c", ""));
    NODE(": the node () that computes \"z\": has no op_type", "", onnx_free(&n); onnx_text(&n, 1, "x");
         onnx_text(&n, 2, "z"));
    NODE(": node \"n_z\" (Op): attribute \"a\" is given twice", "a=1 a=2", (void)0);
    NODE(": node \"n_z\" (Op): an attribute has no name", "", onnx_data(&n, 5, "\x18\x01\xa0\x01\x02", 5));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": has no type", onnx_int(&a, 3, 1));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": has no type", onnx_int(&a, 3, 1); onnx_int(&a, 20, 0));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": has type 15, which is not supported", onnx_int(&a, 3, 1);
              onnx_int(&a, 20, 15));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": has type -1, which is not supported", onnx_int(&a, 3, 1);
              onnx_int(&a, 20, -1));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": has type 5, which is not supported", onnx_int(&a, 20, 5));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": is declared as a tensor, but holds none", onnx_int(&a, 20, 4));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": is declared as a float, but holds an int", onnx_int(&a, 3, 1);
              onnx_int(&a, 20, 1));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": is declared as an int, but holds a float", onnx_float(&a, 2, 1);
              onnx_int(&a, 20, 2));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": is declared as floats, but holds a string", onnx_text(&a, 4, "s");
              onnx_int(&a, 20, 6));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": is declared as an int, but holds ints", onnx_int(&a, 8, 1);
              onnx_int(&a, 20, 2));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": is declared as ints, but holds an int", onnx_int(&a, 3, 1);
              onnx_int(&a, 8, 1); onnx_int(&a, 20, 7));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": is declared as a string, but holds strings", onnx_text(&a, 9, "s");
              onnx_int(&a, 20, 3));
    ATTRIBUTE(": node \"n_z\" (Op): attribute \"a\": is declared as ints, but holds floats", onnx_float(&a, 7, 1);
              onnx_int(&a, 20, 7));
    NODE(
        ": node \"n_z\" (Op): has 257 attributes; at most 256 are supported", "", for (int i = 0; i < 257; i++) {
            char name[16];
            onnx_bytes a = {0};
            snprintf(name, sizeof name, "a%d", i);
            onnx_text(&a, 1, name);
            onnx_int(&a, 20, 2);
            onnx_message(&n, 5, &a);
        });
    REFUSED(": node \"n_c\" (Constant): expected no input, one output and one attribute",
            onnx_node(&m, "Constant", "", "c", ""));
    REFUSED(": node \"n_c\" (Constant): expected no input, one output and one attribute",
            onnx_node(&m, "Constant", "x", "c", "value_int=1"));
    REFUSED(": node \"n_c\" (Constant): expected no input, one output and one attribute",
            onnx_node(&m, "Constant", "", "c,d", "value_int=1"));
    REFUSED(": node \"n_\" (Constant): expected no input, one output and one attribute",
            onnx_node(&m, "Constant", "", "", "value_int=1"));
    REFUSED(": node \"n_c\" (Constant): expected no input, one output and one attribute",
            onnx_node(&m, "Constant", "", "c", "value_int=1 value_float=1.0"));
    REFUSED(": node \"n_c\" (Constant): attribute \"value_int\" is a float, expected an int",
            onnx_node(&m, "Constant", "", "c", "value_int=1.0"));
    REFUSED(": node \"n_c\" (Constant): attribute \"value\" is an int, expected a tensor",
            onnx_node(&m, "Constant", "", "c", "value=1"));
    REFUSED(": node \"n_c\" (Constant): unknown attribute \"values\"", onnx_node(&m, "Constant", "", "c", "values=1"));
    REFUSED(": node \"n_c\" (Constant): holds strings, which are not supported",
            onnx_node(&m, "Constant", "", "c", "value_string='s'"));
    REFUSED(": value \"i\" has 9 dimensions; at most 8 are supported", onnx_value_info(&m, "x2", 1, "1");
            onnx_input(&m, "i", 1, "1,1,1,1,1,1,1,1,1"));
    REFUSED(": value \"i\": dimension 1 is -2", onnx_input(&m, "i", 1, "2,-2"));
    REFUSED(": value \"t\" is declared as FLOAT16, but its tensor is FLOAT", onnx_tensor(&m, "t", 1, "1", zeros, 4);
            onnx_input(&m, "t", 10, "1"));
    onnx_model m = onnx_model_new();
    onnx_input(&m, "x", 1, "1");
    expect_model(&m, ": the graph has no outputs");
}

/* ---- limits ---- */

static void test_limits(void **state)
{
    (void)state;
    REFUSED(": over 524288 nodes, tensors, attributes and the like; that is no FastVLM network",
            for (int i = 0; i < 1 << 19; i++) onnx_append(&m.graph, "\x0a\0", 2));
    REFUSED(": the graph without its tensors takes over 8 MB; that is no FastVLM network", char names[3001];
            memset(names, 'n', 3000); names[3000] = 0; onnx_bytes n = {0};
            for (int i = 0; i < 6000; i++) onnx_text(&n, 1, names); onnx_message(&m.graph, 1, &n));
    /* many small numbers in a typed field would take 8 bytes each */
    TENSOR(": tensor \"t\": the numbers in typed fields take over 64 MB; save tensors as raw_data", "t", 7, "9000000",
           uint8_t *v = calloc(1, 9000000);
           onnx_data(&t, 7, v, 9000000); free(v));
    REFUSED(": the graph without its tensors takes over 256 MB of memory; that is no FastVLM network",
            onnx_bytes n = {0};
            for (int i = 0; i < 1500000; i++) onnx_append(&n, "\x0a\0", 2); onnx_message(&m.graph, 1, &n));
}

static void test_all_match(void **state)
{
    (void)state;
    assert_int_equal(n_wrong, 0);
    assert_true(n_refused >= 150);
}

int main(void)
{
    test_folder(folder);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_is_sound), cmocka_unit_test(test_other_files), cmocka_unit_test(test_wire),
        cmocka_unit_test(test_fields),        cmocka_unit_test(test_texts),       cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_model),         cmocka_unit_test(test_tensors),     cmocka_unit_test(test_graph),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_all_match),
    };
    const int rc = cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
    printf("# %u refusals\n", n_refused);
    return rc;
}
