"""Evaluations a second of other estimators, from a local checkout of theirs.

Their own interface is called, on an example that they ship, in a process of its own:
nothing of them is part of this repository. Each is asked for one configuration again
and again, as a search would, its caches as they are by default.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CALCULON = """
import json, logging, time
from pathlib import Path
from calculon.system import System
from calculon.llm import Llm

def read(path):
    return json.loads(Path(root, path).read_text())

def evaluate():
    made = Llm(Llm.Application(read("models/gpt3-175B.json")), logging.getLogger())
    system = System(read("systems/a100_80g.json"))
    plan = read("validation/seqsel/tab5/gpt3-175B_seqsel.json")
    made.compile(system, Llm.Execution.from_json(plan))
    made.run(system)
    return made.get_stats_json(False)["total_time"]
"""
SIMUMAX = """
import contextlib, io, time
from simumax.core.config import ModelConfig, StrategyConfig, SystemConfig
from simumax.core.perf_llm import PerfLLM

def config(kind, folder, name):
    return kind.init_from_config_file(f"{root}/configs/{folder}/{name}.json")

def evaluate():
    with contextlib.redirect_stdout(io.StringIO()):
        made = PerfLLM()
        made.configure(
            strategy_config=config(StrategyConfig, "strategy", "tp8_pp1_dp1_mbs1"),
            model_config=config(ModelConfig, "models", "llama3-8b"),
            system_config=config(SystemConfig, "system", "a100_pcie"),
        )
        made.run_estimate()
        made.analysis_mem()
        return made.analysis_cost()
"""
TIMED = """
evaluate()
count, start_s = 0, time.perf_counter()
while time.perf_counter() - start_s < 3:
    evaluate()
    count += 1
print(count / (time.perf_counter() - start_s))
"""
PEERS = {"calculon": CALCULON, "simumax": SIMUMAX}


def peer_rate(checkout: Path) -> tuple[str, float]:
    """Return the name of the estimator in a folder, and its evaluations a second."""
    name = next((name for name in PEERS if (checkout / name).is_dir()), None)
    if name is None:
        raise SystemExit(f"{checkout} holds none of {', '.join(PEERS)}")
    script = f"root = {str(checkout.resolve())!r}\n{PEERS[name]}{TIMED}"
    paths = [str(checkout.resolve()), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise SystemExit(f"{name} in {checkout} does not run: {last}")
    return name, float(done.stdout.split()[-1])
