"""Seconds of one kernel: matrix product, attention, element-wise traffic.

A matrix product is a persistent kernel: its output tiles run in waves over the SMs,
and a tile's epilogue is hidden in part at most behind other tiles' main loops. On the
products that DeepGEMM prints for DeepSeek-V3's shapes this is within 4.4 % on average.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, inf
from typing import Literal, NamedTuple

from estimator.costs.rates import Device
from estimator.ground.lanes import Lanes, largest, smallest

TILES: dict[str, tuple[tuple[int, int], ...]] = {
    # One warp group's accumulators hold 128 x 128 block-scaled outputs: DeepGEMM.
    "fp8": ((128, 128), (128, 112), (128, 96), (128, 64)),
    # CUTLASS's warp-specialised BF16 tiles.
    "bf16": (
        (128, 256),
        (256, 128),
        (128, 192),
        (128, 160),
        (128, 128),
        (128, 112),
        (128, 96),
        (64, 128),
        (128, 64),
        (64, 64),
    ),
}
TILES["fp8_tensor"] = TILES["nvfp4"] = TILES["bf16"]
DTYPE_BYTES = {"bf16": 2.0, "fp8": 1.0, "fp8_tensor": 1.0, "nvfp4": 0.5625}
"""NVFP4: 4 bits and an FP8 scale for each 16 elements."""
Pattern = Literal["fused", "plain", "triad", "cast", "gathered", "small"]
"""What element-wise kernels do: several operations on rows (norms, activations), one
simple operation, adding a multiple of one large tensor to another (STREAM's triad, by
which memory's rate is known), writing rows in 8 or 4 bits, bringing them into another
order; or so little that each lasts as long as the smallest."""
WARP, MOST_THREADS, MOST_BLOCKS = 32, 2048, 32
"""Threads of a warp, threads and blocks that an SM holds at most."""
FULL_LOSS = 0.3
"""What attention without a mask loses to short rows and to the last wave, over what it
loses under a causal mask at the same length: no block is half masked, and all last as
long. 0.27 and 0.33 (H200, forward and backward), 0.37 and 0.36 (GB200), 0.25 and 0.47
(GB300) from 2 to 32 Ki tokens, 64 heads of width 128: NVIDIA/cudnn-frontend, commit
3929da2, ``benchmark/sdpa_benchmark_training/results``; 0.15 to 0.32 on an H100:
FlashAttention-3, arXiv 2407.08608, figure 5 (read in a transcription)."""
TOP_K_KERNELS = 5.7
"""What a wave of top-k blocks lasts, in small kernels: 66.5 us for 4,096 rows of 256
scores, 3.9 waves (deepseek-ai/profile-data train.json, H800, ``gatherTopK``)."""


class _Sms(NamedTuple):
    """Streaming multiprocessors that share a product: how many, what each one does."""

    num_sms: int
    flop_per_s: float
    bytes_per_s: float
    tile_s: float


def _tiles_s(
    shape: tuple[int, int, int],
    dtype: str,
    num_groups: int,
    exposed_bytes: float,
    sms: _Sms,
) -> float:
    m, n, k = shape
    return smallest(
        *(
            ceil(ceil(m / rows) * ceil(n / columns) * num_groups / sms.num_sms)
            * (
                2 * rows * columns * k / sms.flop_per_s
                + rows * columns * exposed_bytes / sms.bytes_per_s
                + sms.tile_s
            )
            for rows, columns in TILES[dtype]
        )
    )


_known_tiles_s = lru_cache(maxsize=8192)(_tiles_s)


def gemm_s(
    device: Device,
    shape: tuple[int, int, int],
    dtype: str = "bf16",
    *,
    num_groups: int = 1,
    num_sms: int | None = None,
    output_bytes: int = 2,
    is_weight_gradient: bool = False,
) -> float:
    """Return the seconds of ``num_groups`` products ``(M, K) @ (K, N)`` in one kernel.

    Parameters
    ----------
    shape : tuple of int
        M, N and K.
    num_sms : int, optional
        SMs left to the kernel; all of them by default.
    output_bytes : int
        Bytes moved per output element: 2 for BF16, 4 for FP32, 8 where an FP32
        gradient is read, added to and written.
    is_weight_gradient : bool
        Use the rate of weight gradients, which may have a kernel of their own.

    Raises
    ------
    ValueError
        If a size is not positive.

    Notes
    -----
    ``waves * (2 bm bn K / (rate / SMs) + epilogue bm bn output_bytes / (bandwidth /
    SMs) + tile_s)`` with the best tile ``bm x bn``; never faster than its memory
    traffic. ``epilogue`` is the share of a tile's traffic that nothing hides.
    """
    m, n, k = shape
    if min(m, n, k, num_groups) <= 0:
        raise ValueError(f"sizes must be positive, got {(m, n, k, num_groups)}")
    rates = device.weight_flop_per_s if is_weight_gradient else device.gemm_flop_per_s
    exposed_bytes = device.epilogue * output_bytes
    rate = rates[dtype]
    if dtype == "bf16":  # formats of 8 bits and less have no product of other widths
        rate *= aligned_share(device, (m, n) if is_weight_gradient else (n, k))
    known = rate + device.hbm_bytes_per_s + device.tile_s + exposed_bytes
    is_batch = isinstance(known, Lanes)
    timed = _tiles_s if is_batch else _known_tiles_s
    sms = _Sms(
        num_sms or device.num_sms,
        rate / device.num_sms,
        device.hbm_bytes_per_s / device.num_sms,
        device.tile_s,
    )
    tiles_s = timed(shape, dtype, num_groups, exposed_bytes, sms)
    moved = gemm_bytes(m, n, k, dtype, num_groups=num_groups, output_bytes=output_bytes)
    memory_s = moved / device.hbm_bytes_per_s
    return largest(tiles_s, memory_s) + device.launch_s


def aligned_share(device: Device, widths: tuple[int, int]) -> float:
    """Return what rows of these widths, in 16-bit elements, leave of a product's rate.

    Tensor cores are fed 16 bytes at a time; a row that is no multiple of 8 elements is
    read in smaller pieces. Source: NVIDIA, Matrix Multiplication Background User's
    Guide, section on tensor-core requirements. Tokens are no row of any operand.
    """
    if all(width % 8 == 0 for width in widths):
        return 1.0
    even = device.misaligned.get("even", 1.0)
    is_even = all(width % 2 == 0 for width in widths)
    return even if is_even else device.misaligned.get("odd", even)


def gemm_bytes(
    m: int, n: int, k: int, dtype: str, *, num_groups: int = 1, output_bytes: int = 2
) -> float:
    """Return the bytes of operands and output, each moved once.

    >>> gemm_bytes(128, 128, 64, "fp8")
    49152.0
    """
    return num_groups * ((m + n) * k * DTYPE_BYTES[dtype] + m * n * output_bytes)


def attention_flop(
    num_sequences: int,
    seq_len: int,
    num_heads: int,
    qk_dim: int,
    v_dim: int,
    *,
    is_causal: bool = True,
) -> float:
    """Return the FLOP of one layer's attention, forward pass, projections apart.

    Scores are ``(B, H, S, Dqk) @ (B, H, Dqk, S)``, then ``(B, H, S, S) @ (B, H, S,
    Dv)``. Sharing K and V between heads saves bytes, not FLOP.

    Raises
    ------
    ValueError
        If a size is not positive.

    Notes
    -----
    Matrix products only. ``is_causal`` halves the count, as kernels that skip masked
    blocks do; the exact share is (S + 1) / 2S. Source: Korthikanti et al., MLSys
    2023, appendix A.

    Examples
    --------
    >>> attention_flop(1, 8192, 128, 128, 128) / 1e12  # Llama 3.1 405B
    2.199023255552
    """
    sizes = (num_sequences, seq_len, num_heads, qk_dim, v_dim)
    if min(sizes) <= 0:
        raise ValueError(f"sizes must be positive, got {sizes}")
    full = 2.0 * num_sequences * num_heads * seq_len**2 * (qk_dim + v_dim)
    return full / 2 if is_causal else full


def attention_backward_flop(forward_flop: float, qk_dim: int, v_dim: int) -> float:
    """Return the FLOP of attention's backward pass, scores recomputed.

    Five products instead of two: scores again, dV, dP, dQ, dK. Source: Dao,
    FlashAttention-2, 2023.

    >>> attention_backward_flop(2.0, 128, 128)
    5.0
    """
    return forward_flop * (3 * qk_dim + 2 * v_dim) / (qk_dim + v_dim)


def attention_s(
    device: Device,
    flop: float,
    seq_len: int,
    num_rows: float = inf,
    *,
    is_backward: bool = False,
    is_wide: bool = False,
    is_full: bool = False,
    kernel: str = "fused",
) -> float:
    """Return the seconds of an attention kernel of ``flop``.

    ``is_wide``: keys are wider than values, as in MLA. ``is_full``: no mask, each row
    meets ``seq_len`` keys, and :data:`FULL_LOSS` is left of what is lost otherwise.

    The rate saturates with the sequence and with ``num_rows``, heads times tokens,
    whose blocks fill the SMs: ``rate / (1 + half_len / S + half_rows / num_rows)``, at
    most what power sustains. Older kernels have a rate and a loss of their own. It does
    not fall with the SMs that communication takes: beside 20 busy SMs the H800 trace of
    deepseek-ai/profile-data shows 555 TFLOP/s, as much as on all 132 alone.
    """
    if is_backward:
        rate = device.attention_backward_flop_per_s
        half_len = device.attention_backward_half_len
        half_rows = device.attention_backward_half_rows
        most = device.attention_backward_most
        if is_wide:
            rate *= device.wide_attention_backward
    else:
        rate = device.attention_forward_flop_per_s
        half_len = device.attention_forward_half_len
        half_rows = device.attention_forward_half_rows
        most = device.attention_forward_most
    rate *= device.older_attention.get(kernel, 1.0)
    loss = half_len / seq_len + half_rows / num_rows
    loss *= device.older_attention_loss.get(kernel, 1.0)
    loss *= FULL_LOSS if is_full else 1.0
    return largest(flop * (1 + loss) / rate, flop / most) + device.launch_s


def elementwise_s(
    device: Device, num_bytes: float, num_kernels: int = 1, pattern: Pattern = "fused"
) -> float:
    """Return the seconds of memory-bound kernels that move ``num_bytes`` in all."""
    rate = {
        "fused": device.elementwise_bytes_per_s,
        "plain": device.plain_bytes_per_s,
        "triad": device.hbm_bytes_per_s,
        "cast": device.cast_bytes_per_s,
        "gathered": device.permutation_bytes_per_s,
        "small": device.elementwise_bytes_per_s,
    }[pattern]
    least_s = num_kernels * device.small_kernel_s if pattern == "small" else 0.0
    return largest(num_bytes / rate, least_s) + num_kernels * device.launch_s


def top_k_s(device: Device, num_rows: int, width: int, num_chosen: int = 1) -> float:
    """Return the seconds in which the largest scores of each row are chosen.

    A block of a thread per score sorts a row by its digits; blocks come in waves over
    the SMs (PyTorch, ``aten/src/ATen/native/cuda/TensorTopK.cu``), each of which lasts
    as long as :data:`TOP_K_KERNELS` small kernels, the last as its share.

    Large cores run no blocks: their vector units pass over the FP32 scores once for
    each of ``num_chosen``, at the pace of memory.
    """
    if device.has_large_cores:
        return elementwise_s(device, 4.0 * num_rows * width * num_chosen, 1, "small")
    threads = max(MOST_THREADS // MOST_BLOCKS, ceil(width / WARP) * WARP)
    blocks = device.num_sms * (MOST_THREADS // min(threads, MOST_THREADS))
    waves = largest(1.0, num_rows / blocks)
    return waves * TOP_K_KERNELS * device.small_kernel_s + device.launch_s
