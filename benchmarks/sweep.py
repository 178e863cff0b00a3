"""How many scenarios a second, end to end, beside a plain loop over ``estimate``.

``python benchmarks/sweep.py [--jobs 2] [--peer CHECKOUT]...``: a sweep of 10,000 points
over the fabric's bandwidth and the number of GPUs (DeepSeek-V3, DualPipe), and sweeps
of bandwidths and of prices that share one graph. Each goes to Parquet with time, cost
and memory. With a local checkout of Calculon or SimuMax, its own evaluation of one of
its examples is timed beside them (``peers.py``), on one core.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from peers import peer_rate

from estimator.answer.api import estimate
from estimator.catalog.loading import load_scenario
from estimator.explore.sweeps import sweep

NAME = "deepseek-v3"
BANDWIDTH = "cluster.fabric.bytes_per_s=25 GB/s:100 GB/s"
SWEEPS = {
    "bandwidth x GPUs, 10,000 points": [
        f"{BANDWIDTH}:100",
        "cluster.num_gpus=1024:102400:100",
    ],
    "bandwidth, 40,000 points": [f"{BANDWIDTH}:40000"],
    "price, 100,000 points": ["price.usd_per_gpu_hour=1:4:100000"],
}
NUM_SINGLE = 10


def single_rate() -> float:
    """Return scenarios a second of a loop that loads and estimates each."""
    start_s = time.perf_counter()
    for index in range(NUM_SINGLE):
        path = f"cluster.fabric.bytes_per_s={(25 + index) * 1e9}"
        estimate(load_scenario(NAME, [path]), has_range=False)
    return NUM_SINGLE / (time.perf_counter() - start_s)


def sweep_rate(vary: list[str], jobs: int, folder: Path) -> float:
    """Return points a second of a sweep to Parquet."""
    start_s = time.perf_counter()
    made = sweep(NAME, vary, out=folder / "rows.parquet", jobs=jobs)
    return len(made) / (time.perf_counter() - start_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--peer", type=Path, action="append", default=[])
    options = parser.parse_args()
    alone = single_rate()
    print(f"{'plain loop over estimate':36} {alone:10,.1f}/s")
    with tempfile.TemporaryDirectory() as folder:
        for name, vary in SWEEPS.items():
            rate = sweep_rate(vary, options.jobs, Path(folder))
            print(f"{name:36} {rate:10,.0f}/s  {rate / alone:10,.1f} x")
    for checkout in options.peer:
        name, rate = peer_rate(checkout)
        print(f"{name:36} {rate:10,.1f}/s  {rate / alone:10,.1f} x")


if __name__ == "__main__":
    main()
