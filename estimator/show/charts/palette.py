"""One colour per cause, the same in every figure, export and page.

Within a figure the colours differ in lightness, so they hold in grey and for
colour-blind readers; computation is blue, communication red and yellow, waiting grey.
"""

from __future__ import annotations

from collections.abc import Mapping

from estimator.workload.causes import Cause

NEUTRAL = "#8b929a"
"""A cause that has no colour of its own yet."""
BUBBLE = "#d0d5d9"
OPTIMIZER = "#28a67d"

CAUSES: Mapping[str, str] = {
    Cause.GEMM: "#054b83",
    Cause.ATTENTION: "#0b73ac",
    Cause.ELEMENTWISE: "#5aafd9",
    Cause.TENSOR_PARALLEL: "#efb031",
    Cause.EXPOSED_ALL_TO_ALL: "#e14a1b",
    Cause.SYNCHRONISATION: "#a13329",
    Cause.OPTIMIZER: OPTIMIZER,
    Cause.BUBBLE: BUBBLE,
}
CHUNKS: Mapping[str, str] = {
    "forward": "#3569b0",
    "overlapped": "#543e96",
    "backward": "#e29a20",
    "backward input": "#6bcaee",
    "weight": "#ce4f9b",
    "optimizer": OPTIMIZER,
    "bubble": BUBBLE,
    "send": "#5c1a12",
}
MEMORY: Mapping[str, str] = {
    "weights": "#543e96",
    "gradients": "#c53467",
    "optimizer": OPTIMIZER,
    "activations": "#5db2dc",
    "buffers": "#e6d099",
}
LOW_END, HIGH_END = "#5aafd9", "#054b83"
"""A constant at the low and at the high end of its range."""
ENDS: Mapping[str, str] = {
    "constant at its low end": LOW_END,
    "constant at its high end": HIGH_END,
    "added by the layer": LOW_END,
    "whole step": HIGH_END,
    "saves": LOW_END,
    "adds": "#e14a1b",
    "difference": HIGH_END,
    "median |error|": HIGH_END,
}
GROUPS = ("#1d57a8", "#4f9a46", "#dd84b4", "#6fc3ee", "#ecd444", "#d0412e")
"""Groups without a cause of their own, such as sources of runs or kinds of node."""
LADDER = "cividis"
"""From little to much: lightness grows alone, for every kind of sight; in both
libraries under this name."""
LIMIT, GUIDE = "#d1495b", NEUTRAL
"""What must not be exceeded; lines that only lead the eye."""


def colour(name: str) -> str:
    """Return the colour of a cause, a kind of chunk, a part of memory or an end.

    >>> colour("bubble") == CAUSES["bubble"] == CHUNKS["bubble"]
    True
    """
    return {**CAUSES, **CHUNKS, **MEMORY, **ENDS}.get(name, NEUTRAL)


def group(place: int) -> tuple[str, int]:
    """Return the colour of a group, and how often all colours came before it.

    >>> group(0)[1], group(len(GROUPS))[1], group(0)[0] == group(len(GROUPS))[0]
    (0, 1, True)
    """
    return GROUPS[place % len(GROUPS)], place // len(GROUPS)
