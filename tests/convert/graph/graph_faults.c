/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: whichever allocation or system call fails while an ONNX file is opened, in a folder or in Hugging Face's
 * cache, the result is an error with a message, or the right graph, and nothing stays open. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "convert/graph/graph.h"
#include "tests/support/check.h"
#include "tests/support/onnx_build.h"
#include "tests/support/own_malloc.h"
#include "tests/support/support.h"

/* ---- the machine that fails: these definitions stand before libc's ---- */

static size_t count, fail_at; /* counted while armed, from 1 */
static bool armed, of_calls, and_all_after;

static bool fails(bool call)
{
    if (!armed || call != of_calls) return false;
    ++count;
    return count == fail_at || (and_all_after && count > fail_at);
}

bool test_allocation_fails(void)
{
    return fails(false);
}

static bool call_fails(void)
{
    if (!fails(true)) return false;
    errno = EIO;
    return true;
}

int open(const char *path, int flags, ...)
{
    return call_fails() ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

int openat(int dir, const char *path, int flags, ...)
{
    return call_fails() ? -1 : (int)syscall(SYS_openat, dir, path, flags, 0600);
}

ssize_t pread(int fd, void *out, size_t n, off_t at)
{
    return call_fails() ? -1 : syscall(SYS_pread64, fd, out, n, at);
}

/* ---- what must hold ---- */

static char *path, *paths[2]; /* the one that is opened; a plain folder, and a cache */

static size_t n_open(void)
{
    size_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d)) n++;
    if (d) closedir(d);
    return n;
}

/* True once the fault is beyond the end of the work. */
static bool open_once(size_t at, bool calls, bool all_after)
{
    fvlm_err err = {0};
    fvlm_graph *g;
    const size_t before = n_open();
    count = 0;
    fail_at = at;
    of_calls = calls;
    and_all_after = all_after;
    armed = true;
    const fvlm_status st = fvlm_graph_open(&g, path, &err);
    armed = false;
    const bool reached = count >= at;
    if (st && (!err.msg[0] || st != (calls ? FVLM_IO : FVLM_NOMEM) || g))
        fail_msg("fault %zu: status %d \"%s\"", at, st, err.msg);
    if (!st && calls && reached) fail_msg("call %zu failed unseen", at);
    if (!st) {
        assert_int_equal(fvlm_graph_n_nodes(g), 400);
        assert_memory_equal(fvlm_graph_value_at(g, 0)->tensor->bytes, "0123456789abcdef", 16);
    }
    fvlm_graph_close(&g);
    assert_int_equal(n_open(), before);
    return !reached;
}

static size_t every_point(bool calls)
{
    size_t n = 0;
    for (int i = 0; i < 4; i++) {
        path = paths[i / 2];
        for (size_t k = 1; !open_once(k, calls, i % 2); k++) n++;
    }
    return n;
}

static void test_allocations(void **state)
{
    (void)state;
    if (!TEST_OWNS_MALLOC) skip();
    const size_t n = every_point(false);
    printf("# %zu failing allocations\n", n);
    assert_true(n >= 50);
}

static void test_calls(void **state)
{
    (void)state;
    const size_t n = every_point(true);
    printf("# %zu failing system calls\n", n);
    assert_true(n >= 8);
}

/* The model and its data as in a snapshot, where the data is a link to a blob. */
static void make_cache(const char *folder)
{
    static const char *const folders[] = {"models--a--b", "models--a--b/blobs", "models--a--b/snapshots",
                                          "models--a--b/snapshots/c0ffee"};
    static const char blob[] = "../../blobs/0123456789abcdef0123456789abcdef01234567";
    size_t n;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char *below = test_path(folder, folders[i]);
        assert_int_equal(mkdir(below, 0700), 0);
        free(below);
    }
    char *to = test_path(folder, "models--a--b/snapshots/c0ffee/w.bin");
    assert_int_equal(symlink(blob, to), 0);
    assert_true(test_write_file(to, "0123456789abcdef", 16));
    free(to);
    uint8_t *bytes = test_read_file(paths[0], &n);
    paths[1] = test_path(folder, "models--a--b/snapshots/c0ffee/m.onnx");
    assert_true(test_write_file(paths[1], bytes, n));
    free(bytes);
}

int main(void)
{
    char folder[256];
    onnx_model m = onnx_model_new();
    static const int64_t ints[] = {1, 2, 3};
    test_folder(folder);
    char *outside = test_path(folder, "w.bin");
    test_write_file(outside, "0123456789abcdef", 16);
    free(outside);
    onnx_outside(&m, "w", FVLM_ONNX_F32, "4", "w.bin", NULL, NULL);
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        onnx_bytes t = onnx_tensor_message(name, FVLM_ONNX_I64, "3");
        onnx_ints(&t, 7, ints, 3);
        onnx_message(&m.graph, 5, &t);
    }
    for (int i = 0; i < 400; i++) {
        char in[64], out[16];
        snprintf(in, sizeof in, i ? "w,v%d" : "w,w", i - 1);
        snprintf(out, sizeof out, "v%d", i);
        onnx_node(&m, "Concat", in, out, "axis=0 mode='text' scales=[1.0,2.0]");
    }
    onnx_output(&m, "v399", FVLM_ONNX_F32, NULL);
    paths[0] = test_path(folder, "m.onnx");
    onnx_save(&m, paths[0]);
    make_cache(folder);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_allocations), cmocka_unit_test(test_calls)};
    return cmocka_run_group_tests_name("graph_faults", tests, NULL, NULL);
}
