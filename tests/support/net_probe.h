/* SPDX-License-Identifier: Apache-2.0 */
/* net_probe.h - computes a part of an evaluated graph for given contents, so that tests can compare it with what the
 * operators' definitions say. */
#ifndef FVLM_TESTS_SUPPORT_NET_PROBE_H
#define FVLM_TESTS_SUPPORT_NET_PROBE_H

#include "convert/graph/net.h"

/* The contents of a value. */
typedef struct {
    const fvlm_net_value *value;
    const double *numbers; /* n_elems of it */
} test_net_given;

/* Computes v from the given contents of values that it depends on, in double and without rounding to types. Every
 * operator between them must be one that the net computes for constants: all but Conv, BatchNormalization, pools, the
 * attentions and RotaryEmbedding; constants must be small or uniform. Refuses other operators, and values that depend
 * on contents that are not given, with the node's name. *out: n_elems numbers, freed with free(); NULL on failure. */
fvlm_status test_net_probe(double **out, const fvlm_net *net, const fvlm_net_value *v, const test_net_given *given,
                           size_t n_given, fvlm_err *err);

#endif
