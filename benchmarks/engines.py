"""How fast the clocks run, measured side by side in one run on one core.

DualPipe on 16 ranks with 120 micro-batches: ``python benchmarks/engines.py``. Each rate
is the best of several runs, in nodes of the chunk graph per second, as a multiple of a
plain-Python longest path over the same graph.
"""

from __future__ import annotations

import argparse
import platform
import resource
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from estimator.engine.evaluate import evaluate, numpy_makespans
from estimator.engine.graph import Graph, compile_program
from estimator.engine.step import simulate_step
from estimator.schedules.notation import Pipeline
from estimator.schedules.programs import program

NUM_SCENARIOS = 10_000


def plain_longest_path(
    steps: Sequence[tuple[int, tuple[int, ...]]], duration_s: Sequence[float]
) -> float:
    """Return the makespan by a loop that does nothing else, tuned for CPython."""
    end_s: list[float] = []
    add = end_s.append
    for kind, before in steps:
        count = len(before)
        if count == 2:
            first, second = before
            begin, other = end_s[first], end_s[second]
            if other > begin:
                begin = other
            add(begin + duration_s[kind])
        elif count == 1:
            add(end_s[before[0]] + duration_s[kind])
        elif count == 3:
            first, second, third = before
            begin, other = end_s[first], end_s[second]
            if other > begin:
                begin = other
            other = end_s[third]
            if other > begin:
                begin = other
            add(begin + duration_s[kind])
        else:
            add(duration_s[kind])
    return max(end_s)


def best_s(run: Callable[[], object], times: int) -> float:
    """Return the shortest of several runs, after one to warm up."""
    run()
    spent_s = []
    for _ in range(times):
        began_s = time.perf_counter()
        run()
        spent_s.append(time.perf_counter() - began_s)
    return min(spent_s)


def check_agreement(graph: Graph, batch_s: NDArray[np.float64]) -> None:
    """Raise unless the engines give the same makespans."""
    few_s = batch_s[:, :4]
    wanted = [
        plain_longest_path(graph.steps, column_s) for column_s in few_s.T.tolist()
    ]
    np.testing.assert_allclose(numpy_makespans(graph.tape, few_s), wanted, rtol=1e-12)
    if find_spec("numba"):
        from estimator.engine.compiled import numba_makespans

        np.testing.assert_allclose(
            numba_makespans(graph.tape, few_s), wanted, rtol=1e-12
        )


def rates(graph: Graph) -> dict[str, float]:
    """Return nodes per second by engine."""
    rng = np.random.default_rng(0)
    batch_s = rng.uniform(0.5, 1.5, (len(graph.classes), NUM_SCENARIOS))
    check_agreement(graph, batch_s)
    one_s = batch_s[:, 0].tolist()
    lasting_s = dict(zip(graph.classes, one_s, strict=True))
    steps, tape, num_nodes = graph.steps, graph.tape, len(graph.steps)
    seconds = {
        "plain Python": best_s(lambda: plain_longest_path(steps, one_s), 200),
        "SimPy": best_s(lambda: simulate_step(graph.program, lasting_s.__getitem__), 5),
        "reference": best_s(lambda: evaluate(graph, one_s), 50),
        "NumPy": best_s(lambda: numpy_makespans(tape, batch_s), 5) / NUM_SCENARIOS,
    }
    if find_spec("numba"):
        from estimator.engine.compiled import numba_makespans

        run_s = best_s(lambda: numba_makespans(tape, batch_s), 5)
        seconds["Numba float64"] = run_s / NUM_SCENARIOS
    return {engine: num_nodes / spent_s for engine, spent_s in seconds.items()}


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    graph = compile_program(program("dualpipe", Pipeline(16, 120)))
    found = rates(graph)
    plain = found["plain Python"]
    print(f"{len(graph.steps)} nodes, {NUM_SCENARIOS} scenarios per batch, one core")
    print(f"Python {platform.python_version()}, NumPy {np.__version__}")
    for engine, rate in found.items():
        print(f"{engine:14} {rate / 1e6:9.2f} M nodes/s {rate / plain:9.2f} x plain")
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"peak memory of the whole process {peak_bytes / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
