"""Fit attention's rate, half length and half rows to AMD's own tables.

They stand in ``op_tests/cpp/mha/README.md`` of ROCm/aiter (commit 0403bcd):

    python benchmarks/fit_attention.py README.md
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from estimator.catalog.loading import load

COLUMNS = {
    7: ("mi300x", "forward"),
    8: ("mi355x", "forward"),
    9: ("mi300x", "backward, BF16 atomics"),
    10: ("mi355x", "backward, BF16 atomics"),
    11: ("mi300x", "backward, FP32 atomics"),
    12: ("mi355x", "backward, FP32 atomics"),
}
"""Column of the table -> GPU, pass; before them batch, heads, KV heads, lengths, width,
whether causal."""


def causal(text: str) -> np.ndarray:
    """Return the table's causal rows as numbers."""
    rows = [line.strip().strip("|").split("|") for line in text.splitlines()]
    full = [row for row in rows if len(row) == len(COLUMNS) + 7]
    numbers = [row for row in full if row[0].strip().isdigit()]
    made = np.array([[float(cell) for cell in row] for row in numbers])
    return made[made[:, 6] == 1] if len(made) else made


def main() -> None:
    """Print the constants of least error for each GPU and pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readme", type=Path)
    given = parser.parse_args()
    if not given.readme.is_file():
        parser.error(f"there is no file {given.readme}")
    table = causal(given.readme.read_text())
    if not len(table):
        parser.error(f"{given.readme} has no table of causal attention")
    batch, heads, length = table[:, 0], table[:, 1], table[:, 3]
    rows = batch * heads * length
    for column, (name, way) in COLUMNS.items():
        measured = table[:, column] * 1e12 / load("gpu", name).peak_flop_per_s["bf16"]

        def error(logs: np.ndarray, measured: np.ndarray = measured) -> float:
            share, half_len, half_rows = np.exp(logs)
            made = share / (1 + half_len / length + half_rows / rows)
            return float(np.abs(np.log(made / measured)).mean())

        starts = product((0.3, 0.5), (300, 900, 1500), (5e3, 2e4))
        found = [
            minimize(error, np.log(start), method="Nelder-Mead") for start in starts
        ]
        best = min(found, key=lambda one: one.fun)
        share, half_len, half_rows = np.exp(best.x)
        print(
            f"{name} {way}: {share:.3f}, half length {half_len:.0f}, half rows "
            f"{half_rows:.0f}, error {best.fun:.1%} over {len(table)} kernels"
        )


if __name__ == "__main__":
    main()
