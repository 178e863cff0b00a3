"""Shared fixtures: the main scenario, and the command line as a person runs it."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings

from estimator.answer.api import estimate
from estimator.answer.report import Report
from estimator.catalog import kinds
from estimator.catalog.loading import load_scenario
from estimator.faces.cli import main as cli
from estimator.schedules.check import check
from estimator.schedules.notation import (
    Instruction,
    Op,
    Pipeline,
    Program,
    need,
    overlapped,
    result,
)
from estimator.specs.scenario import Scenario
from estimator.validation.runs import Outcome, validate

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")  # neither the clock nor a seed decides a test


@dataclass(frozen=True)
class Ran:
    """What a command printed, and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def call(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["estimator", *arguments])
        status = 0
        try:
            cli.main()
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return call


Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def open_page():
    """A function that opens a page of the dashboard as a link does."""
    pytest.importorskip("streamlit")
    from streamlit.testing.v1 import AppTest
    from streamlit.util import calc_hash

    def opened(page: str, **parameters: Any) -> AppTest:
        app = AppTest.from_file(kinds.data_folder() / "app.py", default_timeout=90)
        app.session_state["has_painted"] = True  # no browser, nothing to wait for
        app._page_hash = calc_hash(page)  # switch_page() knows pages of files only
        for key, value in parameters.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception
        return app

    return opened


@pytest.fixture(scope="session")
def deepseek() -> Scenario:
    return load_scenario("deepseek-v3")


@pytest.fixture(scope="session")
def report(deepseek: Scenario) -> Report:
    return estimate(deepseek)


@pytest.fixture(scope="session")
def selection(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The published runs in ``validation/``, predicted once for all test processes."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    path = folder / "selection.pickle"
    with (folder / "selection.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.is_file():
            path.write_bytes(pickle.dumps(validate()))
        made: Outcome = pickle.loads(path.read_bytes())  # noqa: S301 - written above
    return made


@pytest.fixture(scope="session")
def random_program():
    """A function from a ``random.Random`` to a checked program."""
    return _random_program


def _random_program(rng):
    """Return a checked program; ``rng`` is a ``random.Random``."""
    num_ranks, num_microbatches = rng.randint(1, 4), rng.randint(1, 5)
    num_stages = num_ranks * rng.randint(1, 3)
    ways = [_placement(rng, num_ranks, num_stages) for _ in range(rng.randint(1, 2))]
    waiting = _passes(rng, num_stages, num_microbatches)
    rows, done = [[] for _ in range(num_ranks)], set()

    def home(part):
        return ways[part.microbatch % len(ways)][part.stage]

    def is_ready(part):
        wanted = need(part, num_stages - 1)
        return wanted is None or wanted in done

    while waiting:
        part = rng.choice([part for part in waiting if is_ready(part)])
        partner = None
        if part.op is Op.F and rng.random() < 0.5:
            partner = next(
                (
                    other
                    for other in waiting
                    if other.op is Op.B
                    and home(other) == home(part)
                    and is_ready(other)
                ),
                None,
            )
        step = part
        if partner is not None:
            step = overlapped(part.stage, part.microbatch, *partner[:3:2])
        rows[home(part)].append(step)
        for half in step.parts:
            waiting.remove(half)
            done.add(result(half))
    pipeline = Pipeline(num_ranks, num_microbatches, num_stages // num_ranks)
    made = Program("random", pipeline, tuple(map(tuple, rows)))
    check(made)
    return made


def _placement(rng, num_ranks, num_stages):
    """Return a rank for each stage; each rank gets as many."""
    ranks = list(range(num_ranks)) * (num_stages // num_ranks)
    rng.shuffle(ranks)
    return ranks


def _passes(rng, num_stages, num_microbatches):
    """Return every pass, the backward ones whole or in halves."""
    passes = []
    for stage in range(num_stages):
        for microbatch in range(num_microbatches):
            backward = rng.choice([(Op.B,), (Op.I, Op.W)])
            passes += [Instruction(stage, op, microbatch) for op in (Op.F, *backward)]
    return passes
