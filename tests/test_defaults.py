"""Constants that parts share: each beside the measurement or the equation it is from.

A value that is halved or doubled fails here.
"""

from dataclasses import replace

import pytest

from estimator.answer.step_model import StepModel
from estimator.answer.training import memory_report
from estimator.catalog.loading import load, load_scenario
from estimator.costs.all_to_all import (
    ExpertRanks,
    Sent,
    all_to_all,
    spread,
    wait_of_exchange_s,
)
from estimator.costs.attention import attention_s
from estimator.costs.collectives import Group, collective
from estimator.costs.groups import nic_bytes_per_s, ring_bytes_per_s
from estimator.costs.rates import Layer, device, links
from estimator.specs.base import constants
from estimator.specs.defaults import default
from estimator.specs.hardware import Size
from estimator.specs.paths import hint_at, is_rate
from estimator.workload import attention
from estimator.workload.memory import fixed_bytes
from estimator.workload.work import sizes

GIB = 2**30
CLUSTER = load_scenario("deepseek-v3").cluster
WAYS = links(CLUSTER, Layer.IN_SITU, is_overlapped=True)


def test_the_wait_of_the_trace_is_predicted_for_what_it_exchanged():
    # deepseek-ai/profile-data train.json, EP64: 2.04 ms in the mean of both ways, where
    # each token goes to 4 nodes, 7/8 of them another one
    made = all_to_all(
        WAYS,
        Sent(
            num_tokens=4096,
            hidden_size=7168,
            experts_per_token=8,
            dispatch_bytes=1 + 4 / 128,
            combine_bytes=2,
        ),
        ExpertRanks(64, 8, replace(spread(256, 8, 8, 64, 8, 4), nodes=4.0)),
    )
    waits_s = made.dispatch_wait_s, made.combine_wait_s
    assert sum(waits_s) / 2 == pytest.approx(2.04e-3, rel=0.02)


def test_few_nodes_wait_for_three_per_cent_of_an_exchange():
    # DeepEP alone on H100s, over the trace's 0.41 on eight nodes
    two_s, four_s, eight_s = (wait_of_exchange_s(WAYS, 1e8, n) for n in (2, 4, 8))
    assert two_s == four_s
    assert four_s / eight_s == pytest.approx(0.03 / 0.41, rel=0.15)


def test_a_collective_takes_fifteen_per_cent_of_an_h100():
    # NVIDIA/nccl, issue 1432
    rates = device(load("gpu", "h100-sxm"), Layer.IN_SITU)
    assert rates.comm_sms / rates.num_sms == pytest.approx(0.15, rel=0.05)


def test_a_plan_that_says_how_many_sms_communicate_is_believed():
    for asked, expected in (("null", 20), ("4", 4)):
        scenario = load_scenario(
            "gpt3-175b", [f"software.experts.num_comm_sms={asked}"]
        )
        assert StepModel(scenario, 2048).chunks().timing.num_comm_sms == expected


def test_a_context_is_what_an_h100_held_before_its_first_exchange():
    # NVIDIA/nccl, issue 1685, without what PyTorch holds
    held = load("gpu", "h100-sxm").context_bytes
    assert held.value == pytest.approx(1.06e9, rel=0.1)
    assert held.low < 1.06e9 < held.high


def test_buffers_are_those_of_two_or_three_groups():
    # NVIDIA/nccl, issue 964: of two A100s, of more; issue 1685: an H100's all-to-all
    pair, larger, exchange = 544e6, 688e6, 4.34e9 - 1.06e9
    held = load("node", "hgx-h100").collectives.buffer_bytes
    assert 2 * pair < held.value < 3 * larger
    assert held.low <= pair < exchange < held.high


def test_headroom_is_what_else_was_left_of_an_h100_out_of_memory():
    # NVIDIA-NeMo/Automodel, pull request 2673: 73.15 of 79.11 GiB were allocated
    left = (79.11 - 73.15) * GIB - fixed_bytes(load("node", "hgx-h100"))
    headroom = load_scenario("deepseek-v3").memory_headroom.value
    assert headroom * 79.11 * GIB == pytest.approx(left, rel=0.1)


def test_what_a_gpu_holds_whatever_it_computes_adds_to_its_peak():
    def peak(*overrides):
        scenario = load_scenario("deepseek-v3", overrides)
        return memory_report(StepModel(scenario, 4096), 15360).peak_bytes

    for path in ("gpu.context_bytes", "collectives.buffer_bytes"):
        two, three = (peak(f"cluster.node.{path}={size} GB") for size in (2, 3))
        assert three - two == pytest.approx(1e9)


def test_memory_follows_what_a_gpu_holds_so_it_is_no_rate_of_a_sweep():
    hints = {
        path: hint_at(path, {})
        for path in ("cluster.node.gpu.context_bytes", "cluster.node.collectives.tree")
    }
    assert [is_rate(path, hint) for path, hint in hints.items()] == [False, True]


@pytest.mark.parametrize(
    ("name", "factor", "share"),
    [("all_reduce/tree", 2, 0.92), ("all_gather/pat", 31 / 32, 0.75)],
)
def test_trees_reach_the_share_of_the_wire_that_nccl_plans_with(name, factor, share):
    # NCCL src/graph/tuning.cc: 0.92 of a ring's, three quarters of a NIC's
    members = Group(32, 1, 256) if "pat" in name else Group(256, 8, 256)
    wire = (nic_bytes_per_s if "pat" in name else ring_bytes_per_s)(members, WAYS)
    one_s, two_s = (collective[name](n, members, WAYS) for n in (1e12, 2e12))
    assert two_s - one_s == pytest.approx(factor * 1e12 / (share * wire), rel=1e-3)
    kind = name.partition("/")[2]
    for times in (0.5, 2):  # of a share that no file may give, too
        ways = replace(WAYS, **{kind: times * share})
        one_s, two_s = (collective[name](n, members, ways) for n in (1e12, 2e12))
        expected_s = factor * 1e12 / (times * share * wire)
        assert two_s - one_s == pytest.approx(expected_s, rel=1e-3)


def test_a_fused_softmax_lasts_6_5_ps_a_score_on_an_a100():
    # EleutherAI/cookbook, commit e6b8f2b, transformer_data, A100 of 40 GB
    rates = device(load("gpu", "a100-sxm-40"), Layer.ACHIEVABLE)
    patches = ["software.kernels.attention=unfused", "software.defaults.dropout=false"]
    size = sizes(load_scenario("gpt3-175b", patches), 2048)
    made = next(
        k for k in attention.core(size, 0, is_backward=False) if "softmax" in k.name
    )
    scores = size.heads * size.plan.micro_batch_size * 2048**2
    seconds = made.seconds(rates, rates.num_sms) - made.num_kernels * rates.launch_s
    assert seconds / scores == pytest.approx(6.5e-12, rel=0.03)


def test_without_a_mask_three_tenths_of_attentions_loss_are_left():
    # mean of an H200's, a GB200's and a GB300's, forward and backward: cudnn-frontend
    left = (0.27 + 0.33 + 0.37 + 0.36 + 0.25 + 0.47) / 6
    rates = device(load("gpu", "h200-sxm"), Layer.ACHIEVABLE)
    free_s = 1e12 / rates.attention_forward_flop_per_s + rates.launch_s
    full_s, masked_s = (
        attention_s(rates, 1e12, 4096, is_full=flag) - free_s for flag in (True, False)
    )
    assert full_s / masked_s == pytest.approx(left, rel=0.2)


def test_a_piece_of_a_list_takes_the_host_half_a_linear_layer():
    # 13 of 26 us: flagos-ai/Torch-FL, pull request 27; PyTorch's operator benchmarks
    assert load("node", "hgx-a100").piece_calls.value == pytest.approx(13 / 26, rel=0.1)


def test_a_constant_that_a_file_leaves_out_is_set_like_any_other():
    path = "cluster.node.gpu.in_situ.few_nodes_skew"
    for written in (path, f"{path}.value"):
        found = dict(constants(load_scenario("deepseek-v3", [f"{written}=0.1"])))
        assert found[path].value == 0.1
        assert found[path].status == "set"
    assert default(Size, "gpu.context_bytes").status == "assumed"
