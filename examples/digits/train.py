"""Trains the digits classifier of this folder and writes it with its test images.

    python -m venv venv && venv/bin/pip install numpy scikit-learn onnx
    venv/bin/python examples/digits/train.py

scikit-learn gives the 1,797 images and splits them; the network, its gradients and its optimiser are
numpy, so that nothing is hidden. Seeds are fixed: the same versions write the same bytes.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).parent
SEED = 20
EPOCHS = 60
BATCH = 32
CHANNELS = 8
HIDDEN = 32


def parameters(random):
    """He's initial weights: a 3x3 convolution, two dense layers."""
    def he(*shape, fan):
        return (random.standard_normal(shape) * np.sqrt(2 / fan)).astype(np.float64)

    flat = CHANNELS * 16
    return {
        "conv.weight": he(CHANNELS, 1, 3, 3, fan=9),
        "conv.bias": np.zeros(CHANNELS),
        "hidden.weight": he(flat, HIDDEN, fan=flat),
        "hidden.bias": np.zeros(HIDDEN),
        "scores.weight": he(HIDDEN, 10, fan=HIDDEN),
        "scores.bias": np.zeros(10),
    }


def patches(images):
    """Every 3x3 neighbourhood of N x 8 x 8 images padded by one: N x 8 x 8 x 9."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    shifts = [padded[:, y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
    return np.stack(shifts, axis=-1)


def forward(p, images):
    """Scores, and what the backward pass needs."""
    seen = patches(images / 16)
    conv = seen @ p["conv.weight"].reshape(CHANNELS, 9).T + p["conv.bias"]
    active = np.maximum(conv, 0)
    blocks = active.reshape(-1, 4, 2, 4, 2, CHANNELS).transpose(0, 1, 3, 5, 2, 4).reshape(-1, 4, 4, CHANNELS, 4)
    pooled = blocks.max(axis=-1)
    flat = pooled.transpose(0, 3, 1, 2).reshape(len(images), -1)
    hidden = np.maximum(flat @ p["hidden.weight"] + p["hidden.bias"], 0)
    scores = hidden @ p["scores.weight"] + p["scores.bias"]
    return scores, (seen, conv, blocks, pooled, flat, hidden)


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def gradients(p, images, labels):
    """Of the mean cross entropy."""
    scores, (seen, conv, blocks, pooled, flat, hidden) = forward(p, images)
    count = len(images)
    d_scores = softmax(scores)
    d_scores[np.arange(count), labels] -= 1
    d_scores /= count
    d_hidden = (d_scores @ p["scores.weight"].T) * (hidden > 0)
    d_flat = d_hidden @ p["hidden.weight"].T
    d_pooled = d_flat.reshape(count, CHANNELS, 4, 4).transpose(0, 2, 3, 1)
    # Of equal values the first is the largest.
    largest = np.arange(4) == blocks.argmax(axis=-1)[..., None]
    d_blocks = largest * d_pooled[..., None]
    d_active = d_blocks.reshape(-1, 4, 4, CHANNELS, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(conv.shape)
    d_conv = d_active * (conv > 0)
    return {
        "conv.weight": np.einsum("nyxc,nyxk->ck", d_conv, seen).reshape(CHANNELS, 1, 3, 3),
        "conv.bias": d_conv.sum(axis=(0, 1, 2)),
        "hidden.weight": flat.T @ d_hidden,
        "hidden.bias": d_hidden.sum(axis=0),
        "scores.weight": hidden.T @ d_scores,
        "scores.bias": d_scores.sum(axis=0),
    }


def train(images, labels):
    """Adam with a falling rate."""
    random = np.random.default_rng(SEED)
    p = parameters(random)
    first = {name: np.zeros_like(value) for name, value in p.items()}
    second = {name: np.zeros_like(value) for name, value in p.items()}
    step = 0
    for epoch in range(EPOCHS):
        rate = 3e-3 * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = random.permutation(len(images))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            step += 1
            for name, gradient in gradients(p, images[batch], labels[batch]).items():
                first[name] += 0.1 * (gradient - first[name])
                second[name] += 0.001 * (gradient**2 - second[name])
                corrected = first[name] / (1 - 0.9**step)
                p[name] -= rate * corrected / (np.sqrt(second[name] / (1 - 0.999**step)) + 1e-8)
    return p


def network(p):
    """Image (1 x 1 x 8 x 8, 0 to 16) to probabilities (1 x 10)."""
    f32 = TensorProto.FLOAT
    nodes = [
        helper.make_node("Mul", ["image", "sixteenth"], ["scaled"], "scale"),
        helper.make_node("Conv", ["scaled", "conv.weight", "conv.bias"], ["conv"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["active"], "relu"),
        helper.make_node("MaxPool", ["active"], ["pooled"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "hidden.weight", "hidden.bias"], ["hidden"], "hidden"),
        helper.make_node("Relu", ["hidden"], ["hidden_active"], "hidden_relu"),
        helper.make_node("Gemm", ["hidden_active", "scores.weight", "scores.bias"], ["scores"], "scores"),
        helper.make_node("Softmax", ["scores"], ["probabilities"], "softmax", axis=1),
    ]
    constants = {"sixteenth": np.array(1 / 16)} | p
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", f32, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", f32, [1, 10])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="offby digits")
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def main():
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8)
    seen, unseen, seen_labels, unseen_labels = train_test_split(
        images, labels, test_size=360, random_state=SEED, stratify=labels
    )
    p = train(seen, seen_labels)
    right = (forward(p, unseen)[0].argmax(axis=1) == unseen_labels).mean()
    print(f"right on {100 * right:.2f} % of the {len(unseen)} test images")
    onnx.save(network(p), HERE / "digits.onnx")
    np.savez_compressed(
        HERE / "test.npz",
        image=unseen.astype(np.uint8)[:, None],
        labels=unseen_labels.astype(np.uint8),
    )


if __name__ == "__main__":
    main()
