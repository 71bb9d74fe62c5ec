#!/usr/bin/env python3
"""Writes tests/vectors/sweep/sweep.jsonl: a sweep with everything that a report must show: an engine
that is fastest at small points and too slow at large ones, one that fails, one that isn't here, a
void run that was run again, a point out of time, the null engine. Times are made up."""

import hashlib
import json
import pathlib

WIDTHS, BATCHES, RUNS = [16, 256, 4096], [1, 64, 1024], 3
CELLS = [("native", ""), ("libtorch", ""), ("tensorflow", "xla-epoch"), ("jax", ""), ("keras", ""),
         ("null", "")]
OUT = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "sweep" / "sweep.jsonl"

lines, link = [], ""


def put(record):
    global link
    text = json.dumps(record, separators=(",", ":"), ensure_ascii=False)[:-1]
    link = hashlib.sha256((link + text).encode()).hexdigest()
    lines.append(f'{text},"chain":"{link}"}}\n')


def cell(engine, variant):
    return {"engine": engine, "variant": variant, "track": "controlled", "device": "cpu",
            "threads": 2}


index = 0


def job(engine, variant, run, width, batch, steps, step_ns=None, first_ns=0, build_ns=1000000,
        state="ok", reason="", fix="", task="train", **more):
    global index
    record = {"record": "job", "index": index, "run": run, "task": task, **cell(engine, variant),
              "batch": batch, "version": "9.9", "state": state, "reason": reason, "fix": fix,
              "reproduce": "", "dir": f"jobs/{index:04}-{engine}-controlled-r{run}"}
    if step_ns is not None:
        phases = [("start", 2000000), ("import", 300000000), ("load", 200000000),
                  ("build", build_ns), ("first_step", first_ns), ("train", step_ns * (steps - 1))]
        record["wall_ns"] = sum(ns for _, ns in phases)
        record["process_ns"] = record["wall_ns"] + 1000000
        record["cpu_ns"] = record["wall_ns"]
        record["peak_rss_bytes"] = 500000000
        record["phases"] = [{"name": name, "wall_ns": ns} for name, ns in phases]
    put({**record, **more, "width": width, "steps": steps, "others": 0.5 * (index % 2), "program_sha256": "", "files": {}})
    index += 1


def step_ns(engine, width, batch):
    """A fixed cost a step, and a rate of work."""
    fixed, gflops = {"native": (3000, 8), "libtorch": (300000, 200),
                     "tensorflow": (40000, 160), "jax": (60000, 170), "null": (40, 1e9)}[engine]
    return round(fixed + 3 * 2 * (784 + 10) * width * batch / gflops)


put({"record": "experiment", "format": "tare-sweep/1", "created": "2026-01-31T12:00:00Z",
     "tare": {"version": "0.1.0", "sha256": "", "bytes": 1690000},
     "dataset": {"name": "mnist", "title": "MNIST", "sha256": "0" * 64, "licence": "CC BY-SA 3.0",
                 "standin": False, "source": "data", "train": 60000, "test": 10000, "classes": 10},
     "machine": {"cpu": "a made-up CPU", "cpus": 2, "flags": "", "memory_bytes": 8000000000,
                 "kernel": "", "os": "", "governor": "", "load1": 0.1, "busy": False},
     "environments": [],
     "plan": {"model": "784 dense:WIDTH:relu dense:10", "runs": RUNS, "seed": 1, "threads": 2,
              "certify": False, "timeout_s": 45, "command": "tare sweep",
              "optimizer": {"name": "adam", "lr": 0.001, "beta1": 0.9, "beta2": 0.999,
                            "epsilon": 1e-8},
              "cells": [cell(*c) for c in CELLS], "widths": WIDTHS, "batches": BATCHES,
              "budget_s": 900}})
put({"record": "certificate", "engine": "native", "variant": "", "device": "cpu", "threads": 2,
     "seed": 1, "state": "ok", "reason": "", "fix": "", "version": "9.9", "limit": 10,
     "max_ratio": 1.0})
put({"record": "certificate", "engine": "jax", "variant": "", "device": "cpu", "threads": 2,
     "seed": 1, "state": "ok", "reason": "", "fix": "", "version": "9.9", "limit": 10,
     "max_ratio": 0.9})

for engine, variant in CELLS:
    if engine == "keras":
        job(engine, variant, -1, 16, 1, 201, task="probe", state="skipped",
            reason="keras is not installed", fix="make engines")
    else:
        job(engine, variant, -1, 16, 1, 201, step_ns(engine, 16, 1), 5000000, task="probe")

for run in range(RUNS):
    for width in WIDTHS:
        for batch in BATCHES:
            for engine, variant in CELLS:
                largest = (width, batch) == (4096, 1024)
                if engine == "keras":
                    if run == 0:
                        job(engine, variant, run, width, batch, 4, state="skipped",
                            reason="not tried: it had failed before", left_out="failed")
                    continue
                if engine == "native" and width == 4096 and batch >= 64:
                    if run == 0 and batch == 64:
                        job(engine, variant, run, width, batch, 4, state="failed",
                            reason="no bye after 45 s", timed_out=True, wall_ns=45020000000,
                            process_ns=45030000000, cpu_ns=45000000000)
                    elif run == 0:
                        job(engine, variant, run, width, batch, 4, state="skipped",
                            reason="not tried: it ran out of time at width 4096, batch 64",
                            left_out="slow")
                    continue
                if engine == "tensorflow" and width == 4096 and batch == 1024:
                    if run == 0:
                        job(engine, variant, run, width, batch, 4, state="failed",
                            reason="not done within 10 s", timed_out=True, wall_ns=10020000000,
                            process_ns=10030000000, cpu_ns=10000000000)
                    continue
                if engine == "jax" and largest:
                    if run == 0:
                        job(engine, variant, run, width, batch, 4, state="skipped",
                            reason="not tried: the sweep's 15 minutes were over",
                            left_out="budget")
                    continue
                if largest and run == 2:
                    continue
                ns = step_ns(engine, width, batch)
                steps = max(3, min(20000, round(2e8 / ns))) + 1
                wobble = [100, 98, 107][run]
                if engine == "libtorch" and width == 16 and batch == 64 and run == 1:
                    job(engine, variant, run, width, batch, steps, 5 * ns, 5000000, state="void",
                        reason="its phases add up to 0.500 s, but exec to bye took 0.900 s")
                made = engine == "tensorflow" and batch == 1 and run == 0
                job(engine, variant, run, width, batch, steps, ns * wobble // 100,
                    900000000 if engine in ("tensorflow", "jax") else 5000000,
                    7000000000 if made else 60000000)
put({"record": "end", "complete": True, "wall_s": 611.5})

OUT.parent.mkdir(exist_ok=True)
OUT.write_text("".join(lines), encoding="utf-8")
