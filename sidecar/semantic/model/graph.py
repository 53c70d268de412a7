"""Writes all-MiniLM-L6-v2 as an ONNX graph from its weights, without torch.

Inputs `input_ids`, `attention_mask`, `token_type_ids` (int64, [batch, seq]); output `last_hidden_state`
(float, [batch, seq, 384]). The word table is int8 with one scale a row, everything else float.

Names and order of nodes are part of the file's bytes, and the hash of those names the vector space: change neither.
"""

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper
from safetensors.numpy import load_file

LAYERS, HEADS, WIDTH = 6, 12, 384
HEAD_WIDTH = WIDTH // HEADS
EPSILON = 1e-12
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "last_hidden_state"


class Graph:
    """The nodes and constants so far; each method adds some and returns the name of what they give."""

    def __init__(self, weights):
        self.weights = weights
        self.nodes = []
        self.constants = []

    def constant(self, name, array):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def weight(self, name):
        return self.constant(name, self.weights[name])

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def norm(self, value, part, output):
        inputs = [value, self.weight(f"{part}.weight"), self.weight(f"{part}.bias")]
        return self.node("LayerNormalization", inputs, output, axis=-1, epsilon=EPSILON)

    def dense(self, value, part, output):
        weight = self.constant(f"{part}.weight_t", self.weights[f"{part}.weight"].T)
        bias = self.weight(f"{part}.bias")
        return self.node("Add", [bias, self.node("MatMul", [value, weight], f"{output}_mm")], output)


def shared_constants(graph):
    """Shapes, axes and numbers that several nodes take."""
    integers = {"v1": [1], "ax0": [0], "shp4": [0, 0, HEADS, HEAD_WIDTH], "shp3": [0, 0, WIDTH], "ax12": [1, 2]}
    floats = {
        "one": 1.0,
        "neg": np.finfo(np.float32).min,
        "isq": 1 / np.sqrt(HEAD_WIDTH),
        "sqrt2": np.sqrt(2.0),
        "half": 0.5,
    }
    for name, value in integers.items():
        graph.constant(name, np.array(value, dtype=np.int64))
    for name, value in floats.items():
        graph.constant(name, np.array(value, dtype=np.float32))


def embeddings(graph):
    """Word, type and position rows added up. Positions are a slice: a gather by `Range` breaks in the optimiser."""
    table = graph.weights["embeddings.word_embeddings.weight"]
    scales = np.maximum(np.abs(table).max(1, keepdims=True), 1e-12) / 127.0
    rows = np.round(table / scales).astype(np.int8)
    words = graph.node("Gather", [graph.constant("emb.word.q", rows), "input_ids"], "weq")
    words = graph.node("Cast", [words], "wef", to=TensorProto.FLOAT)
    scales = graph.node("Gather", [graph.constant("emb.word.s", scales.astype(np.float32)), "input_ids"], "wes")
    words = graph.node("Mul", [words, scales], "we")
    table = graph.constant("emb.type", graph.weights["embeddings.token_type_embeddings.weight"])
    types = graph.node("Gather", [table, "token_type_ids"], "te")
    shape = graph.node("Shape", ["input_ids"], "shp")
    length = graph.node("Gather", [shape, "v1"], "seq", axis=0)
    table = graph.constant("emb.pos", graph.weights["embeddings.position_embeddings.weight"])
    positions = graph.node("Slice", [table, "ax0", length, "ax0"], "pe")
    total = graph.node("Add", [graph.node("Add", [words, types], "wte"), positions], "esum")
    return graph.norm(total, "embeddings.LayerNorm", "eln")


def mask_bias(graph):
    """0 where a token is, the lowest float where padding is."""
    mask = graph.node("Cast", ["attention_mask"], "maskf", to=TensorProto.FLOAT)
    mask = graph.node("Unsqueeze", [mask, "ax12"], "mask4")
    return graph.node("Mul", [graph.node("Sub", ["one", mask], "inv"), "neg"], "mbias")


def attention(graph, value, bias, part, prefix):
    def heads(name, order):
        split = graph.dense(value, f"{part}attention.self.{name}", prefix + name)
        split = graph.node("Reshape", [split, "shp4"], f"{prefix}{name}_r")
        return graph.node("Transpose", [split], f"{prefix}{name}_t", perm=order)

    query, key, content = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
    scores = graph.node("MatMul", [query, key], f"{prefix}qk")
    scores = graph.node("Mul", [scores, "isq"], f"{prefix}qks")
    scores = graph.node("Add", [scores, bias], f"{prefix}qkm")
    scores = graph.node("Softmax", [scores], f"{prefix}att", axis=-1)
    context = graph.node("MatMul", [scores, content], f"{prefix}ctx")
    context = graph.node("Transpose", [context], f"{prefix}ctx_t", perm=[0, 2, 1, 3])
    context = graph.node("Reshape", [context, "shp3"], f"{prefix}ctx_r")
    result = graph.dense(context, f"{part}attention.output.dense", f"{prefix}ao")
    result = graph.node("Add", [result, value], f"{prefix}ares")
    return graph.norm(result, f"{part}attention.output.LayerNorm", f"{prefix}aln")


def feed_forward(graph, value, part, prefix, output):
    """Out to 1536, the exact GELU x·(1 + erf(x/√2))/2, and back."""
    wide = graph.dense(value, f"{part}intermediate.dense", f"{prefix}ff1")
    gate = graph.node("Div", [wide, "sqrt2"], f"{prefix}g1")
    gate = graph.node("Erf", [gate], f"{prefix}g2")
    gate = graph.node("Add", [gate, "one"], f"{prefix}g3")
    gate = graph.node("Mul", [wide, gate], f"{prefix}g4")
    gate = graph.node("Mul", [gate, "half"], f"{prefix}g5")
    back = graph.dense(gate, f"{part}output.dense", f"{prefix}ff2")
    back = graph.node("Add", [back, value], f"{prefix}fres")
    return graph.norm(back, f"{part}output.LayerNorm", output)


def model(weights_file):
    """The whole model as a checked protobuf."""
    graph = Graph(load_file(weights_file))
    shared_constants(graph)
    value = embeddings(graph)
    bias = mask_bias(graph)
    for layer in range(LAYERS):
        part, prefix = f"encoder.layer.{layer}.", f"l{layer}_"
        value = attention(graph, value, bias, part, prefix)
        value = feed_forward(graph, value, part, prefix, OUTPUT if layer == LAYERS - 1 else f"{prefix}fln")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "seq"]) for name in INPUTS]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", "seq", WIDTH])]
    made = helper.make_graph(graph.nodes, "minilm", inputs, outputs, graph.constants)
    made = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="st2onnx")
    checker.check_model(made)
    return made
