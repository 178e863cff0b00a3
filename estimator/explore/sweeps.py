"""Many scenarios: points over any inputs, evaluated in batches, to Parquet or CSV."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from estimator.answer.bill import basis_title
from estimator.answer.walk import NUMBERS
from estimator.catalog import building, loading, patches
from estimator.catalog.derivation import GPU
from estimator.explore import points
from estimator.explore.axes import Axis, axes
from estimator.explore.designs import Design, check_design, drawn
from estimator.explore.store import Note, Store, UnfinishedError, num_kept, parts_folder
from estimator.ground.documents import VARY, Asked, Map, as_texts
from estimator.ground.errors import EstimatorError, InputError
from estimator.ground.executors import Run, executor, own_version
from estimator.ground.row_files import read_tables

if TYPE_CHECKING:
    import pandas as pd

MAX_REASONS = 5

Progress = Callable[[int, int], None]
"""Told the points that are done and all of them."""


class Running(TypedDict, total=False):
    """How a sweep runs; whatever it is, the rows are the same."""

    jobs: int | None
    """Processes; one unless given, None for one per core."""
    dask: str | None
    """Address of a Dask scheduler to run on instead."""
    resume: bool
    """Go on with the sweep to ``out`` that was interrupted."""
    progress: Progress | None
    """Told how far it is."""
    note: Note | None
    """Told what a person may want to know."""


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

    name: str
    base: points.Base
    document: Map
    """The base with what is set in all points."""
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
        """Return the basis of the dollars, unless points may differ in it."""
        varied = {axis.path.partition(".")[0] for axis in self.design.axes}
        gpu = ".".join((*GPU, ""))
        is_gpu = any(gpu.startswith(f"{axis.path}.") for axis in self.design.axes)
        if is_gpu or varied & {"price", "programme"}:
            return "as each point says"
        return basis_title(building.build("scenario", self.document, "scenario"))

    def manifest(self, num_parts: int) -> dict[str, Any]:
        """Return what says which sweep this is."""
        text = json.dumps(self.document, sort_keys=True, default=str)
        design = self.design
        return {
            "version": own_version(),
            "command": sys.argv,
            "design": design.name,
            "seed": design.seed,
            "scenario": self.name,
            "scenario_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "axes": {axis.path: _digest(axis) for axis in design.axes},
            "num_points": len(design),
            "num_parts": num_parts,
            "columns": ["point", *(axis.path for axis in design.axes), *NUMBERS],
        }


def _digest(axis: Axis) -> dict[str, Any]:
    values = axis.values  # noqa: PD011 - what names stand for: their files may change
    text = json.dumps([axis.shown, values], default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"num_values": len(axis), "ends": [axis.shown[0], axis.shown[-1]]} | {
        "sha256": digest
    }


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def sweep(
    name: loading.Named,
    vary: Asked,
    overrides: Asked = (),
    *,
    design: str = "grid",
    num_samples: int | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    **running: Unpack[Running],
) -> Sweep:
    """Return the answers at every combination of the varied inputs, or at some drawn.

    Parameters
    ----------
    name : str, path or mapping
        A built-in scenario, a variant, a file, or what a file would hold.
    vary : str, sequence of str or mapping
        ``PATH=V1,V2,...`` or ``PATH=LO:HI:N``; a quantity may have its unit. Drawn
        designs also take ``PATH=LO:HI``.
    overrides : str, sequence of str or mapping
        ``PATH=VALUE`` applied to all points.
    design : str
        ``grid``, or points drawn: ``random`` each on its own, ``lhs`` as a Latin
        hypercube.
    num_samples, seed : int
        Of a drawn design: how many points, and which.
    out : path, optional
        ``.parquet`` or ``.csv`` file to write the rows to, part by part.
    **running
        ``jobs``, ``dask``, ``resume``, ``progress`` and ``note``: see :class:`Running`.

    Raises
    ------
    InputError
        If the request cannot work; nothing has been evaluated then.
    OutsideError
        If a disk, a process or a cluster fails; what is done is kept beside ``out``.
    """
    check_design(design, num_samples, seed)
    request = _request(name, vary, overrides, design, num_samples, seed)
    columns = _columns(request, out, **running)
    paths = tuple(axis.path for axis in request.design.axes)
    return Sweep(request.name, paths, columns, request.cost_basis())


def _columns(
    request: _Request,
    out: Path | str | None,
    *,
    jobs: int | None = 1,
    dask: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    note: Note | None = None,
) -> Mapping[str, Any]:
    """Return the rows of all points, column by column; write them where asked."""
    tasks = list(points.tasks(request.design))
    total = len(request.design)

    def tell(done: int) -> None:
        if progress:
            progress(done, total)

    with executor(jobs, dask) as run:
        if out is None:
            return _kept(request, tasks, run, tell)
        store = Store(Path(out), request.manifest(len(tasks)))
        with store.opened(resume=resume, note=note or _silent) as done:
            return _stored(request, tasks, run, tell, store, done)


def _kept(
    request: _Request,
    tasks: Sequence[points.Task],
    run: Run,
    tell: Callable[[int], None],
) -> points.Columns:
    """Return the rows of all tasks, in the order of their points."""
    kept: list[points.Columns] = []
    num_done = 0
    with closing(run(partial(points.task_columns, request.base), tasks)) as made:
        for task, evaluated in made:
            kept.append(request.rows(evaluated))
            num_done += task.num_points
            tell(num_done)
    order = np.argsort(np.concatenate([rows["point"] for rows in kept]))
    return {
        column: np.concatenate([rows[column] for rows in kept])[order]
        for column in kept[0]
    }


def _stored(
    request: _Request,
    tasks: Sequence[points.Task],
    run: Run,
    tell: Callable[[int], None],
    store: Store,
    done: set[int],
) -> points.Columns:
    """Write the rows of the tasks that are not done; return those of all."""
    num_done = sum(task.num_points for task in tasks if task.number in done)
    left = [task for task in tasks if task.number not in done]
    try:
        with closing(run(partial(points.task_columns, request.base), left)) as made:
            for task, evaluated in made:
                store.write(task.number, request.rows(evaluated))
                num_done += task.num_points
                tell(num_done)
        if left or store.parts.is_dir():
            store.finish()
    except (EstimatorError, MemoryError) as error:
        raise _unfinished(error, store.out, len(tasks)) from None
    return read_tables([store.out], store.out.suffix)


def _unfinished(error: Exception, out: Path, num_parts: int) -> UnfinishedError:
    """Return a failure with what it leaves, and how to go on."""
    if not isinstance(error, EstimatorError):
        error = EstimatorError("there is not enough memory for this")
    kept = f"{num_kept(out)} of {num_parts} parts are kept in {parts_folder(out)}"
    why = "; ".join(filter(None, (error.why, kept)))
    return UnfinishedError(error.what, why=why, fix="the same with resume=True")


def _silent(text: str) -> None:
    del text


def _request(
    scenario: loading.Named,
    vary: Asked,
    overrides: Asked,
    design: str,
    num_samples: int | None,
    seed: int,
) -> _Request:
    texts = as_texts(vary, VARY)
    if not texts:
        raise InputError(
            "a sweep varies something",
            fix="--vary cluster.num_gpus=1024,2048,4096",
        )
    base = points.Base(loading.unpatched(scenario), tuple(patches.parsed(overrides)))
    document = patches.patched(base.document, base.overrides)
    name = loading.label(scenario)
    built = building.build("scenario", document, name)
    varied = axes(texts, document, built, is_drawn=num_samples is not None)
    if num_samples is None:
        return _Request(name, base, document, Design(design, tuple(varied)))
    made = drawn(design, varied, num_samples, seed)
    return _Request(name, base, document, made)
