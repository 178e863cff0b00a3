"""What holds for every scenario, over random valid ones."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from estimator.answer.breakdown import executed_flop, step_report
from estimator.answer.step_model import StepModel
from estimator.answer.training import memory_report
from estimator.catalog import loading
from estimator.costs.flop import flop_per_token, mtp_flop_per_token
from estimator.ground.errors import EstimatorError
from estimator.specs.base import with_value
from estimator.specs.scenario import Scenario
from estimator.specs.training import (
    GlobalBatch,
    ParallelPlan,
    Phase,
    Precision,
)

MODELS = [
    "llama-3-8b",
    "gpt3-175b",
    "mixtral-8x7b",
    "qwen3-30b-a3b",
    "gemma-2-27b",
    "nemotron-h-8b",
]
SEQ_LEN = 4096
SECOND_ORDER = 1e-4
"""What collectives take from products is worked out from their times without it."""
quick = settings(max_examples=25, suppress_health_check=[HealthCheck.filter_too_much])


@st.composite
def scenarios(draw, *, recompute=((), ("full",), ("layernorm",))):
    model = loading.load("model", draw(st.sampled_from(MODELS)))
    node = loading.load(
        "node", draw(st.sampled_from(["hgx-h100", "hgx-h800", "hgx-h200"]))
    )
    pp, tp, cp = (
        draw(st.sampled_from(sizes)) for sizes in ([1, 2, 4], [1, 2, 8], [1, 2])
    )
    ep = draw(st.sampled_from([1, 2, 4])) if model.moe else 1
    dp = draw(st.sampled_from([1, 2, 8]))
    schedule = (
        draw(st.sampled_from(["1f1b", "gpipe", "zb-h1", "interleaved-1f1b"]))
        if pp > 1
        else "1f1b"
    )
    count = 4 * pp
    try:
        return Scenario(
            name="random",
            model=model,
            cluster=loading.load_scenario("deepseek-v3").cluster.__class__(
                node=node,
                fabric=loading.load("fabric", "ib-ndr-rail-optimised"),
                num_gpus=pp * tp * cp * dp,
            ),
            plan=ParallelPlan(
                pp=pp,
                tp=tp,
                cp=cp,
                ep=ep,
                zero=draw(st.sampled_from([0, 1]))
                if pp > 1
                else draw(st.sampled_from([0, 1, 2, 3])),
                schedule=schedule,
                sequence_parallel=draw(st.booleans()),
            ),
            software=loading.load("software", "megatron-core-2024-11").having(
                {
                    "communication.tensor": draw(
                        st.sampled_from(["none", "async", "pipelined"])
                    ),
                    "gradients.overlaps_reduction": draw(st.booleans()),
                }
            ),
            precision=Precision(recipe=draw(st.sampled_from(["bf16", "fp8-tensor"]))),
            recompute=draw(st.sampled_from(recompute)),
            phases=(
                Phase(
                    name="run",
                    num_tokens=1e9,
                    seq_len=SEQ_LEN,
                    global_batch_size=GlobalBatch(initial=dp * count, final=dp * count),
                ),
            ),
            price=loading.load("price", "h100-lambda-2024-09"),
            power=loading.load("power", "china"),
        )
    except ValueError:
        assume(False)


def step_s(scenario):
    model = StepModel(scenario, SEQ_LEN)
    try:
        return model.step_s(
            model.num_microbatches(scenario.phases[0].global_batch_size.final)
        )
    except EstimatorError:
        assume(False)


@pytest.mark.slow
@quick
@given(scenarios(), st.floats(1.01, 10))
def test_a_faster_fabric_is_never_slower(scenario, factor):
    fabric = scenario.cluster.fabric
    faster = replace(fabric, bytes_per_s=fabric.bytes_per_s * factor)
    changed = replace(scenario, cluster=replace(scenario.cluster, fabric=faster))
    assert step_s(changed) <= step_s(scenario) * (1 + SECOND_ORDER)


@pytest.mark.slow
@quick
@given(scenarios(), st.floats(1.01, 10))
def test_a_faster_nvlink_is_never_slower(scenario, factor):
    node = scenario.cluster.node
    faster = replace(node, nvlink_bytes_per_s=node.nvlink_bytes_per_s * factor)
    changed = replace(scenario, cluster=replace(scenario.cluster, node=faster))
    assert step_s(changed) <= step_s(scenario) * (1 + SECOND_ORDER)


@pytest.mark.slow
@quick
@given(
    scenarios(),
    st.sampled_from(
        ["gemm.bf16", "gemm.fp8", "elementwise", "attention_forward", "hbm"]
    ),
)
def test_a_faster_gpu_is_never_slower(scenario, what):
    path = f"cluster.node.gpu.achievable.{what}"
    changed = with_value(scenario, path, 0.99)
    assert step_s(changed) <= step_s(scenario) * (1 + SECOND_ORDER)


@pytest.mark.slow
@quick
@given(scenarios(), st.floats(1.0, 4))
def test_more_memory_never_stops_fitting(scenario, factor):
    step_s(scenario)
    node = scenario.cluster.node
    gpu = replace(node.gpu, hbm_bytes=node.gpu.hbm_bytes * factor)
    changed = replace(
        scenario, cluster=replace(scenario.cluster, node=replace(node, gpu=gpu))
    )
    batch = scenario.phases[0].global_batch_size.final
    before, after = (
        memory_report(StepModel(case, SEQ_LEN), batch) for case in (scenario, changed)
    )
    assert after.fits >= before.fits
    assert after.peak_bytes == before.peak_bytes
    assert before.fits or before.advice


@pytest.mark.slow
@quick
@given(scenarios())
def test_parts_add_up_to_the_step(scenario):
    step_s(scenario)
    model, batch = StepModel(scenario, SEQ_LEN), scenario.phases[0].global_batch_size
    whole_s = model.step_s(model.num_microbatches(batch.final))
    step = step_report(model, batch.final, whole_s)
    assert step.step_s == pytest.approx(whole_s, rel=1e-9)
    assert sum(step.parts.values()) == pytest.approx(step.step_s, rel=1e-9)
    for row in step.ranks:
        assert row.total_s == pytest.approx(step.step_s, rel=1e-9)


@pytest.mark.slow
@quick
@given(scenarios(), st.floats(0.3, 0.99))
def test_immature_software_slows_kernels_by_its_share_at_most(scenario, maturity):
    young = replace(
        scenario, software=scenario.software.having({"kernels.maturity": maturity})
    )
    whole_s, slowed_s = step_s(scenario), step_s(young)
    assert whole_s < slowed_s <= whole_s / maturity * (1 + 1e-9)


@pytest.mark.slow
@quick
@given(scenarios(recompute=((),)))
def test_operations_count_the_closed_form(scenario):
    step_s(scenario)
    model = scenario.model
    work = StepModel(scenario, SEQ_LEN).chunks()
    shares = scenario.plan.tp * scenario.plan.cp
    counted = executed_flop(work) * shares / SEQ_LEN
    closed = flop_per_token(model, SEQ_LEN) + mtp_flop_per_token(model, SEQ_LEN)
    # more by recomputed scores, the router, copied KV heads and the scan's chunks
    assert closed * 0.999 <= counted <= closed * 1.2


@pytest.mark.slow
@quick
@given(scenarios(), st.sampled_from([2, 4]))
def test_more_replicas_share_the_same_flop(scenario, factor):
    step_s(scenario)
    more = replace(
        scenario,
        cluster=replace(scenario.cluster, num_gpus=scenario.cluster.num_gpus * factor),
    )
    batch = scenario.phases[0].global_batch_size.final * factor
    total = {}
    for name, case in (("few", scenario), ("more", more)):
        model = StepModel(case, SEQ_LEN)
        total[name] = (
            executed_flop(model.chunks()) * model.num_microbatches(batch) * case.dp
        )
    assert total["few"] == pytest.approx(total["more"])


@pytest.mark.slow
@quick
@given(scenarios())
def test_gathering_keys_before_attention_shows_more_of_the_exchange(scenario):
    gathered = replace(
        scenario,
        software=scenario.software.having(
            {"communication.context_exchange": "all-gather"}
        ),
    )
    shown = [
        StepModel(case, SEQ_LEN)
        .chunks()
        .busy_by_cause("F", 0)
        .get("exposed context", 0)
        for case in (scenario, gathered)
    ]
    assert shown[0] <= shown[1]


@pytest.mark.slow
@quick
@given(scenarios(), st.floats(1.0, 3.0))
def test_capacity_bounds_what_imbalance_costs(scenario, imbalance):
    uneven = replace(scenario, plan=replace(scenario.plan, expert_imbalance=imbalance))
    capped = replace(scenario, plan=replace(uneven.plan, expert_capacity=1.0))
    assert step_s(scenario) == step_s(capped)
    assert step_s(uneven) >= step_s(capped) * (1 - 1e-12)


def test_placement_decides_which_links_a_group_uses():
    plan = ParallelPlan(tp=2, cp=2, pp=4)
    strides = {axis: plan.stride(axis, dp=4) for axis in ("tp", "cp", "dp", "pp")}
    assert strides == {"tp": 1, "cp": 2, "dp": 4, "pp": 16}
    near = replace(plan, placement="tp-pp-dp-cp")
    assert near.stride("pp", dp=4) == 2
    assert near.stride("dp", dp=4) == 8


def test_stages_side_by_side_send_over_nvlink():
    base = "deepseek-v3"
    far = StepModel(loading.load_scenario(base), SEQ_LEN).chunks()
    near = StepModel(
        loading.load_scenario(base, ["plan.placement=tp-pp-dp-cp"]), SEQ_LEN
    ).chunks()
    assert near.seconds("SEND", 0, 1) < far.seconds("SEND", 0, 1) / 2


@pytest.mark.slow
@quick
@given(scenarios(), st.floats(0.1, 1.0))
def test_offloading_activations_saves_memory_and_no_time(scenario, share):
    assume(scenario.cluster.node.offload_bytes_per_s)
    away = replace(scenario, plan=replace(scenario.plan, activation_offload=share))
    assert step_s(away) >= step_s(scenario) * (1 - 1e-12)
    batch = scenario.phases[0].global_batch_size.final
    before, after = (
        memory_report(StepModel(case, SEQ_LEN), batch) for case in (scenario, away)
    )
    assert after.peak_bytes <= before.peak_bytes
