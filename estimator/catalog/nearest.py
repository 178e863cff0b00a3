"""The nearest scenario that runs, for values that stand in a range and not in a file.

What a person writes is refused where frameworks refuse it (``specs/fit.py``). A point
of a sweep, a comparison or a what-if is taken to the nearest that runs, and says so:

- what is varied goes to its nearest value that runs, where that puts it right (12 GPUs
  of nodes of 8 become 8, of two as near the less);
- else the number of GPUs or the batch, which are not varied, go to theirs (a batch of
  15,360 sequences on 448 replicas becomes 15,232);
- nothing else is touched: a point that this does not help has no answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from estimator.catalog import building, patches
from estimator.ground.documents import Map, Seq
from estimator.ground.units import BareNumber
from estimator.specs.fit import BATCH, GPUS, Misfit
from estimator.specs.scenario import Scenario

MOST_CHANGES = 12
"""Changes after which a point is given up."""


@dataclass(frozen=True)
class Nearest:
    """A scenario that runs, and what was changed for it."""

    scenario: Scenario
    document: Map
    adjusted: str
    """As a row tells it, ``num_gpus 12 -> 8``; empty where nothing was."""


def nearest(document: Map, name: str, varied: Collection[str]) -> Nearest:
    """Return the nearest scenario to a resolved document that runs.

    Parameters
    ----------
    varied : collection of str
        Dotted paths of what a range was asked for.

    Raises
    ------
    InputError
        If the document describes no scenario, and nothing near it runs.
    """
    first: building.UnfitError | None = None
    changes: dict[str, int] = {}
    for _ in range(MOST_CHANGES):
        made = _changed(document, changes)
        try:
            scenario = building.build("scenario", made, name)
        except building.UnfitError as error:
            first = first or error
            change = _change(error.misfits[0], varied)
            if change is None:
                break
            path, value = change  # what follows from it is asked again
            changes = {p: n for p, n in changes.items() if _turn(p) <= _turn(path)}
            changes[path] = value
        else:
            return Nearest(scenario, made, _told(document, changes))
    assert first is not None  # noqa: S101 - only such errors stay in the loop
    raise first


def _changed(document: Map, changes: Mapping[str, int]) -> Map:
    made = document.copy()
    for path, value in changes.items():
        keys = _written(made, path)
        patches.apply("scenario", made, keys, BareNumber(value), f"nearest {path}")
    return made


def _turn(path: str) -> int:
    """Return when a field is settled: the plan, then the GPUs, then the batch."""
    return 1 if path == GPUS else 2 if path.endswith(BATCH) else 0


def _change(misfit: Misfit, varied: Collection[str]) -> tuple[str, int] | None:
    """Return the field to change, and its nearest value, if one may be."""
    asked = [path for path in misfit.nearest if _is_varied(path, varied)]
    free = [path for path in misfit.nearest if _turn(path)]
    path = next(iter([*asked, *free]), None)
    return None if path is None else (path, misfit.nearest[path])


def _is_varied(path: str, varied: Collection[str]) -> bool:
    return any(f"{each}.".startswith(f"{path}.") for each in varied)


def _written(document: Map, path: str) -> list[str]:
    """Return where a field's number is written: that of a growing batch at its end."""
    keys = path.split(".")
    batch = _at(document, keys) if path.endswith(BATCH) else None
    return [*keys, "ramp", "to"] if isinstance(batch, Map) else keys


def _at(document: Any, keys: list[str]) -> Any:
    """Return what is written at a path; None where nothing is."""
    here = document
    for key in keys:
        if isinstance(here, Seq):
            here = here[int(key)]
        else:
            here = here.get(key) if isinstance(here, Map) else None
    return here


def _told(document: Map, changes: Mapping[str, int]) -> str:
    """Return changes as a row tells them."""
    written = ((path, _at(document, _written(document, path))) for path in changes)
    return ", ".join(
        f"{path.rpartition('.')[2]} {_number(before)} -> {changes[path]}"
        for path, before in written
        if before != changes[path]
    )


def _number(value: Any) -> str:
    """Return a number as it was written, 12 for 12.0."""
    return f"{value:.15g}" if isinstance(value, float) else str(value)
