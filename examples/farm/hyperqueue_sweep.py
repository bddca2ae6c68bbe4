"""Fills a matrix in three shards with HyperQueue, and merges them in the folder farm-out (pip install hyperqueue)."""

import glob
import os

from hyperqueue import Job, LocalCluster

OFFBY = os.environ.get("OFFBY", "offby")
SHARDS = 3
TARGETS = ["mnn:cpu", "sim:honest-f16", "sim:s20-opencl", "sim:vim3-android-vulkan"]

matrix = [OFFBY, "matrix", *sorted(glob.glob("debug-models/*.onnx")), "--out", "farm-out", "--jobs", "1"]
for target in TARGETS:
    matrix += ["--on", target]

# HyperQueue takes every exit code but 0 for a failure. A divergence (1) and a missing answer (3) are results.
RESULT = ["sh", "-c", 'code=0; "$@" || code=$?; case $code in 0 | 1 | 3) ;; *) exit $code ;; esac', "sh"]

with LocalCluster() as cluster:
    cluster.start_worker()
    client = cluster.client()  # for a server that already runs: Client("its server folder")
    job = Job(name="offby")
    shards = [job.program([*RESULT, *matrix, "--shard", f"{k}/{SHARDS}"]) for k in range(1, SHARDS + 1)]
    files = [f"farm-out/matrix-{k}-of-{SHARDS}.json" for k in range(1, SHARDS + 1)]
    job.program([*RESULT, OFFBY, "matrix", "merge", *files, "--out", "farm-out"], deps=shards)
    client.wait_for_jobs([client.submit(job)])
