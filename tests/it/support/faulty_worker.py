"""An engine that makes one value half as large again: faulty_worker.py computed|shown VALUE. `computed`: later nodes read the wrong
value. `shown`: they read the right one, as if the memory of the value was used again."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "examples"))
from worker import serve

MODE, VALUE = sys.argv[1:]


def engine(model):
    import numpy
    import onnx
    import onnxruntime

    network = onnx.load_model_from_string(model)
    if MODE == "computed":
        for node in network.graph.node:
            if VALUE in node.output:
                node.output[list(node.output).index(VALUE)] = VALUE + "/right"
        factor = onnx.numpy_helper.from_array(numpy.float32(1.5), "factor")
        network.graph.initializer.append(factor)
        network.graph.node.append(onnx.helper.make_node("Mul", [VALUE + "/right", "factor"], [VALUE]))
        # The new node must come before its readers.
        nodes = list(network.graph.node)
        writer = next(at for at, node in enumerate(nodes) if VALUE + "/right" in node.output)
        nodes.insert(writer + 1, nodes.pop())
        del network.graph.node[:]
        network.graph.node.extend(nodes)
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    ran_on = {"engine": "faulty", "engine_version": "1", "backend": "cpu", "device": "test", "driver": ""}

    def infer(feeds):
        outputs = dict(zip(names, session.run(names, feeds)))
        if MODE == "shown" and VALUE in outputs:
            outputs[VALUE] = outputs[VALUE] * numpy.float32(1.5)
        return outputs

    return infer, ran_on


serve(engine)
