"""Fit an A100's fixed costs of tiles and kernels, and rates of rows that misalign.

The results are those of EleutherAI/cookbook (commit e6b8f2b), ``sizing/results``, the
tables those of ai-dynamo/aiconfigurator (commit 095f58a), the system file SimuMax's
(MooreThreads/SimuMax, commit 4dcaae5). Needs pyarrow:

    python benchmarks/fit_products.py sizing/results FOLDER_OF_TABLES a100_pcie.json
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from fit_epilogue import OUTPUT_BYTES
from fit_epilogue import products as simumax_products

from estimator.catalog.loading import load
from estimator.costs.kernels import gemm_s
from estimator.costs.rates import Device, Layer, device

ROW = re.compile(
    r"Throughput \(in TFLOP/s\) for (\S+ )?\(?([\dx]+)(?:, b=(\d+))?\)?: ([\d.]+)"
)
BYTES_PER_S = {"SGLang": 2.039e12, "TRTLLM": 2.039e12, "SimuMax": 1.935e12}
"""Memory of the card behind each group; the cookbook's has 1.555 TB/s."""
LEAST_FLOP = 2e10
SAMPLE = 600
SHARES = (0.82,)
"""Of long products (``fit_constants.py``); 0.81 to 0.84 leave the same error."""
EPILOGUES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
TILES_S = np.arange(1e-6, 4e-6, 0.5e-6)
LAUNCHES_S = np.arange(2e-6, 7e-6, 1e-6)


def cookbook(folder: Path) -> pd.DataFrame:
    """Return every product of the A100's files: groups, m, n, k and seconds."""
    found = []
    for path in sorted(folder.rglob("*.out")):
        if path.stem in ("v100", "mi250x"):
            continue
        for name, sizes, batch, rate in ROW.findall(path.read_text(errors="replace")):
            size = [int(number) for number in sizes.split("x")]
            if name.strip() and batch:
                groups, m, n, k = 1, size[0] * int(batch), size[2], size[1]
            elif len(size) == 4:
                groups, m, k, n = size
            else:
                groups, m, n, k = 1, *size
                if not batch:
                    n, k = k, n
            flop = 2.0 * groups * m * n * k
            kind = "scores, values" if "prob" in name else "layers"
            if float(rate) > 1 and flop > LEAST_FLOP:
                found.append((kind, groups, m, n, k, 2, flop / float(rate) / 1e12))
    return pd.DataFrame(found, columns=["set", "g", "m", "n", "k", "out", "s"])


def tables(folder: Path) -> pd.DataFrame:
    """Return the BF16 products of two frameworks on the A100, 256 rows and more."""
    table = pd.read_parquet(folder / "gemm.parquet")
    own = table[
        (table.gpu == "a100_sxm") & (table.gemm_dtype == "bfloat16") & (table.m >= 256)
    ]
    made = own[["framework", "m", "n", "k"]].rename(columns={"framework": "set"})
    return made.assign(g=1, out=2, s=own.latency * 1e-3)


def seconds(gpu: Device, rows: pd.DataFrame) -> np.ndarray:
    """Return what the tile model makes of each product."""
    devices = {
        name: replace(
            gpu,
            hbm_bytes_per_s=gpu.hbm_bytes_per_s
            * BYTES_PER_S.get(str(name), 1.555e12)
            / 2.039e12,
        )
        for name in rows.set.unique()
    }
    return np.array(
        [
            gemm_s(
                devices[row.set],
                (row.m, row.n, row.k),
                num_groups=row.g,
                output_bytes=row.out,
            )
            for row in rows.itertuples()
        ]
    )


def fit(rows: pd.DataFrame, gpu: Device, peak: float) -> None:
    """Print the constants of least error, mean over groups of products."""
    names = sorted(rows.set.unique())
    found = []
    for share, epilogue, tile_s in product(SHARES, EPILOGUES, TILES_S):
        tried = replace(
            gpu,
            gemm_flop_per_s={"bf16": share * peak},
            epilogue=epilogue,
            tile_s=tile_s,
            launch_s=0.0,
        )
        alone = seconds(tried, rows)
        for launch_s in LAUNCHES_S:
            error = np.log((alone + launch_s) / rows.s.to_numpy())
            is_card = (rows.set == "SimuMax").to_numpy()  # 300 W: its own rate
            error[is_card] -= np.median(error[is_card])
            each = [
                np.abs(error[(rows.set == name).to_numpy()]).mean() for name in names
            ]
            found.append((np.mean(each), share, epilogue, tile_s, launch_s, each))
    for mean, share, epilogue, tile_s, launch_s, each in sorted(found)[:5]:
        print(
            f"share {share:.2f}, epilogue {epilogue:.1f}, tile {tile_s * 1e6:.1f} us, "
            f"launch {launch_s * 1e6:.0f} us: {mean:.1%} ("
            + ", ".join(f"{n} {e:.1%}" for n, e in zip(names, each, strict=True))
            + ")"
        )


def misaligned(rows: pd.DataFrame, gpu: Device) -> None:
    """Print the share of the rate that makes each kind of unaligned product fit."""
    wide = rows[(rows.k >= 64) & (rows.n >= 64)]
    for name, own in wide.groupby("set"):
        depth, width = own.k % 8, own.n % 8
        for word, is_in in (
            ("even depth", (depth % 2 == 0) & (depth > 0)),
            ("odd depth", depth % 2 == 1),
            ("even width", (width % 2 == 0) & (width > 0)),
            ("odd width", width % 2 == 1),
        ):
            if not is_in.any():
                continue
            some = own[is_in]
            errors = {
                share: np.median(
                    np.log(
                        seconds(replace(gpu, misaligned={"even": share}), some) / some.s
                    )
                )
                for share in np.arange(0.2, 1.01, 0.01)
            }
            best = min(errors, key=lambda share: abs(errors[share]))
            print(f"{name}, {word}: {best:.2f} of the rate ({len(some)} products)")


def main() -> None:
    """Print both fits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("tables", type=Path)
    parser.add_argument("system", type=Path)
    given = parser.parse_args()
    for path in (given.results, given.tables / "gemm.parquet", given.system):
        if not path.exists():
            parser.error(f"there is no {path}")
    spec = load("gpu", "a100-sxm-80")
    gpu, peak = device(spec, Layer.ACHIEVABLE), spec.peak_flop_per_s["bf16"]
    every = cookbook(given.results)
    is_aligned = (every.n % 32 == 0) & (every.k % 8 == 0)
    layouts = pd.DataFrame(
        [
            ("SimuMax", 1, m, n, k, OUTPUT_BYTES[layout], taken)
            for m, n, k, layout, taken in simumax_products(given.system)
        ],
        columns=every.columns,
    )
    whole = pd.concat([every[is_aligned], tables(given.tables), layouts])
    drawn = [
        rows.sample(min(len(rows), SAMPLE), random_state=0)
        for _, rows in whole.groupby("set")
    ]
    fit(pd.concat(drawn), gpu, peak)
    misaligned(every[~is_aligned], gpu)


if __name__ == "__main__":
    main()
