"""Errors to a summary: per family, over families, inside sweeps, and of memory."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LEAST_IN_SWEEP = 10
"""Timed runs that make a mapping sweep."""
LEAST_MAPPINGS = 2
"""Plans that its runs differ in; one plan in several precisions is no sweep."""
LEAST_SPREAD = 1.5
"""Slowest over fastest run of a sweep whose ranking says something."""
SCALES = (8, 64, 512, 4096)
"""GPUs up to which runs are of one scale."""
MODEL_KINDS = ("dense", "moe")
GROUPS: Mapping[str, str] = {
    "gpu": "gpu",
    "model_kind": "kind",
    "plan": "axes",
    "scale": "scale",
    "release": "software",
}
"""What errors are shown by, beside the source: its name, the field of a row."""
_SIZE = re.compile(r"\d+$")


def family(record: Mapping[str, Any]) -> str:
    """Return a record's source for reports: its id up to the first separator.

    >>> family({"id": "nemo24.07-gpt3-5b"}), family({"id": "sc21_table2"})
    ('nemo24.07', 'sc21')
    """
    return re.split(r"[-_]", str(record["id"]), maxsplit=1)[0]


@dataclass(frozen=True)
class Row:
    """One quantity of one record: measured, predicted, and the error."""

    id: str
    family: str
    split: str
    kind: str
    quantity: str
    measured: float | bool
    predicted: float | bool
    source: str
    gpu: str
    num_gpus: int
    where: str = ""
    trust: str = ""
    flop_convention: str = ""
    plan: str = ""
    sweep: tuple[Hashable, ...] = ()
    """What runs of one mapping sweep have in common."""
    mapping: tuple[Hashable, ...] = ()
    """What they differ in: plan, micro-batch, recomputation."""
    software: str = ""
    """The release that it was predicted with."""
    has_default: bool = False
    """Whether that is the accelerator's default: the record names no framework."""
    assumptions: tuple[str, ...] = field(default=())

    @property
    def family_and_gpu(self) -> str:
        """The source and the kind of accelerator."""
        return f"{self.family} {self.gpu}"

    @property
    def axes(self) -> str:
        """The axes of the plan without their sizes: ``tp+pp``, ``fsdp``, ``dp``.

        >>> run = ("a-1", "a", "", "dense", "step_s", 1.0, 1.0, "", "", 64)
        >>> Row(*run, plan="tp8 pp4 dp2 zero1 bf16").axes
        'tp+pp'
        >>> Row(*run, plan="dp64 zero3 bf16").axes
        'fsdp'
        """
        words = self.plan.split()
        used = [_SIZE.sub("", word) for word in words]
        axes = [axis for axis in ("tp", "pp", "cp", "ep") if axis in used]
        return "+".join([*axes, *["fsdp"] * ("zero3" in words)]) or "dp"

    @property
    def scale(self) -> str:
        """The GPUs that took part, by :data:`SCALES`."""
        for limit in SCALES:
            if self.num_gpus <= limit:
                return f"up to {limit:,} GPUs"
        return f"over {SCALES[-1]:,} GPUs"

    @property
    def error(self) -> float:
        """Predicted over measured minus 1; of ``fits`` 0 if right and 1 if wrong."""
        if self.quantity == "fits":
            return float(self.measured != self.predicted)
        return self.predicted / self.measured - 1

    def to_dict(self) -> dict[str, Any]:
        """Return the row as ``validate --json`` prints it."""
        return {
            "id": self.id,
            "family": self.family,
            "split": self.split,
            "kind": self.kind,
            "quantity": self.quantity,
            "measured": self.measured,
            "predicted": self.predicted,
            "error": self.error,
            "source": self.source,
            "where": self.where,
            "trust": self.trust,
            "flop_convention": self.flop_convention,
            "gpu": self.gpu,
            "num_gpus": self.num_gpus,
            "plan": self.plan,
            "software": self.software,
            "is_default_software": self.has_default,
            "assumptions": list(self.assumptions),
        }


def spread(errors: Sequence[float]) -> dict[str, float]:
    """Return number, median and 90th percentile of |error|, and the mean error.

    >>> spread([0.1, -0.3, 0.2])["median_abs_error"]
    0.2
    """
    size = np.abs(np.array(errors, dtype=float))
    return {
        "num_runs": len(errors),
        "median_abs_error": float(np.median(size)),
        "mean_abs_error": float(size.mean()),
        "p90_abs_error": float(np.percentile(size, 90)),
        "bias": float(np.mean(errors)),
    }


def of_quantity(rows: Iterable[Row], quantity: str) -> list[Row]:
    """Return the rows of one quantity."""
    return [row for row in rows if row.quantity == quantity]


def grouped(rows: Iterable[Row], key: str) -> dict[str, list[Row]]:
    """Return rows by one of their fields, in the order of first sight."""
    made: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        made[str(getattr(row, key))].append(row)
    return dict(made)


def families(
    rows: Iterable[Row], key: str = "family", quantity: str = "step_s"
) -> dict[str, dict[str, float]]:
    """Return the spread of each family's errors, of step time unless told otherwise."""
    return {
        name: spread([row.error for row in members])
        for name, members in sorted(grouped(of_quantity(rows, quantity), key).items())
    }


def mean_of_families(rows: Iterable[Row]) -> dict[str, float] | None:
    """Return each figure of :func:`spread` averaged over families; None without runs.

    ``num_families`` tells over how many, ``num_runs`` is the sum.
    """
    made = list(families(rows).values())
    if not made:
        return None
    keys = ("median_abs_error", "mean_abs_error", "p90_abs_error", "bias")
    return {
        "num_families": len(made),
        "num_runs": sum(int(each["num_runs"]) for each in made),
        **{key: float(np.mean([each[key] for each in made])) for key in keys},
    }


def by_kind(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the step times of dense models, of mixtures of experts, and all."""
    timed = of_quantity(rows, "step_s")
    made = {kind: [row for row in timed if row.kind == kind] for kind in MODEL_KINDS}
    return {**made, "all": timed}


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Spearman's rank correlation, ties sharing their mean rank.

    >>> spearman([1, 2, 3], [10, 20, 40]), spearman([1, 2, 3], [3, 2, 1])
    (1.0, -1.0)
    """
    ranks = [_ranks(np.array(values, dtype=float)) for values in (first, second)]
    a, b = (rank - rank.mean() for rank in ranks)
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return round(float(a @ b) / scale, 12) if scale else 0.0


def _ranks(values: Any) -> Any:
    low = (values[:, None] > values[None, :]).sum(axis=1)
    same = (values[:, None] == values[None, :]).sum(axis=1)
    return low + (same - 1) / 2


def sweeps(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the mapping sweeps with their spread and rank correlation."""
    sets: defaultdict[tuple[Hashable, ...], list[Row]] = defaultdict(list)
    for row in of_quantity(rows, "step_s"):
        sets[row.family, row.gpu, row.num_gpus, *row.sweep].append(row)
    made = []
    for (name, gpu, num_gpus, model, *_), members in sets.items():
        measured = [float(row.measured) for row in members]
        num_mappings = len({row.mapping for row in members})
        if len(members) < LEAST_IN_SWEEP or num_mappings < LEAST_MAPPINGS:
            continue
        made.append(
            {
                "family": name,
                "model": model,
                "gpu": gpu,
                "num_gpus": num_gpus,
                "num_runs": len(members),
                "spread": max(measured) / min(measured),
                "spearman": spearman(measured, [float(r.predicted) for r in members]),
            }
        )
    return made


def out_of_memory(rows: Iterable[Row]) -> dict[str, Any]:
    """Return precision and recall of the label "does not fit"."""
    labels = of_quantity(rows, "fits")
    hits = sum(not row.measured and not row.predicted for row in labels)
    said = sum(not row.predicted for row in labels)
    true = sum(not row.measured for row in labels)
    return {
        "num_labels": len(labels),
        "num_out_of_memory": true,
        "num_predicted": said,
        "num_right": hits,
        "precision": hits / said if said else None,
        "recall": hits / true if true else None,
    }


def summary(rows: Sequence[Row], num_records: int, num_mapped: int) -> dict[str, Any]:
    """Return everything that ``validate`` prints beneath its rows."""
    kinds = by_kind(rows)
    means = {kind: mean_of_families(members) for kind, members in kinds.items()}
    ranked = sweeps(rows)
    memory = of_quantity(rows, "peak_bytes")
    return {
        "num_records": num_records,
        "num_mapped": num_mapped,
        "families": families(rows),
        "mean_of_family_medians": {
            kind: made and made["median_abs_error"] for kind, made in means.items()
        },
        "mean_of_families": means,
        "families_by_kind": {
            kind: families(kinds[kind]) for kind in MODEL_KINDS if kinds[kind]
        },
        "runs": {
            kind: spread([row.error for row in members])
            for kind, members in kinds.items()
            if members
        },
        "families_by_gpu": families(rows, "family_and_gpu"),
        **{f"{name}s": families(rows, key) for name, key in GROUPS.items()},
        "sweeps": ranked,
        "least_rank_correlation": min(
            (made["spearman"] for made in ranked if made["spread"] >= LEAST_SPREAD),
            default=None,
        ),
        "memory": spread([row.error for row in memory]) if memory else None,
        "memory_by_family": families(memory, quantity="peak_bytes"),
        "out_of_memory": out_of_memory(rows),
        "budgets": [row.to_dict() for row in of_quantity(rows, "gpu_hours")],
    }


def worst(rows: Iterable[Row], number: int) -> list[Row]:
    """Return the rows of step time that are furthest off, the worst first.

    Half and twice are equally far: what counts is the ratio.
    """
    timed = of_quantity(rows, "step_s")
    timed.sort(key=lambda row: -abs(float(np.log(row.predicted / row.measured))))
    return timed[:number]
