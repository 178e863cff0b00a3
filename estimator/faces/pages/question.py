"""What the controls ask, and its answers, each computed once and kept."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from estimator.answer import api
from estimator.answer.report import Report
from estimator.catalog import loading, reading, writing
from estimator.engine.step import StepTrace
from estimator.faces import uploads
from estimator.faces.pages.turns import in_turn
from estimator.ground.errors import EstimatorError, InputError
from estimator.show.formats.base import file_name
from estimator.specs.scenario import Scenario

KEPT = 64
"""Answers kept on the server, shared by everyone who looks at it."""
KEPT_TRACES = 8
QUICK_S = 0.5
"""Seconds of an answer that waits for no other."""

Overrides = tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """A scenario and the ``PATH=VALUE`` patches that the controls put over it."""

    scenario: str
    """A built-in name with its variants, or the path of a file that the page keeps."""
    overrides: Overrides = ()

    @property
    def is_own(self) -> bool:
        """Whether the scenario was handed in."""
        return self.scenario.endswith(".yaml")

    def patched(self, *overrides: str) -> Question:
        """Return the same question with more patches on top."""
        return replace(self, overrides=(*self.overrides, *overrides))

    @property
    def base(self) -> str:
        """The built-in scenario that this one starts from; empty for none."""
        if not self.is_own:
            return self.scenario.partition("@")[0]
        first = Path(self.scenario).read_text(encoding="utf-8").partition("\n")[0]
        return first.removeprefix("base: ") if first.startswith("base: ") else ""

    @property
    def file_name(self) -> str:
        """What the scenario is called as a file."""
        return file_name(self.resolved.name, "yaml")

    @property
    def file(self) -> str:
        """The scenario with its patches as a file that the command line runs."""
        return writing.scenario_yaml(self.resolved, self.base)

    @property
    def words(self) -> tuple[str, ...]:
        """What the command line calls it: a name and patches, or its file."""
        if self.is_own:
            return (self.file_name,)
        patches = (word for patch in self.overrides for word in ("--set", patch))
        return (self.scenario, *patches)

    @property
    def command(self) -> str:
        """The command line that gives the same numbers."""
        return shlex.join(["estimator", "run", *self.words])

    @property
    def resolved(self) -> Scenario:
        """The scenario with its patches."""
        return _resolved(self.scenario, self.overrides)

    @property
    def report(self) -> Report:
        """The estimate."""
        return _report(self.scenario, self.overrides)

    @property
    def problem(self) -> str:
        """Why there is no estimate; empty where there is one."""
        try:
            _report(self.scenario, self.overrides)
        except EstimatorError as error:
            return str(error)
        return ""

    @property
    def trace(self) -> StepTrace:
        """What happens when in one step."""
        return _trace(self.scenario, self.overrides)

    @property
    def layers(self) -> Mapping[str, float]:
        """Seconds of a step as layers of constants are added."""
        return _layers(self.scenario, self.overrides)


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _resolved(scenario: str, overrides: Overrides) -> Scenario:
    uploads.check_patches(overrides)
    with _in_proportion(), reading.built_in_only(besides=scenario):
        made = loading.load_scenario(scenario, overrides)  # patches may be a link's
        uploads.check_size(made)
    return made


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _report(scenario: str, overrides: Overrides) -> Report:
    made = _resolved(scenario, overrides)
    work = api.estimate if uploads.expected_s(made) < QUICK_S else _long_estimate
    with _in_proportion():
        return work(made, is_played=False)


_long_estimate = in_turn(api.estimate)


@contextmanager
def _in_proportion() -> Iterator[None]:
    """Say in words that numbers are too large to be worked with."""
    try:
        yield
    except (ArithmeticError, MemoryError, RecursionError, ValueError):
        raise InputError("the numbers asked for are out of proportion") from None


@st.cache_data(max_entries=KEPT_TRACES, show_spinner=False)
def _trace(scenario: str, overrides: Overrides) -> StepTrace:
    with _in_proportion():
        return _long_trace(_resolved(scenario, overrides))


_long_trace = in_turn(api.trace)


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _layers(scenario: str, overrides: Overrides) -> dict[str, float]:
    return api.layers(_resolved(scenario, overrides))
