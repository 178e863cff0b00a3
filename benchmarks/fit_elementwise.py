"""An A100's share of its memory bandwidth in element-wise kernels and row reductions.

FP32 kernels are those of sitar-lab/NeuSight (commit 6945927,
``scripts/asplos/data/dataset/test``), FP16 ones of EleutherAI/cookbook: single kernels
(commit 827ee3b, ``benchmarks/sizing/sample_results/transformer.out``) and whole layers
(commit e6b8f2b, ``sizing/results/transformer_data``):

    python benchmarks/fit_elementwise.py TABLES transformer.out LAYERS
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, median

import pandas as pd

BYTES_PER_S = {
    "NVIDIA A100-PCIE-40GB": 1.555e12,
    "NVIDIA A100 80GB PCIe": 1.935e12,
    "Tesla V100-PCIE-32GB": 0.9e12,
}
"""Peaks; the cookbook's A100 has 40 GB."""
KERNELS = {"add": 12, "gelu": 8, "ln": 8, "softmax": 8}
"""Bytes per FP32 element."""
LARGE = (2e8, 1e9)
SINGLE = {"attention_dropout": 5, "mlp_fused_gelu": 4}
"""Bytes per FP16 element."""
LAYER = 22
"""Two norms of 4 and two additions of 6 with a mask of 1."""
WIDTH = 4096
"""Widest layer whose products are too short for the power limit."""
TOKENS, SCORES = 8192, 4 * 128 * 2048**2


def single_precision(folder: Path) -> pd.DataFrame:
    """Return the median share of each kernel, by GPU."""
    rows = pd.concat(
        pd.read_csv(folder / f"{name}.csv") for name in ("elem", "ln", "softmax")
    )
    rows = rows[rows.OPName.isin(KERNELS) & rows.Device.isin(BYTES_PER_S)]
    moved = rows.B * rows.H * rows.OPName.map(KERNELS)
    peak = rows.Device.map(BYTES_PER_S)
    rows = rows.assign(share=moved / (rows.Latency * 1e-3) / peak)[
        moved.between(*LARGE)
    ]
    return rows.pivot_table("share", "OPName", "Device", aggfunc="median")


def single_kernels(path: Path) -> dict[str, float]:
    """Return the share of the first layer's dropout and GELU."""
    found = {}
    for name, sizes, seconds in re.findall(
        r"Elapsed time for (\w+) \(([\dx]+)\): ([\d.]+)", path.read_text()
    ):
        if name in SINGLE and name not in found:
            count = 1.0
            for size in sizes.split("x"):
                count *= int(size)
            peak = BYTES_PER_S["NVIDIA A100-PCIE-40GB"]
            found[name] = count * SINGLE[name] / float(seconds) / peak
    return found


def layers(folder: Path) -> tuple[float, float]:
    """Return the share of norms with additions, and the seconds of a masked score.

    What a layer takes beside its two blocks is norms and additions; what attention
    takes beside its four products, measured alone, is the softmax.
    """
    whole, products = _whole(folder), _products(folder)
    rest = median(layer[2] - layer[0] - layer[1] for layer in whole[WIDTH])
    softmax = [
        (median(layer[0] for layer in whole[width]) - products[width]) / SCORES
        for width in (2048, 3072, WIDTH)
    ]
    moved = LAYER * TOKENS * WIDTH
    return moved / rest / BYTES_PER_S["NVIDIA A100-PCIE-40GB"], fmean(softmax)


def _whole(folder: Path) -> dict[int, list[list[float]]]:
    text = (folder / "tensor_parallel_h_sweep.out").read_text(errors="replace")
    found = defaultdict(list)
    for width, part in _parts(text):
        rates = [float(rate) for rate in re.findall(r"throughput \S+ \S+ (\S+)", part)]
        if len(rates) == len(("attention", "mlp", "both")):
            attention = 4.0 * TOKENS * width * (2 * width + 2048)
            mlp = 16.0 * TOKENS * width**2
            flop = (attention, mlp, attention + mlp)
            found[width].append(
                [one / rate / 1e12 for one, rate in zip(flop, rates, strict=True)]
            )
    return found


def _products(folder: Path) -> dict[int, float]:
    """Return the seconds of attention's four products, by width."""
    text = (folder / "h_sweep.out").read_text(errors="replace")
    found = {}
    for width, part in _parts(text):
        spent = 0.0
        for sizes, batch, rate in re.findall(
            r"Throughput \S+ \S+ for attention_\w+ \(([\dx]+)(?:, b=(\d+))?\): (\S+)",
            part,
        ):
            flop = 2.0 * int(batch or 1)
            for size in sizes.split("x"):
                flop *= int(size)
            spent += flop / float(rate) / 1e12
        found[width] = spent
    return found


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """Yield the width and the text of each layer that no ranks share."""
    for part in text.split("num_attention_heads: ")[1:]:
        if "tensor_mp_size: 1," in part:
            yield int(re.findall(r"hidden_size: (\d+)", part)[0]), part


def main() -> None:
    """Print the shares and their means."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("tables", "kernels", "layers"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    table = single_precision(given.tables)
    print(table.round(2).to_string(), table.mean().round(2).to_string(), sep="\n")
    kernels = single_kernels(given.kernels)
    share, softmax_s = layers(given.layers)
    kernels["norms, additions"] = share
    print({name: round(value, 2) for name, value in kernels.items()})
    print(f"mean in FP16 {fmean(kernels.values()):.2f}, a score {softmax_s:.2e} s")


if __name__ == "__main__":
    main()
