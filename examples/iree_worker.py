"""An offby worker for IREE on Vulkan. Each run starts IREE's own program, so the seconds include its start.

    pip install iree-base-compiler[onnx] iree-base-runtime
    offby run MODEL.onnx --on ext:iree --via 'python3 examples/iree_worker.py'
"""

import re, subprocess, sys, tempfile
from pathlib import Path

from worker import serve

IMPORT, COMPILE, RUN = ("iree.compiler.tools.import_onnx", "iree.compiler.tools.scripts.iree_compile",
                        "iree._runtime.scripts.iree_run_module")


def tool(module, *arguments, folder=None):
    """Runs one of IREE's programs in the folder and returns what it prints."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.splitlines()
        said = next((line for line in lines if "error:" in line), " ".join(lines)[-300:])
        raise ValueError(f"{module} ends with status {done.returncode}: {said}")
    return done.stdout


def iree_on_vulkan(model):
    import iree.compiler, iree.runtime, numpy, onnx
    from importlib.metadata import version

    try:
        devices = tool(RUN, "--dump_devices")
    except ValueError as error:
        raise ImportError(str(error))
    folder = tempfile.TemporaryDirectory()  # until the last run
    at = Path(folder.name)
    graph = onnx.load_model_from_string(model).graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in weights]
    dtypes = {value.name: onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
              for value in graph.output}
    (at / "network.onnx").write_bytes(model)
    # IREE lacks some operators of older opsets, such as BatchNormalization 9.
    tool(IMPORT, "network.onnx", "-o", "network.mlir", "--opset-version", "17", folder=at)
    tool(COMPILE, "network.mlir", "-o", "network.vmfb", "--iree-hal-target-device=vulkan", folder=at)
    said = dict(re.findall(r"^(name|driver_info): (.*)$", devices.partition("driver 'vulkan'")[2], re.MULTILINE))
    ran_on = {"engine": "iree", "engine_version": version("iree-base-runtime"), "backend": "vulkan",
              "device": said.get("name", ""), "driver": said.get("driver_info", "")}

    def infer(feeds):
        for index, name in enumerate(inputs):
            numpy.save(at / f"i{index}.npy", feeds[name])
        # iree.runtime gives arrays to a device by importing their memory, which lavapipe refuses.
        tool(RUN, "--module=network.vmfb", "--device=vulkan", folder=folder.name,
             *[f"--input=@i{index}.npy" for index in range(len(inputs))],
             *[f"--output=@o{index}.npy" for index in range(len(dtypes))])
        outputs = {name: numpy.load(at / f"o{index}.npy") for index, name in enumerate(dtypes)}
        return {name: array.astype(dtypes[name]) for name, array in outputs.items()}

    return infer, ran_on


if __name__ == "__main__":
    serve(iree_on_vulkan)
