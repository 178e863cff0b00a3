"""Many scenarios: points over any inputs, evaluated in batches, to Parquet or CSV."""

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
from estimator.bill import basis_title
from estimator.designs import Design, check_design, drawn
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
    """The rows of a sweep, column by column, in the order of its points."""

    scenario: str
    axes: tuple[str, ...]
    columns: Mapping[str, Any]
    cost_basis: str
    """Whose dollars they are, in words."""

    def __len__(self) -> int:
        return len(self.columns["point"])

    @property
    def num_fitting(self) -> int:
        """Rows that work: they fit together, and in memory."""
        return int(np.sum(self.columns["fits"]))

    @property
    def num_with_headroom(self) -> int:
        """Rows that work and leave the scenario's headroom free."""
        return int(np.sum(self.columns["fits_with_headroom"]))

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
            "cost_basis": self.cost_basis,
            "num_points": len(self),
            "num_fitting": self.num_fitting,
            "num_with_headroom": self.num_with_headroom,
            "cheapest": self.cheapest(),
            "reasons": dict(Counter(reasons).most_common(MAX_REASONS)),
            "num_adjusted": sum(map(bool, self.columns["adjusted"])),
        }


@dataclass(frozen=True)
class _Request:
    """A checked request: the base scenario and the points over it."""

    document: Map
    design: Design

    def rows(self, evaluated: points.Columns) -> points.Columns:
        """Return the rows of a task, their inputs told first."""
        place = evaluated["point"]
        return {
            "point": place,
            **points.inputs(self.design, place),
            **{name: evaluated[name] for name in (*NUMBERS, *points.TOLD)},
        }

    def cost_basis(self) -> str:
        """Return the basis of the dollars, unless points differ in it."""
        varied = {axis.path.partition(".")[0] for axis in self.design.axes}
        if varied & {"price", "programme"}:
            return "as each point says"
        return basis_title(catalog.build("scenario", self.document, "scenario"))

    def manifest(self, name: str, num_parts: int) -> dict[str, Any]:
        """Return what says which sweep this is."""
        text = json.dumps(self.document, sort_keys=True, default=str)
        design = self.design
        return {
            "version": own_version(),
            "command": sys.argv,
            "design": design.name,
            "seed": design.seed,
            "scenario": name,
            "scenario_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "axes": {axis.path: _digest(axis) for axis in design.axes},
            "num_points": len(design),
            "num_parts": num_parts,
            "columns": ["point", *(axis.path for axis in design.axes), *NUMBERS],
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
    design: str = "grid",
    num_samples: int | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    jobs: int | None = 1,
    dask: str = "",
    resume: bool = False,
    progress: Progress | None = None,
) -> Sweep:
    """Return the answers at every combination of the varied inputs, or at some drawn.

    Parameters
    ----------
    name : str
        A built-in scenario, a variant or a file.
    vary : sequence of str
        ``PATH=V1,V2,...`` or ``PATH=LO:HI:N``; a quantity may have its unit. Drawn
        designs also take ``PATH=LO:HI``.
    overrides : sequence of str
        ``PATH=VALUE`` applied to all points.
    design : str
        ``grid``, or points drawn: ``random`` each on its own, ``lhs`` as a Latin
        hypercube.
    num_samples, seed : int
        Of a drawn design: how many points, and which.
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
    check_design(design, num_samples, seed)
    request = _request(name, vary, overrides, design, num_samples, seed)
    tasks = list(points.tasks(request.design))
    store, done = Store(Path(out)) if out is not None else None, set[int]()
    if store:
        done = store.open(request.manifest(name, len(tasks)), resume=resume)
    total = len(request.design)
    num_done = sum(task.num_points for task in tasks if task.number in done)
    left = [task for task in tasks if task.number not in done]
    kept: list[points.Columns] = []
    for task, evaluated in _results(request, left, jobs, dask):
        rows = request.rows(evaluated)
        if store:
            store.write(task.number, rows)
        else:
            kept.append(rows)
        num_done += task.num_points
        if progress:
            progress(num_done, total)
    paths = tuple(axis.path for axis in request.design.axes)
    if store:
        store.finish()
        columns = read_tables([store.out], store.out.suffix)
        return Sweep(name, paths, columns, request.cost_basis())
    order = np.argsort(np.concatenate([rows["point"] for rows in kept]))
    columns = {
        column: np.concatenate([rows[column] for rows in kept])[order]
        for column in kept[0]
    }
    return Sweep(name, paths, columns, request.cost_basis())


def _request(
    name: str,
    vary: Sequence[str],
    overrides: Sequence[str],
    design: str,
    num_samples: int | None,
    seed: int,
) -> _Request:
    if not vary:
        raise InputError(
            "a sweep varies something",
            fix="--vary cluster.num_gpus=1024,2048,4096",
        )
    document = catalog.scenario_document(name, overrides)
    scenario = catalog.build("scenario", document, name)
    varied = axes(vary, document, scenario, is_drawn=num_samples is not None)
    if num_samples is None:
        return _Request(document, Design(design, tuple(varied)))
    return _Request(document, drawn(design, varied, num_samples, seed))


def _results(
    request: _Request, tasks: list[points.Task], jobs: int | None, dask: str
) -> Iterator[tuple[points.Task, points.Columns]]:
    work = partial(points.evaluate, request.document)
    if dask:
        return run_on_dask(dask, work, tasks)
    return run_locally(work, tasks, jobs)
