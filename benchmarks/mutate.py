"""Which numbers of physics in the code could be wrong without a test that notices.

    python benchmarks/mutate.py [MODULE...] [--hops N] [--jobs N] [--list]

Every number that stands in the code of ``ROOMS`` is halved and doubled, one at a time,
and the fast tests that reach its module run until one fails, those that import it
directly first. What is printed at the end are the numbers that none of them catches:
either nobody says what the number should be, or only ``GOLDEN`` does, the tests whose
figures are those that the program printed when they were written. ``EXPLAINED`` are
those that may survive, each with its reason.

A number is mutated as the module is imported, in a process forked for it: nothing on
disk changes, and whatever imports the number, or builds a table of it, has the wrong
one.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.machinery
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import numba  # noqa: F401 - imported once, before the forks
import numpy as np  # noqa: F401
import pandas as pd  # noqa: F401
import pydantic  # noqa: F401
import pytest
import typer  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("costs", "workload", "engine", "answer", "schedules")
FACTORS = (0.5, 2.0)
GOLDEN = {"test_deepseek_v3", "test_track_record", "test_readme", "test_reported"}
"""Tests whose figures are what was printed or measured as a whole, no part of it."""

NOT_PHYSICS = re.compile(
    r"MAX_SHOWN|MOST_(LETTERS|PLAYED|SIMULATED|TRACED)|MAX_(CHUNKS|SOURCES)|DIGITS"
    r"|BLOCK|LANES|WORTH_COMPILING|RAMP_POINTS|ROUNDING|SAME|SAMPLED_TOKENS"
)
"""Limits of output, of memory and of patience: more of them change no prediction."""

UNITS = {float(f"1e{power}") for power in range(-12, 31, 3)} | {1000.0, 1024.0, 3600.0}
PLAIN = {0.0, 1.0, 2.0}
EXPLAINED: Mapping[str, str] = {}
"""Survivors by ``module: source line``, with the reason."""


class Number(NamedTuple):
    """A number in the source: the position of its literal among the module's."""

    module: str
    line: int
    column: int
    value: float

    @property
    def path(self) -> Path:
        return ROOT / (self.module.replace(".", "/") + ".py")

    def __str__(self) -> str:
        text = self.path.read_text().splitlines()[self.line - 1].strip()
        short = self.module.removeprefix("estimator.")
        return f"{short}:{self.line}: {self.value:g} in `{text}`"


# ---- the numbers


def numbers(module: str) -> list[Number]:
    """Return the numbers of physics in a module, top to bottom."""
    path = ROOT / (module.replace(".", "/") + ".py")
    tree = ast.parse(path.read_text())
    found = []
    for statement in tree.body:
        for node, is_inside in literals(statement, is_inside=False):
            value = float(node.value)
            if value == 0 or value in UNITS or (is_inside and value in PLAIN):
                continue
            found.append(Number(module, node.lineno, node.col_offset, value))
    return sorted(set(found), key=lambda each: (each.line, each.column))


def literals(node: ast.AST, *, is_inside: bool) -> Iterator[tuple[ast.Constant, bool]]:
    """Yield the numbers below a node, and whether each stands inside a function."""
    if isinstance(node, ast.Constant):
        if type(node.value) in (int, float):
            yield node, is_inside
        return
    if isinstance(node, ast.Assign | ast.AnnAssign) and NOT_PHYSICS.search(named(node)):
        return
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Slice | ast.Subscript):
        return  # a message or a place, no quantity
    if isinstance(node, ast.FunctionDef):
        is_inside = True
    for field, value in ast.iter_fields(node):
        if field == "decorator_list":  # sizes of caches
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from literals(child, is_inside=is_inside)


def named(node: ast.Assign | ast.AnnAssign) -> str:
    """Return the names that an assignment binds."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return " ".join(ast.unparse(target) for target in targets)


def changed(number: Number, factor: float) -> CodeType:
    """Return the code of the module with one number wrong."""
    tree = ast.parse(number.path.read_text())
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant):
            continue
        if (node.lineno, node.col_offset) == (number.line, number.column):
            made = node.value * factor
            is_count = isinstance(node.value, int)
            node.value = max(int(made), 1) if is_count and node.value > 1 else made
            if is_count and factor > 1:
                node.value = int(made)
    return compile(tree, str(number.path), "exec")


# ---- the tests that reach a module


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the modules of this package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {node.module, *names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(
        name
        for name in found
        if name.startswith("estimator")
        and (ROOT / (name.replace(".", "/") + ".py")).is_file()
    )


def hops(module: str) -> Mapping[str, int]:
    """Return how many imports stand between each module and this one."""
    known = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "estimator").rglob("*.py")
    ]
    far, edge = {module: 0}, {module}
    while edge:
        paths = {name: ROOT / (name.replace(".", "/") + ".py") for name in known}
        edge = {n for n in known if n not in far and imports(paths[n]) & edge}
        far |= dict.fromkeys(edge, max(far.values()) + 1)
    return far


def tests(module: str, most_hops: int) -> list[Path]:
    """Return the test files that reach a module, the nearest first."""
    far = hops(module)
    found = []
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        near = [far[name] for name in imports(path) if name in far]
        if path.stem not in GOLDEN and near and min(near) < most_hops:
            found.append((min(near), path.stat().st_size, path))
    return [path for _, _, path in sorted(found)]


# ---- one mutant


class Wrong(importlib.machinery.SourceFileLoader):
    """A loader of a module whose code was changed."""

    def __init__(self, number: Number, code: CodeType) -> None:
        super().__init__(number.module, str(number.path))
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        return self._code


class Finder:
    """Finds one module, and finds it wrong."""

    def __init__(self, number: Number, code: CodeType) -> None:
        self._loader = Wrong(number, code)
        self._module = number.module

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        if name != self._module:
            return None
        return importlib.machinery.ModuleSpec(
            name, self._loader, origin=self._loader.path
        )


class First:
    """Remembers the first test that failed."""

    name = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.name:
            self.name = f"import of {report.nodeid}"


def caught(number: Number, factor: float, files: Sequence[Path]) -> str:
    """Return which test fails, or nothing. Runs in a process of its own.

    A few files at a time, since reading all of them takes longer than their tests.
    """
    sys.meta_path.insert(0, Finder(number, changed(number, factor)))
    first, named = First(), [number.path, *files]
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow"]
    for low, high in pairwise((0, 2, 6, 14, len(named))):
        status = 0
        if part := named[low:high]:
            status = pytest.main([*options, *map(str, part)], [first])
        if first.name:
            return first.name
        if status not in (0, 5):
            return f"FAULT pytest ends with {status}"
    return ""


class Running(NamedTuple):
    """A process that tests one mutant."""

    number: Number
    factor: float
    reader: int
    started: float


def start(number: Number, factor: float, files: Sequence[Path]) -> tuple[int, Running]:
    """Fork a process that tests one mutant, and return it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        os.setsid()
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        try:
            name = caught(number, factor, files)
        except BaseException as error:
            name = f"FAULT {error!r}"
        os.write(writer, name.encode()[:2000])
        os._exit(0)
    os.close(writer)
    return pid, Running(number, factor, reader, time.monotonic())


def survivors(
    module: str, *, most_hops: int, num_jobs: int, most_s: float
) -> Iterator[tuple[Number, float]]:
    """Yield the mutants of a module that no test catches."""
    files = tests(module, most_hops)
    waiting = [(each, factor) for each in numbers(module) for factor in FACTORS]
    running: dict[int, Running] = {}
    while waiting or running:
        while waiting and len(running) < num_jobs:
            pid, made = start(*waiting.pop(0), files)
            running[pid] = made
        pid, _ = os.waitpid(-1, os.WNOHANG)
        if not pid:
            time.sleep(0.02)
            for late, made in running.items():
                if time.monotonic() - made.started > most_s:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(late, signal.SIGKILL)
            continue
        made = running.pop(pid)
        with os.fdopen(made.reader) as stream:
            name = stream.read()
        is_late = time.monotonic() - made.started > most_s
        name = name or ("nobody: it does not end" if is_late else "")
        if name.startswith("FAULT"):
            sys.exit(f"{made.number}: {name}")
        sign = "caught  " if name else "SURVIVED"
        took = time.monotonic() - made.started
        what = f"{sign} x{made.factor:g} {made.number}"
        print(f"{what} [{took:.0f} s] {name}", flush=True)
        near = [path for path in files if path.name in name]
        files = near + [path for path in files if path not in near]
        if not name:
            yield made.number, made.factor


def main() -> None:
    """Mutate the modules that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="as costs.kernels, or a room")
    parser.add_argument("--hops", type=int, default=99, help="imports up to the test")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=300.0, help="for one mutant")
    parser.add_argument("--list", action="store_true", help="only list the numbers")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.chdir(ROOT)  # pytest reads its settings here
    sys.path.insert(0, str(ROOT))
    modules = [
        f"estimator.{room}.{path.stem}"
        for room in ROOMS
        for path in sorted((ROOT / "estimator" / room).glob("*.py"))
    ]
    wanted = [f"estimator.{name}" for name in asked.modules] or ["estimator"]
    modules = [
        name for name in modules if any(f"{name}.".startswith(f"{w}.") for w in wanted)
    ]
    if asked.list:
        for module in modules:
            print(*numbers(module), sep="\n")
        return
    left = []
    for module in modules:
        left += survivors(
            module,
            most_hops=asked.hops,
            num_jobs=asked.jobs,
            most_s=asked.seconds,
        )
    print(f"\n{len(left)} of the numbers' mutants survive:")
    for number, factor in left:
        print(f"  x{factor:g} {number}  {EXPLAINED.get(str(number), '')}")


if __name__ == "__main__":
    main()
