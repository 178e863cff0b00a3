"""Fit the achievable constants of hardware/gpu/*.yaml to measured kernels.

The tables are those of ai-dynamo/aiconfigurator (commit 095f58a), one row per kernel:

    python benchmarks/fit_constants.py ../shared/reference/kernels

What is fitted, and how, is described in docs/constants.md. Products of more than
SUSTAINED_FLOP count: they last long enough to run at the clocks that power allows, as
training does, while short ones run at boost. Needs pyarrow.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from estimator.catalog.loading import load
from estimator.costs.kernels import DTYPE_BYTES, TILES
from estimator.specs.hardware import PEAK_OF, Gpu

GPUS = {
    "a100_sxm": "a100-sxm-80",
    "h100_sxm": "h100-sxm",
    "h200_sxm": "h200-sxm",
    "b200_sxm": "b200-sxm",
    "b300_sxm": "b300-sxm",
    "gb200": "gb200",
    "gb300": "gb300",
    "l40s": "l40s",
}
KERNELS = {
    "bfloat16": "bf16",
    "fp8": "fp8_tensor",
    "fp8_block": "fp8",
    "nvfp4": "nvfp4",
}
REPEATED = {("b300_sxm", "SGLang"), ("gb300", "SGLang")}
"""The rows of the two are the same, so they belong to one of them only; left out."""
SHARES = np.arange(0.25, 1.2, 0.005)
CAST_SHARES = (0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60, 0.70, 0.80)
LAUNCH_S = 2e-6
MIN_ROWS = 1024
SUSTAINED_FLOP = 10e12
LEAST_PRODUCTS = 8
"""Of fewer sustained products the share is not taken; all then count, by the root of
their duration."""
ATTENTION = (
    "fa3",
    "trtllm_mha",
    "flash_attention",
    "flashinfer",
    "trtllm_mla",
    "default",
)
SLOW_PRODUCTS = {("SGLang", "fp8_tensor")}
"""A kernel that falls to half of the other's rate as products grow."""
SLOW = {
    ("a100_sxm", "default"),
    ("h100_sxm", "flash_attention"),
    ("h200_sxm", "flash_attention"),
    ("l40s", "default"),
    *((gpu, "flashinfer") for gpu in ("b200_sxm", "b300_sxm", "gb200", "gb300")),
}
"""Kernels that training on the same GPU would not use: another one is much faster."""


def products(folder: Path) -> pd.DataFrame:
    """Return the products of at least MIN_ROWS rows in seconds."""
    table = pd.read_parquet(folder / "gemm.parquet")
    table = table[(table.m >= MIN_ROWS) & table.gemm_dtype.isin(list(KERNELS))].copy()
    table["seconds"] = table.latency * 1e-3
    return table


def tile_model_s(rows: pd.DataFrame, gpu: Gpu, kernel: str) -> np.ndarray:
    """Return seconds by share of the peak and row: costs/kernels.py, in arrays."""
    m, n, k = (rows[column].to_numpy(float) for column in "mnk")
    peak = gpu.peak_flop_per_s[PEAK_OF.get(kernel, kernel)]
    bandwidth = gpu.hbm_bytes_per_s * gpu.achievable.hbm.value
    exposed = gpu.achievable.epilogue.value if gpu.achievable.epilogue else 1.0
    per_sm = SHARES[:, None] * peak / gpu.num_sms
    seconds = np.full((len(SHARES), len(rows)), np.inf)
    for high, wide in TILES[kernel]:
        waves = np.ceil(np.ceil(m / high) * np.ceil(n / wide) / gpu.num_sms)
        tile_s = 2 * high * wide * k / per_sm + gpu.achievable.tile_s.value
        seconds = np.minimum(
            seconds,
            waves * (tile_s + exposed * high * wide * 2 / (bandwidth / gpu.num_sms)),
        )
    moved = (m + n) * k * DTYPE_BYTES[kernel] + m * n * 2
    return np.maximum(seconds, moved / bandwidth) + LAUNCH_S


def cast_s(rows: pd.DataFrame, gpu: Gpu, kernel: str, share: float) -> np.ndarray:
    """Return the seconds of casting the BF16 activation, which FP8 rows include."""
    if kernel == "bf16":
        return np.zeros(len(rows))
    moved = rows.m.to_numpy(float) * rows.k.to_numpy(float) * (2 + DTYPE_BYTES[kernel])
    return moved / (share * gpu.hbm_bytes_per_s) + LAUNCH_S


def errors(
    rows: pd.DataFrame, gpu: Gpu, kernel: str, cast: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return log errors by share and row, and the rows' weights."""
    measured = rows.seconds.to_numpy()
    predicted = tile_model_s(rows, gpu, kernel) + cast_s(rows, gpu, kernel, cast)
    return np.log(predicted / measured), np.sqrt(measured)


def fit_products(table: pd.DataFrame, measured_name: str, gpu: Gpu) -> None:
    """Print the best share of the peak by kind of kernel and framework."""
    own = table[table.gpu == measured_name]
    groups = [
        (KERNELS[str(dtype)], str(framework), rows)
        for (dtype, framework), rows in own.groupby(["gemm_dtype", "framework"])
        if (measured_name, framework) not in REPEATED
    ]
    scaled = [group for group in groups if group[0] != "bf16"]
    casts = {}
    for cast in CAST_SHARES if scaled else ():
        worst = [errors(rows, gpu, kernel, cast) for kernel, _, rows in scaled]
        casts[cast] = sum(
            float(np.average(np.abs(error), axis=1, weights=weight).min())
            for error, weight in worst
        ) / len(worst)
    free = min(casts, key=lambda share: casts[share]) if casts else 0.0
    used = gpu.achievable.elementwise.value
    print(f"  elementwise: {free:.2f} fits best; the file's {used:.2f} is used below")
    for kernel, framework, rows in groups:
        error, weight = errors(rows, gpu, kernel, used)
        weighted = np.average(np.abs(error), axis=1, weights=weight)
        is_long = (2.0 * rows.m * rows.n * rows.k > SUSTAINED_FLOP).to_numpy()
        sustained = (
            np.abs(error[:, is_long]).mean(axis=1) if is_long.any() else weighted
        )
        is_used = is_long.sum() >= LEAST_PRODUCTS
        best = sustained.argmin() if is_used else weighted.argmin()
        slow = ", slow: left out" if (framework, kernel) in SLOW_PRODUCTS else ""
        print(
            f"  gemm.{kernel:10} {framework:7} share {SHARES[best]:.3f} of "
            f"{is_long.sum() if is_used else len(rows):5} products (error "
            f"{(sustained if is_used else weighted)[best]:.1%}){slow}; all "
            f"{len(rows)} by the root of their duration {SHARES[weighted.argmin()]:.3f}"
        )


def attention_rates(folder: Path) -> pd.DataFrame:
    """Return the FLOP and heads x sequences of causal BF16 forward passes."""
    table = pd.read_parquet(folder / "attention_forward.parquet")
    keep = (
        (table.window_size.fillna(0) == 0)
        & (table.attn_dtype == "bfloat16")
        & (table.head_dim == 128)
    )
    own = table[keep & (table.isl >= MIN_ROWS)]
    parallel = own.batch_size * own.num_heads
    return own.assign(parallel=parallel, flop=parallel * own.isl**2.0 * 2 * 128)


def fit_attention(table: pd.DataFrame, measured_name: str, gpu: Gpu) -> None:
    """Print ``share / (1 + half_len / S + half_rows / (heads x sequences x S))``."""
    own = table[(table.gpu == measured_name) & table.kernel_source.isin(ATTENTION)]
    own = own[[(measured_name, source) not in SLOW for source in own.kernel_source]]
    length, rows = own.isl.to_numpy(float), (own.parallel * own.isl).to_numpy(float)
    seconds = own.latency.to_numpy() * 1e-3 - LAUNCH_S
    slowness = seconds * gpu.peak_flop_per_s["bf16"] / own.flop.to_numpy()

    def error(logs: np.ndarray) -> float:
        share, half_len, half_rows = np.exp(logs)
        predicted = (1 + half_len / length + half_rows / rows) / share
        return float(np.abs(np.log(predicted / slowness)).mean())

    best = minimize(error, np.log([0.65, 800, 3e4]), method="Nelder-Mead")
    share, half_len, half_rows = np.exp(best.x)
    kernels = ", ".join(sorted(set(own.kernel_source)))
    print(
        f"  attention_forward {share:.2f}, half length {half_len:.0f}, half rows "
        f"{half_rows:.0f}: error {best.fun:.1%} over {len(own)} kernels of {kernels}"
    )


def stream_share(folder: Path, measured_name: str, gpu: Gpu) -> None:
    """Print the bandwidth of products of 128 rows with more than 1 GB of weights."""
    table = pd.read_parquet(folder / "gemm.parquet")
    own = table[
        (table.gpu == measured_name)
        & (table.m <= 129)
        & (table.gemm_dtype == "bfloat16")
    ]
    moved = 2.0 * (own.m * own.k + own.n * own.k + own.m * own.n)
    rate = (moved / own.latency * 1e3)[moved > 1e9] / gpu.hbm_bytes_per_s
    low, middle, high = rate.quantile([0.1, 0.5, 0.9])
    print(
        f"  weights streamed at {middle:.2f} ({low:.2f} to {high:.2f}) of the HBM peak"
    )


def main() -> None:
    """Print the constants of every GPU that was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the parquet tables")
    folder = parser.parse_args().folder
    gemm, attention = products(folder), attention_rates(folder)
    for measured_name, name in GPUS.items():
        gpu = load("gpu", name)
        print(f"{gpu.title}")
        fit_products(gemm, measured_name, gpu)
        fit_attention(attention, measured_name, gpu)
        stream_share(folder, measured_name, gpu)


if __name__ == "__main__":
    main()
