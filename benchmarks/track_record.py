"""Write estimator/answer/track_record.yaml: which kinds were checked, and how well.

python benchmarks/track_record.py [--check]
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

import yaml

from estimator.answer.track_record import FILE
from estimator.catalog import loading
from estimator.catalog.records.clusters import kind as gpu_kind
from estimator.catalog.records.rules.hardware import NODES
from estimator.specs.hardware import Gpu
from estimator.validation.runs import validate
from estimator.validation.scoring import Row, of_quantity

ROUNDED = 3
"""Decimals of an error: a tenth of a point."""
HEAD = """\
# Written by benchmarks/track_record.py from what `estimator validate` finds: for each
# GPU and kind of model the published step times that were predicted, and the median
# |predicted / measured - 1|. An answer says it beside its numbers; nothing is computed
# from it. Not to be edited.
"""


def entries(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a line for each GPU and kind of model."""
    errors = defaultdict(list)
    for row in of_quantity(rows, "step_s"):
        errors[gpu_of(row.gpu).name, row.kind].append(abs(row.error))
    made = []
    for (name, kind), found in sorted(errors.items()):
        gpu = loading.load("gpu", name)
        made.append(
            {
                "gpu": name,
                "title": gpu.title,
                "vendor": gpu.vendor,
                "architecture": gpu.architecture,
                "kind": kind,
                "num_runs": len(found),
                "median_abs_error": round(median(found), ROUNDED),
            }
        )
    return made


def gpu_of(text: str) -> Gpu:
    """Return the GPU that a record's text means."""
    node, other = NODES[gpu_kind(text)]
    gpu: Gpu = loading.load("gpu", other) if other else loading.load("node", node).gpu
    return gpu


def main() -> None:
    """Write the file, or say that it would change."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    is_check = parser.parse_args().check
    made = entries(validate().rows)
    old = yaml.safe_load(FILE.read_text()) if FILE.is_file() else {}
    if old.get("checked") == made:
        return
    if is_check:
        sys.exit(f"{FILE.name} would change")
    day = datetime.now(UTC).date().isoformat()
    document = {"date": day, "checked": made}
    FILE.write_text(HEAD + yaml.safe_dump(document, sort_keys=False, width=100))
    print(f"{FILE.name}: {len(made)} kinds")


if __name__ == "__main__":
    main()
