/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a damaged ONNX file is refused or read, never a crash or a hang: every truncation of two files is refused,
 * and after every flip of one bit the file is refused with a message, or every byte that it gives can be read. */
#include <fcntl.h>
#include <unistd.h>

#include "convert/graph/graph.h"
#include "tests/support/check.h"
#include "tests/support/onnx_build.h"
#include "tests/support/support.h"

static char folder[256];

/* The fields as Python writes them: by number, so the imports are behind the graph. */
static onnx_bytes python_model(void)
{
    onnx_model m = {0};
    onnx_bytes file = {0}, t = onnx_tensor_message("half", FVLM_ONNX_F16, "2"), c;
    static const int64_t halves[] = {0x3c00, 0xbc00}, ints[] = {1, -1, 300};
    onnx_node(&m, "Conv", "x,w", "y", "strides=[2,2] pads=[1,1,1,1] group=1 auto_pad='NOTSET'");
    c = onnx_tensor_message("", FVLM_ONNX_I64, "3");
    onnx_ints(&c, 7, ints, 3);
    onnx_constant(&m, "c", &c);
    onnx_node(&m, "com.microsoft:Odd", "y,,c,half", ",z", "alpha=0.5 scales=[1.5,-2.0]");
    onnx_text(&m.graph, 2, "main_graph");
    onnx_weight(&m, "w", "2,3,3,3", 1);
    onnx_ints(&t, 5, halves, 2);
    onnx_message(&m.graph, 5, &t);
    onnx_input(&m, "x", FVLM_ONNX_F32, "batch,3,8,8");
    onnx_output(&m, "z", FVLM_ONNX_F32, NULL);
    onnx_value_info(&m, "y", FVLM_ONNX_F32, "batch,2,4,4");
    onnx_int(&file, 1, 8);
    onnx_text(&file, 2, "pytorch");
    onnx_text(&file, 3, "2.6.0");
    onnx_message(&file, 7, &m.graph);
    onnx_data(&file, 8, "\x0a\x00\x10\x11", 4);
    onnx_data(&file, 8,
              "\x0a\x0d"
              "com.microsoft\x10\x01",
              17);
    return file;
}

/* Data outside, typed fields one by one, an order that does not run. */
static onnx_bytes other_model(void)
{
    onnx_model m = onnx_model_new();
    onnx_bytes t = onnx_tensor_message("f", FVLM_ONNX_F32, "3");
    for (int i = 0; i < 3; i++) onnx_float(&t, 4, (float)i);
    onnx_message(&m.graph, 5, &t);
    t = onnx_tensor_message("n", FVLM_ONNX_U4, "5");
    for (int i = 0; i < 3; i++) onnx_int(&t, 5, i);
    onnx_message(&m.graph, 5, &t);
    onnx_outside(&m, "outside", FVLM_ONNX_BF16, "4,2", "w.bin", "8", "16");
    onnx_node(&m, "Add", "b,f", "y", "");
    onnx_node(&m, "Mul", "a,n", "b", "");
    onnx_node(&m, "Neg", "outside", "a", "");
    onnx_output(&m, "y", FVLM_ONNX_F32, "3");
    return onnx_finish(&m);
}

static unsigned read_tensor(const fvlm_graph_tensor *t)
{
    unsigned sum = 0;
    for (uint64_t i = 0; i < t->n_bytes; i++) sum += t->bytes[i];
    return sum;
}

/* Opens the bytes. True if they are read; then reads all of it, too. */
static bool opens(const uint8_t *bytes, size_t n)
{
    static volatile unsigned sum;
    fvlm_err err = {0};
    fvlm_graph *g;
    char *path = test_path(folder, "m.onnx");
    static int fd = -1; /* written in place: ext4 waits for the disk when a file is truncated and written again */
    if (fd < 0) fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(pwrite(fd, bytes, n, 0) == (ssize_t)n && ftruncate(fd, (off_t)n) == 0);
    const fvlm_status st = fvlm_graph_open(&g, path, &err);
    free(path);
    if (st) {
        assert_int_equal(st, err.code);
        assert_true(err.msg[0] == '"' && !strchr(err.msg, '\n') && fvlm_exit_code(st) == 1);
        return false;
    }
    for (uint32_t i = 0; i < fvlm_graph_n_values(g); i++)
        if (fvlm_graph_value_at(g, i)->tensor) sum += read_tensor(fvlm_graph_value_at(g, i)->tensor);
    for (size_t i = 0; i < fvlm_graph_n_nodes(g); i++)
        for (size_t j = 0; j < fvlm_graph_node_at(g, i)->n_attrs; j++)
            sum += (unsigned)strlen(fvlm_graph_node_at(g, i)->attrs[j].name);
    fvlm_graph_close(&g);
    return true;
}

static void test_truncations(void **state)
{
    (void)state;
    unsigned n = 0;
    for (int which = 0; which < 2; which++) {
        onnx_bytes file = which ? other_model() : python_model();
        assert_true(opens(file.bytes, file.n));
        for (size_t length = 0; length < file.n; length++, n++)
            if (opens(file.bytes, length)) fail_msg("model %d cut to %zu bytes is accepted", which, length);
        onnx_free(&file);
    }
    printf("# %u truncations refused\n", n);
}

static void test_flips(void **state)
{
    (void)state;
    unsigned n = 0, accepted = 0;
    for (int which = 0; which < 2; which++) {
        onnx_bytes file = which ? other_model() : python_model();
        for (size_t i = 0; i < 8 * file.n; i++, n++) {
            file.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
            accepted += opens(file.bytes, file.n);
            file.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        }
        onnx_free(&file);
    }
    printf("# %u flips, %u accepted: in weights and names, which have no checksum\n", n, accepted);
    assert_true(accepted < n);
}

/* Up to four bytes replaced at random, by any value or by another byte of the file. */
static void test_random(void **state)
{
    (void)state;
    test_rng r = {7};
    onnx_bytes file = python_model();
    uint8_t *copy = malloc(file.n);
    assert_non_null(copy);
    for (int round = 0; round < 20000; round++) {
        memcpy(copy, file.bytes, file.n);
        for (uint64_t k = 1 + test_below(&r, 4); k > 0; k--)
            copy[test_below(&r, file.n)] =
                (uint8_t)(test_below(&r, 2) ? test_u64(&r) : file.bytes[test_below(&r, file.n)]);
        opens(copy, file.n);
    }
    free(copy);
    onnx_free(&file);
}

int main(void)
{
    test_folder(folder);
    char *path = test_path(folder, "w.bin");
    if (!test_write_file(path, "0123456789abcdefghijklmn", 24)) return 3;
    free(path);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_flips),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
