"""Model FLOP of every architecture kind against closed forms."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loops import each

from estimator import estimate
from estimator.answer.step_model import StepModel
from estimator.answer.walk import Walk
from estimator.catalog import kinds, loading
from estimator.catalog.loading import load_scenario
from estimator.costs.flop import (
    flop_per_token,
    mean_span,
    mixing_flop,
    mtp_flop_per_token,
)
from estimator.costs.formats import FORMATS
from estimator.costs.params import params
from estimator.costs.rates import Layer, half_precision
from estimator.ground.errors import InfeasibleError
from estimator.specs.hardware import PEAK_OF
from estimator.specs.model import LocalAttention


def load(name):
    return loading.load("model", name)


def seen(kind, window, query, key):
    if kind == "sliding":
        return query - key < window
    return query // window == key // window


@given(
    kind=st.sampled_from(["sliding", "chunked"]),
    window=st.integers(1, 40),
    seq_len=st.integers(1, 60),
)
def test_a_causal_mean_span_counts_the_mask_to_within_half_a_token(
    kind, window, seq_len
):
    # counting S / 2 for (S + 1) / 2 leaves out half of each token's look at itself
    pairs = sum(
        seen(kind, window, query, key)
        for query in range(seq_len)
        for key in range(query + 1)
    )
    local = LocalAttention(kind=kind, window=window)
    span = mean_span(seq_len, local, is_causal=True)
    assert 0 < pairs / seq_len - span <= 0.5 + 1e-9


@given(window=st.integers(1, 40), seq_len=st.integers(1, 60))
def test_a_chunk_without_a_mask_is_seen_whole(window, seq_len):
    pairs = sum(
        seen("chunked", window, query, key)
        for query in range(seq_len)
        for key in range(seq_len)
    )
    local = LocalAttention(kind="chunked", window=window)
    assert mean_span(seq_len, local, is_causal=False) == pytest.approx(pairs / seq_len)


@pytest.mark.parametrize("kind", ["sliding", "chunked"])
@pytest.mark.parametrize("is_causal", [True, False])
def test_a_window_wider_than_the_sequence_changes_nothing(kind, is_causal):
    local = LocalAttention(kind=kind, window=4096)
    for seq_len in (1, 4095, 4096):
        assert mean_span(seq_len, local, is_causal=is_causal) == mean_span(
            seq_len, None, is_causal=is_causal
        )


def test_deepseek_v3_costs_250_gflop_a_token():
    # 249.8 causal and 280.5 with full attention: arXiv 2505.09343, tables 2 and 4
    model = load("deepseek-v3")
    assert round(flop_per_token(model, 4096) / 1e9, 4) == 249.8113
    assert round(flop_per_token(model, 4096, is_causal=False) / 1e9, 4) == 280.5136


def test_a_dense_model_costs_six_flop_a_weight_and_its_attention():
    model = load("llama-3-8b")
    norms = (2 * model.num_layers + 1) * model.hidden_size
    weights = params(model).total - params(model).embedding - norms
    attention = (
        12 * model.num_layers * model.hidden_size * 8192
    )  # 12 L h s, PaLM app. B
    assert flop_per_token(model, 8192, is_causal=False) == 6 * weights + attention
    assert flop_per_token(model, 8192) == 6 * weights + attention / 2


def test_korthikanti_s_formula_holds_for_gpt3():
    # 72 L h^2 (1 + s / 6h + V / 12hL) a token, arXiv 2205.05198, appendix A
    model = load("gpt3-175b")
    layers, h, s, v = model.num_layers, model.hidden_size, 2048, model.vocab_size
    closed = 72 * layers * h**2 * (1 + s / (6 * h) + v / (12 * h * layers))
    assert flop_per_token(model, s, is_causal=False) == pytest.approx(closed)


def test_mistral_costs_less_than_full_attention_only_beyond_its_window():
    model, full = load("mistral-7b"), load("llama-3-8b")
    for seq_len, is_local in ((4096, False), (32768, True)):
        ours = mixing_flop(model, 0, seq_len, is_causal=True)
        theirs = mixing_flop(full, 0, seq_len, is_causal=True)
        assert (ours < theirs) == is_local


@pytest.mark.parametrize(
    ("name", "num_global"),
    [
        ("mistral-7b", 0),
        ("gpt-oss-120b", 18),
        ("gemma-2-27b", 23),
        ("gemma-3-27b", 10),
        ("llama-4-maverick", 12),
    ],
)
def test_global_layers_are_where_the_papers_put_them(name, num_global):
    model, seq_len = load(name), 131072
    spans = [model.attention_span(layer, seq_len) for layer in range(model.num_layers)]
    window = model.attention.local.window
    assert set(spans) <= {window, seq_len}
    assert spans.count(seq_len) == num_global
    assert spans[0] == window


def test_a_hybrid_s_mixers_grow_with_the_sequence_in_attention_layers_only():
    model = load("nemotron-h-8b")
    for layer, kind in enumerate(model.layer_kinds):
        short, long = (
            mixing_flop(model, layer, seq_len, is_causal=True)
            for seq_len in (8192, 16384)
        )
        assert long == (2 * short if kind == "attention" else short)
        assert (model.attention_span(layer, 8192) > 0) == (kind == "attention")


def test_nemotron_h_counts_what_megatron_lm_counts():
    # hybrid_flops in Megatron-LM, megatron/training/training.py
    model, s = load("nemotron-h-8b"), 8192
    h, heads, state, groups = 4096, 128, 128, 8
    inner = heads * 64
    mamba = 2 * h * (2 * inner + 2 * groups * state + heads) + 7 * inner * state
    mamba += 2 * inner * h
    attention = 4 * h * (h + h * 8 / 32) + 2 * s * h
    mlp = 4 * 21504 * h
    forward = 24 * mamba + 4 * attention + 24 * mlp + 2 * h * model.vocab_size
    assert flop_per_token(model, s) == pytest.approx(3 * forward)


def test_shared_experts_cost_their_own_width():
    model = load("nemotron-3-nano-30b-a3b")
    alone = replace(model, moe=replace(model.moe, num_shared_experts=0))
    shared = 2 * model.hidden_size * 3712 * model.layer_kinds.count("experts")
    assert flop_per_token(model, 4096) - flop_per_token(alone, 4096) == 6 * shared


def test_mtp_adds_a_layer_a_projection_and_a_head():
    model = load("deepseek-v3")
    h = model.hidden_size
    layer = (
        187_107_328 + 9 * 44_040_192
    )  # projections, eight experts and the shared one
    scores = 2 * 2048 * 128 * 320
    closed = 6 * (layer + 2 * h * h + model.vocab_size * h) + 3 * scores
    assert mtp_flop_per_token(model, 4096) == pytest.approx(closed, rel=1e-5)
    assert mtp_flop_per_token(load("kimi-k2"), 4096) == 0


def test_a_sequence_has_at_least_one_token():
    with pytest.raises(ValueError, match="seq_len must be positive, got 0"):
        flop_per_token(load("llama-3-8b"), 0)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["forward-only", "zb-h1"])
def test_flop_counted_are_those_that_the_program_executes(schedule):
    scenario = load_scenario(
        "deepseek-v3", [f"plan.schedule={schedule}", "recompute=none"]
    )
    step = estimate(scenario, has_range=False, is_played=False).step
    passes = 1 if schedule == "forward-only" else 3
    whole = flop_per_token(scenario.model, 4096, is_causal=True) / 3
    each = step.tflop_per_s_per_gpu * 1e12 / step.tokens_per_s_per_gpu
    assert each == pytest.approx(passes * whole)
    assert step.mfu < step.mfu_noncausal < 1
    assert step.mfu < step.hfu < 1
    assert Walk(scenario).answer().mfu == pytest.approx(step.mfu)


def test_nothing_is_reduced_or_updated_where_nothing_runs_backward():
    step = estimate("deepseek-v3", ["plan.schedule=forward-only"]).step
    assert not step.optimizer_parts
    assert step.step_s == pytest.approx(sum(step.parts.values()))


MODELS = ("llama-3-8b", "qwen3-30b-a3b", "nemotron-h-8b")
HELD = (
    "plan={pp: 1, tp: 1, ep: 1, zero: 3, schedule: 1f1b, micro_batch_size: 4}",
    "cluster.num_gpus=8",
    "phases.0.global_batch_size=32",
    "recompute=none",
)


@pytest.fixture(scope="module")
def held():
    return [load_scenario("deepseek-v3", [f"model={name}", *HELD]) for name in MODELS]


@pytest.mark.slow
@each("gpu", kinds.names("gpu"))
def test_no_rate_of_flop_is_above_the_peak_of_its_formats(gpu, held):
    part, tried = loading.load("gpu", gpu), 0
    for recipe, base in itertools.product(FORMATS, held):
        node = replace(base.cluster.node, gpu=part)
        scenario = replace(
            base,
            cluster=replace(base.cluster, node=node),
            precision=replace(base.precision, recipe=recipe),
        )
        ripe = replace(
            scenario, software=scenario.software.having({"kernels.maturity": 2.0})
        )
        try:
            model = StepModel(scenario, 4096)
            count = model.num_microbatches(32)
            fastest_s = min(
                model.step_s(count, Layer.SPECIFICATION),
                StepModel(ripe, 4096).step_s(count),
            )
        except InfeasibleError:
            continue  # no rate of this format in its file
        half = part.peak_flop_per_s[half_precision(part)]
        narrow = FORMATS[recipe].dtype
        peak = max(half, part.peak_flop_per_s.get(PEAK_OF.get(narrow, narrow), 0.0))
        flop = model.flop_per_token() * 32 * 4096 / 8
        assert flop / fastest_s < peak, (gpu, recipe, scenario.model.name)
        tried += 1
    assert tried or gpu.startswith("apple")
