"""Dumps the values of a PyTorch module for `offby walk MODEL.onnx --got FOLDER`: torch_dump.py is a library.

    from torch_dump import dump
    dump(module, (x,), "values")        # values/NAME.npy for each submodule's output

The names are those of the submodules, such as `layers.0.linear`. The exporter writes them into the ONNX names as
`/layers.0/linear/Gemm_output_0`, so most are found by form; name the others with --map. Submodules that run
more than once get `.1`, `.2` and so on.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import torch


def dump(module: torch.nn.Module, inputs: tuple, folder: str, input_names: tuple = ()) -> list[str]:
    """Runs the module once in evaluation mode and writes the output of every submodule; returns the names."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    if module.training:
        # BatchNorm and Dropout compute other values in training mode than in an exported network.
        print("note: the module was in training mode; it runs in evaluation mode for the dump")
    module.eval()
    seen: Counter[str] = Counter()
    names: list[str] = []

    def keep(name: str, value: object) -> None:
        if isinstance(value, torch.Tensor):
            again = seen[name]
            seen[name] += 1
            full = f"{name}.{again}" if again else name
            np.save(target / f"{full}.npy", value.detach().to(torch.float32).cpu().numpy())
            names.append(full)
        elif isinstance(value, (tuple, list)):
            for at, part in enumerate(value):
                keep(f"{name}.{at}", part)

    hooks = [
        child.register_forward_hook(lambda _, __, output, name=name: keep(name, output))
        for name, child in module.named_modules()
        if name
    ]
    try:
        with torch.no_grad():
            result = module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    for name, value in zip(input_names, inputs):
        np.save(target / f"{name}.npy", value.detach().cpu().numpy())
    keep("output", result)
    return names
