"""An offby worker for PyTorch, eager, on CUDA if there is a GPU and on the CPU if not.

    pip install torch onnx2torch
    offby walk MODEL.onnx --on ext:torch --via 'python3 examples/torch_worker.py'
"""

import platform

from worker import serve


def torch_eager(model):
    import onnx, onnx2torch, torch

    # TF32 has 10 bits of mantissa. PyTorch allows it in convolutions by default.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = onnx.load_model_from_string(model)
    # offby's files leave out a number that is 0, as proto3 does. onnx2torch would take its default instead.
    for attribute in (attribute for node in network.graph.node for attribute in node.attribute):
        if attribute.type in (attribute.INT, attribute.FLOAT):
            field = "i" if attribute.type == attribute.INT else "f"
            setattr(attribute, field, getattr(attribute, field))
    weights = {tensor.name for tensor in network.graph.initializer}
    inputs = [value.name for value in network.graph.input if value.name not in weights]
    wanted = [value.name for value in network.graph.output]
    module = onnx2torch.convert(network, attach_onnx_mapping=True).eval().to(device)
    found = {}

    def keep(operator, _, results):
        # The module returns one tuple per node, whatever the network's outputs are.
        results = results if isinstance(results, (tuple, list)) else [results]
        found.update(zip(operator.onnx_mapping.outputs, results))

    for operator in module.modules():
        if hasattr(operator, "onnx_mapping"):
            operator.register_forward_hook(keep)

    def infer(feeds):
        with torch.no_grad():
            module(*[torch.from_numpy(feeds[name].copy()).to(device) for name in inputs])
        return {name: found[name].cpu().numpy() for name in wanted}

    name = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    return infer, {"engine": "torch", "engine_version": torch.__version__, "backend": device, "device": name,
                   "driver": torch.version.cuda or "" if device == "cuda" else ""}


if __name__ == "__main__":
    serve(torch_eager)
