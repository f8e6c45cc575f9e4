/* SPDX-License-Identifier: Apache-2.0 */
/* base.h - what every file of fvlm uses: status and error text, checked
 * arithmetic for numbers that come from a file, aligned memory, a bounded
 * little-endian cursor; bits.h has the conversions. Only libc. */
#ifndef FVLM_FORMAT_BASE_BASE_H
#define FVLM_FORMAT_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/bits.h"

#define FVLM_VERSION "0.1.0"

typedef enum {
    FVLM_OK = 0,
    FVLM_BAD_INPUT,   /* the bytes break the format's rules; offset says where   */
    FVLM_UNSUPPORTED, /* well formed, but uses something we do not implement     */
    FVLM_LIMIT,       /* well formed, but over a stated limit                    */
    FVLM_MISMATCH,    /* a checksum or a comparison failed                       */
    FVLM_EXISTS,      /* the output exists, and was not to be replaced           */
    FVLM_USAGE,       /* the command line makes no sense                         */
    FVLM_IO,          /* the system refused; the message carries errno's text    */
    FVLM_CHANGED,     /* an input file was written to while we read it           */
    FVLM_NOMEM,       /* an allocation failed                                    */
    FVLM_INTERRUPTED  /* a signal asked us to stop                               */
} fvlm_status;

/* Filled by the function that fails; owned by the caller. msg is one line: what, where, what to do. A longer text is
 * shortened in the middle of its longest quoted part, so that the cause is always there. */
typedef struct {
    fvlm_status code;
    uint64_t offset;
    char msg[2048]; /* long enough for a list of ten tensor names */
} fvlm_err;

#define FVLM_PRINTF(a, b) __attribute__((format(printf, a, b)))

/* Records code and text in *err (may be NULL) and returns code. */
fvlm_status fvlm_fail(fvlm_err *err, fvlm_status code, const char *fmt, ...) FVLM_PRINTF(3, 4);

/* The same for damaged bytes at a position in a file. */
fvlm_status fvlm_refuse(fvlm_err *err, uint64_t offset, const char *fmt, ...) FVLM_PRINTF(3, 4);

/* IO failure: appends ": strerror(errno)" to the text. */
fvlm_status fvlm_fail_errno(fvlm_err *err, const char *fmt, ...) FVLM_PRINTF(2, 3);

/* Puts "prefix: " in front of the message already in *err; returns err->code. */
fvlm_status fvlm_err_prefix(fvlm_err *err, const char *fmt, ...) FVLM_PRINTF(2, 3);

/* FVLM_NOMEM, "out of memory". */
fvlm_status fvlm_fail_nomem(fvlm_err *err);

/* Exit code of a status: 0 done, 1 refused or mismatched, 2 usage, 3 system. */
int fvlm_exit_code(fvlm_status st);

/* Checked arithmetic: false on wrap, *out untouched. The only arithmetic allowed on a number that comes from a file. */
bool fvlm_checked_add(uint64_t a, uint64_t b, uint64_t *out);
bool fvlm_checked_sub(uint64_t a, uint64_t b, uint64_t *out);
bool fvlm_checked_mul(uint64_t a, uint64_t b, uint64_t *out);
bool fvlm_checked_round_up(uint64_t a, uint64_t multiple, uint64_t *out); /* multiple >= 1 */
bool fvlm_checked_size(uint64_t a, size_t *out);

/* Memory for n elements of size bytes, zeroed, 64-byte aligned; NULL if the
 * product wraps or memory is out. Free with free(). n*size of 0 gives a valid block. */
void *fvlm_alloc(size_t n, size_t size);
char *fvlm_strdup(const char *s);
char *fvlm_asprintf(const char *fmt, ...) FVLM_PRINTF(1, 2); /* malloc'd text, NULL if out of memory */

/* A bounded reader: every take checks what is left by subtraction and fails
 * sticky (ok becomes false, values read as 0). */
typedef struct {
    const uint8_t *bytes;
    size_t n_bytes, pos;
    bool ok;
} fvlm_cursor;

fvlm_cursor fvlm_cursor_over(const void *bytes, size_t n_bytes);
const uint8_t *fvlm_cursor_take(fvlm_cursor *c, size_t n_bytes); /* NULL when short */
uint32_t fvlm_cursor_take_u32(fvlm_cursor *c);
uint64_t fvlm_cursor_take_u64(fvlm_cursor *c);

#endif
