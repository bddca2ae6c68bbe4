"""An offby worker for OpenVINO, on its CPU plugin.

    pip install openvino
    offby walk MODEL.onnx --on ext:openvino --via 'python3 examples/openvino_worker.py'
"""

from worker import serve


def openvino_on_cpu(model):
    import openvino as ov

    core = ov.Core()
    # f32 throughout: the plugin takes bf16 where a processor has it.
    network = core.read_model(model) if isinstance(model, str) else core.read_model(model, b"")
    # Compiling may drop a node, and give an output the name of another value. The order of the outputs stays.
    names = [output.get_any_name() for output in network.outputs]
    compiled = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    device = core.get_property("CPU", "FULL_DEVICE_NAME")
    ran_on = {"engine": "openvino", "engine_version": ov.__version__.split("-")[0],
              "backend": "cpu", "device": device, "driver": ""}

    def infer(feeds):
        found = compiled(feeds)
        return {name: found[output] for name, output in zip(names, compiled.outputs)}

    return infer, ran_on


if __name__ == "__main__":
    serve(openvino_on_cpu, stays_open=True)
