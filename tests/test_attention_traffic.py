"""What attention moves beside its products, and how long its kernels last."""

from dataclasses import replace

import pytest

from estimator.answer.step_model import StepModel
from estimator.catalog.loading import load, load_scenario
from estimator.costs.attention import attention_s
from estimator.costs.rates import Layer, device
from estimator.workload import attention
from estimator.workload.memory import layer_activations
from estimator.workload.stages import elements
from estimator.workload.work import sizes

FLAT = (
    "plan.pp=1",
    "plan.schedule=1f1b",
    "plan.stages_per_rank=1",
    "recompute=none",
    "software.defaults.dropout=false",
)
UNFUSED = ("model=gpt2-1.5b", "cluster.num_gpus=8", "plan.tp=1", *FLAT)
GROUPED = (
    "model=llama-3-8b",
    "cluster.num_gpus=8",
    "plan.tp=1",
    "software.kernels.attention=fused",
    "software.kernels.library=transformer_engine",
    *FLAT,
)


def size_of(*overrides, base=UNFUSED, length=1024):
    return sizes(load_scenario("gpt3-175b", (*base, *overrides)), length)


def named(segment, name):
    return next(kernel for kernel in segment if kernel.name == name)


def per_score(size, *, is_backward=False):
    name = "softmax, dropout backward" if is_backward else "softmax, dropout"
    made = named(attention.core(size, 0, is_backward=is_backward), name)
    rows = size.heads * size.plan.micro_batch_size * size.seq_len
    return made.num_bytes / rows / size.seq_len


def test_heads_that_do_not_come_in_fours_leave_the_softmax_to_pytorch():
    fused, eager = (
        size_of("plan.micro_batch_size=4"),
        size_of("plan.micro_batch_size=1"),
    )
    assert fused.heads * 4 % 4 == 0
    assert eager.heads % 4 != 0
    assert (per_score(fused), per_score(fused, is_backward=True)) == (4, 6)
    # to FP32 6, scale 8, mask 8, softmax 8 (12 backward), to FP16 6
    assert (per_score(eager), per_score(eager, is_backward=True)) == (36, 40)


def test_a_softmax_of_several_kernels_keeps_its_result_in_fp32():
    stored = []
    for count in (1, 4):
        made = load_scenario("gpt3-175b", (*UNFUSED, f"plan.micro_batch_size={count}"))
        layer = elements(made, 1)[0][1]
        whole = layer_activations(sizes(made, 1024), layer).total
        stored.append(whole / count)
    heads = size_of().heads
    assert stored[0] - stored[1] == pytest.approx(2 * heads * 1024**2)


def test_slopes_are_written_to_the_scores_and_read_and_nothing_is_rotated():
    plain, slopes = (
        size_of(),
        size_of("model.has_alibi=true", "model.num_learned_positions=0"),
    )
    assert per_score(slopes) - per_score(plain) == 4
    assert per_score(slopes, is_backward=True) == per_score(plain, is_backward=True)
    rotated = size_of("model.num_learned_positions=0")
    name = "rotary"
    widths = 2 * plain.heads * plain.model.attention.head_dim
    more = named(attention.forward(rotated, 0), name).num_bytes
    more -= named(attention.forward(slopes, 0), name).num_bytes
    assert more == 4 * widths * plain.tokens


def test_copied_keys_and_values_are_read_once_and_written_for_each_head():
    plain = size_of(base=GROUPED)
    copied = size_of("software.kernels.repeats_kv=true", base=GROUPED)
    moved = 2 * (8 + 32) * (128 + 128) * plain.tokens
    for made, name in (
        (attention.forward, "rotary"),
        (attention.input_gradient, "rotary backward"),
    ):
        more = (
            named(made(copied, 0), name).num_bytes
            - named(made(plain, 0), name).num_bytes
        )
        assert more == moved


def test_copies_change_nothing_where_every_head_has_its_own():
    alike = [
        size_of(f"software.kernels.repeats_kv={choice}") for choice in ("true", "false")
    ]
    forward = [attention.forward(size, 0) for size in alike]
    assert forward[0] == forward[1]


def test_keys_wider_than_values_slow_a_b200s_backward_pass_only():
    b200 = device(load("gpu", "b200-sxm"), Layer.IN_SITU)
    flop, rows = 1e12, 4096 * 128
    both = [
        attention_s(b200, flop, 4096, rows, is_backward=back, is_wide=True)
        / attention_s(b200, flop, 4096, rows, is_backward=back)
        for back in (False, True)
    ]
    assert both[0] == 1
    assert both[1] == pytest.approx(1 / 0.85, rel=1e-3)


def test_what_nobody_measured_slows_nothing():
    h100 = device(load("gpu", "h100-sxm"), Layer.IN_SITU)
    assert h100.wide_attention_backward == 1
    assert h100.permutation_bytes_per_s == h100.elementwise_bytes_per_s
    unbound = replace(h100, attention_forward_most=float("inf"))
    assert attention_s(h100, 1e15, 131072) == attention_s(unbound, 1e15, 131072)


@pytest.mark.parametrize(
    ("heads", "is_backward", "measured_ms"),
    [(16, False, 63.26), (8, False, 31.19), (16, True, 189.2), (8, True, 94.6)],
)
def test_long_attention_on_a_b200_lasts_as_long_as_it_did(
    heads, is_backward, measured_ms
):
    # MooreThreads/SimuMax (commit 4dcaae5), b200_bf16_ceperm.json, 131,072 tokens
    b200 = device(load("gpu", "b200-sxm"), Layer.IN_SITU)
    flop = (2.5 if is_backward else 1) * 2 * 131072**2 * heads * 128
    made_s = attention_s(b200, flop, 131072, 131072 * heads, is_backward=is_backward)
    assert 1e3 * made_s == pytest.approx(measured_ms, rel=0.03)


def test_time_by_kind_adds_up_where_the_host_is_slow_and_sends_are_waited_for():
    given = (
        "plan.pp=2",
        "cluster.num_gpus=16",
        "software.communication.pipeline=false",
        "software.kernels.launch=queued",
        "phases.0.global_batch_size=64",
    )
    made = StepModel(load_scenario("gpt3-175b", (*UNFUSED, *given)), 128)
    work = made.chunks()
    for op in "FB":
        spent = work.busy_by_cause(op, 0)
        assert sum(spent.values()) == pytest.approx(work.seconds(op, 0))
    assert work.busy_by_cause("F", 0)["host launches"] > 0
