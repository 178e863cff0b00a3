"""The graph's clock: a readable reference, and a batch over many scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from estimator.engine.graph import Graph

BLOCK = 256
"""Scenarios evaluated together: their end times stay in the second-level cache."""


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
    """
    start_s: list[float] = []
    end_s: list[float] = []
    for kind, before in zip(
        graph.node_class.tolist(), graph.predecessors.tolist(), strict=True
    ):
        begin = 0.0
        for node in before:
            if node < 0:
                break
            begin = max(begin, end_s[node])
        start_s.append(begin)
        end_s.append(begin + duration_s[kind])
    return Clock(tuple(start_s), tuple(end_s))


def makespans(graph: Graph, duration_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the makespan of each scenario, shape (S,), from durations (classes, S)."""
    kinds = graph.node_class.tolist()
    before = [
        [node for node in row if node >= 0] for row in graph.predecessors.tolist()
    ]
    num_scenarios = duration_s.shape[1]
    longest = np.zeros(num_scenarios)
    for low in range(0, num_scenarios, BLOCK):
        block = np.ascontiguousarray(duration_s[:, low : low + BLOCK])
        end_s = np.zeros((len(kinds), block.shape[1]))
        for node, (kind, nodes) in enumerate(zip(kinds, before, strict=True)):
            row = end_s[node]
            if nodes:
                row += end_s[nodes[0]]
                for other in nodes[1:]:
                    np.maximum(row, end_s[other], out=row)
            row += block[kind]
        longest[low : low + BLOCK] = end_s.max(axis=0, initial=0.0)
    return longest
