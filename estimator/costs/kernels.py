"""Seconds of one kernel: matrix product, element-wise traffic, top-k.

A matrix product is a persistent kernel: its output tiles run in waves over the SMs,
and a tile's epilogue is hidden in part at most behind other tiles' main loops. On the
products that DeepGEMM prints for DeepSeek-V3's shapes this is within 4.4 % on average.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil
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
    is_transposed: bool = False,
) -> float:
    """Return the seconds of ``num_groups`` products ``(M, K) @ (K, N)`` in one kernel.

    Parameters
    ----------
    device : Device
        Sustained rates, FLOP/s and B/s, and fixed seconds of a tile and a launch.
    shape : tuple of int
        M, N and K: rows of the output, its columns, and the length of the sum;
        elements, positive.
    dtype : str
        Number format of the operands, a key of :data:`TILES`.
    num_groups : int
        Products of this shape in the kernel (one for each local expert), positive.
    num_sms : int, optional
        SMs left to the kernel; all of them by default.
    output_bytes : int
        Bytes moved per output element: 2 for BF16, 4 for FP32, 8 where an FP32
        gradient is read, added to and written.
    is_weight_gradient : bool
        Use the rate of weight gradients, which may have a kernel of their own.
    is_transposed : bool
        The second operand lies ``(N, K)`` in memory, as a weight does forward.

    Returns
    -------
    float
        Seconds, the launch among them; lanes where the device's rates are lanes.

    Raises
    ------
    ValueError
        If a size is not positive.
    KeyError
        If the device has no rate of the format.

    Notes
    -----
    ``waves * (2 bm bn K / (rate / SMs) + epilogue bm bn output_bytes / (bandwidth /
    SMs) + tile_s) + launch_s`` with the best tile ``bm x bn`` and
    ``waves = ceil(ceil(M / bm) ceil(N / bn) num_groups / num_sms)``; never faster than
    its memory traffic. ``epilogue`` is the share of a tile's traffic that nothing
    hides. Range: products that fill at least one tile; a product of a few rows is
    bound by memory. Source: DeepGEMM's printed table of DeepSeek-V3's shapes (within
    4.4 % on average); tiles of CUTLASS and DeepGEMM, see :data:`TILES`.

    Examples
    --------
    An H100 by its datasheet, without losses but for the last wave:

    >>> from estimator.catalog.loading import load
    >>> from estimator.costs.rates import Layer, device
    >>> h100 = device(load("gpu", "h100-sxm"), Layer.SPECIFICATION)
    >>> f"{gemm_s(h100, (4096, 8192, 8192)) * 1e6:.0f} us"
    '585 us'
    """
    m, n, k = shape
    if min(m, n, k, num_groups) <= 0:
        raise ValueError(f"sizes must be positive, got {(m, n, k, num_groups)}")
    rates = device.weight_flop_per_s if is_weight_gradient else device.gemm_flop_per_s
    exposed_bytes = device.epilogue * output_bytes
    rate = rates[dtype]
    if dtype == "bf16":  # formats of 8 bits and less have no product of other widths
        other = k if is_transposed else n
        rate *= aligned_share(device, (m, n) if is_weight_gradient else (other, k))
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
    read in smaller pieces. Tokens are no row of any operand; the result's rows are not
    read.

    Parameters
    ----------
    device : Device
        Whose ``misaligned`` holds the shares for ``even`` and ``odd`` widths.
    widths : tuple of int
        Elements of a row of either operand, positive.

    Returns
    -------
    float
        A fraction of 1; 1 where both are multiples of 8, or where nobody measured it.

    Notes
    -----
    Source: NVIDIA, Matrix Multiplication Background User's Guide, section on
    tensor-core requirements; the shares are the GPU file's.

    Examples
    --------
    >>> from estimator.catalog.loading import load
    >>> from estimator.costs.rates import Layer, device
    >>> a100 = device(load("gpu", "a100-sxm-80"), Layer.ACHIEVABLE)
    >>> aligned_share(a100, (4096, 50256)), aligned_share(a100, (4096, 50254))
    (1.0, 0.55)
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

    Parameters
    ----------
    m, n, k : int
        Rows of the output, its columns, and the length of the sum; elements.
    dtype : str
        Number format of both operands, a key of :data:`DTYPE_BYTES`.
    num_groups : int
        Products of this shape.
    output_bytes : int
        Bytes moved per output element.

    Notes
    -----
    ``num_groups * ((M + N) K operand_bytes + M N output_bytes)``: caches hold what is
    read again, so that this is the least.

    Examples
    --------
    >>> gemm_bytes(128, 128, 64, "fp8")
    49152.0
    """
    return num_groups * ((m + n) * k * DTYPE_BYTES[dtype] + m * n * output_bytes)


def elementwise_s(
    device: Device, num_bytes: float, num_kernels: int = 1, pattern: Pattern = "fused"
) -> float:
    """Return the seconds of memory-bound kernels that move ``num_bytes`` in all.

    Parameters
    ----------
    device : Device
        Its memory rates in B/s, one for each pattern, and seconds of a launch.
    num_bytes : float
        Read and written by all kernels together, not negative.
    num_kernels : int
        Kernels, each with a launch.
    pattern : str
        What they do, see :data:`Pattern`.

    Raises
    ------
    KeyError
        If the pattern is not known.

    Notes
    -----
    ``num_bytes / rate + num_kernels launch_s``; kernels of the pattern ``small`` last
    ``small_kernel_s`` each at least. Range: tensors larger than the last-level cache.

    Examples
    --------
    Writing an 80 GB GPU's memory once, at the rate of the datasheet:

    >>> from estimator.catalog.loading import load
    >>> from estimator.costs.rates import Layer, device
    >>> h100 = device(load("gpu", "h100-sxm"), Layer.SPECIFICATION)
    >>> f"{elementwise_s(h100, 80e9) * 1e3:.1f} ms"
    '23.9 ms'
    """
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

    Parameters
    ----------
    device : Device
        Its SMs and the seconds of a small kernel and a launch.
    num_rows : int
        Tokens.
    width : int
        Scores of a row: the experts; up to 1,024, the threads of a block.
    num_chosen : int
        Experts that are chosen; counts on large cores only.

    Notes
    -----
    ``max(1, rows / (SMs floor(2048 / threads))) * c small_kernel_s + launch_s``: a
    block of a thread per score sorts a row by its digits, and blocks come in waves
    over the SMs, each as long as c = ``top_k_kernels`` small kernels, the last as
    its share. Large cores run no blocks: their vector units pass over the FP32 scores
    once for each of ``num_chosen``, at the pace of memory. Source: PyTorch,
    ``aten/src/ATen/native/cuda/TensorTopK.cu``.

    Examples
    --------
    >>> from estimator.catalog.loading import load
    >>> from estimator.costs.rates import Layer, device
    >>> h800 = device(load("gpu", "h800-sxm"), Layer.ACHIEVABLE)
    >>> f"{top_k_s(h800, 4096, 256, 8) * 1e6:.0f} us"
    '68 us'
    """
    if device.has_large_cores:
        return elementwise_s(device, 4.0 * num_rows * width * num_chosen, 1, "small")
    threads = max(MOST_THREADS // MOST_BLOCKS, ceil(width / WARP) * WARP)
    blocks = device.num_sms * (MOST_THREADS // min(threads, MOST_THREADS))
    waves = largest(1.0, num_rows / blocks)
    return waves * device.top_k_kernels * device.small_kernel_s + device.launch_s
