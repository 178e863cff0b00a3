"""What owning a GPU costs: Epoch AI's published figures, and what they leave out."""

import math
from pathlib import Path

import pytest
import yaml
from loops import each

from estimator.costs.money import (
    amortised_usd_per_hour,
    colocation_usd_per_hour,
    network_usd,
    staff_usd,
    value_after,
)

RUNS = yaml.safe_load(Path(__file__).with_name("epoch_costs.yaml").read_text())
DECEMBER_2024 = 119.349
DECLINE = 0.14 * math.log(10)


def owned_usd(run, years_before):
    """Return a run's cost by Epoch's formula, in the dollars of December 2024."""
    value = value_after(run["usd_per_chip"], DECLINE, years_before)
    server = amortised_usd_per_hour(value, DECLINE)
    kw = run["tdp_watts"] / 1000 * run["server_over_chip"] * run["average_power"]
    energy = kw * run["pue"] * run["usd_per_kwh"]
    hour = server + network_usd(server, 0.19) + energy
    return hour * run["chip_hours"] * DECEMBER_2024 / run["price_index"]


@each("run", RUNS)
def test_the_owned_formula_gives_what_epoch_published(run):
    made = owned_usd(run, run["years_before"])
    assert made == pytest.approx(run["published_usd"], rel=0.001)


@each("run", RUNS)
def test_the_updated_table_leaves_the_loss_of_value_out(run):
    made = owned_usd(run, 0.0)
    assert made == pytest.approx(run["published_undepreciated_usd"], rel=0.001)


def test_hardware_loses_a_factor_of_1_38_a_year():
    assert value_after(1.0, DECLINE, 1.0) == pytest.approx(10**-0.14)
    assert value_after(1.0, DECLINE, 0.0) == 1.0


def test_idle_hours_are_paid_by_those_in_use():
    busy, half = (amortised_usd_per_hour(1e4, 0.3, share) for share in (1.0, 0.5))
    assert half == 2 * busy
    assert colocation_usd_per_hour(1000, 200, 0.5) == 2 * colocation_usd_per_hour(
        1000, 200
    )


@each(
    ("contributors", "years", "low", "high"),
    [
        (284, 1.0, 27e6, 44e6),  # GPT-4
        (25, 8.3 / 12, 1.0e6, 3.9e6),  # GPT-3
        (19, 0.53, 0.78e6, 1.7e6),  # OPT-175B, October 2021 to May 2022
    ],
)
def test_staff_lies_within_epochs_interval(contributors, years, low, high):
    # development_cost.ipynb of epoch-research/training-cost-trends, 90 % intervals
    assert low < staff_usd(contributors, 0.285, years, 330e3, 1.32) < high
