"""Throw broken files and extreme numbers at the command line, and count what gives way.

``python benchmarks/attack.py`` mutates input files of every kind and hands each to the
command that reads it, in this process; every hundredth goes through a process of its
own. Whatever the input, a command ends with a right answer, or with one message and
exit status 2, within two seconds of processor time and a gigabyte. The same seed makes
the same inputs. It takes some minutes; ``--tenth`` a tenth of that.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import typer
from mutations import Case, file_cases, override_cases

from estimator.catalog import loading
from estimator.faces.cli import main as cli
from estimator.ground.errors import EstimatorError
from estimator.specs.hardware import PEAK_OF

MOST_CPU_S = 2.0
MOST_BYTES = 1e9
LIMIT_S = 20
"""Seconds of processor time after which a case is stopped."""
LIMIT_BYTES = 4_000_000_000
EVERY = 100
"""Every so many cases go through a process of their own."""
OPERANDS = {"bf16": "bf16", "mxfp8": "fp8", "nvfp4": "fp4"}
"""The widest rate that a recipe's products may run at; fp8 for those of that name."""


COMMAND = typer.main.get_command(cli.cli)


@dataclass(frozen=True)
class Ran:
    """What a command line did."""

    status: int
    out: str
    err: str
    cpu_s: float
    peak_bytes: float


def run_here(words: tuple[str, ...]) -> Ran:
    """Run a command line in this process, as the installed program would."""
    out, err = Stream(), Stream()
    _reset_peak()
    started, status = time.process_time(), 1
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        with (
            mock.patch.object(sys, "argv", ["estimator", *words]),
            mock.patch.object(cli, "cli", COMMAND),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            cli.main()
            status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:
        err.write(traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    spent = time.process_time() - started
    return Ran(status, out.text(), err.text(), spent, _peak_bytes())


class Stream(io.TextIOWrapper):
    """Standard output as a pipe has it: UTF-8, strict."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self) -> str:
        """Return what was written."""
        self.seek(0)
        return self.read()


def run_apart(words: tuple[str, ...]) -> Ran:
    """Run a command line in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = "from estimator.faces.cli.main import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=10 * LIMIT_S,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(ran.returncode, ran.stdout, ran.stderr, spent, after.ru_maxrss * 1024.0)


def _reset_peak() -> None:
    with contextlib.suppress(OSError):  # Linux only
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_bytes() -> float:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return float(match[1]) * 1024 if match else 0.0


def findings(case: Case, ran: Ran) -> Iterator[str]:
    """Yield what is wrong with the end of a command line."""
    if "Traceback" in ran.err:
        lines = ran.err.strip().splitlines()
        at = [line for line in lines if line.strip().startswith("File ")]
        place = at[-1].partition("estimator/")[2] if at else ""
        yield f"traceback: {lines[-1][:120]} {place}"
    elif ran.status not in (0, 2):
        yield f"status {ran.status}"
    if ran.cpu_s > MOST_CPU_S:
        yield f"took more than {MOST_CPU_S:g} s"
    if ran.peak_bytes > MOST_BYTES:
        yield "took more than 1 GB"
    if ran.status == 0 and "--json" in case.words:
        yield from _numbers(case, ran.out)


def _numbers(case: Case, out: str) -> Iterator[str]:
    try:
        answer = json.loads(out)
    except ValueError:
        yield "no JSON"
        return
    for path, number in numbers(answer):
        name = ".".join(each for each in path if not each.isdecimal())
        if not math.isfinite(number):
            yield f"not finite: {name}"
        elif number < 0 and case.words[0] == "run":
            yield f"negative: {name}"
    if case.words[0] == "run":
        yield from _rates(case, answer[0])


def _rates(case: Case, answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield a FLOP rate above the peak of the fastest format that it ran in."""
    sets = [case.words[at + 1] for at, word in enumerate(case.words) if word == "--set"]
    try:
        scenario = loading.load_scenario(case.words[1], sets)
    except EstimatorError as error:
        yield f"an answer to what is refused: {error.what[:60]}"
        return
    peaks = scenario.cluster.node.gpu.peak_flop_per_s
    recipe = scenario.precision.recipe
    narrow = OPERANDS.get(recipe, "fp8")
    half = peaks.get("bf16", peaks.get("fp16", math.inf))
    peak = max(half, peaks.get(PEAK_OF.get(narrow, narrow), 0.0))
    step = answer["step"]
    if step["tflop_per_s_per_gpu"] * 1e12 > peak * (1 + 1e-9):
        yield "model FLOP rate above the peak"
    if step["hfu"] * half > peak * (1 + 1e-9):
        yield "executed FLOP rate above the peak"


def numbers(
    value: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield every number of a JSON document with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from numbers(item, (*path, str(index)))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def attack(seed: int, num_files: int, num_overrides: int, kept: Path | None) -> int:
    """Run every case of a seed, print what was found, and return how much it was."""
    rng = random.Random(seed)  # noqa: S311 - inputs, no secrets
    found, statuses = Counter[str](), Counter[int]()
    examples: dict[str, Case] = {}
    slowest = largest = 0.0
    started = time.process_time()
    with tempfile.TemporaryDirectory(prefix="attack-") as name:
        folder = kept or Path(name)
        folder.mkdir(exist_ok=True, parents=True)
        cases = [
            *file_cases(rng, num_files, folder),
            *override_cases(rng, num_overrides, folder),
        ]
        for index, case in enumerate(cases):
            ran = run_apart(case.words) if index % EVERY == 0 else run_here(case.words)
            slowest, largest = max(slowest, ran.cpu_s), max(largest, ran.peak_bytes)
            statuses[ran.status] += 1
            for finding in dict.fromkeys(findings(case, ran)):
                found[finding] += 1
                examples.setdefault(finding, case)
    spent = time.process_time() - started
    ended = ", ".join(
        f"{count:,} with {code}" for code, count in sorted(statuses.items())
    )
    print(
        f"seed {seed}: {num_files:,} files and {num_overrides:,} overrides in "
        f"{spent:.0f} s of processor time; ended {ended}; slowest {slowest:.2f} s, "
        f"largest {largest / 1e6:.0f} MB; {sum(found.values())} findings"
    )
    for finding, count in found.most_common():
        words = " ".join(examples[finding].words)
        print(f"  {count:4} {finding}\n       estimator {words[:300]}")
    return sum(found.values())


def _stop(_number: int, _frame: object) -> None:
    raise TimeoutError(f"stopped after {LIMIT_S} s")


def main() -> None:
    """Attack with one seed; exit status 1 if anything gave way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--overrides", type=int, default=2_000)
    parser.add_argument("--tenth", action="store_true", help="a tenth of the cases")
    parser.add_argument("--keep", type=Path, help="leave the files in this folder")
    asked = parser.parse_args()
    share = 10 if asked.tenth else 1
    signal.signal(signal.SIGPROF, _stop)
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    count = attack(
        asked.seed, asked.files // share, asked.overrides // share, asked.keep
    )
    sys.exit(1 if count else 0)


if __name__ == "__main__":
    main()
