"""Shared fixtures: the main scenario, and the command line as a person runs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from estimator import cli
from estimator.api import estimate
from estimator.catalog import load_scenario
from estimator.report import Report
from estimator.specs.scenario import Scenario


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
def deepseek() -> Scenario:
    return load_scenario("deepseek-v3")


@pytest.fixture(scope="session")
def report(deepseek: Scenario) -> Report:
    return estimate(deepseek)
