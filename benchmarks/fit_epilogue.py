"""Fit what share of an output tile's memory traffic stays exposed, from one table.

The table is a system file of SimuMax (MooreThreads/SimuMax, commit 4dcaae5), whose
products come in the three layouts of training, FP32 gradients added to what is there:

    python benchmarks/fit_epilogue.py a100_pcie.json a100-sxm-80 1.935e12

The last argument is the memory bandwidth of the card that was measured.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from estimator.catalog.loading import load
from estimator.costs.kernels import gemm_s
from estimator.costs.rates import Device, Layer, device

LEAST_FLOP = 1e11
OUTPUT_BYTES = {"TN": 2, "NN": 2, "NT": 8}
"""Forward, input gradient, weight gradient."""
SHARES = np.arange(0.45, 0.95, 0.005)


def products(path: Path) -> list[tuple[int, int, int, str, float]]:
    """Return rows, columns, depth, layout and seconds of every measured product."""
    table = json.loads(path.read_text())["accelerator"]["op"]["matmul"]
    found = []
    for key, share in table["accurate_efficient_factor"].items():
        given = dict(part.split("=") for part in key.split(", "))
        m, n, k = (int(given[size]) for size in "mnk")
        seconds = 2 * m * n * k / (table["tflops"] * 1e12 * share)
        found.append((m, n, k, given["layout"], seconds))
    return [row for row in found if 2 * row[0] * row[1] * row[2] > LEAST_FLOP]


def errors(gpu: Device, rows: list[tuple[int, int, int, str, float]]) -> np.ndarray:
    """Return the log error of every product."""
    return np.array(
        [
            np.log(gemm_s(gpu, (m, n, k), output_bytes=OUTPUT_BYTES[layout]) / seconds)
            for m, n, k, layout, seconds in rows
        ]
    )


def main() -> None:
    """Print the least error, and that of weight gradients, for each exposed share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("gpu")
    parser.add_argument("bytes_per_s", type=float)
    given = parser.parse_args()
    if not given.table.is_file():
        parser.error(f"there is no file {given.table}")
    gpu, rows = load("gpu", given.gpu), products(given.table)
    known, peak = device(gpu, Layer.ACHIEVABLE), gpu.peak_flop_per_s["bf16"]
    known = replace(known, hbm_bytes_per_s=given.bytes_per_s * gpu.achievable.hbm.value)
    is_weight = np.array([layout == "NT" for *_, layout, _ in rows])
    for epilogue in np.arange(0, 1.01, 0.1):
        rated = {
            share: errors(
                replace(
                    known, epilogue=epilogue, gemm_flop_per_s={"bf16": share * peak}
                ),
                rows,
            )
            for share in SHARES
        }
        best = min(rated, key=lambda share: np.abs(rated[share]).mean())
        print(
            f"epilogue {epilogue:.1f}: share {best:.3f}, error "
            f"{np.abs(rated[best]).mean():.1%} over {len(rows)} products, weight "
            f"gradients {rated[best][is_weight].mean():+.1%}"
        )


if __name__ == "__main__":
    main()
