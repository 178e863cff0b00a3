"""How sure an estimate is: draws, tornado and Sobol indices."""

import numpy as np
import pytest

from estimator.answer.api import estimate
from estimator.answer.bill import outcome
from estimator.answer.ranges import money
from estimator.catalog.loading import load_scenario
from estimator.catalog.published import as_written
from estimator.explore import uncertainty as module
from estimator.explore.uncertainty import triangular, uncertainty
from estimator.specs.base import Constant, constants, with_value

NAME = "deepseek-v3"


@pytest.fixture(scope="module")
def made():
    return uncertainty(NAME, num_samples=400, seed=3)


def test_the_value_is_the_estimate_and_lies_among_the_draws(made, report):
    spread = made.spreads["gpu_hours"]
    assert spread.value == pytest.approx(report.gpu_hours, rel=1e-9)
    assert spread.p10 < spread.p50 < spread.p90
    draws = made.draws["gpu_hours"]
    assert draws.min() < spread.value < draws.max()
    cost = made.spreads["cost_usd"]
    assert cost.p50 == pytest.approx(2 * spread.p50)


@pytest.mark.slow
def test_the_tornado_is_estimate_at_each_end(made, deepseek):
    assert [s.width for s in made.tornado] == sorted(
        (s.width for s in made.tornado), reverse=True
    )
    for swing in made.tornado[:3]:
        for end, hours in zip((swing.low, swing.high), swing.gpu_hours, strict=True):
            scenario = with_value(as_written(deepseek), swing.input, end)
            single = estimate(scenario, has_range=False).gpu_hours
            assert hours == pytest.approx(single, rel=1e-9)


@pytest.mark.slow
def test_draws_repeat_with_the_seed():
    first, again, other = (
        uncertainty(NAME, num_samples=50, seed=seed).draws["gpu_hours"]
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_sobol_indices_share_the_variance(made):
    pytest.importorskip("SALib")
    assert made.sobol
    totals = [index.total for index in made.sobol]
    assert totals == sorted(totals, reverse=True)
    assert 0.85 < sum(index.first for index in made.sobol) < 1.15
    assert {index.input for index in made.sobol[:4]} & {
        swing.input for swing in made.tornado[:2]
    }


def test_a_triangle_has_its_mean():
    constant = Constant(value=2.0, low=1.0, high=6.0, unit="s", source="a test")
    drawn = triangular(constant, (np.arange(10_000) + 0.5) / 10_000)
    assert drawn.min() >= 1.0
    assert drawn.max() <= 6.0
    assert drawn.mean() == pytest.approx((1.0 + 2.0 + 6.0) / 3, rel=1e-4)


@pytest.mark.slow
def test_a_number_set_by_the_user_is_certain():
    path = "cluster.node.gpu.achievable.elementwise"
    made = uncertainty(NAME, [f"{path}=0.5"], num_samples=20)
    assert path not in {swing.input for swing in made.tornado}


@pytest.mark.slow
def test_the_command_prints_json_and_says_what_is_missing(run, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    made = run("uncertainty", NAME, "--samples", "50", "--seed", "1", "--json")
    assert made.status == 0
    assert {"p10", "p50", "p90", "value"} == set(made.json["gpu_hours"])
    assert made.json["sobol"] is None
    assert "search" in made.err
    assert len(made.err.splitlines()) == 1
    table = run("uncertainty", NAME, "--samples", "50", "--quiet")
    assert "P90" in table.out
    assert table.err == ""


@pytest.mark.parametrize("options", [("--samples", "1"), ("--seed", "-1")])
def test_wrong_options_get_one_message(run, options):
    made = run("uncertainty", NAME, *options)
    assert made.status == 2
    assert "Traceback" not in made.err


@pytest.mark.slow
def test_the_scenario_may_be_resolved_already():
    made = uncertainty(load_scenario(NAME), num_samples=10)
    assert made.scenario == NAME


def test_what_money_s_constants_do_is_the_bill_at_each_end():
    hours, scenario = (
        1e6,
        load_scenario("gpt3-175b", ["price=owned-h100", "power=china"]),
    )
    made = money(scenario, hours, (0.9 * hours, 1.2 * hours))
    whole = outcome(scenario, hours)
    assert made.effects["cost_usd"]
    for path, ends in made.effects["cost_usd"].items():
        constant = dict(constants(scenario))[path]
        for end, value in zip(ends, (constant.low, constant.high), strict=True):
            varied = outcome(with_value(scenario, path, value), hours)
            assert end == pytest.approx(varied.cost_usd / whole.cost_usd), path
