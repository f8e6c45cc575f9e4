/* SPDX-License-Identifier: Apache-2.0 */
/* skeleton_rules.c - what becomes of each field of onnx.proto, up to IR version 14.
 *
 * The schema that fvlm is built with may be older or newer than that; these tables decide. */
#include "convert/graph/skeleton_internal.h"

#define KEEP FVLM_RULE_KEEP
#define DATA FVLM_RULE_DATA
#define DROP FVLM_RULE_DROP
#define REFUSE FVLM_RULE_REFUSE
#define REFUSE_TEXT FVLM_RULE_REFUSE_TEXT

#define SUBGRAPH "holds a graph; operators with graphs inside (If, Loop, Scan) are not supported"
#define SPARSE "is a sparse tensor; save it as a dense one"

static const fvlm_skeleton_rule model_rules[] = {
    {1, KEEP, 0},
    {2, KEEP, 0},
    {3, KEEP, 0},
    {4, DROP, 0},
    {5, DROP, 0},
    {6, DROP, 0},
    {7, KEEP, 0},
    {8, KEEP, 0},
    {14, DROP, 0}, /* metadata_props */
    {26, DROP, 0}, /* configuration: on which devices to run */
    {20, REFUSE, "the model has training_info; export it for inference"},
    {25, REFUSE,
     "the model has local functions, which are not supported; export it without them, or inline them "
     "(onnx.inliner.inline_local_functions)"},
};

static const fvlm_skeleton_rule opset_rules[] = {{1, KEEP, 0}, {2, KEEP, 0}};

static const fvlm_skeleton_rule graph_rules[] = {
    {1, KEEP, 0},  {2, DROP, 0},
    {5, KEEP, 0},  {10, DROP, 0},
    {11, KEEP, 0}, {12, KEEP, 0},
    {13, KEEP, 0}, {14, DROP, 0}, /* quantization_annotation: repeats what nodes say */
    {16, DROP, 0}, {15, REFUSE, "the graph has a sparse initializer; save it as a dense one"},
};

static const fvlm_skeleton_rule node_rules[] = {
    {1, KEEP, 0},
    {2, KEEP, 0},
    {3, KEEP, 0},
    {4, KEEP, 0},
    {5, KEEP, 0},
    {6, DROP, 0},
    {7, KEEP, 0},
    {9, DROP, 0},
    {10, DROP, 0}, /* device_configurations */
    {8, REFUSE_TEXT, "calls an overload of a local function, which is not supported"},
};

static const fvlm_skeleton_rule attribute_rules[] = {
    {1, KEEP, 0},
    {2, KEEP, 0},
    {3, KEEP, 0},
    {4, KEEP, 0},
    {5, KEEP, 0},
    {7, KEEP, 0},
    {8, KEEP, 0},
    {9, KEEP, 0},
    {13, DROP, 0},
    {20, KEEP, 0},
    {6, REFUSE, SUBGRAPH},
    {11, REFUSE, SUBGRAPH},
    {10, REFUSE, "holds a list of tensors, which is not supported"},
    {14, REFUSE, "holds a type, which is not supported"},
    {15, REFUSE, "holds a list of types, which is not supported"},
    {21, REFUSE_TEXT, "refers to an attribute of a local function, which is not supported"},
    {22, REFUSE, SPARSE},
    {23, REFUSE, "holds a list of sparse tensors, which is not supported"},
};

static const fvlm_skeleton_rule value_rules[] = {{1, KEEP, 0}, {2, KEEP, 0}, {3, DROP, 0}, {4, DROP, 0}};

static const fvlm_skeleton_rule tensor_rules[] = {
    {1, KEEP, 0},  {2, KEEP, 0},  {4, DATA, 0},
    {5, DATA, 0},  {6, DATA, 0},  {7, DATA, 0},
    {8, KEEP, 0},  {9, DATA, 0},  {10, DATA, 0},
    {11, DATA, 0}, {12, DROP, 0}, {13, KEEP, 0},
    {14, KEEP, 0}, {16, DROP, 0}, {3, REFUSE, "is a segment of a larger tensor, which is not supported"},
};

static const fvlm_skeleton_rule entry_rules[] = {{1, KEEP, 0}, {2, KEEP, 0}};

static const fvlm_skeleton_rule type_rules[] = {
    {1, KEEP, 0},
    {6, DROP, 0},
    {4, REFUSE, "is a sequence; only tensors are supported"},
    {5, REFUSE, "is a map; only tensors are supported"},
    {7, REFUSE, "is of an opaque type; only tensors are supported"},
    {8, REFUSE, "is a sparse tensor; only dense ones are supported"},
    {9, REFUSE, "is optional; only tensors are supported"},
};

static const fvlm_skeleton_rule tensor_type_rules[] = {{1, KEEP, 0}, {2, KEEP, 0}};
static const fvlm_skeleton_rule shape_rules[] = {{1, KEEP, 0}};
static const fvlm_skeleton_rule dimension_rules[] = {{1, KEEP, 0}, {2, KEEP, 0}, {3, DROP, 0}};

#define MESSAGE(type, rules, shown)                                                                                    \
    {                                                                                                                  \
        &fvlm_onnx__##type##__descriptor, rules, sizeof rules / sizeof rules[0], shown                                 \
    }

static const fvlm_skeleton_rules messages[] = {
    MESSAGE(model_proto, model_rules, FVLM_SHOWN_OTHER),
    MESSAGE(operator_set_id_proto, opset_rules, FVLM_SHOWN_OTHER),
    MESSAGE(graph_proto, graph_rules, FVLM_SHOWN_OTHER),
    MESSAGE(node_proto, node_rules, FVLM_SHOWN_NODE),
    MESSAGE(attribute_proto, attribute_rules, FVLM_SHOWN_ATTRIBUTE),
    MESSAGE(value_info_proto, value_rules, FVLM_SHOWN_VALUE),
    MESSAGE(tensor_proto, tensor_rules, FVLM_SHOWN_TENSOR),
    MESSAGE(string_string_entry_proto, entry_rules, FVLM_SHOWN_OTHER),
    MESSAGE(type_proto, type_rules, FVLM_SHOWN_OTHER),
    MESSAGE(type_proto__tensor, tensor_type_rules, FVLM_SHOWN_OTHER),
    MESSAGE(tensor_shape_proto, shape_rules, FVLM_SHOWN_OTHER),
    MESSAGE(tensor_shape_proto__dimension, dimension_rules, FVLM_SHOWN_OTHER),
};

const fvlm_skeleton_rules *fvlm_skeleton_rules_of(const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++)
        if (messages[i].type == type) return &messages[i];
    return NULL;
}
