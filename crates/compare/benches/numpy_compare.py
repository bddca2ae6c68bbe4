"""The metrics of `offby diff` as a careful numpy user writes them; prints the median seconds of three runs."""

import statistics
import sys
import time

import numpy as np


def place(values, bits, sign):
    """Positions on the number line of a float format, so that neighbours are one apart."""
    steps = values.view(bits).astype(np.int64) & (sign - 1)
    return np.where(np.signbit(values), -steps, steps)


def census(values):
    return [int(np.count_nonzero(test(values))) for test in (np.isnan, np.isposinf, np.isneginf)]


def compare(reference, candidate):
    report = {"elements": reference.size}
    differing = (reference != candidate) & ~(np.isnan(reference) & np.isnan(candidate))
    report["mismatched"] = int(np.count_nonzero(differing))
    finite = np.isfinite(reference) & np.isfinite(candidate)
    report["nonfinite"] = [census(reference), census(candidate), int(np.count_nonzero(differing & ~finite))]
    everything = bool(finite.all())
    r = (reference if everything else reference[finite]).astype(np.float64)
    c = (candidate if everything else candidate[finite]).astype(np.float64)
    d = np.abs(c - r)
    magnitude = np.abs(r)
    report["max_abs"] = d.max()
    report["max_rel"] = np.divide(d, magnitude, out=np.zeros_like(d), where=magnitude > 0).max()
    report["mean_abs"] = d.mean()
    squared = np.dot(d, d)
    report["rmse"] = np.sqrt(squared / d.size)
    report["nmse"] = squared / np.dot(r, r)
    report["cosine"] = np.dot(r, c) / np.sqrt(np.dot(r, r) * np.dot(c, c))
    for rtol in (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1):
        report[f"needed at {rtol}"] = max(0.0, (d - rtol * magnitude).max())
    report["max_ulp_f32"] = np.abs(
        place(reference, np.uint32, 1 << 31) - place(candidate, np.uint32, 1 << 31)
    ).max()
    with np.errstate(over="ignore"):
        r16, c16 = reference.astype(np.float16), candidate.astype(np.float16)
    report["max_ulp_f16"] = np.abs(place(r16, np.uint16, 1 << 15) - place(c16, np.uint16, 1 << 15)).max()
    report["explained by f16"] = np.count_nonzero(differing & (r16.astype(np.float32) == candidate))
    worst = np.argpartition(d, -5)[-5:]
    report["worst"] = [(int(i), float(r[i]), float(c[i])) for i in worst[np.argsort(-d[worst])]]
    return report


def main():
    reference, candidate = (np.load(path) for path in sys.argv[1:3])
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        compare(reference, candidate)
        seconds.append(time.perf_counter() - start)
    print(statistics.median(seconds))


main()
