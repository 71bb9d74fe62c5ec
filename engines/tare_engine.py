"""The half of a Python engine that all of them share: protocol, stopwatch, files.

engine_main.c is the same for engines in C, and both pass the same conformance test; doc/protocol.md
is the specification. How inference is measured is tare_infer.py. An engine is a subclass of Engine with a few hooks, and ends with
`sys.exit(tare_engine.main(MyEngine()))`; TEMPLATE.py is the shortest one. Tutorial engines
(keras_engine.py, pytorch_engine.py) fill in the tutorial hooks, others the controlled ones.

The stopwatch laps: a phase ends where the next begins, so that no time can fall between two.
"""

import json
import os
import sys
import time
from types import SimpleNamespace

import tare_infer

ABI = 1
MAX_LINE_BYTES = 65536
MAX_QUERIES, MAX_BATCHES, MAX_BATCH = 1_000_000, 16, 65536

JOB_DEFAULTS = {  # as tare_job_defaults
    "abi": ABI, "task": "train", "track": "controlled", "variant": "", "model": "",
    "images": "", "labels": "", "test_images": "", "data_dir": "", "norm": "u8/255",
    "init": "", "order": "", "optimizer": {}, "batch": 32, "epochs": 1, "steps": 0, "range": 0,
    "threads": 1, "seed": 0, "precision": "float32", "device": "cpu", "out": "", "logits": "",
    "export_dir": "", "model_file": "", "infer_loops": 0, "losses": "", "logits_before": "",
    "dump_dir": "", "dump_at": [], "first_apart": True, "latencies": "", "queries": 0,
    "batches": [], "scratch": "",
}
OPTIMIZER_DEFAULTS = {"name": "adam", "schedule": "constant", "lr": 1e-3, "momentum": 0.9,
                      "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}


class Failure(Exception):
    """The engine cannot do the job: becomes a `fail` event."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Skip(Exception):
    """The machine lacks something: becomes a `skip` event."""

    def __init__(self, reason, fix):
        super().__init__(reason)
        self.fix = fix


class Engine:
    """What an engine fills in: all the hooks of the tracks it names."""

    name = ""
    tracks = ("controlled",)
    tasks = ("train", "infer")
    variants = ("",)  # of the controlled track; "" is the one that runs unless another is named
    devices = ("cpu",)  # likewise; an engine that names "cuda" skips where there is none
    optimizers = ("adam",)  # likewise
    infer_call = "infer"  # controlled track: what infer() calls, by name
    fix = "make engines"  # what to try when the framework cannot be imported

    def import_framework(self, job):
        """Both tracks: import the framework, set threads and seed. Returns its version."""
        raise NotImplementedError

    # Controlled track: the hooks of include/tare/engine.h.
    def build(self, work):
        """Make the net with work.params, ready to train or infer."""
        raise NotImplementedError

    def train(self, first, count):
        """Run steps [first, first + count); returns each step's loss before its update."""
        raise NotImplementedError

    def weights(self):
        """The current parameters by name ("0.weight": (n_in, n_out), "0.bias": (n_out))."""
        raise NotImplementedError

    def infer(self, x):
        """logits: (n, n_out) of x: (n, n_in), both numpy float32."""
        raise NotImplementedError

    # Tutorial track.
    tutorial = ""  # the module that holds the code a user writes
    train_code, export_code = (), ()  # its functions and classes that training and export need
    export_format = ""

    def tutorial_load(self, job, layers):
        """Load the data as the tutorial does. Returns the shape of one input of the net."""
        raise NotImplementedError

    def tutorial_build(self, job, layers):
        raise NotImplementedError

    def tutorial_train(self, job):
        """Returns the mean loss of each epoch where the framework reports it, else nothing."""
        raise NotImplementedError

    def tutorial_evaluate(self):
        """The framework's own accuracy on the test set."""
        raise NotImplementedError

    def tutorial_calls(self):
        """(name, function) of each way to infer; numpy float32 in and out. The first one gives the
        logits that are graded."""
        raise NotImplementedError

    def tutorial_export(self, path):
        raise NotImplementedError


# ---- events and the stopwatch --------------------------------------------------------------------

class Protocol:
    """Events on what was stdout at the start; fd 1 itself becomes stderr, for the framework."""

    def __init__(self):
        sys.stdout.flush()
        self.fd = os.dup(1)
        os.dup2(2, 1)
        self.lap_start_ns = time.monotonic_ns()

    def event(self, event, **keys):
        line = json.dumps({"event": event, **keys}, separators=(",", ":"), allow_nan=False)
        rest = line.encode() + b"\n"
        while rest:
            rest = rest[os.write(self.fd, rest):]

    def lap(self, phase):
        now_ns = time.monotonic_ns()
        self.event("phase", name=phase, wall_ns=now_ns - self.lap_start_ns)
        self.lap_start_ns = now_ns

    def setting(self, name, value):
        self.event("setting", name=name, value=str(value))

    def sample(self, call, batch, loops, wall_ns, first):
        self.event("sample", task="infer", call=call, batch=batch, loops=loops, wall_ns=wall_ns,
                   first=first)

    def epoch(self, index, loss, wall_ns):
        # JSON has no NaN; null stands for a number that is not finite.
        loss = float(loss)
        self.event("epoch", i=index, loss=loss if abs(loss) < float("inf") else None,
                   wall_ns=wall_ns)


# ---- the job -------------------------------------------------------------------------------------

def fill(defaults, given, what):
    """defaults, with the given values of the same kind; unknown keys are ignored."""
    if not isinstance(given, dict):
        raise Failure("usage", f"{what} is not a JSON object")
    values = dict(defaults)
    for key, default in defaults.items():
        value = given.get(key, default)
        if isinstance(default, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(default) or (isinstance(value, int) and value < 0):
            raise Failure("usage", f"{what}: {key} cannot be {value!r}")
        values[key] = value
    return values


def parse_job(line):
    if not line:
        raise Failure("usage", "no job; give one as a line of JSON on stdin")
    if len(line) > MAX_LINE_BYTES:
        raise Failure("usage", f"the job is longer than {MAX_LINE_BYTES} bytes")
    try:
        given = json.loads(line)
    except ValueError as error:
        raise Failure("data", f"the job is not a line of JSON: {error}") from None
    job = SimpleNamespace(**fill(JOB_DEFAULTS, given, "job"))
    job.optimizer = SimpleNamespace(**fill(OPTIMIZER_DEFAULTS, job.optimizer, "optimizer"))
    if job.abi != ABI:
        raise Failure("usage", f"the job has abi {job.abi}; this engine speaks {ABI}")
    if job.queries > MAX_QUERIES or len(job.batches) > MAX_BATCHES or not all(
            type(batch) is int and 1 <= batch <= MAX_BATCH for batch in job.batches):
        raise Failure("data", f"at most {MAX_QUERIES} queries, {MAX_BATCHES} batches of 1 to "
                              f"{MAX_BATCH} images")
    return job


def check_job(engine, job):
    """An engine that quietly did something else than it was asked for would be worse than none."""
    if job.task != "warmup" and job.task not in engine.tasks:
        raise Failure("usage", f'{engine.name} does not know the task "{job.task}"')
    if job.task == "train" and job.track not in engine.tracks:
        raise Failure("usage", f'{engine.name} is not on the track "{job.track}"')
    able = Engine if job.track == "tutorial" else engine  # tutorials: the defaults and no more
    if job.device == "cuda" and job.device not in able.devices:
        raise Skip("this engine runs on the CPU only", "--device cpu")
    for key, value, known in (("precision", job.precision, ("float32",)),
                              ("norm", job.norm, ("u8/255",)),
                              ("variant", job.variant, able.variants),
                              ("device", job.device, able.devices),
                              ("optimizer", job.optimizer.name, able.optimizers),
                              ("schedule", job.optimizer.schedule, ("constant",))):
        if value not in known:
            names = " or ".join(f'"{name}"' for name in known)
            raise Failure("usage", f'{engine.name} knows {key} {names} on the track "{job.track}", '
                                   f'not "{value}"')
    if job.task == "train" and (job.batch == 0 or job.epochs == 0):
        raise Failure("usage", "batch and epochs must be at least 1")


def parse_model(spec):
    """"784 dense:64:relu dense:10" as (784, [(64, "relu"), (10, None)])."""
    words = spec.split()
    try:
        n_in = 1
        for dimension in words[0].split("x"):
            n_in *= int(dimension)
        layers = []
        for word in words[1:]:
            op, *arguments = word.split(":")
            if op == "dense" and len(arguments) in (1, 2) and arguments[1:] in ([], ["relu"]):
                layers.append((int(arguments[0]), "relu" if arguments[1:] else None))
            elif op == "relu" and not arguments:
                # ReLU belongs to the dense layer before it. In front of the first one it changes
                # nothing: inputs are u8/255, never negative.
                if layers:
                    layers[-1] = (layers[-1][0], "relu")
            else:
                raise ValueError(word)
    except (ValueError, IndexError) as error:
        raise Failure("usage", f'the model "{spec}" cannot be read: {error}') from None
    if not layers or n_in < 1 or min(units for units, _ in layers) < 1:
        raise Failure("usage", f'the model "{spec}" has nothing to train')
    return n_in, layers


# ---- files ---------------------------------------------------------------------------------------

def write_file(path, data):
    """path holds either its old content or all of the new."""
    part = f"{path}.{os.getpid()}.part"
    with open(part, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def write_npy(path, array, dtype="<f4"):
    import io
    import numpy as np
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array, dtype=dtype))
    write_file(path, buffer.getvalue())


def read_npy(path, dtype, what):
    import numpy as np
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Failure("data", f"{path}: {error}") from None
    if array.dtype != np.dtype(dtype) or array.ndim < 1 or array.size == 0:
        raise Failure("data", f"{path}: {what} must be {np.dtype(dtype)}, not {array.dtype} "
                              f"{array.shape}")
    return array


def read_images(path, n_in):
    """(n, n_in) float32 = u8/255.0f, correctly rounded."""
    import numpy as np
    images = read_npy(path, "u1", "images")
    if images.size != len(images) * n_in:
        raise Failure("data", f"{path}: an image has {images.size // len(images)} values, the "
                              f"model takes {n_in}")
    return images.reshape(len(images), n_in).astype(np.float32) / np.float32(255)


def write_safetensors(path, tensors, metadata):
    import struct
    import numpy as np
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in tensors.items():
        tensor = np.ascontiguousarray(tensor, dtype="<f4")
        header[name] = {"dtype": "F32", "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + tensor.nbytes]}
        data += tensor.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format aligns the tensors by spaces after the header
    write_file(path, struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    """The float32 tensors of a file by name."""
    import numpy as np
    try:
        with open(path, "rb") as file:
            content = file.read()
        size = int.from_bytes(content[:8], "little")
        if len(content) < 8 or size > len(content) - 8:
            raise ValueError(f"a header of {size} bytes in a file of {len(content)}")
        tensors = {}
        for name, entry in json.loads(content[8:8 + size]).items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            if entry["dtype"] != "F32" or not 0 <= begin <= end <= len(content) - 8 - size:
                raise ValueError(f"{name} is not float32 inside the file")
            values = np.frombuffer(content[8 + size + begin:8 + size + end], dtype="<f4")
            tensors[name] = values.reshape(entry["shape"]).copy()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failure("data", f"{path}: {error}") from None
    return tensors


def check_tensors(tensors, n_in, layers, path):
    import numpy as np
    expected = {}
    for i, (units, _) in enumerate(layers):
        expected[f"{i}.weight"], expected[f"{i}.bias"] = (n_in, units), (units,)
        n_in = units
    for name, shape in expected.items():
        if name not in tensors or tensors[name].shape != shape:
            raise Failure("data", f"{path}: needs {name} of shape {shape}")
        if not np.isfinite(tensors[name]).all():
            raise Failure("data", f"{path}: {name} holds a value that is not finite")
    return {name: tensors[name] for name in expected}


def write_weights(path, engine, job, weights):
    write_safetensors(path, weights, {"model": job.model, "norm": job.norm,
                                      "trained_by": engine.name})


def save(engine, job, weights, logits):
    if job.out and job.task == "train":
        write_weights(job.out, engine, job, weights)
    if job.logits and logits is not None:
        write_npy(job.logits, logits)


def infer(protocol, job, calls, x):
    """Measures what the job asks for, in a phase of its own; returns the logits to be graded."""
    logits, query_ns = tare_infer.measure(protocol, job, calls, x)
    if job.latencies and job.queries:
        write_npy(job.latencies, query_ns, "<i4")
    protocol.lap("infer")
    return logits


# ---- the controlled track ------------------------------------------------------------------------

def load_controlled(job):
    if not job.init:
        raise Failure("usage", "no initial weights; give init")
    n_in, layers = parse_model(job.model)
    params = check_tensors(read_safetensors(job.init), n_in, layers, job.init)
    work = SimpleNamespace(job=job, n_in=n_in, layers=layers, params=params)
    if job.task == "train":
        work.images = read_images(job.images, n_in)
        work.labels = read_npy(job.labels, "<i4", "labels")
        order = read_npy(job.order, "<i4", "order")
        if work.labels.shape != (len(work.images),):
            raise Failure("data", f"{job.labels}: needs a label for each image")
        if work.labels.min() < 0 or work.labels.max() >= layers[-1][0]:
            raise Failure("data", f"{job.labels}: a label is outside the {layers[-1][0]} classes")
        if order.ndim != 3 or order.shape[2] != job.batch:
            raise Failure("data", f"{job.order}: {order.shape} has not batches of {job.batch}")
        if order.min() < 0 or order.max() >= len(work.images):
            raise Failure("data", f"{job.order}: an index is outside the {len(work.images)} images")
        work.steps_per_epoch = order.shape[1]
        work.order = order.reshape(-1, job.batch)  # (steps, batch)
        work.steps = job.steps or len(work.order)
        if work.steps > len(work.order):
            raise Failure("data", f"{job.order}: holds {len(work.order)} steps, not {work.steps}")
    return work


def next_range(work, step):
    """Steps of the next call: to the end of the range, the epoch, the job, or to the next dump.
    The first step alone: compilation happens there."""
    job, per_epoch = work.job, work.steps_per_epoch
    count = 1 if step == 0 and job.first_apart else job.range or per_epoch
    ends = [step - step % per_epoch + per_epoch, work.steps, *job.dump_at]
    return min([count] + [end - step for end in ends if end > step])


def train_controlled(engine, work, protocol):
    job, per_epoch = work.job, work.steps_per_epoch
    losses, epoch_start_ns = [], time.monotonic_ns()
    while len(losses) < work.steps:
        step = len(losses)
        count = next_range(work, step)
        some = engine.train(step, count)
        if len(some) != count:
            raise Failure("failed", f"{count} steps gave {len(some)} losses")
        losses += [float(loss) for loss in some]
        step += count
        if step == 1:
            protocol.lap("first_step")
        if step in job.dump_at:
            protocol.lap("train")
            write_weights(os.path.join(job.dump_dir, f"weights-{step}.safetensors"), engine, job,
                          engine.weights())
            protocol.lap("dump")
        if step % per_epoch == 0:
            now_ns = time.monotonic_ns()
            protocol.epoch(step // per_epoch - 1, sum(losses[-per_epoch:]) / per_epoch,
                           now_ns - epoch_start_ns)
            epoch_start_ns = now_ns
    weights = engine.weights()
    protocol.lap("train")
    if job.losses:
        write_npy(job.losses, losses)
        protocol.lap("save")
    return weights


def load_test_images(work, protocol):
    """Right before they are needed, so that training doesn't carry them."""
    images = read_images(work.job.test_images, work.n_in)
    protocol.lap("load")
    return images


def run_controlled(engine, job, protocol):
    work = load_controlled(job)
    protocol.lap("load")
    engine.build(work)
    protocol.lap("build")
    test_images = None
    if job.logits_before and job.test_images:
        test_images = load_test_images(work, protocol)
        write_npy(job.logits_before, engine.infer(test_images))
        protocol.lap("logits_before")
    weights = train_controlled(engine, work, protocol) if job.task == "train" else None
    logits = None
    if job.test_images:
        if test_images is None:
            test_images = load_test_images(work, protocol)
        logits = infer(protocol, job, [(engine.infer_call, engine.infer)], test_images)
    save(engine, job, weights, logits)
    protocol.lap("save")


# ---- the tutorial track --------------------------------------------------------------------------

def run_tutorial(engine, job, protocol):
    n_in, layers = parse_model(job.model)
    shape = engine.tutorial_load(job, layers)
    protocol.lap("load")
    # The images that tare grades: loaded apart, so that `load` is the tutorial's own.
    x = read_images(job.test_images, n_in)
    values = 1
    for dimension in shape:
        values *= dimension
    if values != n_in:
        raise Failure("data", f"{job.data_dir}: an image has {values} values, the model takes "
                              f"{n_in}")
    x = x.reshape(len(x), *shape)
    protocol.lap("prepare")
    engine.tutorial_build(job, layers)
    protocol.lap("build")
    losses = engine.tutorial_train(job)
    protocol.lap("train")
    for i, loss in enumerate(losses or ()):
        protocol.epoch(i, loss, 0)
    protocol.event("metric", name="evaluate_accuracy", value=float(engine.tutorial_evaluate()))
    protocol.lap("evaluate")
    logits = infer(protocol, job, engine.tutorial_calls(), x)
    if job.export_dir:
        path = os.path.join(job.export_dir, f"model.{engine.export_format}")
        start_ns = time.monotonic_ns()
        engine.tutorial_export(path)
        protocol.event("export", format=engine.export_format, path=path,
                       wall_ns=time.monotonic_ns() - start_ns)
        protocol.lap("export")
    save(engine, job, engine.weights(), logits)
    report_user_code(engine, protocol)
    protocol.lap("save")


def count_code(source, names):
    """(lines, statements) of the named functions and classes of a module, or of its imports for the
    name "import". Blank lines, comments and docstrings do not count; `def` lines do."""
    import ast
    import io
    import tokenize
    tree = ast.parse(source)
    nodes = [node for node in tree.body if getattr(node, "name", None) in names
             or ("import" in names and isinstance(node, (ast.Import, ast.ImportFrom)))]
    code_lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT,
                              tokenize.DEDENT, tokenize.ENDMARKER):
            code_lines.update(range(token.start[0], token.end[0] + 1))
    lines, statements = set(), 0
    for node in nodes:
        decorated = [decorator.lineno for decorator in getattr(node, "decorator_list", [])]
        lines.update(range(min([node.lineno, *decorated]), node.end_lineno + 1))
        for part in ast.walk(node):
            if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant):
                code_lines.difference_update(range(part.lineno, part.end_lineno + 1))
            elif isinstance(part, ast.stmt):
                statements += 1
    return len(lines & code_lines), statements


def report_user_code(engine, protocol):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{engine.tutorial}.py")
    with open(path, encoding="utf-8") as file:
        source = file.read()
    for name, parts in (("train", engine.train_code), ("export", engine.export_code)):
        lines, statements = count_code(source, parts)
        protocol.event("user_code", name=name, lines=lines, statements=statements)


def report_sources(protocol):
    """SHA-256 of the modules of this folder that ran: the wrapper that tare starts holds no code."""
    import hashlib
    here = os.path.dirname(os.path.abspath(__file__))
    script = os.path.basename(sys.argv[0])
    for name in sorted(os.listdir(here)):
        if name == script or (name.endswith(".py") and name[:-3] in sys.modules):
            with open(os.path.join(here, name), "rb") as file:
                protocol.setting(f"source:{name}", hashlib.sha256(file.read()).hexdigest())


# ---- main ----------------------------------------------------------------------------------------

def run(engine, job, protocol):
    check_job(engine, job)
    try:
        version = engine.import_framework(job)
    except ImportError as error:
        raise Skip(f"{engine.name} cannot be imported: {error}", engine.fix) from error
    protocol.setting("version", version)
    protocol.lap("import")
    if job.task == "warmup":
        return
    if job.track == "tutorial" and job.task == "train":
        run_tutorial(engine, job, protocol)
    else:
        run_controlled(engine, job, protocol)


def fail(protocol, code, error):
    import traceback
    traceback.print_exception(error)
    protocol.event("fail", code=code, message=str(error)[:2000])
    return 1


def main(engine):
    """Runs one job from stdin; returns the exit code."""
    program = os.path.basename(sys.argv[0])
    if len(sys.argv) > 1:
        print(f"usage: {program} < job.json\n"
              f'The engine "{engine.name}" of tare: reads one job as a line of JSON, prints events '
              "as lines of JSON.\nThe protocol: doc/protocol.md.")
        return 0 if sys.argv[1] == "--help" else 2
    engine.protocol = protocol = Protocol()
    job, problem = None, None
    try:
        job = parse_job(sys.stdin.buffer.readline(MAX_LINE_BYTES + 1))
    except Failure as error:
        problem = error
    protocol.event("hello", abi=ABI, engine=engine.name, version="", clock_ns=protocol.lap_start_ns,
                   variant=job.variant if job else "", tasks=[*engine.tasks, "warmup"])
    try:
        if problem:
            raise problem
        # What the kernel says, after the launcher's sched_setaffinity.
        protocol.setting("cpus_allowed", len(os.sched_getaffinity(0)))
        run(engine, job, protocol)
    except Skip as skip:
        import traceback
        traceback.print_exception(skip)
        protocol.event("skip", reason=str(skip)[:2000], fix=skip.fix)
        return 1
    except Failure as error:
        return fail(protocol, error.code, error)
    except Exception as error:
        return fail(protocol, "failed", Exception(f"{type(error).__name__}: {error}")
                    .with_traceback(error.__traceback__))
    report_sources(protocol)
    protocol.event("bye")
    return 0
