"""Many scenarios: a grid over any inputs, evaluated in batches, to Parquet or CSV."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from estimator import catalog, points
from estimator.axes import Axis, axes
from estimator.batch import NUMBERS
from estimator.documents import Map
from estimator.errors import InputError
from estimator.executors import own_version, run_locally, run_on_dask
from estimator.store import Store, read_tables

if TYPE_CHECKING:
    import pandas as pd

MAX_REASONS = 5

Progress = Callable[[int, int], None]
"""Told the points that are done and all of them."""


@dataclass(frozen=True)
class Sweep:
    """The rows of a sweep, column by column, in the order of the grid."""

    scenario: str
    axes: tuple[str, ...]
    columns: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.columns["point"])

    @property
    def num_fitting(self) -> int:
        """Rows that work: they fit together, and in memory."""
        return int(np.sum(self.columns["fits"]))

    def frame(self) -> pd.DataFrame:
        """Return the rows as a pandas frame."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns))

    def cheapest(self) -> dict[str, Any] | None:
        """Return the row that costs least among those that fit, if any does."""
        if not self.num_fitting:
            return None
        cost = np.where(self.columns["fits"], self.columns["cost_usd"], np.inf)
        best = int(np.argmin(cost))
        return {name: _plain(values[best]) for name, values in self.columns.items()}

    def summary(self) -> dict[str, Any]:
        """Return counts, the cheapest row and why others do not work, as plain values.

        Reasons are the :data:`MAX_REASONS` that most rows have.
        """
        reasons = [text for text in self.columns["reason"] if text]
        return {
            "num_points": len(self),
            "num_fitting": self.num_fitting,
            "cheapest": self.cheapest(),
            "reasons": dict(Counter(reasons).most_common(MAX_REASONS)),
        }


@dataclass(frozen=True)
class _Design:
    """A checked request: the base scenario and the axes over it."""

    document: Map
    axes: tuple[Axis, ...]

    @property
    def tasks(self) -> list[points.Task]:
        return list(points.tasks(self.axes))

    def rows(self, evaluated: points.Columns) -> points.Columns:
        """Return the rows of a task, their inputs told first."""
        place = evaluated["point"]
        return {
            "point": place,
            **points.inputs(self.axes, place),
            **{name: evaluated[name] for name in (*NUMBERS, "fits", "reason")},
        }

    def manifest(self, name: str, num_parts: int) -> dict[str, Any]:
        """Return what says which sweep this is."""
        text = json.dumps(self.document, sort_keys=True, default=str)
        return {
            "version": own_version(),
            "command": sys.argv,
            "seed": None,
            "scenario": name,
            "scenario_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "axes": {axis.path: _digest(axis) for axis in self.axes},
            "num_points": points.num_points(self.axes),
            "num_parts": num_parts,
            "columns": ["point", *(axis.path for axis in self.axes), *NUMBERS],
        }


def _digest(axis: Axis) -> dict[str, Any]:
    text = json.dumps(axis.shown)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"num_values": len(axis), "ends": [axis.shown[0], axis.shown[-1]]} | {
        "sha256": digest
    }


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def sweep(
    name: str,
    vary: Sequence[str],
    overrides: Sequence[str] = (),
    *,
    out: Path | str | None = None,
    jobs: int | None = 1,
    dask: str = "",
    resume: bool = False,
    progress: Progress | None = None,
) -> Sweep:
    """Return the answers at every combination of the varied inputs.

    Parameters
    ----------
    name : str
        A built-in scenario, a variant or a file.
    vary : sequence of str
        ``PATH=V1,V2,...`` or ``PATH=LO:HI:N``; a quantity may have its unit.
    overrides : sequence of str
        ``PATH=VALUE`` applied to all points.
    out : path, optional
        ``.parquet`` or ``.csv`` file to write the rows to, part by part.
    jobs : int, optional
        Processes; None for one per core.
    dask : str
        Address of a Dask scheduler to run on instead.
    resume : bool
        Go on with the sweep to ``out`` that was interrupted.

    Raises
    ------
    InputError
        If the request cannot work; nothing has been evaluated then.
    """
    design = _design(name, vary, overrides)
    tasks = design.tasks
    store, done = Store(Path(out)) if out is not None else None, set[int]()
    if store:
        done = store.open(design.manifest(name, len(tasks)), resume=resume)
    total = sum(len(task.points) for task in tasks)
    num_done = sum(len(task.points) for task in tasks if task.number in done)
    left = [task for task in tasks if task.number not in done]
    kept: list[points.Columns] = []
    for task, evaluated in _results(design, left, jobs, dask):
        rows = design.rows(evaluated)
        if store:
            store.write(task.number, rows)
        else:
            kept.append(rows)
        num_done += len(task.points)
        if progress:
            progress(num_done, total)
    paths = tuple(axis.path for axis in design.axes)
    if store:
        store.finish()
        return Sweep(name, paths, read_tables([store.out], store.out.suffix))
    order = np.argsort(np.concatenate([rows["point"] for rows in kept]))
    columns = {
        column: np.concatenate([rows[column] for rows in kept])[order]
        for column in kept[0]
    }
    return Sweep(name, paths, columns)


def _design(name: str, vary: Sequence[str], overrides: Sequence[str]) -> _Design:
    if not vary:
        raise InputError(
            "a sweep varies something",
            fix="--vary cluster.num_gpus=1024,2048,4096",
        )
    document = catalog.scenario_document(name, overrides)
    scenario = catalog.build("scenario", document, name)
    return _Design(document, tuple(axes(vary, document, scenario)))


def _results(
    design: _Design, tasks: list[points.Task], jobs: int | None, dask: str
) -> Iterator[tuple[points.Task, points.Columns]]:
    work = partial(points.evaluate, design.document)
    if dask:
        return run_on_dask(dask, work, tasks)
    return run_locally(work, tasks, jobs)
