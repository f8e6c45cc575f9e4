/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: external data is read from the model's folder and below, and from nowhere else: locations, offsets and
 * lengths that a model may give, Hugging Face's cache, and every other way out refused with its exact text. A file that
 * changes is noticed. One file, however long: all cases are changes of one small model and its data. */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "convert/graph/graph.h"
#include "tests/support/check.h"
#include "tests/support/onnx_build.h"
#include "tests/support/support.h"

#define BLOB "0123456789abcdef0123456789abcdef01234567"

static char folder[256];
static uint8_t data[64];
static unsigned n_refused;

static char *in(const char *name)
{
    return test_path(folder, name);
}

static void make_folder(const char *name)
{
    char *path = in(name);
    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
}

static void make_file(const char *name)
{
    char *path = in(name);
    assert_true(test_write_file(path, data, sizeof data));
    free(path);
}

static void make_link(const char *target, const char *name)
{
    char *path = in(name);
    assert_int_equal(symlink(target, path), 0);
    free(path);
}

/* A tensor of 4 floats in a file; keys besides the location and the offset may follow. */
static fvlm_status open_with(fvlm_graph **g, const char *name, const char *location, const char *offset,
                             const char *length, const char *key, const char *value, fvlm_err *err)
{
    onnx_model m = onnx_model_new();
    onnx_bytes t = onnx_tensor_message("w", FVLM_ONNX_F32, "4");
    char *path = in(name);
    if (location) onnx_external(&t, "location", location);
    if (offset) onnx_external(&t, "offset", offset);
    if (length) onnx_external(&t, "length", length);
    if (key) onnx_external(&t, key, value);
    onnx_int(&t, 14, 1);
    onnx_message(&m.graph, 5, &t);
    onnx_node(&m, "Identity", "w", "y", "");
    onnx_output(&m, "y", FVLM_ONNX_F32, "4");
    struct stat about;
    if (lstat(path, &about) || !S_ISLNK(about.st_mode)) {
        onnx_save(&m, path);
    } else { /* the link stays */
        onnx_bytes file = onnx_finish(&m);
        FILE *f = fopen(path, "wb");
        assert_true(f && fwrite(file.bytes, 1, file.n, f) == file.n && fclose(f) == 0);
        onnx_free(&file);
    }
    const fvlm_status st = fvlm_graph_open(g, path, err);
    free(path);
    return st;
}

static void accept(const char *model, const char *location, const char *offset, const char *length, size_t at)
{
    fvlm_err err = {0};
    fvlm_graph *g;
    must(open_with(&g, model, location, offset, length, NULL, NULL, &err), &err);
    const fvlm_graph_tensor *t = fvlm_graph_value_at(g, 0)->tensor;
    assert_int_equal(t->n_bytes, 16);
    assert_memory_equal(t->bytes, data + at, 16);
    assert_int_equal(t->file, 1);
    assert_int_equal(fvlm_graph_n_files(g), 2);
    assert_int_equal(fvlm_graph_file_at(g, 1).n_bytes, sizeof data);
    fvlm_hash hash, expected = fvlm_hash_of(data, sizeof data);
    must(fvlm_graph_hash(&hash, g, 1, NULL, &err), &err);
    assert_true(fvlm_hash_equal(&hash, &expected));
    fvlm_graph_close(&g);
}

static void refuse_all(const char *model, const char *location, const char *offset, const char *length, const char *key,
                       const char *value, const char *message)
{
    fvlm_err err = {0};
    fvlm_graph *g;
    char *path = in(model), whole[4096];
    snprintf(whole, sizeof whole, "\"%s\": tensor \"w\": %s", path, message);
    const fvlm_status st = open_with(&g, model, location, offset, length, key, value, &err);
    if (!st) fail_msg("accepted, expected: %s", message);
    assert_string_equal(err.msg, whole);
    assert_int_equal(fvlm_exit_code(st), 1);
    n_refused++;
    free(path);
}

static void refuse(const char *location, const char *message)
{
    char whole[3000];
    snprintf(whole, sizeof whole, "external data \"%s\": %s", location, message);
    refuse_all("m.onnx", location, "0", "16", NULL, NULL, whole);
}

/* ---- numbers ---- */

static void test_ranges(void **state)
{
    (void)state;
    accept("m.onnx", "w.bin", NULL, NULL, 0);
    accept("m.onnx", "w.bin", "0", "16", 0);
    accept("m.onnx", "w.bin", "48", NULL, 48);
    accept("m.onnx", "w.bin", "0000000000000000000000000000007", "16", 7); /* unaligned */
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "0x10",
                                      "1e1",
                                      "1.0",
                                      "9223372036854775808",
                                      "18446744073709551616",
                                      "99999999999999999999999",
                                      "\xd9\xa1"};
    char message[256];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(message, sizeof message, "external data: offset is \"%s\", expected a number of bytes in digits",
                 bad[i]);
        refuse_all("m.onnx", "w.bin", bad[i], "16", NULL, NULL, message);
        snprintf(message, sizeof message, "external data: length is \"%s\", expected a number of bytes in digits",
                 bad[i]);
        refuse_all("m.onnx", "w.bin", "0", bad[i], NULL, NULL, message);
    }
    static const char *const wrong[] = {"15", "17", "0", "9223372036854775807"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(message, sizeof message, "external data: length is %s, but FLOAT [4] needs 16", wrong[i]);
        refuse_all("m.onnx", "w.bin", "0", wrong[i], NULL, NULL, message);
    }
    static const char *const beyond[] = {"49", "64", "65", "9223372036854775807"};
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        snprintf(message, sizeof message,
                 "external data \"w.bin\" has 64 bytes; 16 at byte %s are beyond its end. Is it cut short?", beyond[i]);
        refuse_all("m.onnx", "w.bin", beyond[i], NULL, NULL, NULL, message);
    }
}

/* What git checks out in the place of a large file. */
static void test_pointer(void **state)
{
    (void)state;
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 64\n";
    char *path = test_path(folder, "pointer.bin");
    assert_true(test_write_file(path, pointer, sizeof pointer - 1));
    refuse_all(
        "m.onnx", "pointer.bin", "80", "16", NULL, NULL,
        "external data: \"pointer.bin\" is a Git LFS pointer, not the file itself; run 'git lfs pull' in its folder");
    free(path);
}

static void test_keys(void **state)
{
    (void)state;
    fvlm_err err = {0};
    fvlm_graph *g;
    must(open_with(&g, "m.onnx", "w.bin", "0", "16", "checksum", "da39a3ee", &err), &err);
    fvlm_graph_close(&g);
    refuse_all("m.onnx", "w.bin", "0", "16", "basepath", "/", "external data: unknown key \"basepath\"");
    refuse_all("m.onnx", "w.bin", "0", "16", "prepacked_0", "x", "external data: unknown key \"prepacked_0\"");
    refuse_all("m.onnx", "w.bin", "0", "16", "", "x", "external data: unknown key \"\"");
    refuse_all("m.onnx", "w.bin", "0", "16", "offset", "0", "external data: offset is given twice");
    refuse_all("m.onnx", "w.bin", "0", "16", "location", "v.bin", "external data: location is given twice");
    refuse_all("m.onnx", NULL, "0", "16", NULL, NULL, "external data: the location is missing");
    refuse_all("m.onnx", NULL, NULL, NULL, NULL, NULL, "external data: the location is missing");
}

/* External data and data in the file contradict each other. */
static void test_both(void **state)
{
    (void)state;
    fvlm_err err = {0};
    fvlm_graph *g;
    for (int form = 0; form < 2; form++) {
        onnx_model m = onnx_model_new();
        onnx_bytes t = onnx_tensor_message("w", FVLM_ONNX_F32, "4");
        onnx_external(&t, "location", "w.bin");
        if (form == 0) onnx_int(&t, 14, 1);
        onnx_data(&t, 9, data, 16);
        onnx_message(&m.graph, 5, &t);
        onnx_node(&m, "Identity", "w", "y", "");
        onnx_output(&m, "y", FVLM_ONNX_F32, "4");
        char *path = in("m.onnx");
        onnx_save(&m, path);
        assert_int_equal(fvlm_graph_open(&g, path, &err), FVLM_BAD_INPUT);
        assert_non_null(
            strstr(err.msg, form == 0 ? ": tensor \"w\": has data both in raw_data and in an external file"
                                      : ": tensor \"w\": names external data, but its data_location is not EXTERNAL"));
        free(path);
        n_refused++;
    }
}

/* ---- paths ---- */

#define BELOW "it must be one below the model's folder"
#define ABSENT "the model needs this file, and it is not there"

static void test_paths(void **state)
{
    (void)state;
    make_folder("sub");
    make_folder("sub/deep");
    make_file("sub/deep/w.bin");
    accept("m.onnx", "sub/deep/w.bin", NULL, NULL, 0);
    accept("m.onnx", "./w.bin", NULL, NULL, 0);
    accept("m.onnx", "sub/./deep/./w.bin", NULL, NULL, 0);
    refuse("", "the location is empty");
    refuse(".", "the model's folder, expected a file");
    refuse("./", "a path with an empty component");
    refuse("/etc/passwd", "an absolute path; " BELOW);
    refuse("//etc/passwd", "an absolute path; " BELOW);
    refuse("..", "a path with \"..\"; " BELOW);
    refuse("../w.bin", "a path with \"..\"; " BELOW);
    refuse("sub/../w.bin", "a path with \"..\"; " BELOW);
    refuse("sub/../../w.bin", "a path with \"..\"; " BELOW);
    refuse("sub/deep/..", "a path with \"..\"; " BELOW);
    refuse("./../w.bin", "a path with \"..\"; " BELOW);
    refuse("sub//deep/w.bin", "a path with an empty component");
    refuse("w.bin/", "a path with an empty component");
    refuse("sub\\w.bin", "a path with a backslash; ONNX separates folders by '/'");
    refuse("C:\\w.bin", "a path with a backslash; ONNX separates folders by '/'");
    refuse("..\\w.bin", "a path with a backslash; ONNX separates folders by '/'");
    refuse("absent.bin", ABSENT);
    refuse("absent/w.bin", ABSENT);
    refuse("W.BIN", ABSENT);
    refuse("...", ABSENT);
    refuse(" w.bin", ABSENT);
    refuse("w.bin ", ABSENT);
    refuse("%2e%2e/w.bin", ABSENT);
    refuse("~/w.bin", ABSENT);
    refuse("$HOME/w.bin", ABSENT);
    refuse("file:w.bin", ABSENT);
    refuse("*/_ORT_MEM_ADDR_/*", ABSENT); /* onnxruntime's mark of data in memory */
    refuse("sub", "a folder, expected a file");
    refuse("sub/.", "a folder, expected a file");
    refuse("w.bin/w.bin", "a path through a symlink or a file; put the folder itself there");
    make_link("w.bin", "link.bin");
    refuse("link.bin", "a symlink; put the file itself there");
    make_link("/etc/passwd", "absolute.bin");
    refuse("absolute.bin", "a symlink; put the file itself there");
    make_link("/dev/zero", "device.bin");
    refuse("device.bin", "a symlink; put the file itself there");
    make_link("nowhere", "dangling.bin");
    refuse("dangling.bin", "a symlink; put the file itself there");
    make_link("sub", "linked");
    refuse("linked/deep/w.bin", "a path through a symlink or a file; put the folder itself there");
    make_link("deep", "sub/linked");
    refuse("sub/linked/w.bin", "a path through a symlink or a file; put the folder itself there");
    char *a = in("w.bin"), *b = in("sub/hard.bin");
    assert_int_equal(link(a, b), 0);
    refuse("sub/hard.bin", "has several hard links, perhaps one outside the model's folder; copy it");
    refuse("w.bin", "has several hard links, perhaps one outside the model's folder; copy it");
    assert_int_equal(unlink(b), 0);
    assert_int_equal(mkfifo(b, 0600), 0);
    refuse("sub/hard.bin", "not a regular file");
    free(a);
    free(b);
    char longest[256];
    memset(longest, 'a', sizeof longest);
    longest[255] = 0;
    refuse(longest, ABSENT);
}

/* ---- Hugging Face's cache ---- */

/* The model is a link into blobs, as every file of a snapshot; the path that the user gave decides. */
static void test_cache(void **state)
{
    (void)state;
    make_folder("models--a--b");
    make_folder("models--a--b/blobs");
    make_folder("models--a--b/snapshots");
    make_folder("models--a--b/snapshots/c0ffee");
    make_folder("models--a--b/snapshots/c0ffee/onnx");
    make_folder("models--a--b/snapshots/c0ffee/onnx/w");
    make_file("models--a--b/blobs/" BLOB);
    make_file("models--a--b/blobs/model");
    make_link("../../../blobs/model", "models--a--b/snapshots/c0ffee/onnx/m.onnx");
    make_link("../../blobs/model", "models--a--b/snapshots/c0ffee/m.onnx");
    const char *deep = "models--a--b/snapshots/c0ffee/onnx/m.onnx", *flat = "models--a--b/snapshots/c0ffee/m.onnx";
    make_link("../../../blobs/" BLOB, "models--a--b/snapshots/c0ffee/onnx/m.onnx_data");
    accept(deep, "m.onnx_data", "16", "16", 16);
    make_link("../../blobs/" BLOB, "models--a--b/snapshots/c0ffee/m.onnx_data");
    accept(flat, "m.onnx_data", "16", "16", 16);
    accept(flat, "onnx/m.onnx_data", "16", "16", 16);
    make_link("../../../../blobs/" BLOB, "models--a--b/snapshots/c0ffee/onnx/w/0");
    accept(flat, "onnx/w/0", "16", "16", 16);
    accept(deep, "w/0", "16", "16", 16);
    static const char *const bad[][2] = {
        {"../../blobs/" BLOB, "too_few"},
        {"../../../../blobs/" BLOB, "too_many"},
        {"../../../blobs/../blobs/" BLOB, "dots"},
        {"../../../blobs/0123", "too_short"},
        {"../../../blobs/model", "no_digest"},
        {"../../../blobs/" BLOB "/", "slash"},
        {"../../../../../blobs/" BLOB, "out"},
        {"/models--a--b/blobs/" BLOB, "absolute"},
        {"m.onnx_data", "beside"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char name[128], message[256];
        snprintf(name, sizeof name, "models--a--b/snapshots/c0ffee/onnx/%s", bad[i][1]);
        make_link(bad[i][0], name);
        snprintf(message, sizeof message, "external data \"%s\": a symlink; put the file itself there", bad[i][1]);
        refuse_all(deep, bad[i][1], "0", "16", NULL, NULL, message);
    }
    make_link("../../../blobs/0000000000000000000000000000000000000000", "models--a--b/snapshots/c0ffee/onnx/lost");
    refuse_all(deep, "lost", "0", "16", NULL, NULL,
               "external data \"lost\": the model needs this file, and it is not there");
    /* a blob that is a link itself, and the same links outside a cache */
    make_link("model", "models--a--b/blobs/abcdefabcdefabcdefabcdefabcdefabcdefabcd");
    make_link("../../../blobs/abcdefabcdefabcdefabcdefabcdefabcdefabcd", "models--a--b/snapshots/c0ffee/onnx/twice");
    refuse_all(deep, "twice", "0", "16", NULL, NULL, "external data \"twice\": a symlink; put the file itself there");
    make_folder("blobs");
    make_file("blobs/" BLOB);
    make_folder("elsewhere");
    make_folder("elsewhere/c0ffee");
    make_link("../../blobs/" BLOB, "elsewhere/c0ffee/m.onnx_data");
    refuse_all("elsewhere/c0ffee/m.onnx", "m.onnx_data", "0", "16", NULL, NULL,
               "external data \"m.onnx_data\": a symlink; put the file itself there");
}

/* The current folder, and a path the user gave that is a link: files lie beside the name that was given. */
static void test_given_path(void **state)
{
    (void)state;
    fvlm_err err = {0};
    fvlm_graph *g;
    char *old = getcwd(NULL, 0);
    accept("m.onnx", "w.bin", NULL, NULL, 0);
    assert_int_equal(chdir(folder), 0);
    must(fvlm_graph_open(&g, "m.onnx", &err), &err);
    assert_string_equal(fvlm_graph_file_at(g, 1).path, "w.bin");
    fvlm_graph_close(&g);
    assert_int_equal(chdir(old), 0);
    free(old);
    make_folder("given");
    make_link("../m.onnx", "given/m.onnx");
    char *path = in("given/m.onnx");
    assert_int_equal(fvlm_graph_open(&g, path, &err), FVLM_BAD_INPUT);
    assert_non_null(strstr(err.msg, "external data \"w.bin\": " ABSENT));
    make_file("given/w.bin");
    must(fvlm_graph_open(&g, path, &err), &err);
    fvlm_graph_close(&g);
    free(path);
}

/* Tensors share a file, and may share bytes (tied weights); the file is opened once. */
static void test_shared(void **state)
{
    (void)state;
    fvlm_err err = {0};
    fvlm_graph *g;
    onnx_model m = onnx_model_new();
    onnx_outside(&m, "a", FVLM_ONNX_F32, "8", "w.bin", "0", NULL);
    onnx_outside(&m, "b", FVLM_ONNX_U8, "32", "w.bin", "16", NULL);
    onnx_outside(&m, "c", FVLM_ONNX_F32, "0", "w.bin", "64", "0");
    onnx_node(&m, "Sum", "a,b,c", "y", "");
    onnx_output(&m, "y", FVLM_ONNX_F32, NULL);
    char *path = in("m.onnx");
    onnx_save(&m, path);
    must(fvlm_graph_open(&g, path, &err), &err);
    assert_int_equal(fvlm_graph_n_files(g), 2);
    assert_ptr_equal(fvlm_graph_value_at(g, 1)->tensor->bytes, fvlm_graph_value_at(g, 0)->tensor->bytes + 16);
    /* written to meanwhile */
    must(fvlm_graph_check_unchanged(g, FVLM_OK, &err), &err);
    char *outside = in("w.bin"), whole[512];
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(utimensat(AT_FDCWD, outside, times, 0), 0);
    assert_int_equal(fvlm_graph_check_unchanged(g, FVLM_OK, &err), FVLM_CHANGED);
    snprintf(whole, sizeof whole,
             "\"%s\" was written to while it was in use; run the command again when nothing writes to it", outside);
    assert_string_equal(err.msg, whole);
    fvlm_graph_close(&g);
    free(outside);
    free(path);
}

/* A file that another process exchanges for a symlink, and back, all the time: what it points to is never read. */
static void test_race(void **state)
{
    (void)state;
    char *flips = in("flips.bin"), *fresh = in("fresh"), *secret = in("secret"), *path = in("race.onnx");
    assert_true(test_write_file(secret, "secret secret secret secret secret secret secret secret secret...", 64));
    make_file("flips.bin");
    onnx_model m = onnx_model_new();
    onnx_outside(&m, "w", FVLM_ONNX_U8, "64", "flips.bin", NULL, NULL);
    onnx_node(&m, "Identity", "w", "y", "");
    onnx_output(&m, "y", FVLM_ONNX_U8, "64");
    onnx_save(&m, path);
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
        for (;;) {
            if (symlink("secret", fresh) || rename(fresh, flips)) _exit(1);
            if (!test_write_file(fresh, data, sizeof data) || rename(fresh, flips)) _exit(1);
        }
    unsigned n = 0, refused = 0;
    for (; n < 3000 || (refused == 0 && n < 100000); n++) {
        fvlm_err err = {0};
        fvlm_graph *g;
        const fvlm_status st = fvlm_graph_open(&g, path, &err);
        refused += st != FVLM_OK;
        if (!st) assert_memory_equal(fvlm_graph_value_at(g, 0)->tensor->bytes, data, 64);
        if (st == FVLM_BAD_INPUT) assert_non_null(strstr(err.msg, "external data \"flips.bin\": a symlink"));
        fvlm_graph_close(&g);
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    waitpid(child, NULL, 0);
    printf("# %u of %u refused while the file was exchanged\n", refused, n);
    assert_true(refused > 0 && refused < n);
    free(flips);
    free(fresh);
    free(secret);
    free(path);
}

static void test_counts(void **state)
{
    (void)state;
    fvlm_err err = {0};
    fvlm_graph *g;
    onnx_model m = onnx_model_new();
    make_folder("many");
    for (int i = 0; i < 1024; i++) {
        char name[32], location[32], path[64];
        snprintf(name, sizeof name, "t%d", i);
        snprintf(location, sizeof location, "many/%d", i);
        snprintf(path, sizeof path, "many/%d", i);
        if (i < 100) make_file(path);
        onnx_outside(&m, name, FVLM_ONNX_F32, "16", i < 100 ? location : "many/0", NULL, NULL);
    }
    onnx_node(&m, "Sum", "t0,t99", "y", "");
    onnx_output(&m, "y", FVLM_ONNX_F32, "16");
    char *path = in("m.onnx");
    onnx_save(&m, path);
    must(fvlm_graph_open(&g, path, &err), &err); /* exporters write a file for each tensor, too */
    assert_int_equal(fvlm_graph_n_files(g), 101);
    for (uint32_t i = 0; i < 1024; i++) assert_memory_equal(fvlm_graph_value_at(g, i)->tensor->bytes, data, 64);
    fvlm_graph_close(&g);
    free(path);
    printf("# %u refusals\n", n_refused);
}

int main(void)
{
    test_folder(folder);
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i + 1);
    make_file("w.bin");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),     cmocka_unit_test(test_pointer), cmocka_unit_test(test_keys),
        cmocka_unit_test(test_both),       cmocka_unit_test(test_paths),   cmocka_unit_test(test_cache),
        cmocka_unit_test(test_given_path), cmocka_unit_test(test_shared),  cmocka_unit_test(test_race),
        cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests_name("external", tests, NULL, NULL);
}
