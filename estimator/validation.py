"""Published runs against their predictions: the only reader of ``validation/``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from estimator import catalog
from estimator.api import estimate
from estimator.errors import EstimatorError, InputError
from estimator.record_checks import checked, shown
from estimator.record_figures import figures
from estimator.record_files import MAX_BYTES, Broken, parse_records
from estimator.record_scenarios import Mapped, family, mapped
from estimator.records import Record
from estimator.registry import suggestion
from estimator.scoring import Row, summary
from estimator.specs.scenario import Scenario
from estimator.step_model import StepModel
from estimator.training import peak_memory

WORTH_SHARING = 150
"""Records from which on a second process pays for its start."""
BATCH = 24
"""Records that one process takes at a time; neighbours share a pipeline's shape."""
KINDS = ("run", "oom")


@dataclass(frozen=True)
class Unmapped:
    """A record without a prediction, and why."""

    id: str
    reason: str
    is_broken: bool = False
    """Whether the record is wrong, not merely silent about what is needed."""


@dataclass(frozen=True)
class Anchor:
    """A figure of the main scenario that has a tolerance of its own."""

    name: str
    measured: float
    predicted: float
    tolerance: float

    @property
    def error(self) -> float:
        """Predicted over measured minus 1."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class Outcome:
    """Every record of some files, predicted or not."""

    rows: tuple[Row, ...]
    unmapped: tuple[Unmapped, ...]
    num_records: int
    anchors: tuple[Anchor, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return the errors by family, over families, in sweeps and of memory."""
        mapped_ids = self.num_records - len(self.unmapped)
        return summary(self.rows, self.num_records, mapped_ids)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``validate --json`` prints."""
        return {
            "runs": [row.to_dict() for row in self.rows],
            "unmapped": [
                {"id": made.id, "reason": made.reason} for made in self.unmapped
            ],
            "summary": self.summary(),
            "anchors": [
                {
                    "name": made.name,
                    "measured": made.measured,
                    "predicted": made.predicted,
                    "error": made.error,
                    "tolerance": made.tolerance,
                }
                for made in self.anchors
            ],
        }


def validate(
    runs: Path | None = None, *, split: str | None = None, source: str | None = None
) -> Outcome:
    """Return each run of a file, or of our own selection, against its prediction.

    Parameters
    ----------
    runs : Path, optional
        A file in the record format, or a folder of such; ``validation/runs`` without.
    split, source : str, optional
        Keep only the records of one split, or of one source family.

    Raises
    ------
    InputError
        If a file cannot be read, or no record is of this split and family.
    """
    folder = catalog.data_folder() / "validation"
    entries = read(runs or folder / "runs")
    kept = _filtered(entries, split, source)
    outcome = predict_all(kept)
    if runs is not None or split or source not in (None, "dsv3"):
        return outcome
    rows, anchors = _main_scenario(folder / "deepseek-v3.yaml")
    return replace(outcome, rows=outcome.rows + rows, anchors=anchors)


def read(path: Path) -> list[Any]:
    """Return the entries of a runs file, or of all files in a folder."""
    paths = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    if not paths:
        raise InputError(f"{path} holds no runs files (*.yaml)")
    return [
        entry
        for one in paths
        for entry in parse_records(catalog.read_text(one, MAX_BYTES), one.name)
    ]


def _filtered(
    entries: Sequence[Any], split: str | None, source: str | None
) -> list[tuple[str, Any]]:
    named = [(_id(entry, index), entry) for index, entry in enumerate(entries)]
    for wanted, words, of in (
        (split, "split", lambda pair: _text(pair[1], "split")),
        (source, "family", lambda pair: family({"id": pair[0]})),
    ):
        if wanted is None:
            continue
        known = sorted({of(pair) for pair in named} - {""})
        named = [pair for pair in named if of(pair) == wanted]
        if not named:
            raise InputError(
                f"no record is of {words} {wanted[:60]!r}",
                why=f"known: {', '.join(known) or 'none'}",
                fix=suggestion(wanted, known),
            )
    return named


def _text(entry: Any, key: str) -> str:
    value = entry.get(key) if isinstance(entry, Mapping) else None
    return value if isinstance(value, str) else ""


def _id(entry: Any, index: int) -> str:
    if isinstance(entry, Broken):
        return entry.id
    name = entry.get("id") if isinstance(entry, Mapping) else None
    is_name = isinstance(name, str | int | float) and str(name).strip()
    return str(name) if is_name else f"record {index + 1}"


def predict_all(named: Sequence[tuple[str, Any]]) -> Outcome:
    """Return the predictions of many entries, on all cores where there are enough."""
    order = sorted(range(len(named)), key=lambda index: _shape(named[index][1]))
    batches = [
        [named[index] for index in order[low : low + BATCH]]
        for low in range(0, len(order), BATCH)
    ]
    num_workers = min(len(os.sched_getaffinity(0)), len(batches))
    if len(named) < WORTH_SHARING or num_workers < 2:
        made = [_predict_batch(batch) for batch in batches]
    else:
        with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn")) as pool:
            made = list(pool.map(_predict_batch, batches))
    results = [result for batch in made for result in batch]
    in_order = [results[0]] * len(results)
    for place, result in zip(order, results, strict=True):
        in_order[place] = result
    return Outcome(
        rows=tuple(row for rows, _ in in_order for row in rows),
        unmapped=tuple(lost for _, lost in in_order if lost is not None),
        num_records=len(named),
    )


def _shape(entry: Any) -> tuple[str, ...]:
    """Return what entries that share a pipeline program have in common."""
    keys = (("schedule", ""), ("parallel", "pp"), ("parallel", "vp"), ("batch", "global"))
    if not isinstance(entry, Mapping):
        return ("",) * len(keys)
    return tuple(
        str(part.get(key)) if isinstance(part, Mapping) else str(part)[:80]
        for part, key in ((entry.get(section), key) for section, key in keys)
    )


Result = tuple[tuple[Row, ...], Unmapped | None]


def _predict_batch(batch: Sequence[tuple[str, Any]]) -> list[Result]:
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
    case, model, peak, fits = _chosen(mapped(record), record["batch"]["global"])
    batch, scenario = record["batch"], case.scenario
    predictions = {"peak_bytes": peak, "fits": fits}
    rows = []
    for figure in figures(record, scenario):
        if figure.quantity == "step_s":
            count = model.num_microbatches(batch["global"])
            predictions["step_s"] = model.step_s(count)
        notes = (*case.assumptions, figure.note) if figure.note else case.assumptions
        rows.append(
            Row(
                id=record["id"],
                family=family(record),
                split=_text(record, "split"),
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
                assumptions=notes,
            )
        )
    return tuple(rows)


def _chosen(case: Mapped, global_batch: int) -> tuple[Mapped, StepModel, float, bool]:
    """Return the case with the first of its recomputations that fits in memory."""
    phase = case.scenario.phases[0]
    for index, modules in enumerate(case.recompute):
        scenario = replace(case.scenario, recompute=modules)
        model = StepModel(scenario, phase.seq_len or 1)
        peak, fits = peak_memory(model, global_batch)
        if fits or index == len(case.recompute) - 1:
            break
    notes = case.assumptions
    if len(case.recompute) > 1:
        notes = (*notes, f"recomputed: {', '.join(modules) or 'nothing'}")
    return replace(case, scenario=scenario, assumptions=notes), model, peak, fits


def _plan_words(scenario: Scenario) -> str:
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
    return " ".join([*words, f"zero{plan.zero}", scenario.precision.recipe])


def _main_scenario(path: Path) -> tuple[tuple[Row, ...], tuple[Anchor, ...]]:
    """Return the GPU-hour budgets and the step rows of the main scenario's own file."""
    published = catalog.read("scenario", str(path))
    report = estimate(catalog.load_scenario(published["scenario"]), has_range=False)
    row, first = report.step.ranks[0], report.phases[0]
    predicted = {
        "step_s": report.step.step_s,
        "forward_s": row.forward_s,
        "backward_s": row.backward_s + row.backward_input_s,
        "overlapped_s": row.overlapped_s,
        "weight_s": row.weight_s,
        "bubble_s": row.bubble_s,
        "optimizer_s": row.optimizer_s,
        "mfu": report.step.mfu,
        "mfu_noncausal": report.step.mfu_noncausal,
        "pre_training_gpu_hours": first.gpu_hours,
        "gpu_hours": report.gpu_hours,
        "cost_usd": report.cost_usd,
    }
    figures_of: Iterable[tuple[str, Any]] = (
        pair for part in ("step", "run") for pair in published[part].items()
    )
    anchors = tuple(
        Anchor(name, figure["measured"], predicted[name], figure["tolerance"])
        for name, figure in figures_of
        if name in predicted
    )
    rows = tuple(
        Row(
            id=f"deepseek-v3 {made.name.replace('_', ' ').removesuffix(' gpu hours')}",
            family="dsv3",
            split="public",
            kind="moe",
            quantity="gpu_hours",
            measured=made.measured,
            predicted=made.predicted,
            source=published["source"],
            gpu=report.gpu,
            num_gpus=report.num_gpus,
            trust="A",
        )
        for made in anchors
        if made.name.endswith("gpu_hours")
    )
    return rows, anchors
