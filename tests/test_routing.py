"""What experts cost beside their products: choosing them, and sums of gradients."""

from collections import Counter
from dataclasses import replace
from itertools import chain

import pytest
from loops import each

from estimator.answer.step_model import StepModel
from estimator.catalog.kinds import names
from estimator.catalog.loading import load, load_scenario
from estimator.costs.kernels import elementwise_s, top_k_s
from estimator.costs.rates import Layer, device
from estimator.ground.errors import InfeasibleError
from estimator.workload.attention import input_gradient
from estimator.workload.feed_forward import (
    moe_forward,
    moe_input,
    router_backward,
    router_forward,
)
from estimator.workload.layers import layer_segments
from estimator.workload.work import Gemm, sizes

H800 = device(load_scenario("deepseek-v3").cluster.node.gpu, Layer.IN_SITU)


def size_of(*overrides):
    return sizes(load_scenario("deepseek-v3", overrides), 4096)


def apart_from_products_s(segment):
    kernels = [kernel for kernel in segment if not isinstance(kernel, Gemm)]
    return sum(kernel.seconds(H800, H800.num_sms) for kernel in kernels)


def named(segment, words):
    return [kernel for kernel in segment if words in kernel.name]


def test_choosing_experts_takes_as_long_as_in_the_trace():
    # deepseek-ai/profile-data train.json, 4,096 tokens: from the router's product to the
    # next cast 297, 307 and 315 us, from the last cast to it 130, 133 and 131 us
    forward_s = apart_from_products_s(router_forward(size_of()))
    backward = [k for k in router_backward(size_of()) if "sum" not in k.name]
    assert forward_s == pytest.approx(306e-6, rel=0.05)
    assert apart_from_products_s(backward) == pytest.approx(131e-6, rel=0.05)


def test_sums_of_gradients_take_as_long_as_in_the_trace():
    # the same: behind the router 54 to 60 us, behind the latent projections 55 to 59 us
    for segment in (router_backward(size_of()), input_gradient(size_of(), 4)):
        (summed,) = named(segment, "gradients")
        assert summed.seconds(H800, H800.num_sms) == pytest.approx(57e-6, rel=0.1)


def test_a_fused_router_is_faster_and_chooses_the_same_experts():
    plain, fused = (
        size_of(f"software.experts.fused_router={flag}") for flag in ("false", "true")
    )
    for segment in (router_forward, router_backward):
        slow, fast = segment(plain), segment(fused)
        assert apart_from_products_s(fast) < apart_from_products_s(slow)
        assert [k for k in slow if isinstance(k, Gemm)] == [
            k for k in fast if isinstance(k, Gemm)
        ]


def test_top_k_lasts_as_long_as_in_the_trace_and_as_its_waves():
    # the same: gatherTopK on 4,096 rows of 256 scores, 66 and 67 us
    assert top_k_s(H800, 4096, 256) == pytest.approx(67e-6, rel=0.05)
    assert top_k_s(H800, 8192, 256) < 2 * top_k_s(H800, 4096, 256)
    assert top_k_s(H800, 4096, 64) < top_k_s(H800, 4096, 256)
    assert top_k_s(H800, 1, 256) == top_k_s(H800, 100, 256) > 0  # one wave


@pytest.mark.slow
@each("gpu", names("gpu"))
def test_no_kernel_but_products_and_attention_takes_a_tenth_on_any_chip(gpu):
    scenario = load_scenario("deepseek-v3", [f"cluster.node.gpu={gpu}"])
    scenario = replace(scenario, precision=replace(scenario.precision, recipe="bf16"))
    try:
        made = StepModel(scenario, 4096).chunks()
    except InfeasibleError:
        return  # no rate of a 16-bit format in its file
    rates, layer = made.timing.device, made.stages[1][0]
    spent = Counter()
    for block in layer_segments(made.timing.size, layer):
        for kernel in chain(block.forward, block.input, block.weight):
            spent[kernel.name, kernel.cause] += kernel.seconds(rates, rates.num_sms)
    whole_s = sum(spent.values())
    assert spent["top-k", "element-wise"] < 0.01 * whole_s
    for (_, kind), seconds in spent.items():
        assert kind != "element-wise" or seconds < 0.1 * whole_s


def test_large_cores_choose_at_the_pace_of_memory_and_lend_none():
    for name in ("ascend-910b", "gaudi2", "tpu-v5e", "trainium2"):
        rates = device(load("gpu", name), Layer.IN_SITU)
        assert rates.has_large_cores
        once_s = 4.0 * 1e6 * 256 / rates.elementwise_bytes_per_s
        eight_s = top_k_s(rates, 1_000_000, 256, 8)
        assert eight_s == pytest.approx(8 * once_s, rel=0.01)
        scenario = load_scenario("deepseek-v3", [f"cluster.node.gpu={name}"])
        scenario = replace(
            scenario, precision=replace(scenario.precision, recipe="bf16")
        )
        assert StepModel(scenario, 4096).chunks().timing.num_comm_sms == 0
    assert not H800.has_large_cores
    assert top_k_s(H800, 4096, 256, 8) == top_k_s(H800, 4096, 256)


def test_a_kernel_that_moves_little_lasts_as_long_as_the_smallest():
    least_s = H800.launch_s + H800.small_kernel_s
    assert elementwise_s(H800, 1.0, 10, "small") == pytest.approx(10 * least_s)
    moved = 1e9
    expected_s = moved / H800.elementwise_bytes_per_s + H800.launch_s
    assert elementwise_s(H800, moved, 1, "small") == pytest.approx(expected_s)
    assert elementwise_s(H800, moved) == pytest.approx(expected_s)


def test_sums_run_at_the_speed_of_memory_where_nothing_else_was_measured():
    assert H800.plain_bytes_per_s == H800.hbm_bytes_per_s
    a100 = device(load_scenario("gpt3-175b").cluster.node.gpu, Layer.IN_SITU)
    assert a100.plain_bytes_per_s == a100.elementwise_bytes_per_s < a100.hbm_bytes_per_s


def test_shared_and_routed_experts_are_summed_unless_the_exchange_does():
    own, other = size_of(), size_of("precision.recipe=bf16")
    for segment in (moe_forward, moe_input):
        assert not named(segment(own), "sum of shared")
        (summed,) = named(segment(other), "sum of shared")
        assert summed.num_bytes == 6 * 4096 * 7168
    none = size_of("precision.recipe=bf16", "model.moe.num_shared_experts=0")
    assert not named(moe_forward(none), "sum of shared")


def test_shared_experts_are_split_over_tensor_parallel_ranks():
    whole, split = (
        named(moe_forward(size_of(f"plan.tp={tp}")), "shared expert up")[0]
        for tp in (1, 2)
    )
    assert (split.m, split.n, split.k) == (whole.m, whole.n // 2, whole.k)


def test_split_projections_multiply_as_much_and_sum_their_gradients():
    def dense(flag):
        made = load_scenario(
            "llama-3.1-405b",
            (
                f"software.kernels.fused_projections={flag}",
                "plan.tp=1",
                "plan.pp=1",
                "phases.0.global_batch_size=16384",
            ),
        )
        return sizes(made, 4096)

    joint, apart = dense("true"), dense("false")
    flop = [
        sum(kernel.flop for kernel in input_gradient(size, 0))
        for size in (joint, apart)
    ]
    assert flop[0] == pytest.approx(flop[1])
    assert not named(input_gradient(joint, 0), "sum of input gradients")
    assert named(input_gradient(apart, 0), "sum of input gradients")
