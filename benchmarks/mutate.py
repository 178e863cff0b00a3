"""Which numbers of physics in the code could be wrong without a test that notices.

    python benchmarks/mutate.py [MODULE...] [--factor X] [--near] [--jobs N] [--list]

Every number that stands in the code of ``ROOMS`` is halved and doubled, one at a time,
and the fast tests that reach its module run until one fails, those that import it
directly first. What is printed at the end are the numbers that none of them catches:
either nobody says what the number should be, or only ``GOLDEN`` does, tests of the
whole: their figures would move, and nobody could say which number is wrong.
``EXPLAINED`` are those that may survive, each with its reason. A test that fails
without any mutant catches none.

A number is mutated as the module is imported, in a process forked for it: nothing on
disk changes, and whatever imports it, or builds a table of it, has the wrong one.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import importlib.machinery
import importlib.util
import os
import re
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
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
"""Tests of what was printed or measured as a whole, not of one part of it."""
NUM_NEAR = 8
"""Test files that run first; the others are read only where these catch nothing."""

NOT_PHYSICS = re.compile(
    r"\b(MAX_SHOWN|MOST_(LETTERS|PLAYED|ROUNDS|SIMULATED|TOGETHER|TRACED)"
    r"|MAX_(CHUNKS|SOURCES)|DIGITS|LANES|WORTH_COMPILING|RAMP_POINTS|ROUNDING|SAME"
    r"|SAMPLED_TOKENS)\b"
)
"""Limits of output, of memory and of patience: more of them change no prediction."""

UNITS = {float(f"1e{power}") for power in range(-12, 31, 3)} | {1000.0, 1024.0, 3600.0}
PLAIN = {0.0, 1.0, 2.0}
EXPLAINED: Mapping[str, str] = {
    "low, high = max(here - 3, 0), here + 4": "how much of a program a message quotes",
}
"""Survivors by what stands in their line, with the reason."""


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
    is_inside = is_inside or isinstance(node, ast.FunctionDef)
    for child in quantities(node):
        yield from literals(child, is_inside=is_inside)


def quantities(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what stands directly below a node and may hold a quantity."""
    match node:
        case ast.Assign() | ast.AnnAssign() if NOT_PHYSICS.search(named(node)):
            return
        case ast.Raise() | ast.JoinedStr():  # a message
            return
        case ast.Call() if ast.unparse(node.func) in ("islice", "lru_cache"):  # a limit
            return
        case ast.Subscript():  # without the place
            yield node.value
        case ast.Compare() if all(isinstance(w, ast.Eq | ast.NotEq) for w in node.ops):
            for side in (node.left, *node.comparators):
                if not isinstance(side, ast.Constant):  # which of some cases it is
                    yield side
        case _:
            for child in ast.iter_child_nodes(node):
                if child not in getattr(node, "decorator_list", ()):  # sizes of caches
                    yield child


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
            node.value = int(made) if isinstance(node.value, int) else made
    return compile(tree, str(number.path), "exec")


# ---- the tests that reach a module


@cache
def folders() -> Mapping[Any, set[str]]:
    """Return the modules of each folder of this package."""
    found = defaultdict(set)
    for path in (ROOT / "estimator").glob("*/**/*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1])].add(".".join(parts))
    return found


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the modules of this package that a file imports.

    Those of a folder that it names, too: a registry imports them when it is asked.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {node.module, *names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and node.value in folders():
            found |= folders()[node.value]
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


def tests(module: str) -> list[Path]:
    """Return the test files that reach a module, the nearest and shortest first."""
    far = hops(module)
    found = []
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        near = [far[name] for name in imports(path) if name in far]
        if path.stem not in GOLDEN and near:
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
        path = self._loader.path  # doctests are imported by path
        return importlib.util.spec_from_file_location(name, path, loader=self._loader)


class Failed:
    """Remembers the tests that failed."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.names.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.names.append(report.nodeid)


def caught(
    number: Number | None,
    factor: float,
    files: Sequence[Path | str],
    known: Sequence[str],
) -> str:
    """Return the tests that fail, the first alone where a number is wrong.

    Runs in a process of its own. ``known`` are tests that fail without any mutant.
    """
    files = [path for path in files if not str(path).endswith(tuple(known))]
    failed = Failed()
    plugins = ("cacheprovider", "xdist", "unraisableexception")
    options = ["-q", "-m", "not slow", *(f"-pno:{name}" for name in plugins)]
    if number:
        sys.meta_path.insert(0, Finder(number, changed(number, factor)))
        try:  # before pytest, whose own finder reads what it is told to collect
            importlib.import_module(number.module)
        except Exception as error:
            return f"import: {error!r}"
        options += ["-x", str(number.path)]
    options += [f"--deselect={name}" for name in known]
    status = pytest.main([*options, *map(str, files)], [failed])
    fine = (0, 5) if number else (0, 4, 5)  # 4: a test that is there with a mutant only
    if not failed.names and status not in fine:
        failed.names.append(f"FAULT pytest ends with {status}")
    return "\n".join(failed.names)


class Running(NamedTuple):
    """A process that tests one mutant."""

    number: Number | None
    factor: float
    is_near: bool
    reader: int
    started: float

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def __str__(self) -> str:
        return f"x{self.factor:g} {self.number} [{self.seconds:.0f} s]"


def start(
    number: Number | None,
    factor: float,
    files: Sequence[Path | str],
    known: Sequence[str],
    *,
    is_near: bool = False,
) -> tuple[int, Running]:
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
            name = caught(number, factor, files, known)
        except BaseException as error:
            name = f"FAULT {error!r}"
        os.write(writer, name.encode()[:60_000])
        os._exit(0)
    os.close(writer)
    return pid, Running(number, factor, is_near, reader, time.monotonic())


def ended(running: dict[int, Running], most_s: float) -> tuple[Running, str]:
    """Wait for a process to end, and return it with what it says."""
    late: set[int] = set()
    while True:
        pid = next((each for each in running if os.waitpid(each, os.WNOHANG)[0]), 0)
        if pid:
            break
        time.sleep(0.02)
        for each in running:
            if each not in late and running[each].seconds > most_s:
                late.add(each)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(each, signal.SIGKILL)
    made = running.pop(pid)
    with os.fdopen(made.reader) as stream:
        said = stream.read()
    said = said or ("nobody: it does not end" if pid in late else "")
    if "FAULT" in said:
        sys.exit(f"{made}: {said}")
    return made, said


@cache
def passes(test: str) -> bool:
    """Return whether a test passes without a mutant, or is only there with one."""
    pid, made = start(None, 1.0, [test], ())
    return not ended({pid: made}, 600.0)[1]


def survivors(module: str, known: list[str], asked: Asked) -> Iterator[str]:
    """Yield the mutants of a module that no test catches.

    Tests that fail without a mutant are added to those that are known to.
    """
    files = tests(module)
    waiting = [
        (number, factor, True) for number in numbers(module) for factor in asked.factors
    ]
    running: dict[int, Running] = {}
    while waiting or running:
        while waiting and len(running) < asked.jobs:
            number, factor, is_near = waiting.pop(0)
            chosen = files[:NUM_NEAR] if is_near else files[NUM_NEAR:]
            pid, made = start(number, factor, chosen, known, is_near=is_near)
            running[pid] = made
        made, said = ended(running, asked.seconds)
        test = said.partition("\n")[0]
        if test.startswith(("tests/", "estimator/")) and not passes(test):
            known += [test] * (test not in known)
            waiting.insert(0, (made.number, made.factor, made.is_near))
            continue
        if not said and made.is_near and not asked.near:
            waiting.append((made.number, made.factor, False))
            continue
        print("caught  " if said else "SURVIVED", made, said, flush=True)
        if made.is_near:  # what caught one may catch the next
            files.sort(key=lambda path: path.name not in said)
        if not said:
            yield f"x{made.factor:g} {made.number}"


class Asked(NamedTuple):
    """What to mutate, and how."""

    modules: list[str]
    factors: list[float]
    near: bool
    jobs: int
    seconds: float
    list: bool


def asked_for() -> Asked:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="as costs.kernels, or a room")
    parser.add_argument("--factor", type=float, action="append", dest="factors")
    parser.add_argument("--near", action="store_true", help="only the nearest tests")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=300.0, help="for one mutant")
    parser.add_argument("--list", action="store_true", help="only list the numbers")
    found = parser.parse_args()
    wanted = [f"estimator.{name}." for name in found.modules] or ["estimator."]
    every = [
        f"estimator.{room}.{path.stem}"
        for room in ROOMS
        for path in sorted((ROOT / "estimator" / room).glob("*.py"))
    ]
    found.modules = [m for m in every if any(f"{m}.".startswith(w) for w in wanted)]
    found.factors = found.factors or list(FACTORS)
    return Asked(**vars(found))


def main() -> None:
    """Mutate the modules that are named, or all."""
    asked = asked_for()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.chdir(ROOT)  # pytest reads its settings here
    sys.path.insert(0, str(ROOT))
    if asked.list:
        for module in asked.modules:
            for number in numbers(module):
                print(number)
        return
    known: list[str] = []
    left = [
        mutant for module in asked.modules for mutant in survivors(module, known, asked)
    ]
    print(f"\n{len(known)} tests fail without a mutant: {', '.join(known)}")
    print(f"{len(left)} mutants survive:")
    for mutant in left:
        why = [reason for text, reason in EXPLAINED.items() if text in mutant]
        print(f"  {mutant}  {'; '.join(why)}")


if __name__ == "__main__":
    main()
