"""Memory of a rank: published counts, and what saves it."""

import re

import pytest

from estimator.answer.step_model import StepModel
from estimator.answer.training import memory_report
from estimator.catalog.loading import load_scenario
from estimator.costs.params import params
from estimator.schedules.notation import Pipeline
from estimator.schedules.programs import program
from estimator.show.wording import misfit
from estimator.workload.alive import Stored, peaks
from estimator.workload.memory import (
    fixed_bytes,
    layer_activations,
    layer_buffer,
)
from estimator.workload.stages import elements, held
from estimator.workload.work import sizes

GB = 1e9
FORWARD = ("plan.schedule=forward-only",)


def memory_of(*overrides):
    scenario = load_scenario("deepseek-v3", overrides)
    return memory_report(StepModel(scenario, 4096), 15360)


def test_a_moe_layer_of_deepseek_v3_keeps_616_mb():
    # norm inputs, latents, 12-bit attention output, FP8 expert inputs and activations
    scenario = load_scenario("deepseek-v3")
    size, first = sizes(scenario, 4096), elements(scenario, 16)[0]
    dense, moe = (layer_activations(size, first[index]).total for index in (1, 4))
    assert moe / 1e6 == pytest.approx(616, rel=0.01)
    assert dense / 1e6 == pytest.approx(393, rel=0.01)


def test_weights_gradients_and_optimizer_count_every_parameter():
    parts = memory_of().ranks[3]
    params = parts["gradients"] / 4
    assert params == pytest.approx(3.27 * GB, rel=0.01)  # eight MoE layers, EP64
    assert parts["weights"] == pytest.approx(params)  # FP8
    experts = 8 * 4 * 3 * 7168 * 2048
    states = (experts / 4 + (params - experts) / 256) * 8
    assert parts["optimizer"] == pytest.approx(states, rel=0.01)


@pytest.mark.parametrize(
    "patch",
    ["recompute=none", "recompute=[layernorm]", "precision.recipe=bf16", "plan.ep=32"],
)
def test_less_saving_takes_more_memory(patch):
    assert memory_of(patch).peak_bytes > memory_of().peak_bytes


def test_full_recomputation_keeps_layer_inputs_only():
    full, some = memory_of("recompute=full"), memory_of()
    assert full.parts["activations"] < some.parts["activations"] / 5


def test_1f1b_keeps_fewer_chunks_and_one_copy_of_the_weights():
    dual, one = memory_of(), memory_of("plan.schedule=1f1b")
    assert one.in_flight == tuple(range(16, 0, -1))
    assert one.ranks[5]["weights"] == pytest.approx(dual.ranks[5]["weights"] / 2)


LOGITS = 4096 * 129280
"""Of one micro-batch of DeepSeek-V3."""


def test_logits_are_gone_before_a_layer_runs_backward_unless_chunks_run_in_pairs():
    one, dual = memory_of("plan.schedule=1f1b").ranks, memory_of().ranks
    fixed, layer = 2.5 * GB, one[0]["buffers"]
    assert one[15]["buffers"] == max(fixed + 12 * LOGITS, layer)
    assert dual[0]["buffers"] == pytest.approx(layer + 12 * LOGITS)


def test_a_loss_in_half_precision_keeps_a_third_of_the_logits_bytes():
    half, full = memory_of("software.kernels.loss=half").ranks[0], memory_of().ranks[0]
    assert full["buffers"] - half["buffers"] == pytest.approx(8 * LOGITS)


def test_the_peak_follows_the_program():
    made = program("gpipe", Pipeline(2, 5))
    stored = (Stored(1.0, 2.0), Stored(10.0, 20.0))
    gradients = ({0: 1.0}, {1: 2.0})
    assert peaks(made, stored, gradients) == [(15.0, 1.0), (150.0, 2.0)]


def test_advice_names_the_cheapest_change_that_fits():
    starved = memory_of("recompute=none")
    assert "recompute=[layernorm, mla_up_proj, moe_act]" in starved.advice
    hopeless = memory_of("cluster.node.gpu.hbm_bytes=8 GB")
    assert "not even full recomputation fits" in hopeless.advice


def test_where_bytes_fit_the_advice_is_about_headroom():
    full = memory_of("recompute=full")
    share = 1.001 - full.peak_bytes / full.hbm_bytes
    pinched = memory_of("recompute=full", f"memory_headroom={share}")
    assert pinched.fits
    assert not pinched.fits_with_headroom
    advised = re.search(r"fits with (memory_headroom=[\d.]+)", pinched.advice)[1]
    assert memory_of("recompute=full", advised).fits_with_headroom


@pytest.mark.parametrize("recompute", ["none", "full"])
def test_where_nothing_runs_backward_one_layer_at_a_time_is_held(recompute):
    overrides = ("plan.schedule=forward-only", f"recompute={recompute}")
    scenario = load_scenario("deepseek-v3", overrides)
    size, stages = sizes(scenario, 4096), elements(scenario, 16)
    layer = layer_activations(
        sizes(load_scenario("deepseek-v3", ["recompute=none"]), 4096), stages[1][0]
    ).total
    held = memory_of(*overrides)
    ends = 4 * size.tokens * size.model.hidden_size
    assert held.ranks[1]["activations"] == pytest.approx(layer + ends)
    for rank in held.ranks:
        assert not rank["gradients"]
        assert not rank["optimizer"]
    starved = memory_of(*overrides, "cluster.node.gpu.hbm_bytes=8 GB")
    assert "nothing is kept for a backward pass" in starved.advice
    assert "recompute" not in starved.advice


def test_rows_on_their_way_to_experts_are_held_in_16_bits_sent_and_received():
    scenario = load_scenario("deepseek-v3", FORWARD)
    size = sizes(scenario, 4096)
    (held,) = {rank["buffers"] for rank in memory_of(*FORWARD).ranks[2:4]}
    rows = 2 * (size.received_rows + size.routed_rows)
    passing = held - fixed_bytes(scenario.cluster.node)
    assert passing == pytest.approx(2 * rows * size.model.hidden_size)


def test_a_dense_layer_holds_queries_keys_values_their_gradients_and_its_block():
    flat = ("plan.tp=1", "plan.pp=1", "plan.schedule=1f1b", "plan.stages_per_rank=1")
    alone = ("model=llama-3-8b", "cluster.num_gpus=8", *flat)
    fused = (
        "software.kernels.attention=fused",
        "software.defaults.dropout=false",
        "recompute=none",
    )
    scenario = load_scenario("gpt3-175b", [*alone, *fused])
    size, stage = sizes(scenario, 2048), elements(scenario, 1)[0]
    own, ffn = size.model.attention, size.model.mlp.ffn_hidden_size
    tensors = own.num_heads * (own.head_dim + 2 * own.head_dim)
    held = size.tokens * (2 * 2 * tensors + 2 * (2 + 1) * ffn)
    assert layer_buffer(size, [stage]) == held
    kept = layer_activations(size, stage[1]).until_input
    projected = (own.num_heads + 2 * own.kv_heads) * own.head_dim
    statistics = own.num_heads  # of the softmax, in FP32
    assert kept == size.tokens * (2 * projected + 4 * statistics)


def test_headroom_is_kept_free_of_what_fits():
    needed = memory_of().peak_bytes / memory_of().hbm_bytes
    roomy, tight = (
        memory_of(f"memory_headroom={share - needed}") for share in (0.99, 1.01)
    )
    assert roomy.fits_with_headroom
    assert tight.fits
    assert not tight.fits_with_headroom
    assert tight.headroom_bytes == pytest.approx((1.01 - needed) * tight.hbm_bytes)
    assert "fits" in tight.advice
    assert "leaves" in misfit(tight)
    assert not misfit(roomy)


def test_the_default_headroom_is_sourced_and_at_least_four_percent(deepseek):
    headroom = deepseek.memory_headroom
    assert headroom.value >= headroom.low >= 0.04
    assert "pull request" in headroom.source


def test_kv_heads_are_copied_where_more_ranks_share_a_layer():
    plan = (
        "plan.pp=1",
        "plan.zero=0",
        "software.defaults.vocab_times_tp=false",
        "software.gradients.format=fp32",
        "plan.stages_per_rank=1",
        "plan.stage_layout=even",
        "software.gradients.format=fp32",
    )
    parts = []
    for tp in (8, 16):
        scenario = load_scenario("llama-3.1-405b", [*plan, f"plan.tp={tp}"])
        parts.append(memory_report(StepModel(scenario, 8192), 2048).parts)
    split, copied = parts
    kv_head = 16384 * 2 * 128  # weights of its keys and values; there are 8
    more = 126 * kv_head / 2  # a rank of 16 has a whole one, not half of one
    for part, width in (("weights", 2), ("gradients", 4), ("optimizer", 12)):
        assert copied[part] == pytest.approx(split[part] / 2 + width * more, rel=1e-12)


def test_a_multi_token_module_holds_a_layer_two_norms_a_projection_and_a_norm(deepseek):
    # DeepSeek-V3, equations 21 to 23: M of (d, 2d), RMSNorms of both, of the output
    h = 7168
    around = 2 * h * h + 3 * h
    module, layer = (
        next(e for e in stage if e.kind == kind)
        for kind, stage in (
            ("mtp", elements(deepseek, 16)[-1]),
            ("layer", elements(deepseek, 16)[8]),
        )
    )
    assert held(deepseek, module).shared - held(deepseek, layer).shared == around
    mixer, experts = 187_107_328, 257 * 3 * h * 2048
    one = mixer + 2 * h + 256 * h + experts  # with its norms and the router
    assert params(deepseek.model).mtp == one + around
