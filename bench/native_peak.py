"""native_peak.py CPUS: the matrix-multiply peak through torch.mm (n = 2048), float32, on 1 thread and on
all: a line of JSON each. The best of several repeats: a bound is what the machine could do."""

import json
import sys
import time

import torch

N = 2048
SECONDS = 1.5


def peak(threads: int) -> float:
    torch.set_num_threads(threads)
    a, b = torch.rand(N, N), torch.rand(N, N)
    out = torch.empty(N, N)
    best, end = float("inf"), time.perf_counter() + SECONDS
    torch.mm(a, b, out=out)
    while time.perf_counter() < end:
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - start)
    return 2 * N**3 / best / 1e9


for count in sorted({1, int(sys.argv[1])}):
    print(json.dumps({"bound": "mm", "threads": count, "gflops": round(peak(count), 1)}))
