"""An offby worker for the MNN of a Python wheel, on the CPU; `mnn:cpu` is the MNN that offby was built with.

    pip install onnx MNN
    offby run MODEL.onnx --on ext:mnn --via 'python3 examples/mnn_worker.py'
    offby bisect MODEL.onnx --on ext:mnn --via 'python3 examples/mnn_worker.py' --versions pip:MNN

Walk with `--strategy cut`: MNN overwrites a product that is an output and the input of an activation.
"""

import platform, subprocess, sys, tempfile
from pathlib import Path

from worker import serve

# The program `mnnconvert` of the wheel would install a package and report to MNN's authors.
CONVERT = "import _tools, sys; _tools.mnnconvert(['mnnconvert', *sys.argv[1:]])"


def convert(model, folder):
    """The MNN file of an ONNX network."""
    (folder / "network.onnx").write_bytes(model)
    done = subprocess.run([sys.executable, "-c", CONVERT, "-f", "ONNX", "--modelFile", "network.onnx",
                           "--MNNModel", "network.mnn", "--bizCode", "offby"],
                          cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode or not (folder / "network.mnn").exists():
        raise ValueError(f"MNN does not convert it (status {done.returncode}): {done.stdout[-300:]}")
    return str(folder / "network.mnn")


def mnn_on_cpu(model):
    import MNN.expr as expr, MNN.nn, numpy, onnx
    from importlib.metadata import version

    graph = onnx.load_model_from_string(model).graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in weights]
    dtypes = {value.name: onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
              for value in graph.output}
    with tempfile.TemporaryDirectory() as folder:
        module = MNN.nn.load_module_from_file(convert(model, Path(folder)), inputs, list(dtypes),
                                              precision_mode=expr.PrecisionMode.High)

    def feed(array):
        kind, dtype = (expr.float, "f4") if array.dtype.kind == "f" else (expr.int, "i4")
        return expr.const(numpy.ascontiguousarray(array, dtype), array.shape, expr.NCHW, kind)

    def infer(feeds):
        found = module.onForward([feed(feeds[name]) for name in inputs])
        if len(found) != len(dtypes):
            raise ValueError("MNN does not run it; its reason is on stderr")
        # MNN packs channels by four, and has no integers of 64 bits and no booleans.
        return {name: expr.convert(value, expr.NCHW).read().astype(dtypes[name])
                for name, value in zip(dtypes, found)}

    return infer, {"engine": "mnn", "engine_version": version("MNN"), "backend": "cpu",
                   "device": platform.machine(), "driver": ""}


if __name__ == "__main__":
    serve(mnn_on_cpu)
