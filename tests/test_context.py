"""What context parallelism costs: shorter kernels, merges, exchanges that show."""

from dataclasses import replace

import pytest

from estimator.answer.step_model import StepModel
from estimator.catalog.loading import load, load_scenario
from estimator.costs.attention import attention_flop, attention_s
from estimator.costs.rates import Layer, device
from estimator.specs.model import LocalAttention
from estimator.workload import attention
from estimator.workload.work import AttentionCore, sizes

DEGREES = (1, 2, 4, 8)
ONE_NODE = (
    "cluster.num_gpus=8",
    "plan.tp=1",
    "plan.pp=1",
    "plan.ep=1",
    "plan.stages_per_rank=1",
    "plan.schedule=1f1b",
    "plan.stage_layout=even",
    "phases.0.global_batch_size=64",
    "recompute=none",
)


def made(*overrides):
    plain = ["model=llama-3-8b", "software=megatron-core-2024-11", *ONE_NODE]
    return load_scenario("llama-3.1-405b", [*plain, *overrides])


def kernels(scenario, seq_len, *, is_backward):
    size = sizes(scenario, seq_len)
    return size, attention.core(size, 0, is_backward=is_backward)


def over_ideal(cp, seq_len, *overrides):
    """Return the seconds of attention, merges and all, over FLOP at the peak."""
    scenario = made(f"plan.cp={cp}", *overrides)
    gpu = scenario.cluster.node.gpu
    spent = flop = 0.0
    for is_backward in (False, True):
        _, parts = kernels(scenario, seq_len, is_backward=is_backward)
        rates = device(gpu, Layer.IN_SITU)
        spent += sum(part.seconds(rates, rates.num_sms) for part in parts)
        flop += sum(part.flop for part in parts)
    return spent * gpu.peak_flop_per_s["bf16"] / flop


@pytest.mark.slow
@pytest.mark.parametrize("exchange", ["ring", "all-gather"])
def test_time_over_the_ideal_grows_with_ranks_and_falls_with_length(exchange):
    how = f"software.communication.context_exchange={exchange}"
    short, long = (
        [over_ideal(cp, seq_len, how) for cp in DEGREES] for seq_len in (8192, 131072)
    )
    for column in (short, long):
        assert column == sorted(column)
        assert len(set(column)) == len(DEGREES)
    assert all(there < here for here, there in zip(short, long, strict=True))
    assert short[3] / short[0] - 1 > 4 * (long[3] / long[0] - 1)


@pytest.mark.parametrize("seq_len", [8192, 131072])
def test_attention_kernels_alone_take_longer_on_more_ranks(seq_len):
    def attention_s_of(cp):
        work = StepModel(made(f"plan.cp={cp}", f"plan.micro_batch_size={cp}"), seq_len)
        return work.chunks().busy_by_cause("F", 0)["attention"]

    spent = [attention_s_of(cp) for cp in DEGREES]
    assert spent == sorted(set(spent))


def test_ranks_do_the_same_flop_in_more_kernels():
    for is_backward in (False, True):
        _, whole = kernels(made(), 8192, is_backward=is_backward)
        for exchange, num_kernels in (("ring", 4), ("all-gather", 2)):
            given = ("plan.cp=4", f"software.communication.context_exchange={exchange}")
            _, parts = kernels(made(*given), 8192, is_backward=is_backward)
            cores = [part for part in parts if isinstance(part, AttentionCore)]
            assert len(cores) == num_kernels
            assert 4 * sum(core.flop for core in cores) == pytest.approx(whole[0].flop)


def test_a_window_reaches_the_nearest_ranks_only():
    known = made("plan.cp=8")
    local = LocalAttention(kind="sliding", window=1024)
    mixer = replace(known.model.attention, local=local)
    given = replace(known, model=replace(known.model, attention=mixer))
    for seq_len, num_kernels in ((65536, 2), (4096, 3)):
        _, parts = kernels(given, seq_len, is_backward=False)
        cores = [part for part in parts if isinstance(part, AttentionCore)]
        assert len(cores) == num_kernels


def test_a_ring_hides_its_exchange_until_chunks_are_short():
    def exposed_s(seq_len, *overrides):
        work = StepModel(made("plan.cp=8", *overrides), seq_len).chunks()
        return work.busy_by_cause("F", 0).get("exposed context", 0.0)

    slow = "cluster.node.nvlink_bytes_per_s=60 GB/s"
    assert exposed_s(131072) == 0
    assert exposed_s(131072, slow) == 0
    assert exposed_s(2048, slow) > 0
    for way in ("context_exchange=all-gather", "context=false"):
        assert exposed_s(131072, f"software.communication.{way}") > 0


def test_sums_in_fp32_move_more_and_eager_ones_most():
    def merged_s(*overrides):
        scenario = made("plan.cp=4", *overrides)
        rates = device(scenario.cluster.node.gpu, Layer.IN_SITU)
        return [
            kernels(scenario, 8192, is_backward=way)[1][-1].seconds(rates, 132)
            for way in (False, True)
        ]

    single = "software.communication.context_sums=fp32"
    costs = zip(
        merged_s(),
        merged_s(single),
        merged_s(single, "software.kernels.fused_norms=false"),
        strict=True,
    )
    for halves, compiled, eager in costs:
        assert halves < compiled < eager


@pytest.mark.parametrize(
    ("seq_len", "is_backward", "gain"),
    [
        (4096, False, 671 / 591),
        (16384, False, 702 / 673),
        (4096, True, 560 / 474),
        (16384, True, 612 / 579),
    ],
)
def test_attention_without_a_mask_loses_less_as_measured(seq_len, is_backward, gain):
    # cuDNN on an H200, 64 heads of width 128: NVIDIA/cudnn-frontend, commit 3929da2
    h200 = device(load("gpu", "h200-sxm"), Layer.ACHIEVABLE)
    flop, rows = attention_flop(1, seq_len, 64, 128, 128), 64 * seq_len
    masked = attention_s(h200, flop, seq_len, rows, is_backward=is_backward)
    full = attention_s(h200, flop, seq_len, rows, is_backward=is_backward, is_full=True)
    assert masked / full == pytest.approx(gain, rel=0.06)
