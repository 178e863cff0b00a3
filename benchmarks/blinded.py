"""Errors over published runs whose names mean nothing, and without their framework.

``python benchmarks/blinded.py [RUNS.yaml]`` predicts our own runs and, if it is given,
a larger file, as they are and blinded: their ``id``, ``source``, ``where`` and
``notes`` are replaced, or their ``framework`` is removed. It prints, for each, the mean
over families of their median error; families are those of the original names, of three
runs or more.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import yaml

from estimator.catalog import kinds
from estimator.validation.runs import read, validate
from estimator.validation.scoring import family, of_quantity

Record = dict[str, Any]
TELLING = ("source", "where", "notes")
"""Texts from which a source could be told, besides the id."""
LEAST_RUNS = 3
FOLDER = kinds.data_folder() / "validation"


class Score(NamedTuple):
    """What one row of the table says."""

    num_mapped: int
    num_families: int
    error: float


def blinded(record: Mapping[str, Any], index: int) -> Record:
    """Return a record under a name that says nothing.

    >>> blinded({"id": "zb-1", "notes": "compiled", "batch": {}}, 7)
    {'id': 'run7', 'notes': '-', 'batch': {}}
    """
    made = {key: "-" if key in TELLING else value for key, value in record.items()}
    return {**made, "id": f"run{index}"}


def unframed(record: Mapping[str, Any], index: int) -> Record:
    """Return a record without its framework, under a name that says nothing."""
    made = blinded(record, index)
    for key in ("framework", "software"):
        made.pop(key, None)
    return made


def score(
    records: Sequence[Mapping[str, Any]],
    change: Callable[[Mapping[str, Any], int], Record] | None = None,
    *,
    has_facts: bool,
) -> Score:
    """Return the error over records, each changed beforehand."""
    made = [
        change(record, index) if change else dict(record)
        for index, record in enumerate(records)
    ]
    families = {
        str(new["id"]): family(old) for new, old in zip(made, records, strict=True)
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.yaml"
        path.write_text(yaml.safe_dump(made, sort_keys=False))
        outcome = validate(path, has_facts=has_facts)
    errors: defaultdict[str, list[float]] = defaultdict(list)
    for row in of_quantity(outcome.rows, "step_s"):
        errors[families[row.id]].append(abs(row.error))
    large = [median(found) for found in errors.values() if len(found) >= LEAST_RUNS]
    return Score(len(records) - len(outcome.unmapped), len(large), fmean(large))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", help="a larger file of runs")
    asked = parser.parse_args()
    own = read(FOLDER / "runs")
    rows: dict[str, Score] = {
        "ours, as they are": score(own, has_facts=True),
        "ours, blinded": score(own, blinded, has_facts=False),
        "ours, without framework": score(own, unframed, has_facts=False),
    }
    for name in asked.runs:
        larger = read(Path(name))
        rows["theirs, with facts"] = score(larger, has_facts=True)
        rows["theirs, without facts"] = score(larger, has_facts=False)
        rows["theirs, blinded"] = score(larger, blinded, has_facts=False)
        rows["theirs, without framework"] = score(larger, unframed, has_facts=False)
    print(f"{'runs':28s} {'mapped':>7s} {'families':>9s} {'error':>7s}")
    for name, made in rows.items():
        error = f"{100 * made.error:.2f} %"
        print(f"{name:28s} {made.num_mapped:7d} {made.num_families:9d} {error:>7s}")


if __name__ == "__main__":
    main()
