"""Kernel formulas against micro-benchmarks and textbook forms."""

from dataclasses import replace
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.catalog.loading import load
from estimator.costs.attention import (
    attention_backward_flop,
    attention_flop,
    attention_s,
)
from estimator.costs.kernels import elementwise_s, gemm_s
from estimator.costs.rates import Layer, device

H800 = device(load("gpu", "h800-sxm"), Layer.ACHIEVABLE)
A100 = device(load("gpu", "a100-sxm-40"), Layer.ACHIEVABLE)
SPECIFIED = device(load("gpu", "h800-sxm"), Layer.SPECIFICATION)

# DeepGEMM, first README, H800: (groups, M per group, N, K) -> TFLOP/s
DEEPGEMM = {
    (1, 4096, 2112, 7168): 1058,
    (1, 4096, 24576, 1536): 990,
    (1, 4096, 32768, 512): 590,
    (1, 4096, 7168, 16384): 1358,
    (1, 4096, 4096, 7168): 1304,
    (1, 4096, 7168, 2048): 1025,
    (4, 8192, 4096, 7168): 1297,
    (4, 8192, 7168, 2048): 1099,
    (8, 4096, 4096, 7168): 1288,
    (8, 4096, 7168, 2048): 1093,
}

# EleutherAI/cookbook (commit e6b8f2b), sizing/results, FP16 on an A100: (groups, M, N,
# K) -> TFLOP/s; rows of 16 bytes, of an even and of an odd number of elements
ALIGNED = {
    (1, 8192, 51200, 14272): 253.7,
    (1, 8192, 51136, 14336): 255.4,
    (1, 8192, 36864, 12288): 252.2,
    (1, 4096, 4096, 4096): 249.1,
    (512, 2048, 2048, 104): 85.5,
    (512, 2048, 2048, 248): 128.9,
}
EVEN = {
    (1, 8192, 51200, 14274): 172.0,
    (1, 8192, 51138, 14336): 136.9,
}
ODD = {
    (1, 8192, 51200, 14273): 72.0,
    (1, 8192, 51137, 14336): 76.1,
}


@pytest.mark.parametrize(("rows", "rel"), [(ALIGNED, 0.15), (EVEN, 0.25), (ODD, 0.05)])
def test_products_on_an_a100_run_as_measured(rows, rel):
    for (groups, m, n, k), measured in rows.items():
        flop = 2 * groups * m * n * k
        seconds = gemm_s(A100, (m, n, k), num_groups=groups)
        assert flop / seconds == pytest.approx(measured * 1e12, rel=rel), (m, n, k)


@given(st.integers(8, 2000), st.integers(8, 2000), st.integers(1, 7))
def test_rows_that_are_no_multiple_of_16_bytes_slow_a_product_down(n, k, more):
    aligned_s = gemm_s(A100, (4096, 8 * n, 8 * k))
    assert gemm_s(A100, (4096, 8 * n, 8 * k + more)) > aligned_s
    assert gemm_s(A100, (4096, 8 * n + more, 8 * k)) > aligned_s
    tokens_s = gemm_s(A100, (8 * n, 8 * k, 4096 + more), is_weight_gradient=True)
    assert tokens_s == pytest.approx(gemm_s(A100, (8 * n, 8 * k, 4096)), rel=0.01)


def predicted_tflop_per_s(groups, m, n, k):
    return (
        2e-12 * groups * m * n * k / gemm_s(H800, (m, n, k), "fp8", num_groups=groups)
    )


def test_fp8_products_of_deepseek_v3_run_as_deepgemm_prints():
    errors = [
        predicted_tflop_per_s(*shape) / measured - 1
        for shape, measured in DEEPGEMM.items()
    ]
    assert abs(mean(errors)) < 0.03
    assert mean(map(abs, errors)) < 0.06
    assert max(map(abs, errors)) < 0.19  # N = 2112: DeepGEMM had no good tile for it


def test_attention_of_deepseek_v3_runs_as_measured():
    # MLA 192/128, causal, 128 heads, 4,096 tokens on an H100: 544 TFLOP/s
    flop = attention_flop(1, 4096, 128, 192, 128)
    assert flop / attention_s(H800, flop, 4096) == pytest.approx(544e12, rel=0.05)
    # cuDNN backward of the same shape: 422 TFLOP/s (arXiv 2603.07685, table 9)
    flop = attention_backward_flop(flop, 192, 128)
    backward_s = attention_s(H800, flop, 4096, is_backward=True)
    assert flop / backward_s == pytest.approx(422e12, rel=0.02)


def test_causal_attention_is_half_of_full():
    full = attention_flop(2, 1024, 16, 64, 64, is_causal=False)
    assert full == 2 * 2 * 2 * 1024**2 * 16 * 64  # Korthikanti et al. 2023, appendix A
    assert attention_flop(2, 1024, 16, 64, 64) == full / 2


def test_an_ideal_product_takes_its_flop_over_the_peak():
    m = n = 128 * 132  # whole waves of 128 x 128 tiles
    ideal = 2 * m * n * 8192 / SPECIFIED.gemm_flop_per_s["fp8"]
    epilogue = 2 * m * n / SPECIFIED.hbm_bytes_per_s
    assert gemm_s(SPECIFIED, (m, n, 8192), "fp8") == pytest.approx(
        ideal + epilogue, rel=1e-9
    )


def test_one_tile_more_than_a_wave_costs_a_whole_wave():
    wave = gemm_s(SPECIFIED, (128 * 12, 128 * 11, 8192), "fp8")  # 132 tiles, 132 SMs
    assert gemm_s(SPECIFIED, (128 * 12, 128 * 11 + 1, 8192), "fp8") > 1.4 * wave


def test_fewer_sms_cost_tensor_work_in_proportion():
    # 112 of 132 SMs: what 20 communication SMs leave
    all_sms = gemm_s(H800, (32768, 4096, 7168), "fp8")
    left = gemm_s(H800, (32768, 4096, 7168), "fp8", num_sms=112)
    assert left / all_sms == pytest.approx(132 / 112, rel=0.02)


def test_weight_gradients_have_their_own_rate_in_situ():
    in_situ = device(load("gpu", "h800-sxm"), Layer.IN_SITU)
    shape = (4096, 7168, 8192)
    slow = gemm_s(in_situ, shape, "fp8", output_bytes=8, is_weight_gradient=True)
    assert slow > gemm_s(in_situ, shape, "fp8", output_bytes=8)


def test_adding_gradients_costs_what_no_main_loop_hides():
    def added(gpu):
        shape = (12288, 3072, 2048)
        return gemm_s(gpu, shape, output_bytes=8) / gemm_s(gpu, shape) - 1

    a100 = device(load("gpu", "a100-sxm-80"), Layer.ACHIEVABLE)
    assert added(a100) > 0
    assert added(replace(a100, epilogue=0.0)) == pytest.approx(0)
    assert added(replace(a100, epilogue=1.0)) > 2 * added(a100)


def test_an_a100_adds_fp32_gradients_as_fast_as_measured():
    # MooreThreads/SimuMax (4dcaae5), A100 PCIe: 0.71 of the peak with 4,096 tokens
    # and 0.75 forward, 0.755 and 0.75 with 33,024
    a100 = device(load("gpu", "a100-sxm-80"), Layer.ACHIEVABLE)
    few = gemm_s(a100, (24576, 5120, 4096), output_bytes=8) / gemm_s(
        a100, (4096, 24576, 5120)
    )
    many = gemm_s(a100, (4096, 7168, 33024), output_bytes=8) / gemm_s(
        a100, (33024, 7168, 4096)
    )
    assert few == pytest.approx(0.7504 / 0.7165, rel=0.03)
    assert many == pytest.approx(0.7506 / 0.7554, rel=0.03)


@pytest.mark.parametrize(
    ("heads", "forward", "backward"),
    [(64, 1.187, 1.005), (16, 0.988, 0.888), (8, 0.786, 0.760), (4, 0.514, 0.675)],
)
def test_few_heads_leave_an_a100_idle_as_measured(heads, forward, backward):
    # MooreThreads/SimuMax (4dcaae5), A100 PCIe: one sequence of 4,096 tokens, causal,
    # shares of 312 TFLOP/s with the masked half counted
    a100 = device(load("gpu", "a100-sxm-80"), Layer.ACHIEVABLE)
    flop = attention_flop(1, 4096, heads, 128, 128)
    rows = heads * 4096
    there = attention_s(a100, flop, 4096, rows)
    back = attention_s(a100, 2.5 * flop, 4096, rows, is_backward=True)
    assert 2 * flop / there / 312e12 == pytest.approx(forward, rel=0.13)
    assert 5 * flop / back / 312e12 == pytest.approx(backward, rel=0.11)


def test_flash_attention_2_loses_to_short_sequences_as_measured():
    # FlashAttention-3, arXiv 2407.08608, figure 5: causal, width 128, TFLOP/s
    h100 = device(load("gpu", "h100-sxm"), Layer.ACHIEVABLE)
    measured = {512: 191, 1024: 260, 2048: 298, 4096: 319, 8192: 333, 16384: 335}
    for seq_len, rate in measured.items():
        flop = attention_flop(16384 // seq_len, seq_len, 16, 128, 128)
        made_s = attention_s(h100, flop, seq_len, 16 * 16384, kernel="flash-2")
        assert flop / made_s / 1e12 == pytest.approx(rate, rel=0.065)


def test_casts_take_as_long_as_measured():
    # 4096 x 7168 to FP8: 1018 TFLOP/s with the cast, 1304 without, means 53 us
    cast_s = elementwise_s(H800, 3 * 4096 * 7168)
    assert cast_s == pytest.approx(53e-6, rel=0.05)


sizes = st.integers(1, 20_000)


@given(m=sizes, n=sizes, k=sizes, more=st.integers(1, 5_000))
def test_a_larger_product_is_never_faster(m, n, k, more):
    once = gemm_s(H800, (m, n, k))
    assert gemm_s(H800, (m, n, k + more)) >= once
    assert gemm_s(H800, (m, n, k)) >= 2 * m * n * k / SPECIFIED.gemm_flop_per_s["bf16"]
    assert gemm_s(H800, (m, n, k), num_groups=2) >= once


@pytest.mark.parametrize("shape", [(0, 1, 1), (1, -1, 1), (1, 1, 0)])
def test_sizes_are_positive(shape):
    with pytest.raises(ValueError, match="sizes must be positive"):
        gemm_s(H800, shape)
    with pytest.raises(ValueError, match="sizes must be positive"):
        attention_flop(1, 4096, *shape)


def test_each_layer_of_constants_is_slower():
    for slower, faster in (
        (Layer.IN_SITU, Layer.ACHIEVABLE),
        (Layer.ACHIEVABLE, Layer.SPECIFICATION),
    ):
        slow, fast = (
            device(load("gpu", "h100-sxm"), layer) for layer in (slower, faster)
        )
        shape = (7168, 2048, 8192)
        assert gemm_s(slow, shape, "fp8", is_weight_gradient=True) > gemm_s(
            fast, shape, "fp8", is_weight_gradient=True
        )
