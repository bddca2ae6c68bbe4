#!/usr/bin/env python3
"""Writes a LLaMA-like decoder of a GGUF file as ONNX: gguf_to_onnx.py FILE.gguf OUT.onnx [TEXT]

The weights are dequantised to f32 and written to OUT.onnx.data. With TEXT, OUT.tokens.txt holds its tokens, which
`offby decode --tokens` reads. It needs the packages gguf, onnx, numpy, and tokenizers for TEXT.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from gguf import GGUFReader, dequantize
from onnx import TensorProto, helper, numpy_helper

# What is added to the scores of tokens that may not be seen.
HIDDEN_SCORE = -30_000.0


class Decoder:
    """A network under construction, and the file that it comes from."""

    def __init__(self, path):
        self.file = GGUFReader(path)
        self.tensors = {tensor.name: tensor for tensor in self.file.tensors}
        if (family := self.field("general.architecture")) != "llama":
            sys.exit(f"{path} has a network of the family {family}; this script only knows llama")
        self.layers = self.field("llama.block_count")
        self.heads = self.field("llama.attention.head_count")
        self.kv_heads = self.field("llama.attention.head_count_kv")
        self.width = self.field("llama.embedding_length")
        self.head = self.width // self.heads
        self.nodes, self.weights, self.inputs, self.outputs = [], [], [], []
        self.module = ""

    def field(self, name):
        return self.file.fields[name].contents()

    def tensor(self, name):
        """The weight as f32, in the order [out, in]."""
        tensor = self.tensors[name]
        return dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1]).astype(np.float32)

    def constant(self, value, dtype=np.float32, name=None):
        name = name or f"constant_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(value, dtype, order="C"), name))
        return name

    def node(self, op, *inputs, outputs=1, name=None, **attributes):
        place = f"{self.module}/{op}_{len(self.nodes)}"
        names = [name] if name else [f"{place}_output_{at}" for at in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=place, **attributes))
        return names[0] if outputs == 1 else names

    def linear(self, value, name, turn=lambda weight: weight):
        return self.node("MatMul", value, self.constant(turn(self.tensor(name)).T, name=name))

    def norm(self, value, name):
        square = self.node("Mul", value, value)
        mean = self.node("ReduceMean", square, axes=[-1])
        epsilon = self.constant(self.field("llama.attention.layer_norm_rms_epsilon"))
        root = self.node("Sqrt", self.node("Add", mean, epsilon))
        return self.node("Mul", self.node("Div", value, root), self.constant(self.tensor(name), name=name))

    def in_halves(self, weight):
        """GGUF keeps the two elements of a rotary pair side by side; here they are half a head apart."""
        rows = weight.reshape(-1, self.head // 2, 2, weight.shape[1])
        return rows.swapaxes(1, 2).reshape(weight.shape)

    def in_heads(self, value, heads):
        split = self.node("Reshape", value, self.constant([0, 0, heads, self.head], np.int64))
        return self.node("Transpose", split, perm=[0, 2, 1, 3])

    def rotary(self):
        pairs = np.arange(self.head // 2) / (self.head // 2)
        frequencies = self.constant((self.field("llama.rope.freq_base") ** -pairs).reshape(1, 1, 1, -1))
        places = self.node("Cast", "position_ids", to=TensorProto.FLOAT)
        places = self.node("Unsqueeze", places, self.constant([1, 3], np.int64))
        angles = self.node("Mul", places, frequencies)
        return self.node("Cos", angles), self.node("Sin", angles)

    def turned(self, value, cosine, sine):
        sizes = self.constant([self.head // 2] * 2, np.int64)
        near, far = self.node("Split", value, sizes, outputs=2, axis=-1)
        first = self.node("Sub", self.node("Mul", near, cosine), self.node("Mul", far, sine))
        second = self.node("Add", self.node("Mul", far, cosine), self.node("Mul", near, sine))
        return self.node("Concat", first, second, axis=-1)

    def with_past(self, layer, part, value):
        shape = [1, self.kv_heads, "past", self.head]
        past, present = f"past_key_values.{layer}.{part}", f"present.{layer}.{part}"
        self.inputs.append(helper.make_tensor_value_info(past, TensorProto.FLOAT, shape))
        self.outputs.append(helper.make_tensor_value_info(present, TensorProto.FLOAT, [*shape[:2], "total", shape[3]]))
        return self.node("Concat", past, value, name=present, axis=2)

    def mask(self, key):
        self.module = "/mask"
        total = self.node("Gather", self.node("Shape", key), self.constant(2, np.int64))
        places = self.node("Range", self.constant(0, np.int64), total, self.constant(1, np.int64))
        own = self.node("Unsqueeze", "position_ids", self.constant([1, 3], np.int64))
        ahead = self.node("Greater", places, own)
        return self.node("Where", ahead, self.constant(HIDDEN_SCORE), self.constant(0.0))

    def attention(self, layer, value, angles, mask):
        prefix = f"blk.{layer}.attn"
        query = self.in_heads(self.linear(value, f"{prefix}_q.weight", self.in_halves), self.heads)
        key = self.in_heads(self.linear(value, f"{prefix}_k.weight", self.in_halves), self.kv_heads)
        content = self.in_heads(self.linear(value, f"{prefix}_v.weight"), self.kv_heads)
        key = self.with_past(layer, "key", self.turned(key, *angles))
        content = self.with_past(layer, "value", content)
        mask = mask or self.mask(key)
        self.module = f"/layers.{layer}/attention"
        group = self.constant(np.arange(self.heads) // (self.heads // self.kv_heads), np.int64)
        key, content = (self.node("Gather", shared, group, axis=1) for shared in (key, content))
        scores = self.node("MatMul", self.turned(query, *angles), self.node("Transpose", key, perm=[0, 1, 3, 2]))
        scores = self.node("Mul", scores, self.constant(self.head ** -0.5))
        weights = self.node("Softmax", self.node("Add", scores, mask), axis=-1)
        joined = self.node("Transpose", self.node("MatMul", weights, content), perm=[0, 2, 1, 3])
        joined = self.node("Reshape", joined, self.constant([0, 0, self.width], np.int64))
        return self.linear(joined, f"{prefix}_output.weight"), mask

    def mlp(self, layer, value):
        gate = self.linear(value, f"blk.{layer}.ffn_gate.weight")
        gate = self.node("Mul", gate, self.node("Sigmoid", gate))
        both = self.node("Mul", gate, self.linear(value, f"blk.{layer}.ffn_up.weight"))
        return self.linear(both, f"blk.{layer}.ffn_down.weight")

    def build(self):
        for name in ("input_ids", "position_ids"):
            self.inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, [1, "sequence"]))
        table = self.tensor("token_embd.weight")
        self.module = "/embed"
        hidden = self.node("Gather", self.constant(table, name="token_embd.weight"), "input_ids")
        self.module = "/rotary"
        angles, mask = self.rotary(), None
        for layer in range(self.layers):
            self.module = f"/layers.{layer}/attention"
            attended, mask = self.attention(layer, self.norm(hidden, f"blk.{layer}.attn_norm.weight"), angles, mask)
            hidden = self.node("Add", hidden, attended)
            self.module = f"/layers.{layer}/mlp"
            hidden = self.node("Add", hidden, self.mlp(layer, self.norm(hidden, f"blk.{layer}.ffn_norm.weight")))
        self.module = "/head"
        last = self.norm(hidden, "output_norm.weight")
        head = self.tensor("output.weight") if "output.weight" in self.tensors else table
        self.node("MatMul", last, self.constant(head.T, name="output.weight"), name="logits")
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "sequence", len(table)])
        graph = helper.make_graph(self.nodes, "decoder", self.inputs, [logits, *self.outputs], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)

    def tokens(self, text):
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers

        words = {word: number for number, word in enumerate(self.field("tokenizer.ggml.tokens"))}
        pairs = [tuple(pair.split(" ")) for pair in self.field("tokenizer.ggml.merges")]
        tokenizer = Tokenizer(models.BPE(words, pairs))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer.encode(text).ids


def main():
    source, out, *text = sys.argv[1:]
    decoder = Decoder(source)
    data = Path(out).name + ".data"
    Path(out).with_name(data).unlink(missing_ok=True)  # onnx appends to a file that is there
    onnx.save_model(decoder.build(), out, save_as_external_data=True, location=data, size_threshold=1024)
    for words in text:
        numbers = ",".join(map(str, decoder.tokens(words)))
        Path(out).with_suffix(".tokens.txt").write_text(numbers + "\n")


if __name__ == "__main__":
    main()
