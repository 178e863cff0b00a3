"""The same scenario has one answer, whichever call comes first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.answer.api import estimate
from estimator.answer.step_model import StepModel
from estimator.answer.training import rank_memory
from estimator.answer.walk import Walk
from estimator.catalog.loading import load_scenario
from estimator.costs.rates import Layer

SEQ_LEN = 4096
SCENARIO = """
name: same-answer
model: qwen3-30b-a3b
cluster: {node: gb300-nvl72, fabric: ib-xdr-rail-optimised, num_gpus: 8}
plan:
  {ep: 8, micro_batch_size: 8, schedule: interleaved-1f1b-overlap, stages_per_rank: 1}
precision: mxfp8
software: {gradients: {format: bf16}}
recompute: none
price: h100-lambda-2024-09
phases: [{name: p, num_tokens: 1e9, seq_len: 4096, global_batch_size: 512}]
"""
CALLS = {
    "step": lambda model, count: model.step_s(count),
    "ideal": lambda model, count: model.step_s(count, Layer.SPECIFICATION),
    "played": lambda model, count: model.simulate(count).makespan_s,
    "chunk": lambda model, count: model.chunks(num_microbatches=count).seconds("B", 0),
    "full": lambda model, _: model.chunks().seconds("F", 0),
    "optimizer": lambda model, count: sum(
        model.optimizer_parts(num_microbatches=count).values()
    ),
    "memory": lambda model, count: max(
        rank.total for rank in rank_memory(model, 64 * count)[0]
    ),
}
ASKED = [(name, count) for name in CALLS for count in (1, 2, 8)]


@pytest.fixture(scope="module")
def scenario(tmp_path_factory):
    path = tmp_path_factory.mktemp("same") / "same-answer.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return load_scenario(str(path))


def answered(scenario, asked):
    model = StepModel(scenario, SEQ_LEN)
    return {(name, count): CALLS[name](model, count) for name, count in asked}


@pytest.fixture(scope="module")
def alone(scenario):
    """Each call on a model of its own."""
    return {one: answered(scenario, [one])[one] for one in ASKED}


@pytest.mark.slow
@settings(max_examples=10)
@given(asked=st.permutations(ASKED))
def test_calls_in_any_order_give_the_same_numbers(scenario, alone, asked):
    assert answered(scenario, asked) == alone


def test_a_step_of_many_micro_batches_has_pairs_and_one_of_one_has_none(scenario):
    model = StepModel(scenario, SEQ_LEN)
    assert model.chunks().exchanges.is_overlapped
    assert not model.chunks(num_microbatches=1).exchanges.is_overlapped


def test_every_way_to_ask_gives_the_same_step(scenario, alone):
    step_s = alone["step", 8]
    assert Walk(scenario).answer().step_s == step_s
    for is_played in (True, False):
        made = estimate(scenario, has_range=False, is_played=is_played)
        assert made.step.step_s == pytest.approx(step_s, rel=1e-12)


def test_a_pair_hides_what_a_lone_micro_batch_waits_for(alone):
    assert alone["step", 8] < 7 * alone["step", 1]
