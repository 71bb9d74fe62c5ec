"""How the inference of a Python engine is measured: the whole test set, single queries, batches.

engine_infer.c is the same for engines in C; doc/protocol.md says what each part of a job asks for.
Part of tare_engine.py's half of an engine, which writes the files.
"""

import time

ONE_IMAGE_NS = 20_000_000  # a measurement of single images lasts at least this long
BATCH_NS = 50_000_000  # one of batches
BATCH_CALLS = 3  # and has as many calls
WARM_UP_QUERIES = 100
LONGEST_NS = 2**31 - 1  # what the latencies' int32 holds


def measure(protocol, job, calls, x):
    """calls: (name, function) of each way to infer. Returns the logits of all of x by the first
    one, if the job wants them or nothing else, and the time of each query by it."""
    logits, query_ns = None, None
    # Without logits to give, the first query is the process's first inference: a cold start.
    if job.logits or not (job.queries or job.batches):
        logits = [measure_all(protocol, name, function, x, job.infer_loops)
                  for name, function in calls][0]
    name, function = calls[0]
    if job.queries:
        query_ns = measure_queries(protocol, name, function, x, job.queries)
    for batch in job.batches:
        measure_batch(protocol, name, function, x, batch)
    return logits, query_ns


def measure_all(protocol, name, function, x, repeats):
    """Times one way to infer; returns the logits of all of x."""
    start_ns = time.monotonic_ns()
    logits = function(x)
    protocol.sample(name, len(x), 1, time.monotonic_ns() - start_ns, True)
    for _ in range(repeats):
        start_ns = time.monotonic_ns()
        function(x)
        protocol.sample(name, len(x), 1, time.monotonic_ns() - start_ns, False)
    if repeats > 0:
        measure_one(protocol, name, function, x, repeats)
    return logits


def measure_one(protocol, name, function, x, repeats):
    """One image a call: the number of calls grows until the clock's resolution cannot matter."""
    def calls(loops):
        start_ns = time.monotonic_ns()
        for i in range(loops):
            function(x[i % len(x)][None])
        return time.monotonic_ns() - start_ns

    protocol.sample(name, 1, 1, calls(1), True)
    loops = 1
    while calls(loops) < ONE_IMAGE_NS:
        loops *= 2
    for _ in range(repeats):
        protocol.sample(name, 1, loops, calls(loops), False)


def measure_queries(protocol, name, function, x, queries):
    """One image a query, each between two readings of the clock; the first call apart."""
    def query(i):
        image = x[i % len(x)][None]  # the image is there: picking it isn't the model's work
        start_ns = time.monotonic_ns()
        function(image)
        return time.monotonic_ns() - start_ns

    protocol.sample(name, 1, 1, query(0), True)
    for i in range(min(WARM_UP_QUERIES, queries)):
        query(i)
    return [min(query(i), LONGEST_NS) for i in range(queries)]


def measure_batch(protocol, name, function, x, batch):
    """Calls of one size, on one part of x after the other. The first call, which may resize or
    compile, isn't counted."""
    if batch > len(x):  # the test set over and over
        x = x[[i % len(x) for i in range(batch)]]
    parts = len(x) // batch
    function(x[:batch])
    loops = BATCH_CALLS
    while True:
        start_ns = time.monotonic_ns()
        for i in range(loops):
            function(x[i % parts * batch:(i % parts + 1) * batch])
        wall_ns = time.monotonic_ns() - start_ns
        if wall_ns >= BATCH_NS:
            break
        loops *= 2
    protocol.sample(name, batch, loops, wall_ns, False)
