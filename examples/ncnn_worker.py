"""An offby worker for ncnn on Vulkan: a second GPU engine behind the protocol of docs/worker-protocol.md.

    pip install onnx numpy ncnn requests tqdm portalocker && pip install --no-deps pnnx
    offby run MODEL.onnx --on ext:ncnn --via 'python3 examples/ncnn_worker.py'

`--cpu` runs ncnn on the processor, `--fp16` lets it store 16 bits. ncnn's networks have no batch
dimension and four axes at most; what it cannot take is rejected.
"""

import importlib.util, os, subprocess, sys, tempfile
from collections import Counter
from pathlib import Path

from worker import serve

ON_CPU, HALF = "--cpu" in sys.argv, "--fp16" in sys.argv


def convert(model, folder):
    """ncnn's two files of an ONNX network. Its converter says on stdout and stderr what it does."""
    package = importlib.util.find_spec("pnnx")  # importing it would ask for torch
    if package is None:
        raise ImportError("pnnx is not installed", name="--no-deps pnnx")
    (folder / "network.onnx").write_bytes(model)
    program = Path(package.origin).parent / "pnnx"
    done = subprocess.run([program, "network.onnx", "fp16=0"], cwd=folder, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    param = folder / "network.ncnn.param"
    if done.returncode or not param.exists():
        raise ValueError(f"pnnx does not convert it (status {done.returncode}): {done.stdout[-300:]}")
    return param, folder / "network.ncnn.bin"


def open_network(param, weights):
    import ncnn

    network = ncnn.Net()
    network.opt.use_vulkan_compute = not ON_CPU
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic"):
        setattr(network.opt, f"use_{option}", HALF)
    network.opt.use_bf16_storage = False
    if network.load_param(str(param)) or network.load_model(str(weights)):
        raise ValueError("ncnn does not load what pnnx made of the network: it lacks one of its layers")
    return network


def where(network):
    """What ncnn runs on; a layer without Vulkan goes to the CPU without a word."""
    import ncnn

    kinds = Counter("vulkan" if not ON_CPU and layer.support_vulkan else "cpu"
                    for layer in network.layers() if layer.type not in ("Input", "Split"))
    device = "" if ON_CPU else ncnn.get_gpu_info(0).device_name()
    backend = "vulkan" if kinds["vulkan"] else "cpu"
    return {"engine": "ncnn", "engine_version": ncnn.__version__, "backend": backend,
            "device": device, "driver": "", "operators": dict(kinds)}


def ncnn_on_vulkan(model):
    import ncnn, numpy, onnx

    graph = onnx.load_model_from_string(model).graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in weights]
    shapes = {value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
              for value in graph.output}
    if not ON_CPU and ncnn.get_gpu_count() == 0:
        raise ImportError("ncnn finds no Vulkan device")
    with tempfile.TemporaryDirectory() as folder:
        network = open_network(*convert(model, Path(folder)))

    def infer(feeds):
        extractor = network.create_extractor()
        for index, name in enumerate(inputs):
            array = numpy.ascontiguousarray(feeds[name])
            if array.ndim > 1:  # ncnn has no batch
                if array.shape[0] != 1:
                    raise ValueError(f"ncnn takes no batch of {array.shape[0]}")
                array = array[0]
            if extractor.input(f"in{index}", ncnn.Mat(array).clone()):
                raise ValueError(f"ncnn knows no input {index}")
        outputs = {}
        for index, (name, shape) in enumerate(shapes.items()):
            failed, found = extractor.extract(f"out{index}")
            array = numpy.array(found)
            if failed or (all(shape) and array.size != numpy.prod(shape)):
                raise ValueError(f"ncnn gives output `{name}` as {array.shape}, not as {shape}")
            outputs[name] = array.reshape(shape if all(shape) else (1, *array.shape))
        return outputs

    return infer, where(network)


os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
serve(ncnn_on_vulkan)
