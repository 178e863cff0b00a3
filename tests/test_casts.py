"""What writing activations in 8 and 4 bits costs, by recipe and by GPU."""

import pytest
from loops import each

from estimator.catalog.kinds import names
from estimator.catalog.loading import load, load_scenario
from estimator.costs.formats import FORMATS
from estimator.costs.kernels import elementwise_s
from estimator.costs.rates import Layer, device
from estimator.workload import attention, feed_forward, mamba
from estimator.workload.work import sizes

TRAINING = [
    name
    for name in names("gpu")
    if {"bf16", "fp16"}.intersection(load("gpu", name).achievable.gemm)
]
BLACKWELL = ("b200-sxm", "b300-sxm", "gb200", "gb300")
FLAT = ("plan.pp=1", "plan.schedule=1f1b", "plan.stages_per_rank=1", "plan.tp=1")
DENSE = ("model=llama-3-8b", "cluster.num_gpus=8", "recompute=none", *FLAT)
HYBRID = ("model=nemotron-h-8b", "cluster.num_gpus=8", "recompute=none", *FLAT)
MOE = ("model=mixtral-8x7b", "cluster.num_gpus=8", "recompute=none", *FLAT, "plan.ep=8")


def rates(name, layer=Layer.IN_SITU):
    return device(load("gpu", name), layer)


def size_of(base, recipe):
    overrides = (
        "cluster.node=hgx-b200",
        "price=h100-cudo-2025-03",
        "software.kernels.library=transformer_engine",
        "software.defaults.dropout=false",
        f"precision.recipe={recipe}",
    )
    return sizes(load_scenario("gpt3-175b", (*base, *overrides)), 2048)


def cast_bytes(*segments):
    return sum(
        kernel.num_bytes
        for segment in segments
        for kernel in segment
        if getattr(kernel, "pattern", "") == "cast"
    )


def test_a_b200_casts_as_fast_as_transformer_engine_does():
    # ROCm/TransformerEngine, pull request 598: 8,192 x 8,192 in BF16, rows and columns
    moved = FORMATS["mxfp8"].cast * 8192**2
    b200 = rates("b200-sxm")
    made_s = elementwise_s(b200, moved, 1, "cast") - b200.launch_s
    assert made_s == pytest.approx(52.3e-6, rel=0.02)


@each("name", TRAINING)
def test_only_blackwell_casts_at_a_rate_of_its_own(name):
    known = rates(name)
    is_own = known.cast_bytes_per_s > known.elementwise_bytes_per_s
    assert is_own == (name in BLACKWELL)
    assert known.cast_bytes_per_s < known.hbm_bytes_per_s
    ideal = rates(name, Layer.SPECIFICATION)
    assert ideal.cast_bytes_per_s == ideal.hbm_bytes_per_s


@pytest.mark.parametrize("name", BLACKWELL)
def test_blackwell_parts_lend_each_other_what_one_was_measured_at(name):
    b200, other = load("gpu", "b200-sxm").achievable, load("gpu", name).achievable
    for share in ("cast", "permutation", "plain"):
        assert getattr(other, share).value == getattr(b200, share).value


def test_each_input_of_a_dense_layers_products_is_cast_once():
    size = size_of(DENSE, "mxfp8")
    h, width = size.model.hidden_size, size.model.mlp.ffn_hidden_size
    forward = cast_bytes(attention.forward(size, 0), feed_forward.dense_forward(size))
    inputs = h + h + h + width  # of qkv, out, gate and up, down
    assert forward == pytest.approx(size.format.cast * size.tokens * inputs)
    back = (attention.input_gradient(size, 0), feed_forward.dense_input(size))
    qkv = (size.heads + 2 * size.kv_heads) * size.model.attention.head_dim
    outputs = qkv + h + 2 * width + h
    assert cast_bytes(*back) == pytest.approx(size.format.cast * size.tokens * outputs)


@pytest.mark.parametrize("base", [DENSE, HYBRID, MOE])
def test_bf16_casts_nothing_and_moves_the_rest_alike(base):
    def layer(recipe):
        size = size_of(base, recipe)
        made = [attention.forward(size, 0), attention.input_gradient(size, 0)]
        if size.model.mamba:
            made += [mamba.forward(size), mamba.input_gradient(size)]
        if size.model.moe:
            made += [feed_forward.moe_forward(size), feed_forward.moe_input(size)]
        else:
            made += [feed_forward.dense_forward(size), feed_forward.dense_input(size)]
        return made

    def others(segments):
        return [
            kernel.num_bytes
            for segment in segments
            for kernel in segment
            if getattr(kernel, "pattern", "cast") != "cast"
        ]

    half, eighth = layer("bf16"), layer("mxfp8")
    assert cast_bytes(*half) == 0 < cast_bytes(*eighth)
    assert others(half) == others(eighth)


def test_nvfp4_reads_what_it_casts_twice_to_find_its_maxima():
    written = 2 * (0.5 + 1 / 16)
    assert FORMATS["nvfp4"].cast == 2 * 2 + written
    assert FORMATS["mxfp8"].cast == 2 + 2 * (1 + 1 / 32)
