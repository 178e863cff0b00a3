"""The whole main job against the mere import of its libraries, in one run.

Run with the interpreter of the environment that ``estimator`` is installed in. Prints
the medians and their ratio; the aim is at most 2.5.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from statistics import median

ROUNDS = 7
SCRIPT = Path(sysconfig.get_path("scripts")) / "estimator"
LIBRARIES = "import numpy, pandas, simpy, yaml, pydantic"


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    program = str(SCRIPT) if SCRIPT.exists() else shutil.which("estimator")
    if program is None:
        raise SystemExit("estimator is not installed beside this interpreter")
    commands = {
        "imports": [sys.executable, "-c", LIBRARIES],
        "estimator run deepseek-v3": [program, "run", "deepseek-v3"],
        "estimator run deepseek-v3 --json": [program, "run", "deepseek-v3", "--json"],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():  # the first round writes bytecode
        seconds(command)
    for _ in range(ROUNDS):
        for name, command in commands.items():
            taken[name].append(seconds(command))
    base = median(taken["imports"])
    for name, values in taken.items():
        print(f"{name:34} {median(values):6.3f} s   {median(values) / base:5.2f} x")


if __name__ == "__main__":
    main()
