"""Published runs against their predictions: the only reader of ``validation/``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from estimator.answer.api import estimate
from estimator.answer.report import Report
from estimator.catalog import kinds, loading, reading
from estimator.catalog.records.files import Broken, parse_records
from estimator.ground.documents import MAX_DATA_BYTES
from estimator.ground.errors import InputError
from estimator.ground.registry import suggestion
from estimator.validation.facts import with_facts
from estimator.validation.peers import against_peers
from estimator.validation.predictions import Result, Unmapped, predict_all
from estimator.validation.scoring import Row, family, summary

MOST_REASONS = 8
"""That one message lists."""


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
    peers: tuple[Mapping[str, Any], ...] = ()
    """What other simulators reach, as ``validation/peers.yaml`` says."""
    repeated: tuple[str, ...] = ()
    """Names that stand more than once, and are scored each time."""
    titles: Mapping[str, str] = field(default_factory=dict)
    """Family -> what ``validation/families.yaml`` calls it."""

    def title(self, family: str) -> str:
        """Return what a family is called; its own name where nothing is."""
        return self.titles.get(family, family)

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
            "repeated": list(self.repeated),
            "summary": self.summary(),
            "peers": against_peers(self.rows, self.peers),
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
    runs: Path | None = None,
    *,
    split: str | None = None,
    source: str | None = None,
    has_facts: bool = True,
) -> Outcome:
    """Return each run of a file, or of our own selection, against its prediction.

    Parameters
    ----------
    runs : Path, optional
        A file in the record format, or a folder of such; ``validation/runs`` without.
    split, source : str, optional
        Keep only the records of one split, or of one source family.
    has_facts : bool
        Lay what ``validation/facts.yaml`` knows of a record over it, by its id; our
        own records hold it already.

    Raises
    ------
    InputError
        If a file cannot be read, or no record is of this split and family.
    """
    folder = kinds.data_folder() / "validation"
    peers, titles = folder / "peers.yaml", folder / "families.yaml"
    entries = read(runs or folder / "runs")
    if has_facts and (folder / "facts.yaml").is_file():
        entries = with_facts(entries, read(folder / "facts.yaml"))
    kept = _filtered(entries, split, source)
    results = predict_all(kept)
    _check_any(runs or folder / "runs", results)
    outcome = Outcome(
        rows=tuple(row for rows, _ in results for row in rows),
        unmapped=tuple(lost for _, lost in results if lost is not None),
        num_records=len(kept),
        repeated=tuple(
            name
            for name, times in Counter(name for name, _ in kept).items()
            if times > 1
        ),
        peers=tuple(read(peers) if peers.is_file() else ()),
        titles=reading.read("scenario", str(titles)) if titles.is_file() else {},
    )
    if runs is not None or split or source not in (None, "dsv3"):
        return outcome
    rows, anchors = _main_scenario(folder / "deepseek-v3.yaml")
    return replace(outcome, rows=outcome.rows + rows, anchors=anchors)


def _check_any(path: Path, results: Sequence[Result]) -> None:
    """Raise unless a record, or the lack of any, is sound."""
    lost = [reason for _, reason in results if reason and reason.is_broken]
    if lost and len(lost) == len(results):
        raise InputError(
            f"{path} holds no record that can be read",
            where=[f"{one.id}: {one.reason}" for one in lost[:MOST_REASONS]],
        )


def read(path: Path) -> list[Any]:
    """Return the entries of a runs file, or of all files in a folder."""
    is_folder = reading.is_there(path) and path.is_dir()
    paths = sorted(path.glob("*.yaml")) if is_folder else [path]
    if not paths:
        raise InputError(f"{path} holds no runs files (*.yaml)")
    return [
        entry
        for one in paths
        for entry in parse_records(reading.read_text(one, MAX_DATA_BYTES), one.name)
    ]


def _filtered(
    entries: Sequence[Any], split: str | None, source: str | None
) -> list[tuple[str, Any]]:
    named = [(_id(entry, index), entry) for index, entry in enumerate(entries)]
    splits = [_text(entry, "split") for _, entry in named]
    if split is not None:
        _check_known("split", split, splits)
        named = [pair for pair, of in zip(named, splits, strict=True) if of == split]
    sources = [family({"id": name}) for name, _ in named]
    if source is not None:
        _check_known("family", source, sources)
        named = [pair for pair, of in zip(named, sources, strict=True) if of == source]
    return named


def _check_known(what: str, wanted: str, given: Sequence[str]) -> None:
    known = sorted({*given} - {""})
    if wanted not in known:
        raise InputError(
            f"no record is of {what} {wanted[:60]!r}",
            why=f"known: {', '.join(known) or 'none'}",
            fix=suggestion(wanted, known),
        )


def _text(entry: Any, key: str) -> str:
    value = entry.get(key) if isinstance(entry, Mapping) else None
    return value if isinstance(value, str) else ""


def _id(entry: Any, index: int) -> str:
    if isinstance(entry, Broken):
        return entry.id
    name = entry.get("id") if isinstance(entry, Mapping) else None
    is_name = isinstance(name, str | int | float) and str(name).strip()
    return str(name) if is_name else f"record {index + 1}"


def _main_scenario(path: Path) -> tuple[tuple[Row, ...], tuple[Anchor, ...]]:
    """Return the GPU-hour budgets and the step rows of the main scenario's own file."""
    published = reading.read("scenario", str(path))
    scenario = loading.load_scenario(published["scenario"])
    report = estimate(scenario, has_range=False)
    predicted = _figures(report)
    anchors = tuple(
        Anchor(name, figure["measured"], predicted[name], figure["tolerance"])
        for part in ("step", "run")
        for name, figure in published[part].items()
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
            software=scenario.software.name,
        )
        for made in anchors
        if made.name.endswith("gpu_hours")
    )
    return rows, anchors


def _figures(report: Report) -> dict[str, float]:
    """Return what a report says under the names of ``validation/deepseek-v3.yaml``."""
    row = report.step.ranks[0]
    return {
        "step_s": report.step.step_s,
        "forward_s": row.forward_s,
        "backward_s": row.backward_s + row.backward_input_s,
        "overlapped_s": row.overlapped_s,
        "weight_s": row.weight_s,
        "bubble_s": row.bubble_s,
        "optimizer_s": row.optimizer_s,
        "mfu": report.step.mfu,
        "mfu_noncausal": report.step.mfu_noncausal,
        "pre_training_gpu_hours": report.phases[0].gpu_hours,
        "gpu_hours": report.gpu_hours,
        "cost_usd": report.cost_usd,
    }
