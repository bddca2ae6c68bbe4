"""An engine that is wrong only where it fuses: a Relu gives twice its value unless its input is an output as well."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "examples"))
from worker import serve


def engine(model):
    import onnx
    import onnxruntime

    graph = onnx.load_model_from_string(model).graph
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    fused = [node.output[0] for node in graph.node if node.op_type == "Relu" and node.input[0] not in names]
    ran_on = {"engine": "fused", "engine_version": "1", "backend": "cpu", "device": "test", "driver": ""}

    def infer(feeds):
        outputs = dict(zip(names, session.run(names, feeds)))
        return {name: value * 2 if name in fused else value for name, value in outputs.items()}

    return infer, ran_on


serve(engine)
