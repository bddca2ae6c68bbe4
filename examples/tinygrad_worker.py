"""An offby worker for tinygrad, on OpenCL or on the device that DEV names.

    pip install tinygrad onnx numpy
    DEV=CL offby walk MODEL.onnx --on ext:tinygrad --via 'python3 examples/tinygrad_worker.py'
"""

import os, pathlib, tempfile

from worker import serve


def plain(model):
    """The network with all tensors as raw data, the only form that tinygrad reads."""
    import onnx
    from onnx import numpy_helper

    is_path = isinstance(model, str)
    # Data in files of its own is raw already.
    network = onnx.load(model, load_external_data=False) if is_path else onnx.load_from_string(model)
    attributes = [attribute for node in network.graph.node for attribute in node.attribute]
    tensors = [attribute.t for attribute in attributes if attribute.type == onnx.AttributeProto.TENSOR]
    stored = [tensor for tensor in network.graph.initializer if not tensor.external_data]
    for tensor in [*stored, *tensors]:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    return network.SerializeToString()


def tinygrad_on_device(model):
    from importlib.metadata import version

    from tinygrad import Device, Tensor
    from tinygrad.nn.onnx import OnnxRunner

    if isinstance(model, str):
        pathlib.Path(model).write_bytes(plain(model))
        runner = OnnxRunner(model)
    else:
        with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
            file.write(plain(model))
            file.flush()
            runner = OnnxRunner(file.name)
    ran_on = {"engine": "tinygrad", "engine_version": version("tinygrad"), "backend": "cpu" if Device.DEFAULT == "CPU" else "opencl",
              "device": os.environ.get("DEV", Device.DEFAULT), "driver": ""}

    def infer(feeds):
        # The next feeds may have other shapes. tinygrad 0.14 keeps those of the first.
        for kept in ("variable_dims", "_python_const_cache"):
            getattr(runner, kept, {}).clear()
        outputs = runner({name: Tensor(array.copy()) for name, array in feeds.items()})
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    return infer, ran_on


if __name__ == "__main__":
    serve(tinygrad_on_device, stays_open=True)
