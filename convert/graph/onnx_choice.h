/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_choice.h - private to graph/: chooses the parts of a model among the files of a folder, by their names and the
 * variant that is wanted. */
#ifndef FVLM_CONVERT_GRAPH_ONNX_CHOICE_H
#define FVLM_CONVERT_GRAPH_ONNX_CHOICE_H

#include "convert/graph/onnx_files.h"

/* Fills out->files, wanted and unused: see onnx_files.h. where: the folder that l lists, for messages; place: what is
 * put in front of the names. */
fvlm_status fvlm_onnx_choose(fvlm_onnx_files *out, const fvlm_listing *l, const char *where, const char *place,
                             const char *variant, fvlm_err *err);

#endif
