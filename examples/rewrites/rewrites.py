"""Plants rewrites in networks, and counts what `offby compare` says of them.

    python rewrites.py OFFBY COUNT SEED NETWORK.onnx...

COUNT wrong rewrites must each be named with their node, and COUNT honest ones must accuse no node. `just rewrites` runs this.
"""

import copy
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

Model = onnx.ModelProto


def constants(model: Model) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in model.graph.initializer}


def floats(model: Model, name: str) -> np.ndarray | None:
    tensor = constants(model).get(name)
    return numpy_helper.to_array(tensor) if tensor is not None and tensor.data_type == 1 else None


def store(model: Model, name: str, array: np.ndarray) -> None:
    constants(model)[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), name))


def readers(model: Model, value: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if value in node.input]


def is_output(model: Model, value: str) -> bool:
    return any(output.name == value for output in model.graph.output)


def shapes_of(model: Model) -> dict[str, list[int]]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = [*graph.value_info, *graph.input, *graph.output]
    return {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}


def attribute(node: onnx.NodeProto, name: str):
    found = [a for a in node.attribute if a.name == name]
    return helper.get_attribute_value(found[0]) if found else None


# --- wrong rewrites: each returns the outputs of the changed node, or None if the network has no place for it ---


def edited_weight(model: Model, rng: random.Random) -> list[str] | None:
    """The largest element of a weight is doubled."""
    places = [
        (node, name)
        for node in model.graph.node
        if node.op_type in ("Conv", "MatMul", "Gemm")
        for name in node.input[1:2]
        if (weight := floats(model, name)) is not None and len(readers(model, name)) == 1 and weight.any()
    ]
    if not places:
        return None
    node, name = rng.choice(places)
    weight = floats(model, name).copy()
    weight.flat[np.abs(weight).argmax()] *= 2
    store(model, name, weight)
    return list(node.output)


def dropped_attribute(model: Model, rng: random.Random) -> list[str] | None:
    """An attribute that matters falls back to its default."""
    places = []
    for node in model.graph.node:
        for name, default in (("alpha", {"LeakyRelu": 0.01, "Elu": 1.0, "Gemm": 1.0, "HardSigmoid": 0.2}.get(node.op_type)),
                              ("approximate", {"Gelu": b"none"}.get(node.op_type)),
                              ("beta", {"Gemm": 1.0, "HardSigmoid": 0.5}.get(node.op_type))):
            if default is not None and attribute(node, name) not in (None, default):
                if isinstance(default, float) and abs(attribute(node, name) - default) < 1e-6:
                    continue
                places.append((node, name))
    if not places:
        return None
    node, name = rng.choice(places)
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
    return list(node.output)


def swapped_axis(model: Model, rng: random.Random) -> list[str] | None:
    """A Softmax or reduction over another axis of the same extent, or a norm's scale turned round."""
    shapes = shapes_of(model)
    places = []
    for node in model.graph.node:
        shape = shapes.get(node.input[0]) if node.input else None
        if node.op_type == "Softmax" and shape and len(shape) >= 2:
            axis = (attribute(node, "axis") if attribute(node, "axis") is not None else -1) % len(shape)
            places += [(node, axis, other) for other in range(len(shape)) if other != axis and shape[other] > 1]
    if not places:
        return None
    node, _, other = rng.choice(places)
    kept = [a for a in node.attribute if a.name != "axis"]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("axis", other)])
    return list(node.output)


def lost_epsilon(model: Model, rng: random.Random) -> list[str] | None:
    """A fusion writes a norm with another epsilon."""
    norms = ("LayerNormalization", "InstanceNormalization", "GroupNormalization", "BatchNormalization")
    places = [node for node in model.graph.node if node.op_type in norms]
    if not places:
        return None
    node = rng.choice(places)
    kept = [a for a in node.attribute if a.name != "epsilon"]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("epsilon", 0.3)])
    return list(node.output)


def lost_transpose(model: Model, rng: random.Random) -> list[str] | None:
    """A Transpose becomes a Reshape to the same shape, as if its data were in that order."""
    shapes = shapes_of(model)
    places = [node for node in model.graph.node if node.op_type == "Transpose" and all(shapes.get(node.output[0], [0]))
              and sum(extent > 1 for extent in shapes[node.output[0]]) > 1]
    if not places:
        return None
    node = rng.choice(places)
    name = f"shape_of_{node.output[0]}"
    model.graph.initializer.append(numpy_helper.from_array(np.array(shapes[node.output[0]], np.int64), name))
    reshape = helper.make_node("Reshape", [node.input[0], name], list(node.output), name=node.name)
    node.CopyFrom(reshape)
    return list(reshape.output)


# --- honest rewrites: each returns whether it changed the network ---


def renamed(model: Model, rng: random.Random) -> bool:
    """Every value and node inside has a new name."""
    ends = {v.name for v in [*model.graph.input, *model.graph.output]}
    names: dict[str, str] = {}
    for at, node in enumerate(model.graph.node):
        if any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute):
            return False
        for output in node.output:
            if output and output not in ends:
                names[output] = f"v{at}_{rng.randrange(10**6)}"
    for node in model.graph.node:
        node.name = ""
        for values in (node.input, node.output):
            for at, value in enumerate(values):
                values[at] = names.get(value, value)
    del model.graph.value_info[:]
    return bool(names)


def folded_batch_norm(model: Model, rng: random.Random) -> bool:
    """BatchNormalization goes into the Conv before it."""
    for norm in [node for node in model.graph.node if node.op_type == "BatchNormalization"]:
        conv = next((n for n in model.graph.node if norm.input[0] in n.output), None)
        if conv is None or conv.op_type != "Conv" or len(readers(model, norm.input[0])) > 1 or is_output(model, norm.input[0]):
            continue
        weight = floats(model, conv.input[1])
        scale, bias, mean, var = (floats(model, name) for name in norm.input[1:5])
        if weight is None or scale is None or len(readers(model, conv.input[1])) > 1:
            continue
        epsilon = attribute(norm, "epsilon") or 1e-5
        factor = scale / np.sqrt(var + epsilon)
        old = floats(model, conv.input[2]) if len(conv.input) > 2 else np.zeros_like(bias)
        store(model, conv.input[1], (weight * factor.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.float32))
        name = f"{norm.output[0]}_bias"
        model.graph.initializer.append(numpy_helper.from_array(((old - mean) * factor + bias).astype(np.float32), name))
        inputs = [conv.input[0], conv.input[1], name]
        del conv.input[:]
        conv.input.extend(inputs)
        conv.output[0] = norm.output[0]
        model.graph.node.remove(norm)
        return True
    return False


def gemm(model: Model, rng: random.Random) -> bool:
    """MatMul and Add of matrices become Gemm."""
    ranks = {name: len(shape) for name, shape in shapes_of(model).items()}
    for add in [node for node in model.graph.node if node.op_type == "Add"]:
        for value, bias in (tuple(add.input), tuple(reversed(add.input))):
            product = next((n for n in model.graph.node if value in n.output), None)
            if product is None or product.op_type != "MatMul" or floats(model, bias) is None:
                continue
            if ranks.get(product.input[0]) != 2 or len(readers(model, value)) > 1 or floats(model, product.input[1]) is None:
                continue
            new = helper.make_node("Gemm", [*product.input, bias], list(add.output), name=add.name)
            add.CopyFrom(new)
            model.graph.node.remove(product)
            return True
    return False


def folded_constants(model: Model, rng: random.Random) -> bool:
    """Nodes that read only constants become initializers."""
    changed = False
    for node in list(model.graph.node):
        known = constants(model)
        if node.op_type == "Constant" and (value := attribute(node, "value")) is not None:
            tensor = copy.deepcopy(value)
            tensor.name = node.output[0]
        elif node.op_type in ("Mul", "Add", "Transpose", "Cast", "Sqrt") and all(n in known for n in node.input):
            inputs = [numpy_helper.to_array(known[n]) for n in node.input]
            tensor = numpy_helper.from_array(onnx.reference.ReferenceEvaluator(node).run(None, dict(zip(node.input, inputs)))[0],
                                             node.output[0])
        else:
            continue
        if is_output(model, node.output[0]):
            continue
        model.graph.initializer.append(tensor)
        model.graph.node.remove(node)
        changed = True
    return changed


def identities(model: Model, rng: random.Random) -> bool:
    """An Identity or a pair of Transposes is put between two nodes, under the old name of the value."""
    places = [node for node in model.graph.node
              if node.op_type in ("Relu", "Add", "Mul", "Conv", "MatMul", "Sigmoid") and not is_output(model, node.output[0])]
    if not places:
        return False
    node = rng.choice(places)
    old = node.output[0]
    node.output[0] = f"{old}_before"
    at = list(model.graph.node).index(node)
    model.graph.node.insert(at + 1, helper.make_node("Identity", [f"{old}_before"], [old], name=f"identity_{at}"))
    return True


WRONG = [edited_weight, dropped_attribute, swapped_axis, lost_epsilon, lost_transpose]
HONEST = [renamed, folded_batch_norm, gemm, folded_constants, identities]


def compare(offby: str, first: Path, second: Path) -> tuple[int, dict]:
    command = [offby, "compare", str(first), str(second), "--json", "-", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        return done.returncode, json.loads(done.stdout)["targets"][0]
    except (json.JSONDecodeError, KeyError):
        return done.returncode, {"verdict": {"kind": "failed", "sentence": done.stderr.strip()}, "walk": {"sources": [], "ops": []}}


def named(target: dict, model: Model) -> set[str]:
    """The values that the sources write, and those inside pieces."""
    labels = {node.name or node.output[0]: list(node.output) for node in model.graph.node}
    found: set[str] = set()
    for op in (target.get("walk") or {}).get("ops", []):
        if op["name"] in target["walk"]["sources"]:
            for node in [op["name"], op.get("onnx_node"), *op.get("piece", [])]:
                found.update(labels.get(node, [node] if node else []))
    return found


def main() -> int:
    offby, count, seed, *networks = sys.argv[1:]
    rng = random.Random(int(seed))
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for title, kinds in (("wrong", WRONG), ("honest", HONEST)):
            done: dict[str, list[int]] = {kind.__name__: [0, 0, 0] for kind in kinds}
            tries = 0
            # No kind may take the place of all others, because some find a place in most networks.
            share = 2 * int(count) // len(kinds)
            while sum(tried for tried, _, _ in done.values()) < int(count) and tries < 50 * int(count):
                tries += 1
                kind, path = kinds[tries % len(kinds)], Path(rng.choice(networks))
                if done[kind.__name__][0] >= share:
                    continue
                first = onnx.load(path)
                second = copy.deepcopy(first)
                changed = kind(second, rng)
                if not changed:
                    continue
                other = Path(folder) / "second.onnx"
                onnx.save(second, other)
                code, target = compare(offby, path, other)
                row = done[kind.__name__]
                row[0] += 1
                verdict = target["verdict"]
                if title == "wrong":
                    right = bool(named(target, first) & set(changed))
                    # A change that moves no element beyond its bound is rounding, and nothing can be named.
                    slight = code == 0
                    row[1] += right
                    row[2] += slight and not right
                    if not right and not slight:
                        bad += 1
                        print(f"MISSED {kind.__name__} in {path.name} at {changed}: {code} {verdict['sentence'][:300]}")
                    elif slight and not right:
                        print(f"slight {kind.__name__} in {path.name} at {changed}: {verdict['sentence'][:200]}")
                else:
                    right = code == 0 and not target["walk"]["sources"]
                    row[1] += right
                    if not right:
                        bad += 1
                        print(f"ACCUSED {kind.__name__} in {path.name}: {code} {verdict['sentence'][:300]}")
            for name, (tried, right, slight) in done.items():
                print(f"{title:7} {name:18} {tried:4} tried {right:4} right {slight:4} within rounding")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
