# SPDX-License-Identifier: Apache-2.0
"""The decoder as onnx-community's FastVLM-0.5B-ONNX has it: one graph for prompt and continuation with onnxruntime's own
operators: (Skip)SimplifiedLayerNormalization, RotaryEmbedding outside of GroupQueryAttention, weights as [in, out]."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CONTRIB = "com.microsoft"


class Graph:
    """A graph under construction; node outputs are named as the community's exporter does, NAME/output_0."""

    def __init__(self, float_type):
        self.float_type = float_type
        self.nodes, self.initializers, self.inputs, self.outputs = [], [], [], []

    def constant(self, name, array):
        if array.dtype == np.float32:
            array = array.astype(helper.tensor_dtype_to_np_dtype(self.float_type))
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op, name, inputs, domain="", outputs=None, **attributes):
        outputs = outputs or [f"{name}/output_0"]
        self.nodes.append(helper.make_node(op, inputs, outputs, name, domain=domain, **attributes))
        return outputs[0]

    def value(self, name, shape, kind=None):
        return helper.make_tensor_value_info(name, kind or self.float_type, shape)


class Decoder(Graph):
    def __init__(self, llm, float_type=TensorProto.FLOAT, max_positions=1024, rope_inside=False, skip_norms=True):
        super().__init__(float_type)
        self.llm, self.config = llm, llm.config
        self.rope_inside, self.skip_norms, self.max_positions = rope_inside, skip_norms, max_positions
        self.head_dim = self.config.hidden_size // self.config.num_attention_heads

    def caches_of_angles(self):
        theta = self.config.rope_parameters["rope_theta"]
        at = np.arange(self.head_dim // 2, dtype=np.float32) * 2 / self.head_dim
        angles = np.outer(np.arange(self.max_positions, dtype=np.float32), (1 / theta**at).astype(np.float32))
        self.constant("cos_cache", np.cos(angles))
        self.constant("sin_cache", np.sin(angles))

    def linear(self, name, module, x):
        y = self.node("MatMul", f"/{name.replace('.', '/')}/MatMul",
                      [x, self.constant(f"{name}.MatMul.weight", module.weight.detach().numpy().T)])  # fmt: skip
        if module.bias is None:
            return y
        bias = self.constant(f"{name}.Add.bias", module.bias.detach().numpy())
        return self.node("Add", f"/{name.replace('.', '/')}/Add", [y, bias])

    def norm(self, name, module, x, added):
        """RMSNorm of x + added -> (normed, the sum)."""
        path = f"/{name.replace('.', '/')}"
        weight = self.constant(f"{name}.weight", module.weight.detach().numpy())
        about = dict(axis=-1, epsilon=self.config.rms_norm_eps, stash_type=1)
        if added is None:
            return self.node("SimplifiedLayerNormalization", path + "/LayerNorm", [x, weight], **about), x
        if self.skip_norms:
            outputs = [path + "/output_0", "", "", path + "/output_3"]
            self.node("SkipSimplifiedLayerNormalization", path + "/SkipLayerNorm", [x, added, weight], CONTRIB, outputs,
                      epsilon=about["epsilon"])  # fmt: skip
            return outputs[0], outputs[3]
        total = self.node("Add", path + "/Add", [x, added])
        return self.node("SimplifiedLayerNormalization", path + "/LayerNorm", [total, weight], **about), total

    def rotate(self, name, x, heads):
        if self.rope_inside:
            return x
        return self.node("RotaryEmbedding", name, [x, "position_ids", "cos_cache", "sin_cache"], CONTRIB,
                         interleaved=0, num_heads=heads, rotary_embedding_dim=self.head_dim)  # fmt: skip

    def attention(self, n, layer, x):
        c, name = self.config, f"model.layers.{n}.attn"
        path = f"/model/layers.{n}/attn"
        q = self.rotate(path + "/q_rotary/RotaryEmbedding", self.linear(name + ".q_proj", layer.q_proj, x), c.num_attention_heads)
        k = self.rotate(path + "/k_rotary/RotaryEmbedding", self.linear(name + ".k_proj", layer.k_proj, x), c.num_key_value_heads)
        v = self.linear(name + ".v_proj", layer.v_proj, x)
        inputs = [q, k, v, f"past_key_values.{n}.key", f"past_key_values.{n}.value", self.last, self.total]
        inputs += ["cos_cache", "sin_cache"] if self.rope_inside else ["", ""]
        outputs = [path + "/GroupQueryAttention/output_0", f"present.{n}.key", f"present.{n}.value"]
        y = self.node("GroupQueryAttention", path + "/GroupQueryAttention", inputs, CONTRIB, outputs,
                      num_heads=c.num_attention_heads, kv_num_heads=c.num_key_value_heads, scale=self.head_dim**-0.5,
                      do_rotary=int(self.rope_inside), rotary_interleaved=0, local_window_size=-1)  # fmt: skip
        return self.linear(name + ".o_proj", layer.o_proj, y)

    def feed_forward(self, n, layer, x):
        name, path = f"model.layers.{n}.mlp", f"/model/layers.{n}/mlp"
        gate, up = (self.linear(f"{name}.{p}", getattr(layer, p), x) for p in ("gate_proj", "up_proj"))
        gate = self.node("Mul", path + "/act_fn/Mul", [gate, self.node("Sigmoid", path + "/act_fn/Sigmoid", [gate])])
        return self.linear(name + ".down_proj", layer.down_proj, self.node("Mul", path + "/Mul", [gate, up]))

    def lengths(self):
        """The mask -> its row sums less one, and its width, as int32."""
        path = "/model/attn_mask_reformat/attn_mask_subgraph"
        one = self.constant("/model/constants/INT64/[1]", np.array([1], np.int64))
        count = self.node("ReduceSum", path + "/ReduceSum", ["attention_mask", one], keepdims=0)
        count = self.node("Sub", path + "/Sub", [count, one])
        self.last = self.node("Cast", path + "/Sub/Cast", [count], to=TensorProto.INT32)
        shape = self.node("Shape", path + "/Shape", ["attention_mask"])
        at = self.constant("/model/constants/INT64/1", np.array(1, np.int64))
        width = self.node("Gather", path + "/Gather", [shape, at], axis=0)
        self.total = self.node("Cast", path + "/Gather/Cast", [width], to=TensorProto.INT32)

    def build(self, opset=17):
        c = self.config
        rows = ["batch_size", "sequence_length"]
        self.inputs = [
            self.value("inputs_embeds", [*rows, c.hidden_size]),
            self.value("attention_mask", ["batch_size", "total_sequence_length"], TensorProto.INT64),
            self.value("position_ids", rows, TensorProto.INT64),
        ]
        self.outputs = [self.value("logits", [*rows, self.llm.lm_head.weight.shape[0]])]
        for n in range(c.num_hidden_layers):
            for what in ("key", "value"):
                shape = ["batch_size", c.num_key_value_heads, "past_sequence_length", self.head_dim]
                self.inputs.append(self.value(f"past_key_values.{n}.{what}", shape))
                shape = [*shape[:2], "total_sequence_length", self.head_dim]
                self.outputs.append(self.value(f"present.{n}.{what}", shape))
        self.caches_of_angles()
        self.lengths()
        x, added = "inputs_embeds", None
        for n, layer in enumerate(self.llm.model.layers):
            normed, x = self.norm(f"model.layers.{n}.input_layernorm", layer.input_layernorm, x, added)
            added = self.attention(n, layer.self_attn, normed)
            normed, x = self.norm(f"model.layers.{n}.post_attention_layernorm", layer.post_attention_layernorm, x, added)
            added = self.feed_forward(n, layer.mlp, normed)
        normed, _ = self.norm(f"model.layers.{c.num_hidden_layers}.final_norm_layernorm", self.llm.model.norm, x, added)
        y = self.linear("lm_head", self.llm.lm_head, normed)
        self.nodes[-1].output[0] = "logits"
        graph = helper.make_graph(self.nodes, "main_graph", self.inputs, self.outputs, self.initializers)
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(CONTRIB, 1)]
        assert y
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="onnxruntime-genai")


def write_decoder(llm, path, half=False, **options):
    model = Decoder(llm, TensorProto.FLOAT16 if half else TensorProto.FLOAT, **options).build()
    onnx.save(model, path)
    return path
