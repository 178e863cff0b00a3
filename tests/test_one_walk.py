"""Step, memory, MFU and bill of a scenario come from one function each, everywhere."""

import functools

import pytest

from estimator.answer import bill, breakdown
from estimator.answer.api import estimate
from estimator.answer.step_model import StepModel
from estimator.catalog.loading import load_scenario
from estimator.explore.comparison import compare
from estimator.explore.plan import search, space
from estimator.explore.sweeps import sweep
from estimator.explore.uncertainty import uncertainty
from estimator.faces.pages import question
from estimator.workload.memory import RankMemory

NAME, SMALL = "gpt3-175b", ("cluster.num_gpus=512", "plan.micro_batch_size=2")


def by_run():
    """A report: what the command ``run`` prints and the dashboard shows."""
    return numbers_of(estimate(NAME, SMALL))


def by_page():
    """What the pages show, which keep their answers."""
    question._report.clear()
    return numbers_of(question.Question(NAME, SMALL).report)


def numbers_of(report):
    return {
        "step_s": report.step.step_s,
        "peak_bytes": report.memory.peak_bytes,
        "mfu": report.step.mfu,
        "cost_usd": report.cost_usd,
    }


def by_compare():
    made = compare([NAME], ["power.pue=1.2,1.3"], SMALL)
    return numbers_of(made.reports[0])


def by_sweep():
    (row,) = sweep(NAME, ["power.pue=1.2"], SMALL).frame().to_dict("records")
    return row


def by_plan():
    scenario = load_scenario(NAME, SMALL)
    row = search.plan(scenario, top=1, most_evaluated=1).given
    return vars(row) | {"peak_bytes": row.memory_bytes}


def by_uncertainty():
    spreads = uncertainty(NAME, SMALL, num_samples=2).spreads
    return {"cost_usd": spreads["cost_usd"].value}


OF_ALL = (
    *(by_run, by_page, by_compare, by_sweep),
    pytest.param(by_plan, marks=pytest.mark.slow),
)
FACES = (*OF_ALL, by_uncertainty)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(space, "MICRO_BATCHES", (2,))
    monkeypatch.setattr(space, "RECOMPUTE", (("core_attn",),))


@pytest.fixture(scope="module")
def before():
    return by_run()


def doubled(monkeypatch, home, name, calls):
    """Have a function give twice what it gives, and count how often it is asked."""
    own = getattr(home, name)

    @functools.wraps(own)
    def twice(*arguments, **options):
        calls.append(name)
        made = own(*arguments, **options)
        return (
            {key: 2 * part for key, part in made.items()}
            if isinstance(made, dict)
            else 2 * made
        )

    monkeypatch.setattr(home, name, twice)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    ("home", "name", "number"),
    [
        (StepModel, "step_s", "step_s"),
        (breakdown, "mfu", "mfu"),
        (bill, "bill", "cost_usd"),
    ],
    ids=["step", "mfu", "bill"],
)
def test_no_face_has_a_second_way(monkeypatch, few, before, face, home, name, number):
    calls = []
    doubled(monkeypatch, home, name, calls)
    found = face()
    assert calls
    if number in found:
        assert found[number] == pytest.approx(2 * before[number], rel=1e-12)


@pytest.mark.parametrize("face", OF_ALL)
def test_no_face_has_a_second_account_of_memory(monkeypatch, few, before, face):
    own = RankMemory.total.fget
    monkeypatch.setattr(RankMemory, "total", property(lambda rank: own(rank) / 2))
    assert face()["peak_bytes"] == pytest.approx(before["peak_bytes"] / 2, rel=1e-12)
