"""Hosts that check collectives first, buckets of whole weights, nanotron's pipelines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.answer.step_model import StepModel
from estimator.catalog.loading import load, load_scenario
from estimator.catalog.records.pipelines import weighed_layout
from estimator.costs.collectives import all_gather_s, group
from estimator.costs.rates import Layer, links
from estimator.engine.operations import Stream
from estimator.ground.errors import InfeasibleError, InputError
from estimator.specs.hardware import Cluster
from estimator.specs.layout import check_layout, parse_layout
from estimator.workload.buckets import buckets, num_buckets

FLAT = ("plan.pp=1", "plan.schedule=1f1b", "plan.stages_per_rank=1")
NODE = (
    "model=llama-3-8b",
    "cluster.node=hgx-h100",
    "cluster.num_gpus=64",
    "price=h100-cudo-2025-03",
    *FLAT,
    "plan.tp=8",
    "recompute=none",
    "phases.0.global_batch_size=64",
)
CHECKED = "software.communication.checks_collectives=true"


def model(*overrides, seq_len=2048):
    return StepModel(load_scenario("gpt3-175b", (*NODE, *overrides)), seq_len)


def test_a_small_chunk_lasts_as_long_as_the_checks_of_its_collectives():
    made = model(CHECKED, seq_len=64).chunks()
    operations = made.operations("F", 0)
    launched = sum(step.num_kernels for step in operations) * made.host.dispatch_s
    ranks = sum(step.num_checked for step in operations)
    layers, of_a_layer, of_the_ends = 32, 4, 5
    assert ranks == 8 * (layers * of_a_layer + of_the_ends)
    expected_s = launched + ranks * made.host.check_s
    assert made.seconds("F", 0) == pytest.approx(expected_s)


def test_a_chunk_of_large_kernels_hides_the_checks():
    sizes = ("plan.micro_batch_size=8", "phases.0.global_batch_size=512")
    plain, checks = (model(*sizes, *more, seq_len=8192) for more in ((), (CHECKED,)))
    assert checks.chunks().seconds("B", 0) == plain.chunks().seconds("B", 0)


def test_captured_graphs_check_nothing():
    made = model(CHECKED, "software.kernels.launch=graph", seq_len=64).chunks()
    assert not any(step.stream is Stream.LAUNCH for step in made.operations("F", 0))


def test_checks_of_a_step_grow_with_its_ranks():
    few, many = (
        model(CHECKED, f"cluster.num_gpus={n}", "phases.0.global_batch_size=512")
        for n in (64, 512)
    )
    name = "checks of other collectives"
    ranks = [64 + 8 + 8, 512 + 64 + 8]  # a barrier, the loss, the gradients' norm
    for made, each in zip((few, many), ranks, strict=True):
        check_s = made.chunks().host.check_s
        assert made.optimizer_parts()[name] == pytest.approx(each * check_s)
    assert name not in model().optimizer_parts()


def test_buckets_that_are_checked_lengthen_a_step_that_the_host_sets_the_pace_of():
    hidden = ("plan.zero=0", "software.gradients.overlaps_reduction=true", CHECKED)
    few, many = (
        model(*hidden, f"software.gradients.bucket_size={n}")
        for n in (2 * 10**7, 10**6)
    )
    name = "all-reduce of shared gradients"
    added_s = many.optimizer_parts()[name] - few.optimizer_parts()[name]
    parts = [element for stage in few.chunks().stages for element in stage]
    more = buckets(many.scenario, parts).shared - buckets(few.scenario, parts).shared
    assert more > 30
    assert added_s == pytest.approx(more * 8 * few.chunks().host.check_s)


def test_a_node_that_nobody_measured_checks_on_says_so():
    made = model(CHECKED, "cluster.node=hgx-a100", "price=a100-80-oracle-2025-03")
    with pytest.raises(InfeasibleError, match="check_s") as error:
        made.chunks()
    assert error.value.fix == "software.communication.checks_collectives: false"


@given(
    st.lists(st.integers(1, 50), max_size=60),
    st.integers(1, 100),
)
def test_a_bucket_is_closed_by_the_weight_that_fills_it(sizes, limit):
    count = num_buckets(sizes, limit)
    assert count <= min(len(sizes), -(-sum(sizes) // limit))
    assert bool(count) == bool(sizes)
    if sizes:
        assert count >= sum(sizes) / (limit + max(sizes))


def test_buckets_hold_whole_weights():
    made = model("plan.tp=1", "software.gradients.bucket_size=1")
    parts = [element for stage in made.chunks().stages for element in stage]
    layers, each, ends = 32, 4, 2
    assert buckets(made.scenario, parts).shared == layers * each + ends
    assert buckets(model().scenario, parts) == (1, 1)


def test_the_second_product_of_a_gated_block_is_a_third_of_its_weights():
    # one and a half of the second product: alone it leaves a bucket open, which the
    # first product closes, or closes what attention's weights have begun
    h, ffn, layers = 4096, 14336, 32
    made = model("plan.tp=1", f"software.gradients.bucket_size={int(1.5 * h * ffn)}")
    assert made.scenario.model.mlp.ffn_hidden_size == ffn
    parts = [element for stage in made.chunks().stages for element in stage]
    head, embedding = 1, 1
    assert buckets(made.scenario, parts).shared == head + 2 * layers - 1 + embedding


def test_gradients_reduced_whole_travel_twice_as_far():
    far, near = (
        model("plan.zero=1", f"software.gradients.reduction={name}")
        for name in ("all-reduce", "reduce-scatter")
    )
    whole_s = far.optimizer_parts()["all-reduce of shared gradients"]
    part_s = near.optimizer_parts()["reduce-scatter of shared gradients"]
    assert part_s < whole_s < 2.5 * part_s


def test_copies_into_buckets_and_back_move_eight_bytes_a_weight():
    made = model("plan.zero=0", "software.gradients.passes=[bucket]")
    rate = made.chunks().timing.device.hbm_bytes_per_s
    count = 8.03e9 / 8
    seconds = made.optimizer_parts()["bucket gradients"]
    assert seconds == pytest.approx(8 * count / rate, rel=0.01)


def test_copies_around_attention_cost_their_traffic():
    plain, copied = (
        model(f"software.kernels.attention_copies={n}", seq_len=32768).chunks()
        for n in (0, 7)
    )
    longer_s = copied.seconds("F", 0) - plain.seconds("F", 0)
    moved = 32 * 7 * 4 * 32768 * 4096 / 8
    expected_s = moved / plain.timing.device.plain_bytes_per_s
    assert longer_s == pytest.approx(expected_s + 32 * 7 * plain.timing.device.launch_s)


@given(
    st.integers(1, 130),
    st.integers(1, 1000),
    st.integers(0, 5000),
    st.integers(1, 32),
)
def test_stages_cut_by_weight_hold_the_model_once(layers, layer, head, stages):
    made = parse_layout(weighed_layout(layers, layer, head, stages))
    assert len(made) == stages
    check_layout(made, layers, 0)
    share = (layers * layer + head) / stages
    assert all(stage.count("t") * layer < share + layer + 1e-6 for stage in made)


def test_a_stage_may_be_empty_where_a_layout_says_so():
    layout = "plan.stage_layout=Et*16|t*16||L"
    four = ("plan.pp=4", "plan.tp=2", "phases.0.global_batch_size=128")
    made = model(*four, layout)
    chunks = made.chunks()
    assert chunks.seconds("F", 2) == chunks.seconds("B", 2) == 0.0
    assert made.step_s(16) > 0


@pytest.mark.parametrize("text", ["maybe", "2", "[true]"])
def test_a_wrong_choice_of_checks_is_one_message(text):
    with pytest.raises(InputError) as error:
        load_scenario(
            "gpt3-175b", (*NODE, f"software.communication.checks_collectives={text}")
        )
    assert "checks_collectives" in str(error.value)


def test_gathers_between_p5_nodes_stay_below_their_adapters():
    # 3,200 Gbit/s a node, and every node more is a step more of the ring
    node, fabric = load("node", "hgx-h100"), load("fabric", "efa-v2-3200")
    rates = []
    for count in (16, 32, 64, 128, 256, 512):
        cluster = Cluster(node=node, fabric=fabric, num_gpus=count)
        ways = links(cluster, Layer.IN_SITU, is_overlapped=False)
        made_s = all_gather_s(2**30, group(count, 1, 8), ways)
        rates.append((count - 1) / count * 2**30 / made_s)
    assert rates[0] < 3200e9 / 8
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 3200e9 / 8 / 10
