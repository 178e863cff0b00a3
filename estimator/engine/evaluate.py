"""The graph's clock: a readable reference, and batches over many scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from estimator.engine.graph import Graph
from estimator.engine.tape import Tape
from estimator.ground.lanes import Lanes, lanes

MOST_TOGETHER = 2048
"""Scenarios evaluated together: long enough to hide the call, short enough to stay in
the cache."""

WORTH_COMPILING = 5e8
"""Nodes times scenarios from which on Numba's start pays, about a second of NumPy."""


@dataclass(frozen=True)
class Clock:
    """When each node of a graph starts and ends, in seconds."""

    start_s: tuple[float, ...]
    end_s: tuple[float, ...]

    @property
    def makespan_s(self) -> float:
        """Time until the last node has ended."""
        return max(self.end_s, default=0.0)


def evaluate(graph: Graph, duration_s: Sequence[float]) -> Clock:
    """Return the longest-path clock for one duration per class, in ``graph.classes``.

    A node starts when all of its predecessors have ended. This is the reference that
    the other engines are compared with.

    Parameters
    ----------
    graph : Graph
        N nodes, each behind its predecessors.
    duration_s : sequence of float
        Seconds of each class, not negative.

    Examples
    --------
    >>> from estimator.engine.graph import compile_program
    >>> from estimator.schedules.notation import Pipeline
    >>> from estimator.schedules.programs import program
    >>> graph = compile_program(program("gpipe", Pipeline(2, 3)))
    >>> lasting = {"F": 1.0, "B": 2.0, "SEND": 0.0}
    >>> evaluate(graph, [lasting[kind.op] for kind in graph.classes]).makespan_s
    12.0
    """
    num_nodes = len(graph.node_class)
    start_s, end_s = [0.0] * num_nodes, [0.0] * (num_nodes + 1)  # the last: no node's
    columns = (graph.node_class, *graph.predecessors.T)
    steps = zip(*(column.tolist() for column in columns), strict=True)
    for node, (kind, first, second, third) in enumerate(steps):
        start_s[node] = max(end_s[first], end_s[second], end_s[third])
        end_s[node] = start_s[node] + duration_s[kind]
    return Clock(tuple(start_s), tuple(end_s[:-1]))


def makespan_s(graph: Graph, duration_s: Sequence[Any]) -> float:
    """Return the makespan for one duration per class; any of them may be lanes.

    Parameters
    ----------
    graph : Graph
        As of :func:`evaluate`.
    duration_s : sequence of float or Lanes
        Seconds of each class; lanes hold one value for each of S scenarios.

    Returns
    -------
    float or Lanes
        Seconds; lanes if one of the durations is.
    """
    sizes = {len(value) for value in duration_s if isinstance(value, Lanes)}
    if not sizes:
        return evaluate(graph, duration_s).makespan_s
    rows = [np.broadcast_to(value, max(sizes)) for value in duration_s]
    made: Any = lanes(makespans(graph, np.array(rows)))
    longest_s: float = made
    return longest_s


def makespans(graph: Graph, duration_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the makespan of each scenario, shape (S,), from durations (classes, S).

    Large batches run in Numba where it is installed.

    Parameters
    ----------
    graph : Graph
        As of :func:`evaluate`.
    duration_s : array
        Seconds, shape (classes, S).

    Raises
    ------
    ValueError
        If there is not one row of durations per class of the graph.
    """
    duration_s = np.asarray(duration_s, dtype=np.float64)
    if duration_s.ndim != 2 or len(duration_s) != len(graph.classes):
        wanted = f"({len(graph.classes)}, S)"
        raise ValueError(f"durations have shape {wanted}, not {duration_s.shape}")
    is_large = len(graph.node_class) * duration_s.shape[1] >= WORTH_COMPILING
    if is_large and find_spec("numba"):
        from estimator.engine.compiled import numba_makespans

        return numba_makespans(graph.tape, duration_s)
    return numpy_makespans(graph.tape, duration_s)


def numpy_makespans(tape: Tape, duration_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the makespans by NumPy, a block of scenarios at a time."""
    num_scenarios = duration_s.shape[1]
    longest_s = np.zeros(num_scenarios)
    steps = list(
        zip(
            tape.kind.tolist(),
            tape.target.tolist(),
            tape.sources.tolist(),
            tape.num_sources.tolist(),
            strict=True,
        )
    )
    for low in range(0, num_scenarios, MOST_TOGETHER):
        block = np.ascontiguousarray(duration_s[:, low : low + MOST_TOGETHER])
        end = np.zeros((tape.num_rows + 1, block.shape[1]))
        rows, lasting = list(end), list(block)
        for kind, target, (first, second, third), num_sources in steps:
            row = rows[target]
            if num_sources < 2:
                np.add(rows[first], lasting[kind], out=row)
                continue
            np.maximum(rows[first], rows[second], out=row)
            if num_sources > 2:
                np.maximum(row, rows[third], out=row)
            np.add(row, lasting[kind], out=row)
        end[tape.sinks].max(
            axis=0, initial=0.0, out=longest_s[low : low + MOST_TOGETHER]
        )
    return longest_s
