/* SPDX-License-Identifier: Apache-2.0 */
/* support.c - folders, files and chance for tests. */
#include "tests/support/support.h"

#include <dirent.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FOLDERS 64

static char folders[MAX_FOLDERS][256];
static size_t n_folders;
static pid_t owner; /* a forked child that exits must not remove what its parent still uses */

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *where)
{
    (void)s, (void)kind, (void)where;
    return remove(path);
}

static void remove_folders(void)
{
    if (getpid() != owner) return;
    for (size_t i = 0; i < n_folders; i++) {
        chmod(folders[i], 0700);
        nftw(folders[i], remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
}

const char *test_folder(char path[256])
{
    const char *base = getenv("TMPDIR");
    snprintf(path, 256, "%s/fvlm-test-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(path) || n_folders == MAX_FOLDERS) {
        perror("test_folder");
        exit(1);
    }
    if (n_folders == 0) {
        owner = getpid();
        atexit(remove_folders);
    }
    snprintf(folders[n_folders++], sizeof folders[0], "%s", path);
    return path;
}

char *test_path(const char *folder, const char *name)
{
    return fvlm_asprintf("%s/%s", folder, name);
}

uint8_t *test_read_file(const char *path, size_t *n_bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(n > 0 ? (size_t)n : 1);
    *n_bytes = bytes && n > 0 ? fread(bytes, 1, (size_t)n, f) : 0;
    fclose(f);
    return bytes;
}

bool test_write_file(const char *path, const void *bytes, size_t n_bytes)
{
    FILE *f = fopen(path, "wb");
    if (!f) return false;
    bool ok = fwrite(bytes, 1, n_bytes, f) == n_bytes;
    return fclose(f) == 0 && ok;
}

size_t test_count_entries(const char *folder)
{
    DIR *d = opendir(folder);
    size_t n = 0;
    if (!d) return 0;
    for (struct dirent *e; (e = readdir(d));) n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(d);
    return n;
}

void test_hide_folder(char *message, const char *folder)
{
    const size_t n = strlen(folder);
    for (char *at = message; (at = strstr(at, folder)); at++) {
        *at = 'F';
        memmove(at + 1, at + n, strlen(at + n) + 1);
    }
}

uint64_t test_u64(test_rng *r)
{
    uint64_t x = r->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    r->state = x;
    return x * 0x2545f4914f6cdd1dull;
}

uint64_t test_below(test_rng *r, uint64_t n)
{
    return test_u64(r) % n;
}

double test_unit(test_rng *r)
{
    return (double)(test_u64(r) >> 11) * 0x1p-53;
}

float test_normal(test_rng *r)
{
    double u = test_unit(r), v = test_unit(r);
    return (float)(sqrt(-2 * log(1 - u)) * cos(6.283185307179586 * v));
}

void test_fill(test_rng *r, void *out, size_t n_bytes)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n_bytes; i++) p[i] = (uint8_t)(test_u64(r) >> 56);
}

fvlm_matrix test_matrix(const fvlm_tensor *t)
{
    fvlm_matrix m;
    fvlm_err err;
    if (fvlm_matrix_layout(&m, t->type, t->dims[0], fvlm_tensor_n_elems(t) / t->dims[0], &err)) {
        fprintf(stderr, "%s: %s\n", t->name, err.msg);
        abort();
    }
    return m;
}
