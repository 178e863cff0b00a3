"""Five groups of dense runs, and what did not fit: every row with its sign.

    python benchmarks/groups.py ../shared/reference/published_runs.yaml [--rows]

The groups were named before a constant was chosen: Megatron-Bridge's Llama 3 on H100,
NeMo 24.07, SC21 without ZeRO-3, Korthikanti et al., llm-foundry on one node. One set of
constants for each GPU serves all; ``software_maturity`` stays 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from estimator.validation.runs import validate
from estimator.validation.scoring import Row, of_quantity, out_of_memory

GROUPS: Mapping[str, Callable[[Row], bool]] = {
    "mbridge": lambda row: "llama" in row.id and row.gpu == "H100-80GB",
    "nemo24.07": lambda row: row.kind == "dense",
    "sc21": lambda row: "ZeRO-3" not in row.id,
    "korthikanti": lambda row: True,
    "llmfoundry": lambda row: row.num_gpus <= 8,
}
MEMORY = ("hfnanotron", "bigscience")


def timed(runs: Path, family: str) -> list[Row]:
    """Return the step times of one group."""
    rows = validate(runs, source=family).rows
    return [row for row in of_quantity(rows, "step_s") if GROUPS[family](row)]


def labels(runs: Path) -> Mapping[str, Any]:
    """Return the score of the label "does not fit" over two mapping sweeps."""
    return out_of_memory(
        [row for name in MEMORY for row in validate(runs, source=name).rows]
    )


def main() -> None:
    """Print the groups and the labels of memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--rows", action="store_true", help="print every row")
    given = parser.parse_args()
    means, every = [], []
    for family in GROUPS:
        rows = timed(given.runs, family)
        if given.rows:
            for row in rows:
                print(
                    f"  {row.id:62} {row.measured:9.3f} s"
                    f" {row.predicted:9.3f} s {row.error:+7.1%}"
                )
        errors = np.array([row.error for row in rows])
        every += errors.tolist()
        means.append(np.abs(errors).mean())
        print(
            f"{family:12} {len(errors):4} runs, mean |error| {means[-1]:5.1%},"
            f" bias {errors.mean():+6.1%}"
        )
    within = np.mean(np.abs(every) <= 0.2)
    print(f"mean of the groups {np.mean(means):.1%}; {within:.1%} of rows within 20 %")
    fits = labels(given.runs)
    print(
        f"out of memory: {fits['num_out_of_memory']} of {fits['num_labels']} labels,"
        f" precision {fits['precision']:.1%}, recall {fits['recall']:.1%}"
    )


if __name__ == "__main__":
    main()
