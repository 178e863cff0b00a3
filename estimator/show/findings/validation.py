"""Predictions of published runs against what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from estimator.show.findings.base import Curve, Guide, Plot

BAND = 0.2
"""|error| of the lines beside the one on which prediction and measurement agree."""
ROOM = 1.3
"""How far the lines reach beyond the outermost runs, as a factor."""


class LogAxis(NamedTuple):
    """How a quantity is drawn and told."""

    many: str
    """What there are many of."""
    words: str
    one: float
    """What one unit stands for."""
    too_little: str
    """What a prediction below the measured value is."""


AXES: Mapping[str, LogAxis] = {
    "step_s": LogAxis("step times", "seconds of a step", 1.0, "short"),
    "peak_bytes": LogAxis("peaks of memory", "GB at the peak", 1e9, "low"),
    "gpu_hours": LogAxis("budgets", "thousand GPU-hours", 1e3, "low"),
}


class Run(Protocol):
    """One quantity of a published run: measured and predicted."""

    @property
    def id(self) -> str:
        """The run's name."""

    @property
    def family(self) -> str:
        """The source that it is from."""

    @property
    def quantity(self) -> str:
        """What was measured."""

    @property
    def measured(self) -> float:
        """In SI units."""

    @property
    def predicted(self) -> float:
        """In SI units."""

    @property
    def error(self) -> float:
        """Predicted over measured minus 1."""


def validation(
    runs: Sequence[Run], quantity: str = "step_s", families: Sequence[str] = ()
) -> Plot:
    """Show predicted against measured on log axes, a colour and mark per family.

    Parameters
    ----------
    runs : sequence
        Those of other quantities are left out.
    quantity : str
        ``step_s``, ``peak_bytes`` or ``gpu_hours``.
    families : sequence of str
        All there are, so that a selection keeps its colours; those of ``runs``, the
        largest first, if empty.
    """
    axis = AXES[quantity]
    kept = [run for run in runs if run.quantity == quantity]
    known = list(families) or by_size(kept)
    curves = []
    for place, name in enumerate(known):
        members = [run for run in kept if run.family == name]
        if members:
            curves.append(
                Curve(
                    name,
                    tuple(run.measured / axis.one for run in members),
                    tuple(run.predicted / axis.one for run in members),
                    tuple(f"{run.id}: {run.error:+.1%}" for run in members),
                    place,
                )
            )
    return Plot(
        _said(kept, axis),
        f"measured, {axis.words}",
        f"predicted, {axis.words}",
        tuple(curves),
        _guides(curves),
        is_log=True,
    )


def by_size(runs: Sequence[Run]) -> list[str]:
    """Return the families of some runs, the one with most of them first."""
    counts: dict[str, int] = {}
    for run in runs:
        counts[run.family] = counts.get(run.family, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name))


def _said(runs: Sequence[Run], axis: LogAxis) -> str:
    if not runs:
        return f"There are no {axis.many} here"
    size = np.abs([run.error for run in runs])
    low = sum(run.error < 0 for run in runs) / len(runs)
    return (
        f"Half of {len(runs):,} {axis.many} are predicted within "
        f"{np.median(size):.1%}, nine of ten within {np.percentile(size, 90):.0%}; "
        f"{low:.0%} are too {axis.too_little}"
    )


def _guides(curves: Sequence[Curve]) -> tuple[Guide, ...]:
    """Return where both agree, and where the prediction is a fifth off."""
    values = [value for curve in curves for value in (*curve.x, *curve.y)]
    if not values:
        return ()
    ends = (min(values) / ROOM, max(values) * ROOM)
    return tuple(
        Guide(name, ends, (ends[0] * ratio, ends[1] * ratio))
        for name, ratio in (
            (f"equal, ±{BAND:.0%}", 1.0),
            ("", 1 + BAND),
            ("", 1 - BAND),
        )
    )
