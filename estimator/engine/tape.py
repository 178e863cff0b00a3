"""A graph as a tape: steps that write few rows of end times, reused as they fall free.

The batch clocks play it over many scenarios at once. A row holds one node's end time in
every scenario of a block, until the last node that waits for it has started.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_SOURCES = 3
"""A node waits for its rank's previous one and at most two messages."""


@dataclass(frozen=True, eq=False)
class Tape:
    """Arrays of ``N`` steps: end[target] = max(end[sources]) + duration[kind]."""

    kind: NDArray[np.int32]
    target: NDArray[np.int32]
    sources: NDArray[np.int32]
    """Shape (N, 3), padded with the index of a further row, which stays zero. The
    target can be the first source."""
    num_sources: NDArray[np.int32]
    num_rows: int
    sinks: NDArray[np.int32]
    """Rows of the nodes that nobody waits for; they are never reused."""


def record(kinds: Sequence[int], before: Sequence[Sequence[int]]) -> Tape:
    """Return the tape of nodes with these classes and predecessors.

    Parameters
    ----------
    kinds : sequence of int
        Class of each of N nodes.
    before : sequence of sequence of int
        Nodes that each waits for, at most :data:`MAX_SOURCES`, all of them earlier.

    Examples
    --------
    >>> record([0, 0, 1], [[], [0], [1]]).num_rows  # a chain reuses one row
    1
    """
    depth: list[int] = []
    for nodes in before:
        depth.append(1 + max((depth[node] for node in nodes), default=-1))
    # by depth, ranks advance side by side and few end times are awaited at once
    order = sorted(range(len(kinds)), key=depth.__getitem__)
    waiting = [0] * len(kinds)
    for nodes in before:
        for node in nodes:
            waiting[node] += 1
    row = [0] * len(kinds)
    sinks = [node for node, count in enumerate(waiting) if not count]
    free: list[int] = []
    sources: list[list[int]] = []
    num_rows = 0
    for node in order:
        sources.append([row[other] for other in before[node]])
        for other in before[node]:
            waiting[other] -= 1
            if not waiting[other]:
                free.append(row[other])
        if not free:
            free.append(num_rows)
            num_rows += 1
        row[node] = free.pop()
        # a reused source first: it is read before the row is written
        sources[-1].sort(key=row[node].__ne__)
    padded = np.full((len(kinds), MAX_SOURCES), num_rows, dtype=np.int32)
    for step, rows in enumerate(sources):
        padded[step, : len(rows)] = rows
    return Tape(
        kind=np.array([kinds[node] for node in order], dtype=np.int32),
        target=np.array([row[node] for node in order], dtype=np.int32),
        sources=padded,
        num_sources=np.array([len(rows) for rows in sources], dtype=np.int32),
        num_rows=num_rows,
        sinks=np.array([row[node] for node in sinks], dtype=np.int32),
    )
