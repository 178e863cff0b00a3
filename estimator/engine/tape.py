"""A graph as a tape: steps that write few rows of end times, reused as they fall free.

The batch clocks play it over many scenarios at once. A row holds one node's end time in
every scenario of a block, until the last node that waits for it has started.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_SOURCES = 3
"""A node waits for its rank's previous one and at most two messages."""
NO_NODE = -1
PADDING = [(NO_NODE,) * (MAX_SOURCES - count) for count in range(MAX_SOURCES + 1)]
"""What stands behind so many predecessors of a node."""


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


def record(kinds: NDArray[np.int32], before: NDArray[np.int32]) -> Tape:
    """Return the tape of nodes with these classes and predecessors.

    Parameters
    ----------
    kinds : array, shape (N,)
        Class of each of N nodes.
    before : array, shape (N, MAX_SOURCES)
        Nodes that each waits for, all of them earlier, padded with -1 behind the last.

    Examples
    --------
    >>> before = np.array([[-1, -1, -1], [0, -1, -1], [1, -1, -1]], dtype=np.int32)
    >>> record(np.array([0, 0, 1], dtype=np.int32), before).num_rows  # one row again
    1
    """
    num_nodes = len(kinds)
    columns = [column.tolist() for column in before.T]
    depth = [-1] * (num_nodes + 1)  # the last is that of no node
    for node, (first, second, third) in enumerate(zip(*columns, strict=True)):
        depth[node] = 1 + max(depth[first], depth[second], depth[third])
    # by depth, ranks advance side by side and few end times are awaited at once
    order = np.argsort(depth[:-1], kind="stable")
    waiting = np.bincount(before.ravel() + 1, minlength=num_nodes + 1)[1:].tolist()
    row = [0] * num_nodes
    sinks = [node for node, count in enumerate(waiting) if not count]
    free: list[int] = []
    sources: list[int] = []
    num_sources = (before >= 0).sum(axis=1)[order]
    num_rows = 0
    for node, count in zip(order.tolist(), num_sources.tolist(), strict=True):
        rows = []
        for column in columns[:count]:
            other = column[node]
            rows.append(row[other])
            waiting[other] -= 1
            if not waiting[other]:
                free.append(row[other])
        if not free:
            free.append(num_rows)
            num_rows += 1
        row[node] = target = free.pop()
        if target in rows[1:]:  # a reused source first: read before it is written
            rows.remove(target)
            rows.insert(0, target)
        sources += (*rows, *PADDING[count])
    padded = np.array(sources, dtype=np.int32).reshape(-1, MAX_SOURCES)
    return Tape(
        kind=kinds[order],
        target=np.array(row, dtype=np.int32)[order],
        sources=np.where(padded < 0, np.int32(num_rows), padded),
        num_sources=num_sources.astype(np.int32),
        num_rows=num_rows,
        sinks=np.array(row, dtype=np.int32)[sinks],
    )
