"""Waits that a framework makes: for the host, and for sends between stages."""

from dataclasses import replace

import pytest

from estimator.answer.api import estimate
from estimator.answer.step_model import StepModel
from estimator.catalog.loading import load_scenario
from estimator.engine.operations import Stream
from estimator.workload.host import NO_HOST

ONE_NODE = (
    "model=gpt2-1.5b",
    "cluster.num_gpus=8",
    "plan.tp=1",
    "plan.pp=1",
    "plan.schedule=1f1b",
    "plan.stages_per_rank=1",
    "recompute=none",
    "phases.0.global_batch_size=64",
)


FOURS = ("plan.micro_batch_size=4",)
"""Heads times sequences that Megatron-LM's softmax takes."""


def scenario(*overrides):
    return load_scenario("gpt3-175b", (*ONE_NODE, *overrides))


def work(seq_len, *overrides):
    return StepModel(scenario(*overrides), seq_len).chunks()


def test_a_chunk_of_small_kernels_lasts_as_long_as_the_host_needs_for_them():
    small = work(256)
    launched = sum(step.num_kernels for step in small.operations("F", 0))
    assert small.seconds("F", 0) == pytest.approx(launched * small.host.dispatch_s)


def test_a_chunk_of_large_kernels_does_not_wait_for_the_host():
    large = work(8192)
    free = replace(large, host=NO_HOST)
    assert large.seconds("F", 0) == free.seconds("F", 0)


def test_a_captured_graph_needs_no_host():
    free = work(256, "software.kernels.launch=graph")
    assert not any(step.stream is Stream.LAUNCH for step in free.operations("F", 0))
    assert free.seconds("F", 0) < work(256).seconds("F", 0)


def test_blocking_launches_add_the_time_of_the_host_to_that_of_the_gpu():
    host, graph = work(256).seconds("F", 0), work(256, "software.kernels.launch=graph")
    blocking = work(256, "software.kernels.launch=blocking")
    assert blocking.seconds("F", 0) == pytest.approx(graph.seconds("F", 0) + host)


def test_time_in_which_the_gpu_waits_for_the_host_is_a_cause_of_its_own():
    step = estimate(scenario("phases.0.seq_len=256"), has_range=False).step
    assert step.parts["host launches"] > 0
    assert sum(step.parts.values()) == pytest.approx(step.step_s)


def test_norms_operation_by_operation_take_longer_than_fused_ones():
    eager = work(2048, "software.kernels.fused_norms=false")
    for op in "FB":
        assert eager.seconds(op, 0) > work(2048).seconds(op, 0)


def test_every_second_product_again_lies_between_nothing_and_everything():
    none, some, full = (
        work(2048, f"recompute={what}").seconds("B", 0)
        for what in ("none", "[second_product]", "full")
    )
    assert none < some < full


def test_a_block_without_its_last_product_costs_less_than_a_whole_one():
    none, up, whole = (
        work(2048, f"recompute={what}").seconds("B", 0)
        for what in ("none", "[mlp_up]", "[mlp]")
    )
    assert none < up < whole


def test_a_compiler_drops_the_last_product_of_what_is_recomputed():
    def flop(*overrides):
        chunk = work(2048, "recompute=full", *overrides)
        return sum(step.flop for step in chunk.operations("B", 0))

    layers, hidden, tokens = 48, 1600, 2048
    last = 2 * tokens * hidden * 4 * hidden
    assert flop() - flop("software.kernels.launch=graph") == pytest.approx(
        layers * last
    )


def test_a_stage_that_waits_for_its_send_lasts_longer_by_the_send():
    split = ("plan.pp=4", "cluster.num_gpus=32")
    hidden = work(2048, *split)
    waiting = work(2048, *split, "software.communication.pipeline=false")
    send_s = hidden.seconds("SEND", 0, 1)
    assert waiting.seconds("SEND", 0, 1) == 0.0
    assert waiting.seconds("F", 1) == pytest.approx(hidden.seconds("F", 1) + send_s)
    assert waiting.seconds("F", 3) == hidden.seconds("F", 3)
    assert waiting.seconds("B", 0) == hidden.seconds("B", 0)


def test_a_larger_job_runs_at_the_pace_of_a_slower_unit():
    one, many = (
        work(
            2048,
            *FOURS,
            f"cluster.num_gpus={count}",
            f"phases.0.global_batch_size={4 * count}",
        )
        for count in (8, 1024)
    )
    slower = many.seconds("F", 0) / one.seconds("F", 0)
    assert 1.005 < slower < 1.04
    fixed = work(2048, *FOURS, "cluster.node.gpu.in_situ.clock_spread=0")
    assert fixed.seconds("F", 0) < one.seconds("F", 0)


def test_weights_gathered_in_pieces_cost_the_host_a_copy_for_each_rank():
    sharded = ("plan.zero=3", "software.kernels.launch=blocking")
    whole = work(2048, *sharded, "software.storage.shard_buffer=in-place")
    pieces = work(2048, *sharded, "software.storage.shard_buffer=pieces")
    layers, ranks = 48, 8
    calls = 0.5 * (layers * 4 + 2) * ranks
    longer_s = pieces.seconds("F", 0) - whole.seconds("F", 0)
    assert longer_s == pytest.approx(calls * whole.host.dispatch_s)


def test_gradients_added_apart_cost_their_traffic_and_spare_the_products():
    def spent(*overrides):
        parts = {}
        for step in work(2048, *overrides).operations("B", 0):
            for kind, seconds in step.parts:
                parts[kind] = parts.get(kind, 0.0) + seconds
        return parts

    fused, apart = spent(), spent("software.gradients.fused=false")
    assert apart["element-wise"] > fused["element-wise"]
    assert apart["gemm"] < fused["gemm"]
    assert sum(apart.values()) > sum(fused.values())


def test_what_is_recomputed_costs_the_host_its_random_states():
    def calls(op, *overrides):
        chunk = work(256, *FOURS, *overrides)
        return sum(step.num_kernels for step in chunk.operations(op, 0))

    layers, fused = 48, "software.kernels.attention=fused"
    # products, softmax and dropout apart, and 4 states around it
    assert calls("F") - calls("F", fused) == layers * (4 - 1 + 4)
    assert calls("B", "recompute=selective") - calls("B") == layers * (4 + 4 + 8)
    assert calls("B", fused, "recompute=[mlp]") > calls("B", fused) + 8 * layers
