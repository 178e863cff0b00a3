"""Bytes of the loss over a split vocabulary, and of gradients on their way to shards."""

import pytest

from estimator.catalog.loading import load_scenario
from estimator.costs.collectives import all_reduce_s, group
from estimator.costs.rates import Layer
from estimator.schedules.notation import Op, Pipeline
from estimator.schedules.programs import program
from estimator.workload.causes import Cause
from estimator.workload.chunks import chunks
from estimator.workload.ends import LOSS_REDUCTIONS
from estimator.workload.stages import held

FP32, BF16 = 4, 2
FLAT = ("plan.pp=1", "plan.schedule=1f1b", "plan.stages_per_rank=1")


def made(*patches):
    scenario = load_scenario("gpt3-175b", [*patches, "plan.stage_layout=even"])
    plan = Pipeline(scenario.plan.pp, scenario.plan.pp)
    return scenario, chunks(scenario, 2048, program("1f1b", plan), Layer.IN_SITU)


def test_ranks_agree_on_the_loss_of_each_token_in_fp32():
    scenario, work = made()
    size, told = work.timing.size, work.exchanges
    members = group(scenario.plan.tp, 1, told.links.gpus_per_node)
    each_s = all_reduce_s(FP32 * size.tokens, members, told.links)
    count = LOSS_REDUCTIONS[scenario.software.kernels.loss]
    assert told.tensor.loss_s == pytest.approx(count * each_s)
    last = len(work.stages) - 1
    (loss,) = [
        each for each in work.operations(Op.F, last) if each.name.endswith(" loss")
    ]
    assert loss.num_bytes == FP32 * size.tokens


@pytest.mark.parametrize(
    ("buffer", "moved"),
    [("per-weight", BF16 + FP32), ("flat", BF16 + FP32 + FP32 + BF16)],
)
def test_gradients_are_copied_to_the_buffer_that_is_scattered(buffer, moved):
    scenario, work = made(
        *("plan.zero=3", "plan.pp=1", "plan.schedule=1f1b", "cluster.num_gpus=512"),
        *(f"software.storage.shard_buffer={buffer}", "software.gradients.format=fp32"),
    )
    sharding = work.exchanges.sharding
    layer = next(element for element in work.stages[0] if element.is_layer)
    weights = held(scenario, layer).shared
    copied = sharding.copy_in_s(layer) * sharding.hbm_bytes_per_s / weights
    assert copied == pytest.approx(moved)


def test_rows_of_split_experts_are_gathered_and_scattered_and_backward_again_gathered():
    _, work = made("model=mixtral-8x7b", *FLAT, "plan.tp=4", "plan.etp=4")
    layer = next(element for element in work.stages[0] if element.is_layer)
    each_s = work.exchanges.tensor.experts_s
    assert each_s > 0
    for part, count in (("forward", 1 + 1), ("input", 1 + 1 + 1)):
        found = getattr(work.timing.layer(layer, 132).ffn, part)
        waited_s = found.causes[Cause.EXPOSED_TENSOR_PARALLEL]
        assert waited_s == pytest.approx(count * each_s)
        assert found.num_checked == count * 4
