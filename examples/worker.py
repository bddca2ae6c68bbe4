"""An offby worker in Python, the example of docs/worker-protocol.md: onnxruntime on the CPU.

    offby run MODEL.onnx --on ext:ort --via 'python3 examples/worker.py'
"""

import hashlib, json, os, platform, queue, struct, sys, tempfile, threading, time

START = struct.Struct("<4sIQ")  # "OFBY", bytes of the head, bytes of the body
HEAD_LIMIT, BODY_LIMIT = 64 << 20, 16 << 30
DTYPES = {"f16": "<f2", "f32": "<f4", "f64": "<f8", "bool": "?"}  # numpy has no bf16
DTYPES |= {f"{sign}{8 * size}": f"<{sign}{size}" for sign in "iu" for size in (1, 2, 4, 8)}

# Frames go to what was stdout; what a library prints there from now on goes to stderr.
replies = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)


def reply(name, body=b"", **fields):
    head = json.dumps({"reply": name, **fields}).encode()
    replies.write(START.pack(b"OFBY", len(head), len(body)) + head + body)
    replies.flush()


def read(count):
    """So many bytes of stdin; memory grows with what comes, not with what was announced."""
    data = bytearray()
    while more := sys.stdin.buffer.read(min(count - len(data), 1 << 20)):
        data += more
    return bytes(data)


def listen(asks):
    """Reads on a thread of its own: when stdin ends nobody waits any more, whatever runs."""
    while len(start := read(START.size)) == START.size:
        magic, *lengths = START.unpack(start)
        if magic != b"OFBY" or lengths[0] > HEAD_LIMIT or lengths[1] > BODY_LIMIT:
            break
        frame = [read(length) for length in lengths]
        if [len(part) for part in frame] != lengths:
            break
        asks.put(frame)
    asks.put([None, "worker.py: stdin carries something that is no frame" if start else 0])
    time.sleep(0.5)
    os._exit(1)


def open_model(ask, engine):
    """Opens a model. If it has external data, the engine gets a path, because it looks for the data there."""
    model = contents[ask["model"]]
    if not ask.get("folder"):
        return engine(model)
    with tempfile.NamedTemporaryFile(dir=ask["folder"], prefix=".offby-", suffix=".onnx") as file:
        file.write(model)
        file.flush()
        return engine(file.name)


def run(ask, engine):
    """Opens the model unless it is open, runs it as often as asked, and says how it went."""
    import numpy

    began = time.monotonic()
    if ask["ask"] == "run_onnx":
        opened.clear()
        opened["infer"], opened["ran_on"] = open_model(ask, engine)
    open_seconds, seconds, results = time.monotonic() - began, [], []
    if "feeds" in ask:
        array = lambda feed: numpy.frombuffer(contents[feed["digest"]], DTYPES[feed["dtype"]])
        opened["feeds"] = {feed["name"]: array(feed).reshape(feed["shape"]) for feed in ask["feeds"]}
    infer, ran_on, feeds = opened["infer"], opened["ran_on"], opened["feeds"]
    for _ in range(max(1, ask["repeats"])):
        began = time.monotonic()
        arrays = {name: numpy.asarray(array) for name, array in infer(feeds).items()}
        seconds.append(time.monotonic() - began)
        results.append(b"".join(array.tobytes() for array in arrays.values()))
    dtype = {numpy.dtype(code): name for name, code in DTYPES.items()}
    outputs = [{"name": name, "dtype": dtype[array.dtype], "shape": array.shape}
               for name, array in arrays.items()]
    runs = {"repeats": len(seconds), "identical": len(set(results)) == 1,
            "open_seconds": open_seconds, "seconds": seconds}
    reply("ran", results[0], outputs=outputs, runs=runs, ran_on=ran_on)


def answer(ask, body, engine, stays_open):
    if ask["ask"] == "hello":
        reply("hello", protocol=4, version="examples/worker.py", stays_open=stays_open)
    elif ask["ask"] == "keep":
        given, at, digest = {}, 0, lambda part: "sha256:" + hashlib.sha256(part).hexdigest()
        for content in ask["contents"]:
            given[content["digest"]] = body[at : (at := at + content["bytes"])]
        if at != len(body) or any(digest(part) != name for name, part in given.items()):
            raise ValueError("the contents are not what their heads say")
        for name in set(contents) - named:  # what the last ask did not name gives way
            del contents[name]
        contents.update(given)
        reply("kept")
    elif ask["ask"] == "run_onnx" or (ask["ask"] in ("next", "again") and opened):
        named.clear()
        feeds = [] if ask["ask"] == "again" else ask["feeds"]
        named.update([ask["model"]] if "model" in ask else [], (feed["digest"] for feed in feeds))
        wanted = sorted(named - set(contents))
        reply("wanted", digests=wanted) if wanted else run(ask, engine)
    else:
        reply("rejected", reason=f"this worker does not know the ask {ask['ask']}")


def serve(engine, stays_open=False):
    """Answers until stdin ends. `engine(model)`, of the bytes or the path of an ONNX file, gives what turns feeds by
    name into outputs by name, and what it runs on. An open model that takes feeds of other shapes stays open."""
    asks = queue.SimpleQueue()
    threading.Thread(target=listen, args=[asks], daemon=True).start()
    while (frame := asks.get())[0] is not None:
        try:
            answer(json.loads(frame[0]), frame[1], engine, stays_open)
        except ImportError as error:
            # An error without a package is about the machine.
            hint = f"pip install {error.name}" if error.name else "install what it needs, such as the GPU's driver"
            reply("unavailable", reason=str(error), hint=hint)
        except Exception as error:  # whatever it is, it is the answer
            reply("rejected", reason=f"{type(error).__name__}: {error}")
    sys.exit(frame[1])


def onnxruntime_on_cpu(model):
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    ran_on = {"engine": "onnxruntime", "engine_version": onnxruntime.__version__,
              "backend": "cpu", "device": platform.machine(), "driver": ""}
    return lambda feeds: dict(zip(names, session.run(None, feeds))), ran_on


contents, named, opened = {}, set(), {}
if __name__ == "__main__":
    serve(onnxruntime_on_cpu, stays_open=True)
