/* SPDX-License-Identifier: Apache-2.0 */
/* source_table.h - fills the table of tensors; private to source/. */
#ifndef FVLM_CONVERT_SOURCE_SOURCE_TABLE_H
#define FVLM_CONVERT_SOURCE_SOURCE_TABLE_H

#include "convert/source/source.h"

/* Opens these weights files, reads their headers and sorts the tensors by name. Refuses an empty table, and a tensor
 * that is in two files. */
fvlm_status fvlm_source_add_weights(fvlm_source *src, const char *const *names, size_t n, fvlm_err *err);

#endif
