"""Entries of runs files to predictions: each has rows, or a reason for having none."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from estimator.answer.soundness import sound
from estimator.answer.step_model import StepModel
from estimator.answer.training import peak_bytes
from estimator.catalog.records.checks import checked, shown
from estimator.catalog.records.files import Broken
from estimator.catalog.records.gaps import filled
from estimator.catalog.records.models import Record
from estimator.catalog.records.scenarios import Mapped, mapped
from estimator.ground.errors import (
    EstimatorError,
    InfeasibleError,
    InputError,
    OutsideError,
)
from estimator.ground.executors import starting, workers
from estimator.specs.fit import frameworks
from estimator.specs.scenario import Scenario
from estimator.specs.training import ParallelPlan
from estimator.validation.measured import figures
from estimator.validation.scoring import Row, family

WORTH_SHARING = 150
"""Records from which on a second process pays for its start."""
BATCH = 24
"""Records of one pipeline shape that a process takes at a time, at most."""
KINDS = ("run", "oom")
SLACK = 1.01
"""What a bound may miss: steps that follow from shorter ones are rounded."""


@dataclass(frozen=True)
class Unmapped:
    """A record without a prediction, and why."""

    id: str
    reason: str
    is_broken: bool = False
    """Whether the record is wrong, not merely silent about what is needed."""


Result = tuple[tuple[Row, ...], Unmapped | None]
"""Rows of a record, or why it has none."""
Batch = Sequence[tuple[str, Any]]


class _Tried(NamedTuple):
    """A record's scenario with one of its plans."""

    scenario: Scenario
    assumptions: tuple[str, ...]
    model: StepModel
    peak_bytes: float
    fits: bool


def predict_all(named: Sequence[tuple[str, Any]]) -> list[Result]:
    """Return the predictions of named entries, on all cores where they are many."""
    batches = _batches([entry for _, entry in named])
    work = [[named[index] for index in batch] for batch in batches]
    num_workers = min(_num_cores(), len(batches))
    is_shared = len(named) >= WORTH_SHARING and num_workers > 1
    made = (_shared(work, num_workers) if is_shared else None) or [
        _predict_batch(batch) for batch in work
    ]
    placed = {
        index: result
        for batch, results in zip(batches, made, strict=True)
        for index, result in zip(batch, results, strict=True)
    }
    return [placed[index] for index in range(len(named))]


def _batches(entries: Sequence[Any]) -> list[list[int]]:
    """Return the places of entries of one pipeline shape together, long ones first.

    A long one that came last would keep one core busy while the others wait.
    """
    of_shape: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, entry in enumerate(entries):
        of_shape[_shape(entry)].append(index)
    batches = [
        members[low : low + BATCH]
        for members in of_shape.values()
        for low in range(0, len(members), BATCH)
    ]
    return sorted(batches, key=lambda batch: -_num_stages(entries[batch[0]]))


def _num_stages(entry: Any) -> int:
    plan = entry.get("parallel") if isinstance(entry, Mapping) else None
    axes = [plan.get(key) for key in ("pp", "vp")] if isinstance(plan, Mapping) else []
    return math.prod(axis for axis in axes if isinstance(axis, int) and axis > 0)


def _shared(batches: Sequence[Batch], num_workers: int) -> list[list[Result]] | None:
    """Return the batches' results from several processes; None if none can start."""
    try:
        with workers(num_workers) as pool:
            with starting():
                made = pool.map(_predict_batch, batches)
            return list(made)
    except (OutsideError, OSError):
        return None


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shape(entry: Any) -> tuple[str, ...]:
    """Return what entries that share a pipeline program have in common."""
    keys = (
        ("schedule", ""),
        ("parallel", "pp"),
        ("parallel", "vp"),
        ("batch", "global"),
    )
    if not isinstance(entry, Mapping):
        return ("",) * len(keys)
    return tuple(
        str(part.get(key)) if isinstance(part, Mapping) else str(part)[:80]
        for part, key in ((entry.get(section), key) for section, key in keys)
    )


def _predict_batch(batch: Batch) -> list[Result]:
    return [predict(name, entry) for name, entry in batch]


def predict(name: str, entry: Any) -> Result:
    """Return an entry's rows, or why it has none."""
    if isinstance(entry, Broken):
        return (), Unmapped(name, entry.reason, is_broken=True)
    if not isinstance(entry, Mapping):
        reason = f"a record is a mapping, not {shown(entry)}"
        return (), Unmapped(name, reason, is_broken=True)
    kind = entry.get("record")
    if kind not in KINDS:
        what = f"not a run: {shown(kind)}" if kind else "record (run or oom) is missing"
        return (), Unmapped(name, what, is_broken=not isinstance(kind, str))
    try:
        record = checked({**entry, "id": name})
    except InputError as error:
        return (), Unmapped(name, error.what, is_broken=True)
    if not record["measured"]:
        return (), Unmapped(name, "nothing is measured", is_broken=True)
    try:
        return _rows(record), None
    except EstimatorError as error:
        return (), Unmapped(name, _one_line(error))
    except (ValueError, ArithmeticError, LookupError, TypeError) as error:
        return (), Unmapped(name, f"it does not fit together: {str(error)[:200]}")


def _one_line(error: EstimatorError) -> str:
    parts = [error.what, *error.where[:2], error.fix and f"try {error.fix}"]
    return "; ".join(part for part in parts if part)


def _rows(record: Record) -> tuple[Row, ...]:
    given = mapped(record)
    record, _ = filled(record)
    case = _chosen(given, record["batch"]["global"])
    batch, scenario, model = record["batch"], case.scenario, case.model
    predictions = {"peak_bytes": case.peak_bytes, "fits": case.fits}
    rows = []
    for figure in figures(record, scenario):
        if figure.quantity == "step_s":
            count = model.num_microbatches(batch["global"])
            predictions["step_s"] = sound(record["id"], model.step_s(count))
        notes = (*case.assumptions, figure.note) if figure.note else case.assumptions
        rows.append(
            Row(
                id=record["id"],
                family=family(record),
                split=str(record.get("split", "")),
                kind="moe" if scenario.model.moe else "dense",
                quantity=figure.quantity,
                measured=figure.measured,
                predicted=predictions[figure.quantity],
                source=str(record.get("source", "")),
                gpu=record["cluster"]["gpu"],
                num_gpus=scenario.cluster.num_gpus,
                where=str(record.get("where", "")),
                trust=str(record.get("trust", "")),
                flop_convention=str(record.get("flop_convention", "")),
                plan=_plan_words(scenario),
                sweep=(
                    record["model"]["name"],
                    record["model"].get("hidden", 0),
                    batch["global"],
                    batch["seq_len"],
                ),
                mapping=(
                    _axis_words(scenario),
                    scenario.plan.micro_batch_size,
                    str(scenario.recompute),
                ),
                software=scenario.software.name,
                has_default=given.has_default,
                assumptions=notes,
            )
        )
    return tuple(rows)


def _chosen(case: Mapped, global_batch: int) -> _Tried:
    """Return the case with the plan and recomputation that it is taken to have had.

    Each plan recomputes the least with which it fits. Of those that fit, whoever ran it
    is taken to have found the fastest.
    """
    tried = [_least_recomputed(case, plan, global_batch) for plan in case.plans]
    fitting = [made for made in tried if made.fits]
    best = min(tried, key=lambda made: made.peak_bytes)
    if len(fitting) == 1:
        best = fitting[0]
    elif fitting:
        best = _fastest(fitting, global_batch)
    notes = case.assumptions
    if len(case.plans) > 1:
        words = _plan_words(best.scenario)
        size = best.scenario.plan.micro_batch_size
        words += f", {size} sequence{'s' * (size > 1)} a micro-batch"
        notes = (*notes, f"the fastest of the plans that fit: {words}")
    if len(case.recompute) > 1:
        modules = ", ".join(best.scenario.recompute) or "nothing"
        notes = (*notes, f"recomputed: {modules}")
    refused = (
        f"taken as printed: {each.problem}" for each in frameworks(best.scenario)
    )
    return best._replace(assumptions=(*notes, *refused))


def _fastest(fitting: Sequence[_Tried], global_batch: int) -> _Tried:
    """Return the first of those whose step is the shortest.

    Plans that take at least as long as a whole step found before are left out.
    """
    least_s = [_seconds(made.model, global_batch, "least_s") for made in fitting]
    best, best_s = 0, math.inf
    for index in sorted(range(len(fitting)), key=lambda index: (least_s[index], index)):
        if least_s[index] > best_s * SLACK:
            break
        step_s = _seconds(fitting[index].model, global_batch, "step_s")
        if (step_s, index) < (best_s, best) or best_s == math.inf:
            best, best_s = index, step_s
    return fitting[best]


def _seconds(model: StepModel, global_batch: int, what: str) -> float:
    try:
        made: float = getattr(model, what)(model.num_microbatches(global_batch))
    except InfeasibleError:
        return math.inf
    return made


def _least_recomputed(case: Mapped, plan: ParallelPlan, global_batch: int) -> _Tried:
    phase = case.scenario.phases[0]
    for modules in case.recompute:
        scenario = replace(case.scenario, plan=plan, recompute=modules)
        model = StepModel(scenario, phase.seq_len or 1)
        peak = peak_bytes(model, global_batch)
        fits = peak <= scenario.cluster.node.gpu.hbm_bytes
        if fits:
            break
    return _Tried(scenario, case.assumptions, model, peak, fits)


def _plan_words(scenario: Scenario) -> str:
    return f"{_axis_words(scenario)} {scenario.precision.recipe}"


def _axis_words(scenario: Scenario) -> str:
    plan = scenario.plan
    axes = {
        "tp": plan.tp,
        "pp": plan.pp,
        "vp": plan.stages_per_rank or 1,
        "cp": plan.cp,
        "ep": plan.ep,
        "dp": scenario.dp,
    }
    words = [f"{name}{size}" for name, size in axes.items() if size > 1]
    return " ".join([*words, f"zero{plan.zero}"])
