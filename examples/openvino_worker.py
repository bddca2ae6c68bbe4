"""An offby worker for OpenVINO, on its CPU plugin.

    pip install openvino
    offby walk MODEL.onnx --on ext:openvino --via 'python3 examples/openvino_worker.py'
"""

from worker import serve


def openvino_on_cpu(model):
    import openvino as ov

    core = ov.Core()
    # f32 throughout: the plugin takes bf16 where a processor has it.
    compiled = core.compile_model(core.read_model(model, b""), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = [output.get_any_name() for output in compiled.outputs]
    device = core.get_property("CPU", "FULL_DEVICE_NAME")
    ran_on = {"engine": "openvino", "engine_version": ov.__version__.split("-")[0],
              "backend": "cpu", "device": device, "driver": ""}

    def infer(feeds):
        return dict(zip(names, compiled(feeds).values()))

    return infer, ran_on


if __name__ == "__main__":
    serve(openvino_on_cpu)
