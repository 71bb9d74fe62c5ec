"""Writes the experiments in tests/vectors/samples-*.jsonl that the summary and the report are tested on.

    python3 tests/oracle/samples_vectors.py tests/vectors

Every number is invented, simple and the same each time; doc/formats.md is the contract.
"""
import base64
import json
import sys

CELLS = [("keras", "tutorial"), ("pytorch", "tutorial"), ("native", "controlled"), ("null", "harness")]
VERSION = {"keras": "3.15.0", "pytorch": "2.15.0", "native": "0.1.0", "null": "0.1.0",
           "litert": "2.3.0", "onnxruntime": "1.32.0"}
BUSY = [0, 3, 1, 4, 2, 5]  # a drift that is the same for all engines of a run, in per cent
MS = 1_000_000


def experiment(runs=6, cells=CELLS, **changes):
    e = {"record": "experiment", "format": "tare-samples/1", "created": "2026-01-31T12:00:00Z",
         "tare": {"version": "0.1.0"},
         "dataset": {"name": "mnist", "title": "MNIST", "sha256": "ab" * 32, "licence": "CC BY-SA 3.0",
                     "standin": False, "source": "data/mnist", "train": 60000, "test": 10000, "classes": 10},
         "machine": {"cpu": "Example CPU 3 GHz", "cpus": 2, "flags": "avx2 avx512f", "memory_bytes": 8 << 30,
                     "kernel": "6.1.0", "os": "Debian 12", "governor": "performance", "load1": 0.1, "busy": False},
         "plan": {"model": "784 dense:64:relu dense:10", "params": 50890, "epochs": 5, "batch": 32, "runs": runs,
                  "seed": 1, "threads": 2, "quick": False, "timeout_s": 600,
                  "optimizer": {"name": "adam", "lr": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
                  "command": f"tare compare --runs {runs}",
                  "cells": [{"engine": n, "variant": "", "track": t, "device": "cpu", "threads": 2} for n, t in cells]}}
    for path, value in changes.items():
        part, key = path.split("__")
        e[part][key] = value
    return e


def job(index, run, task, engine, track, **more):
    name = f"jobs/{index:04d}-{engine}-{track}" + (f"-r{run}" if run >= 0 else "")
    j = {"record": "job", "index": index, "run": run, "task": task, "engine": engine, "variant": "",
         "track": track, "device": "cpu", "threads": 2, "batch": 32, "version": VERSION[engine], "state": "ok",
         "reason": "", "fix": "", "reproduce": f"build/tare-engine-{engine} < {name}/job.json", "dir": name}
    j.update(more)
    return j


def phases(**ms):
    return [{"name": n, "wall_ns": int(v * MS)} for n, v in ms.items()]


def samples(call, all_ms, one_us, first_ms):
    return [{"call": call, "batch": 10000, "loops": 1, "wall_ns": int(first_ms * MS), "first": True},
            {"call": call, "batch": 10000, "loops": 5, "wall_ns": int(5 * all_ms * MS), "first": False},
            {"call": call, "batch": 1, "loops": 100, "wall_ns": int(100 * one_us * 1000), "first": False}]


def keras(index, run):
    slow = 1 + BUSY[run] / 100
    p = phases(start=20, **{"import": 3900 * slow}, load=400, build=50, train=21200 * slow, infer=900, export=2500, save=10)
    wall = sum(x["wall_ns"] for x in p)
    return job(index, run, "train", "keras", "tutorial", phases=p, wall_ns=wall, cpu_ns=int(wall * 1.2),
               peak_rss_bytes=600 << 20, epochs=[{"loss": 0.30, "wall_ns": 1}, {"loss": 0.05 + run / 1000, "wall_ns": 1}],
               samples=samples("predict", 340, 57000, 500) + samples("model(x)", 18, 1900, 30),
               metrics={"evaluate_accuracy": 0.973}, settings={"adam.epsilon": "1e-07", "intra_op_threads": "2", "cpus_allowed": "2"},
               accuracy={"correct": 9730 + run, "total": 10000},
               exports=[{"format": "tflite", "exporter": "keras", "path": f"jobs/{index:04d}-keras-tutorial-r{run}/model.tflite",
                         "files": 1, "bytes": 206000, "wall_ns": 2400 * MS}],
               user_code={"train": {"lines": 12, "statements": 9}, "export": {"lines": 3, "statements": 3}})


def pytorch(index, run, factor=1.31):
    slow = 1 + BUSY[run] / 100
    p = phases(start=20, **{"import": 1400 * slow}, load=30, build=5, train=21200 * factor * (1 + run / 1000) * slow,
               infer=100, export=4100, save=10)
    wall = sum(x["wall_ns"] for x in p)
    return job(index, run, "train", "pytorch", "tutorial", phases=p, wall_ns=wall, cpu_ns=int(wall * 1.5),
               peak_rss_bytes=420 << 20, samples=samples("model(x)", 6.7, 19.4, 9),
               metrics={"evaluate_accuracy": 0.969}, settings={"adam.eps": "1e-08"},
               accuracy={"correct": 9690 - run, "total": 10000},
               exports=[{"format": "onnx", "exporter": "pytorch", "path": f"jobs/{index:04d}-pytorch-tutorial-r{run}/model.onnx",
                         "files": 2, "bytes": 207500, "wall_ns": 4000 * MS}],
               user_code={"train": {"lines": 31, "statements": 27}, "export": {"lines": 2, "statements": 2}})


def native(index, run):
    p = phases(start=2, load=45, build=1, first_step=1, train=6900 + run, infer=12, save=1)
    wall = sum(x["wall_ns"] for x in p)
    return job(index, run, "train", "native", "controlled", phases=p, wall_ns=wall, cpu_ns=wall,
               peak_rss_bytes=200 << 20, samples=samples("infer", 11, 3, 12), accuracy={"correct": 9740, "total": 10000},
               settings={"precision": "float32"})


def null(index, run):
    p = phases(start=1, load=40, build=0, first_step=0.001, train=4.687, infer=1, save=1)
    return job(index, run, "train", "null", "harness", phases=p, wall_ns=sum(x["wall_ns"] for x in p), cpu_ns=40 * MS,
               peak_rss_bytes=190 << 20)


def infer(index, of, runtime, **more):
    e = (of.get("exports") or [{"format": "", "exporter": ""}])[0]
    result = dict(phases=phases(start=2, **{"import": 30}, load=5, infer=20), wall_ns=57 * MS, cpu_ns=50 * MS,
                  peak_rss_bytes=90 << 20, samples=samples("run", 7, 3, 9), max_abs_diff=4.2e-6, changed_answers=0,
                  accuracy=of["accuracy"])
    result.update(more)
    j = job(index, of["run"], "infer", runtime, "deployment", **result)
    j["of"] = {"index": of["index"], "engine": of["engine"], "variant": "", "track": of["track"],
               "format": e["format"], "exporter": e["exporter"]}
    return j


def tares(of, fmt):
    """An export that tare wrote of the job's weights."""
    return {"format": fmt, "exporter": "tare", "path": f"{of['dir']}/tare/model.{fmt}", "files": 1,
            "bytes": 205100 if fmt == "tflite" else 204300, "wall_ns": 410_000 if fmt == "tflite" else 390_000}


def deployment(index, of, export, **more):
    """The two jobs of a runtime on one exported file: the whole test set, and a cold start."""
    runtime = {"tflite": "litert", "onnx": "onnxruntime"}[export["format"]]
    drift = BUSY[of["run"]]
    whole = infer(index, of, runtime, parity={"ratio": 0.9 + of["run"] / 100, "max_abs_diff": 3.1e-6, "changed_answers": 0},
                  latency={"n": 1000, "p50_ns": 3100 + 10 * drift, "p90_ns": 3600, "p99_ns": 9800 + 100 * drift, "p999_ns": None},
                  settings={"ships_bytes": "12300000" if runtime == "litert" else "28000000"}, **more)
    cold = job(index + 1, of["run"], "cold", runtime, "deployment",
               phases=phases(start=1, **{"import": 30 + drift}, load=0.5, build=4),
               wall_ns=40 * MS, cpu_ns=30 * MS, peak_rss_bytes=41 << 20,
               samples=[{"call": "run", "batch": 1, "loops": 1, "wall_ns": 500_000, "first": True}])
    for j in (whole, cold):
        j["of"] = {"index": of["index"], "engine": of["engine"], "variant": of["variant"], "track": of["track"],
                   "format": export["format"], "exporter": export["exporter"]}
    return [whole, cold]


def deployed(records):
    """The same experiment by a tare that exports every model itself and measures what its runtimes do."""
    result, index = [], 1000
    for r in (r for r in records if r.get("task") != "infer"):
        result.append(r)
        if r.get("task") != "train" or r["engine"] == "null" or r["state"] != "ok":
            continue
        r.setdefault("exports", []).extend(tares(r, fmt) for fmt in ("onnx", "tflite"))
        for e in r["exports"]:
            result += deployment(index, r, e)
            index += 2
    return result


INSTALLED = [{"name": "tensorflow", "megabytes": 1542}, {"name": "torch", "megabytes": 5400}]


def with_environments(e):
    e["tare"]["bytes"] = 402000
    e["environments"] = INSTALLED
    return e


def certificate(engine, state="ok", ratio=1.3, variant="", **more):
    c = {"record": "certificate", "engine": engine, "variant": variant, "device": "cpu", "threads": 2, "seed": 1,
         "state": state, "reason": "", "fix": "", "version": VERSION[engine], "limit": 10.0}
    if state == "not-checked":
        c["job_state"] = "skipped"
    else:
        c.update(max_ratio=ratio, largest={"checkpoint": "weights after step 100", "tensor": "0.weight", "value": ratio})
    c.update(more)
    return c


def full(runs, **options):
    records = [job(i, -1, "warmup", n, "tutorial") for i, n in enumerate(("keras", "pytorch"))]
    records.append(certificate("native"))
    index = 2
    for run in range(runs):
        k, p = keras(index, run), pytorch(index + 2, run, **options)
        records += [k, infer(index + 1, k, "litert"), p, infer(index + 3, p, "onnxruntime")]
        records += [native(index + 4, run), null(index + 5, run)]
        index += 6
    return records


def right(wrong_from, wrong):
    """Bits of 10,000 images, the one of image i in byte i / 8, all ones but `wrong` of them."""
    ones = (1 << 10000) - 1 - (((1 << wrong) - 1) << wrong_from)
    return base64.b64encode(ones.to_bytes(1250, "little")).decode()


def with_right(records, shift):
    """Which images each training job of run 0 got right; PyTorch's wrong ones begin at `shift`."""
    for r in records:
        if r.get("task") == "train" and r["run"] == 0 and "accuracy" in r:
            r["right"] = right(shift if r["engine"] == "pytorch" else 0, 10000 - r["accuracy"]["correct"])
    return records


def without_numbers(j, **more):
    for key in ("phases", "epochs", "samples", "metrics", "settings", "accuracy", "exports", "user_code", "wall_ns",
                "cpu_ns", "peak_rss_bytes"):
        j.pop(key, None)
    j.update(more)
    return j


def troubles():
    """Keras missing, PyTorch failing once, native void once, an export that its runtime refuses, one that computes
    something else, a busy machine."""
    records = [job(0, -1, "warmup", "keras", "tutorial", state="skipped", reason="No module named 'tensorflow'",
                   fix="make engines", version="")]
    for run in range(6):
        p, n = pytorch(10 + run * 10, run), native(12 + run * 10, run)
        if run in (1, 4):
            without_numbers(p, state="failed", reason=f"ended by signal {6 + run}", fix="see stderr.log")
        else:
            records.append(infer(11 + run * 10, p, "onnxruntime", **({} if run else {
                "state": "failed", "reason": "unknown operator Gemm\nline two", "accuracy": {"correct": 0, "total": 10000},
                "fix": "report it"})))
        if run == 3:
            n.update(state="void", reason="its phases add up to 1.000 s, but exec to bye took 7.000 s")
        records += [p, n, null(13 + run * 10, run)]
        if run == 0:
            n["exports"] = [tares(n, "onnx")]
            wrong = deployment(1000, n, n["exports"][0], state="failed",
                               reason="not what its weights compute: 1.23e+03 times as far from the float64 reference as "
                                      "float32 explains (limit 10), 3 answers changed, largest difference of a logit 0.0042")
            wrong[0]["parity"] = {"ratio": 1234.5, "max_abs_diff": 0.0042, "changed_answers": 3}
            records += wrong
    return records


def trained(index, run, engine, variant, seconds, first_s):
    """A training job on the controlled track, a per cent of drift between runs."""
    slow = 1 + BUSY[run] / 100
    p = phases(start=5, **{"import": 900}, load=50, build=20, first_step=first_s * 1000, train=seconds * 1000 * slow, infer=20,
               save=2)
    wall = sum(x["wall_ns"] for x in p)
    return job(index, run, "train", engine, "controlled", variant=variant, phases=p, wall_ns=wall, cpu_ns=wall,
               peak_rss_bytes=500 << 20, samples=samples("SessionRun", 8, 30, 20),
               accuracy={"correct": 9735 + run, "total": 10000})


def controlled():
    """Two variants of one engine and another that are certified, one that isn't the same work, one that lacks something,
    and one whose first timed epoch overturned its certificate; beside them, two tutorials."""
    VERSION.update(tensorflow="2.21.0", libtorch="2.15.0", jax="0.10.2", pytorch="2.15.0")
    records = [certificate("tensorflow", ratio=2.5, variant="xla-epoch"), certificate("tensorflow", ratio=1.5, variant="step"),
               certificate("libtorch"),
               certificate("jax", "not-same-work", 1234.5, reason="weights after step 1, 0.weight: 1234.5 times the spread",
                           first_step=1, first={"checkpoint": "weights after step 1", "tensor": "0.weight", "value": 1234.5}),
               certificate("keras", "not-checked", reason="not installed", fix="make engines", version=""),
               certificate("native"), certificate("native", "not-same-work", 1.3, reason="mean loss of the first epoch")]
    for run in range(6):
        records += [trained(10 * run, run, "tensorflow", "xla-epoch", 1.1, 0.57), trained(10 * run + 1, run, "tensorflow", "step", 2.5, 0.01),
                    trained(10 * run + 2, run, "libtorch", "", 2.5 * (0.98 + 0.01 * run), 0.002), native(10 * run + 3, run), keras(10 * run + 4, run), pytorch(10 * run + 5, run)]
    cells = [(n, "controlled") for n in ("tensorflow", "tensorflow", "libtorch", "jax", "keras", "native")]
    cells += [("keras", "tutorial"), ("pytorch", "tutorial")]
    e = experiment(6, cells, plan__command="tare compare --track controlled")
    for cell, variant in zip(e["plan"]["cells"], ("xla-epoch", "step")):
        cell["variant"] = variant
    return [e] + records


EVIL = "x\x1b[31m|`*_<b>&\n\r\x07\u202e,\"=\u00e9\u0085"


def hostile():
    VERSION[EVIL] = "1\x1b]0;title\x07|2"
    j = keras(0, 0)
    j.update(engine=EVIL, version=VERSION[EVIL], settings={"a|b\n# c": EVIL, "=cmd": "=1+1"}, metrics={EVIL: -1.5})
    j["samples"][1]["call"] = j["samples"][0]["call"] = j["samples"][2]["call"] = EVIL
    j["exports"][0].update(format=EVIL, path="-" + EVIL)
    bad = without_numbers(job(1, 0, "train", "native", "controlled"), state="failed", reason="=HYPERLINK(\"x\")" + EVIL,
                          fix="```\n# heading\n", reproduce="run `this` ```and``` that\n" + EVIL, dir="../../" + EVIL)
    return [j, bad]


def write(name, records, tail=b""):
    with open(f"{sys.argv[1]}/samples-{name}.jsonl", "wb") as f:
        for record in records:
            f.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        f.write(tail)


def main():
    write("complete", [with_environments(experiment())] + deployed(with_right(full(6), 210)))
    write("close", [experiment()] + with_right(full(6, factor=0.998), 20))
    c = controlled()
    write("controlled", [with_environments(c[0])] + deployed(c[1:]))
    write("quick", [experiment(1, plan__quick=True, plan__epochs=1, plan__command="tare compare --quick")] + deployed(full(1)))
    write("troubles", [experiment(machine__busy=True, machine__load1=3.5)] + troubles())
    write("standin", [experiment(1, dataset__name="fashion-mnist", dataset__standin=True,
                                 dataset__title="Fashion-MNIST (stand-in: MNIST not found)")] + full(1))
    records = full(6)
    last = json.dumps(records[24]).encode()
    write("interrupted", [experiment()] + records[:21], last[:700])
    write("hostile", [experiment(1, [(EVIL, "tutorial"), ("native", "controlled")], dataset__title="M|N\x1b[2J*IST",
                                 plan__command="tare compare `x`|\n")] + hostile())


main()
