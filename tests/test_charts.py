"""Every figure says what it found, in units, in colours that hold."""

import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
import pytest

from estimator.answer import api
from estimator.answer.report import Report
from estimator.show.charts.base import chart
from estimator.show.charts.palette import (
    CAUSES,
    CHUNKS,
    GROUPS,
    MEMORY,
    NEUTRAL,
    colour,
)
from estimator.specs.scenario import Scenario

UNITS = ("seconds", "GB", "%")
# Machado, Oliveira and Fernandes, IEEE TVCG 2009, severity 1.0
BLINDNESS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


@dataclass
class Answer:
    scenario: Scenario
    report: Report

    @cached_property
    def trace(self):
        return api.trace(self.scenario)

    @cached_property
    def layers(self):
        return api.layers(self.scenario)


@pytest.fixture(scope="module")
def answer(deepseek, report):
    return Answer(deepseek, report)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(chart))
def test_a_figure_has_a_finding_and_units(name, answer):
    figure = chart[name](answer)
    assert any(character.isdigit() for character in figure.layout.title.text)
    titles = [figure.layout.xaxis.title.text, figure.layout.yaxis.title.text]
    assert any(unit in title for title in titles for unit in UNITS)
    # An axis without a title has words for ticks.
    for axis, title in zip("xy", titles, strict=True):
        assert title or isinstance(figure.data[0][axis][0], str)


@pytest.mark.parametrize("name", list(chart))
def test_a_figure_is_light(name, answer):
    figure = chart[name](answer)
    assert len(figure.data) <= 12
    assert len(figure.to_json()) < 1_000_000


def test_the_breakdown_adds_up_to_the_step(answer):
    (bars,) = chart["breakdown"](answer).data
    assert sum(bars.x) == pytest.approx(answer.report.step.step_s, rel=1e-9)


def test_the_breakdown_names_the_largest_loss(answer):
    title = chart["breakdown"](answer).layout.title.text
    share = answer.report.step.bubble_fraction
    assert f"bubble {share:.0%}" in title


def test_every_rank_is_as_high_as_the_step_is_long(answer):
    stacks = np.sum([bars.y for bars in chart["ranks"](answer).data], axis=0)
    assert stacks == pytest.approx(answer.report.step.step_s, rel=1e-9)


def test_the_timeline_draws_each_chunk_once(answer):
    filled = [trace for trace in chart["timeline"](answer).data if trace.fill]
    boxes = sum(int(np.isnan(trace.x).sum()) for trace in filled)
    num_ranks = len(answer.report.step.ranks)
    assert boxes == len(answer.trace.instructions) + num_ranks  # and the optimizer


def test_the_timeline_reaches_from_zero_to_the_step(answer):
    filled = [trace for trace in chart["timeline"](answer).data if trace.fill]
    assert min(np.nanmin(trace.x) for trace in filled) == 0
    longest = max(np.nanmax(trace.x) for trace in filled)
    assert longest == pytest.approx(answer.report.step.step_s, rel=1e-2)


def test_memory_stands_under_the_limit_where_it_fits(answer):
    figure = chart["memory"](answer)
    stacks = np.sum([bars.y for bars in figure.data], axis=0)
    (limit,) = figure.layout.shapes
    assert max(stacks) * 1e9 == pytest.approx(answer.report.memory.peak_bytes)
    assert max(stacks) < limit.y0
    assert "needs most" in figure.layout.title.text


def test_memory_says_where_it_does_not_fit(answer):
    memory = replace(answer.report.memory, fits=False)
    crowded = Answer(answer.scenario, replace(answer.report, memory=memory))
    assert "does not fit" in chart["memory"](crowded).layout.title.text


def test_the_layers_end_at_the_step(answer):
    (fall,) = chart["layers"](answer).data
    assert fall.measure[-1] == "total"
    assert sum(fall.y[:-1]) == pytest.approx(answer.report.step.step_s, rel=1e-9)


def test_the_tornado_has_what_matters_most_on_top(answer):
    low, high = chart["sensitivity"](answer).data
    widths = [abs(a) + abs(b) for a, b in zip(low.x, high.x, strict=True)]
    assert widths == sorted(widths)
    assert low.y[-1] in chart["sensitivity"](answer).layout.title.text


def test_a_tornado_without_ranges_says_so(deepseek):
    bare = Answer(deepseek, api.estimate(deepseek, has_range=False))
    assert "No constant" in chart["sensitivity"](bare).layout.title.text


def test_a_name_has_one_colour_everywhere():
    for one, other in combinations((CAUSES, CHUNKS, MEMORY), 2):
        for name in set(one) & set(other):
            assert one[name] == other[name] == colour(name)
    assert colour("something new") == NEUTRAL


def linear(hexadecimal):
    srgb = np.array([int(hexadecimal[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    matrix = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = matrix @ np.clip(rgb, 0, 1) / [0.95047, 1.0, 1.08883]
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = root
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("family", [CAUSES, CHUNKS, MEMORY, dict(enumerate(GROUPS))])
def test_colours_differ_in_grey(family):
    lightness = sorted(lab(linear(shade))[0] for shade in family.values())
    assert min(np.diff(lightness)) > 6


@pytest.mark.parametrize("family", [CAUSES, CHUNKS, MEMORY, dict(enumerate(GROUPS))])
@pytest.mark.parametrize("matrix", BLINDNESS.values(), ids=BLINDNESS)
def test_colours_differ_for_colour_blind_readers(family, matrix):
    seen = [lab(np.array(matrix) @ linear(shade)) for shade in family.values()]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 6


@pytest.mark.slow
def test_the_core_runs_without_streamlit_and_plotly():
    script = (
        "import sys; sys.modules.update(streamlit=None, plotly=None)\n"
        "sys.argv = ['estimator', 'run', 'deepseek-v3', '--quiet']\n"
        "from estimator.faces.cli.main import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "GPU-hours" in ran.stdout, ran.stderr
