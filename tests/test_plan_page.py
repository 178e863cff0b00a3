"""The Plan page: a search on demand, its front, and each plan's command line."""

import shlex

import numpy as np
import pytest

from estimator.answer.api import estimate
from estimator.catalog.loading import load_scenario
from estimator.explore.plan import search as module
from estimator.explore.plan import space
from estimator.explore.plan.ranking import PlanRow
from estimator.explore.plan.search import plan
from estimator.show.charts import plot
from estimator.show.findings.pareto import pareto


def row(num_gpus, days, dollars):
    return PlanRow({}, num_gpus, 1.0, days * 86400, 1.0, dollars, 0.4, 1e9, True, True)


def numbers(app):
    (each,) = (each for each in app.multiselect if each.label == "Numbers of GPUs")
    return each


@pytest.fixture
def few(monkeypatch):
    """A space so small that a search is over soon."""
    monkeypatch.setattr(space, "MICRO_BATCHES", (1,))
    monkeypatch.setattr(space, "RECOMPUTE", (("full",),))


def test_a_front_says_what_speed_costs():
    front = [row(4096, 28.7, 5.6e6), row(1024, 104.8, 5.1e6)]
    made = pareto(front, [row(2048, 60, 6e6)], row(2048, 56.5, 5.5e6))
    assert made.finding.startswith("From $5.1M in 105 days on 1,024 GPUs to $5.6M")
    line, others, own = made.curves
    assert line.labels == ("4,096 GPUs", "1,024 GPUs")
    assert (line.is_joined, others.is_joined) == (True, False)
    assert own.y == (5.5,)
    figure = plot.drawn(made)
    assert "million USD" in figure.layout.yaxis.title.text
    assert "days" in figure.layout.xaxis.title.text


def test_one_plan_may_be_the_whole_front():
    made = pareto([row(2048, 50, 5e6)], [], None)
    assert "both the cheapest and the fastest" in made.finding


@pytest.mark.slow
def test_progress_ends_at_the_whole(few):
    told = []
    made = plan(
        "deepseek-v3", gpus=[2048], top=3, most_evaluated=4,
        progress=lambda *pair: told.append(pair),
    )  # fmt: skip
    assert made.num_evaluated == 4
    assert told[0] == (0, 4)
    assert told[-1] == (4, 4)
    assert told == sorted(told)


@pytest.mark.slow
def test_a_plan_is_a_scenario_that_takes_what_it_says(few):
    for each in plan("deepseek-v3", gpus=[1024], top=3, most_evaluated=6).plans:
        made = estimate(load_scenario("deepseek-v3", each.overrides), has_range=False)
        assert made.cost_usd == pytest.approx(each.cost_usd, rel=1e-9)
        assert made.memory.peak_bytes == pytest.approx(each.memory_bytes, rel=1e-9)


@pytest.mark.slow
def test_the_page_searches_when_asked(open_page, few):
    app = open_page("plan", evaluated="10")
    assert app.info
    (own,) = (table.value for table in app.dataframe)
    assert own["GPUs"].tolist() == [2048]
    numbers(app).set_value([2048])
    (find,) = (button for button in app.button if button.label == "Find plans")
    find.click()
    app.run()
    assert not app.exception
    made = plan("deepseek-v3", gpus=[2048], top=20, most_evaluated=10)
    shown = app.dataframe[0].value
    costs = [float(f"{each.cost_usd / 1e6:.4g}") for each in made.plans]
    assert shown["cost, million USD"].tolist() == costs
    words = shlex.split(app.code[0].value)
    chosen = [word for word in words if "=" in word]
    assert tuple(chosen) == made.plans[0].overrides
    assert "--evaluate 10" in app.code[1].value
    app.number_input(key="price").set_value(3.0)
    app.run()
    assert "search again" in app.info[0].value


def test_a_search_without_gpus_cannot_start(open_page):
    app = open_page("plan")
    numbers(app).set_value([])
    app.run()
    (find,) = (button for button in app.button if button.label == "Find plans")
    assert find.disabled


def test_a_model_that_fits_nowhere_is_one_message(open_page, monkeypatch):
    monkeypatch.setattr(module, "_bounded", lambda scenario: ([], np.array([]), 0))
    app = open_page("plan", recompute="", gpus="1024")
    (find,) = (button for button in app.button if button.label == "Find plans")
    find.click()
    app.run()
    assert not app.exception
    assert "fits in memory" in app.error[0].value
