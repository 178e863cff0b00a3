"""How often a kind of GPU and model was checked against published runs, and how well.

``track_record.yaml`` beside this file is written by ``benchmarks/track_record.py`` from
what ``estimator validate`` finds. It holds numbers of runs and errors, nothing that was
published, and no prediction changes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from estimator.specs.hardware import Gpu

FILE = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Checked:
    """Step times of published runs of one kind of model on one GPU."""

    gpu: str
    title: str
    vendor: str
    architecture: str
    kind: str
    """``dense`` or ``moe``."""
    num_runs: int
    median_abs_error: float


@dataclass(frozen=True)
class NearestKind:
    """The kind that was checked and is most like one that was not."""

    gpu: str
    title: str
    why: str
    kind: str
    num_runs: int
    median_abs_error: float


@dataclass(frozen=True)
class TrackRecord:
    """What was checked of a GPU and a kind of model."""

    gpu: str
    kind: str
    num_runs: int
    median_abs_error: float | None = None
    """Of predicted over measured step time, less 1; None where there is no run."""
    nearest: NearestKind | None = None
    """Where there is no run."""


@cache
def checked() -> tuple[Checked, ...]:
    """Return every kind that was checked."""
    document = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return tuple(Checked(**entry) for entry in document["checked"])


def track_record(
    gpu: Gpu, kind: str, known: Sequence[Checked] | None = None
) -> TrackRecord:
    """Return what was checked of a GPU and a kind of model, or of the nearest to it.

    Nearest is a GPU of the same architecture, the same one with another kind of model
    among them; if none was checked, of the same vendor; else any. Among those the same
    kind of model goes first, then the most runs.

    Parameters
    ----------
    kind : str
        ``dense`` or ``moe``.
    known : sequence, optional
        Instead of :func:`checked`.
    """
    entries = checked() if known is None else known
    for entry in entries:
        if (entry.gpu, entry.kind) == (gpu.name, kind):
            error = entry.median_abs_error
            return TrackRecord(gpu.name, kind, entry.num_runs, error)
    closest = max(
        entries,
        key=lambda entry: (
            min(_likeness(entry, gpu), _WHY.index("same architecture")),
            entry.kind == kind,
            entry.num_runs,
        ),
        default=None,
    )
    if closest is None:
        return TrackRecord(gpu.name, kind, 0)
    return TrackRecord(gpu.name, kind, 0, nearest=_nearest(closest, gpu))


_WHY = ("another maker's", "same maker", "same architecture", "same GPU")


def _likeness(entry: Checked, gpu: Gpu) -> int:
    """Return how like a GPU one that was checked is: a place in :data:`_WHY`."""
    if entry.gpu == gpu.name:
        return 3
    if entry.vendor != gpu.vendor:
        return 0
    return 1 + (entry.architecture == gpu.architecture != "")


def _nearest(entry: Checked, gpu: Gpu) -> NearestKind:
    return NearestKind(
        gpu=entry.gpu,
        title=entry.title,
        why=_WHY[_likeness(entry, gpu)],
        kind=entry.kind,
        num_runs=entry.num_runs,
        median_abs_error=entry.median_abs_error,
    )
