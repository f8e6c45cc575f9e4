/* SPDX-License-Identifier: Apache-2.0 */
/* net_rows.h - small graphs in one line of text each, evaluated. */
#ifndef FVLM_TESTS_SUPPORT_NET_ROWS_H
#define FVLM_TESTS_SUPPORT_NET_ROWS_H

#include "convert/graph/net.h"

/* tensors, separated by spaces: "NAME:SHAPE" FLOAT inputs, "NAME^SHAPE" INT64 inputs, "NAME=SHAPE" random weights,
 * "NAME#SHAPE" and "NAME~SHAPE" zeros of INT8 and UINT8, "NAME!1,2" INT64 constants, "NAME?0.5" a FLOAT scalar,
 * "NAME%SHAPE/0110" FLOAT constants of one digit, at most 64.
 * nodes, separated by semicolons: "OP INPUTS OUTPUTS ATTRIBUTES", as onnx_node takes them. "y" is the graph's output.
 * opset: 0 is 17. The file is written to path. Both *net and *g are the caller's, also after a failure. */
fvlm_status test_net(fvlm_net **net, fvlm_graph **g, const char *path, const char *tensors, const char *nodes,
                     int64_t opset, fvlm_err *err);

#endif
