"""A page of the dashboard alone, and beside ten sessions that open hostile links.

    python benchmarks/hostile_links.py [VISITS]

Sessions speak to a real server as a browser does, over a websocket, without one. Each
hostile session opens its link again as soon as it is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import zlib

PORT = 8978
SCRIPT = "from estimator.faces.cli.main import main; main()"
PAUSE_S = 1.0
"""Between two visits of a hostile session: a person, or a script, reads the answer."""


def packed(text: str) -> str:
    """Return a scenario as links carry it."""
    return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode()


HEAD = "base: deepseek-v3\nname: mine\n"
LONG_STEP = "plan.pp=64\nplan.tp=1\nplan.schedule=1f1b\nplan.stages_per_rank=1"
LINKS: dict[str, tuple[str, dict[str, str | list[str]]]] = {
    "a count of 401 digits": ("estimate", {"gpus": "9" * 401}),
    "an infinite count": ("what-if", {"across": "GPUs", "across_values": "1e999"}),
    "another model": (
        "estimate",
        {"scenario": "llama-3.1-405b", "set": "model=llama-3-70b"},
    ),
    "900,000 digits in a packed scenario": (
        "estimate",
        {"own": packed(f"{HEAD}cluster: {{num_gpus: {'9' * 900_000}}}\n")},
    ),
    "20,000 digits": ("estimate", {"set": f"price.usd_per_gpu_hour={'9' * 20_000}"}),
    "300 values": ("estimate", {"set": "\n".join(["plan.tp=1"] * 160)}),
    "a step without end": (
        "estimate",
        {
            "scenario": "llama-3.1-405b",
            "set": f"model.num_layers=4096\nplan.stage_layout=even\n{LONG_STEP}",
        },
    ),
    "1,600 steps in one map": (
        "what-if",
        {
            "across": "GPUs",
            "across_values": "40",
            "up": "Schedule",
            "up_names": [
                "1f1b",
                "zb-h1",
                "gpipe",
                "dualpipe",
                "zb-h2",
                "breadth-first",
            ],
        },
    ),
    "50 MB packed": ("estimate", {"own": packed("a" * 50_000_000)}),
    "aliases of aliases": (
        "estimate",
        {
            "own": packed(
                "a: &a [1, 1, 1, 1, 1, 1, 1, 1]\nb: &b [*a, *a, *a, *a, *a, *a, *a]\n"
                "c: &c [*b, *b, *b, *b, *b, *b, *b]\nd: [*c, *c, *c, *c, *c, *c, *c]\n"
            )
        },
    ),
}
"""What it does -> the page, and what stands behind the question mark."""


async def visit(page: str, parameters: dict[str, str | list[str]]) -> float:
    """Open a page in a new session; return the seconds until it is complete."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from streamlit.util import calc_hash
    from websockets.asyncio.client import connect

    asked = BackMsg()
    asked.rerun_script.query_string = urllib.parse.urlencode(parameters, doseq=True)
    asked.rerun_script.page_script_hash = calc_hash(page)
    began = time.perf_counter()
    address = f"ws://127.0.0.1:{PORT}/_stcore/stream"
    async with connect(address, max_size=None) as socket:
        await socket.send(asked.SerializeToString())
        async for data in socket:
            told = ForwardMsg()
            told.ParseFromString(
                bytes(data, "latin1") if isinstance(data, str) else data
            )
            if told.WhichOneof("type") == "script_finished":
                break
    return time.perf_counter() - began


async def _again(
    link: tuple[str, dict[str, str | list[str]]], spent: list[float]
) -> None:
    while True:
        spent.append(await visit(*link))
        await asyncio.sleep(PAUSE_S)


async def measured(visits: int) -> None:
    """Print the seconds of a page alone, and beside the hostile sessions."""
    fresh = iter(range(1, 10_000))

    async def page() -> float:
        return await visit("estimate", {"price": f"{2 + next(fresh) / 1000}"})

    await page()
    alone = [await page() for _ in range(visits)]
    spent: list[float] = []
    hostile = [asyncio.create_task(_again(link, spent)) for link in LINKS.values()]
    await asyncio.sleep(0)
    beside = [await page() for _ in range(visits)]
    for task in hostile:
        task.cancel()
    await asyncio.gather(*hostile, return_exceptions=True)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"alone: {statistics.median(alone):.2f} s, {max(alone):.2f} at most")
    print(f"beside ten: {statistics.median(beside):.2f} s, {max(beside):.2f} at most")
    print(
        f"hostile links answered: {len(spent)}, {max(spent, default=0):.2f} s at most"
    )


def main() -> None:
    """Start a server, measure, end it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("visits", type=int, nargs="?", default=10)
    visits = parser.parse_args().visits
    server = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "dashboard", "--port", str(PORT)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/_stcore/health")
                break
            except OSError:
                time.sleep(0.1)
        asyncio.run(measured(visits))
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)


if __name__ == "__main__":
    main()
