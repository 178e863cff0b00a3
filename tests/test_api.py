"""Parts add up to the whole, in every report."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.answer.api import estimate
from estimator.answer.step_model import MOST_SIMULATED, StepModel
from estimator.catalog.loading import load_scenario
from estimator.schedules.programs import schedule
from estimator.specs.base import constants

CASES = ["deepseek-v3", "deepseek-v3@1f1b+bf16", "deepseek-v3@no-overlap+h100"]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_parts_add_up(name):
    report = estimate(load_scenario(name), has_range=False)
    step = report.step
    for row in step.ranks:
        assert row.total_s == pytest.approx(step.step_s, rel=1e-12)
    assert sum(step.parts.values()) == pytest.approx(step.step_s, rel=1e-9)
    assert sum(phase.gpu_hours for phase in report.phases) == report.gpu_hours
    assert sum(phase.cost_usd for phase in report.phases) == pytest.approx(
        report.cost_usd
    )
    assert sum(report.cost.values()) == report.cost_usd
    assert report.wall_s * report.num_gpus / 3600 == pytest.approx(report.gpu_hours)
    assert sum(report.memory.parts.values()) == pytest.approx(report.memory.peak_bytes)
    assert step.hfu > step.mfu  # recomputation and multi-token prediction are executed


def test_the_bill_is_hours_times_price(deepseek):
    dear = estimate(
        load_scenario("deepseek-v3", ["price.usd_per_gpu_hour=3.42"]), has_range=False
    )
    assert dear.cost_usd == pytest.approx(dear.gpu_hours * 3.42)


def test_every_constant_stands_in_the_assumptions(deepseek, report):
    named = {row.name: row for row in report.assumptions}
    for path, constant in constants(deepseek):
        assert named[path].source
        assert (named[path].low, named[path].high) == (constant.low, constant.high)
    assert all(row.source for row in report.assumptions)


def test_what_is_assumed_about_small_batches_is_said(report):
    assert any("32 micro-batches" in str(row.value) for row in report.assumptions)


def test_a_ramp_costs_more_than_the_full_batch_from_the_start(report):
    patch = "phases.0.global_batch_size=15360"
    constant = estimate(load_scenario("deepseek-v3", [patch]), has_range=False)
    extra = report.phases[0].gpu_hours / constant.phases[0].gpu_hours - 1
    assert 0 < extra < 0.01  # 3 % of the tokens, at up to 40 % lower efficiency
    assert report.phases[0].num_steps > constant.phases[0].num_steps


@pytest.mark.parametrize("batch", ["16", "{ramp: {from: 8, to: 16, over_tokens: 1e9}}"])
def test_no_run_is_shorter_than_its_first_step(batch):
    def run(num_tokens):
        return estimate(
            "llama-3.1-405b",
            [
                "model=llama-3.2-1b",
                "plan={pp: 1, tp: 1, cp: 1}",
                "cluster.num_gpus=8",
                f"phases=[{{name: p, num_tokens: {num_tokens}, seq_len: 4096, "
                f"global_batch_size: {batch}}}]",
            ],
            has_range=False,
            is_played=False,
        )

    short, first = run(1), run((8 if "ramp" in batch else 16) * 4096)
    assert short.phases[0].num_steps == 1
    assert short.wall_s == pytest.approx(first.wall_s)
    assert short.wall_s <= short.step.step_s * (1 + 1e-12)
    assert any("a whole step is counted" in str(row.value) for row in short.assumptions)


def test_a_ramp_longer_than_the_phase_never_reaches_the_full_batch():
    short = estimate(
        load_scenario("deepseek-v3", ["phases.0.num_tokens=1e11"]), has_range=False
    )
    steps = 1e11 / (15360 * 4096)
    assert short.phases[0].num_steps > 2 * steps


@pytest.mark.parametrize("name", CASES)
def test_step_time_is_linear_in_micro_batches(name):
    model = StepModel(load_scenario(name), 4096)
    first, last = model.step_s(32), model.step_s(120)
    for count in (40, 76):
        line = first + (last - first) * (count - 32) / (120 - 32)
        assert model.step_s(count) == pytest.approx(line, rel=1e-3)


@pytest.mark.slow
@settings(max_examples=8)
@given(extra=st.integers(1, 200))
def test_long_steps_follow_linearly_from_shorter_ones(extra):
    scenario = load_scenario("deepseek-v3", ["cluster.num_gpus=1024"])
    model = StepModel(scenario, 4096)
    count = MOST_SIMULATED + 2 * extra
    (first, _), (last, _) = model.simulated(count)
    assert first < last <= MOST_SIMULATED
    work, graph = model.chunks(), model.graph(count)
    from estimator.engine.evaluate import evaluate

    exact = evaluate(graph, [work.seconds(*kind) for kind in graph.classes]).makespan_s
    optimizer_s = sum(model.optimizer_parts().values())
    assert model.step_s(count) == pytest.approx(exact + optimizer_s, rel=1e-3)


@pytest.mark.parametrize("pp", [16, 42, 70])
def test_both_shorter_steps_have_micro_batches_however_many_ranks_there_are(pp):
    plan = ("plan.schedule=1f1b", "plan.stages_per_rank=1", "plan.stage_layout=even")
    patches = (*plan, f"plan.pp={pp}", f"cluster.num_gpus={8 * pp}", "plan.cp=1")
    model = StepModel(load_scenario("llama-3.1-405b", patches), 8192)
    for count in range(1000, 1000 + 2 * pp):
        (first, one), (last, other) = model.simulated(count)
        assert 1 <= first < last
        assert one * first + other * last == pytest.approx(count)


def test_energy_is_servers_times_facility(report):
    # 10.2 kW a server, 75 % on average, PUE 1.25: 1.195 kW a GPU
    kw = report.energy_joules / 3600 / report.gpu_hours / 1e3
    assert kw == pytest.approx(10.2 / 8 * 0.75 * 1.25)
    assert report.co2_kg == pytest.approx(kw * report.gpu_hours * 0.5823)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deepseek-v3", "llama-3.1-405b"])
def test_the_graphs_clock_gives_what_simpy_plays(name):
    scenario = load_scenario(name)
    played = estimate(scenario, has_range=False)
    clocked = estimate(scenario, has_range=False, is_played=False)
    assert clocked.gpu_hours == pytest.approx(played.gpu_hours, rel=1e-12)
    for one, other in zip(clocked.step.ranks, played.step.ranks, strict=True):
        assert vars(one) == pytest.approx(vars(other), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", [*schedule])
def test_no_step_is_shorter_than_the_least_that_is_said_of_it(name):
    patches = ["plan.pp=4", "plan.tp=8", "cluster.num_gpus=64", f"plan.schedule={name}"]
    patches += ["phases.0.global_batch_size=32", "plan.stages_per_rank=null"]
    model = StepModel(load_scenario("gpt3-175b", patches), 2048)
    share = model.least_s(16) / model.step_s(16)
    assert 0.5 < share <= 1 + 1e-12  # the same where a pass has no other
