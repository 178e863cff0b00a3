"""Kernels of a Mamba-2 mixer: projections, convolution, and the chunked scan.

Inside a chunk of tokens the scan is matrix products, between chunks a recurrence of
states: Dao and Gu, "Transformers are SSMs," arXiv 2405.21060, section 6.
"""

from __future__ import annotations

from estimator.specs.model import Mamba
from estimator.workload.attention import NORM
from estimator.workload.work import (
    Gemm,
    Segment,
    Sizes,
    Traffic,
    casts,
    linear,
    weight_product,
)

CONVOLUTION = 4
GATE = 6
STATE_BYTES = 4


def _mamba(size: Sizes) -> Mamba:
    assert size.model.mamba  # noqa: S101 - asked of Mamba layers only
    return size.model.mamba


def _products(size: Sizes) -> tuple[tuple[str, int, int], ...]:
    mamba, h = _mamba(size), size.model.hidden_size
    inner = mamba.inner_size // size.tp
    return (("in", -(-mamba.in_size // size.tp), h), ("out", h, inner))


def _scan(size: Sizes) -> Segment:
    """Return the products inside chunks and the states between them."""
    mamba = _mamba(size)
    chunk, state = mamba.chunk_size, mamba.state_size
    chunks = -(-size.tokens // chunk)
    heads = max(1, mamba.num_heads // size.tp)
    groups = chunks * heads
    states = float(groups) * mamba.head_dim * state
    return (
        Gemm("scan C B", chunk, chunk, state, "bf16", num_groups=groups),
        Gemm("scan values", chunk, mamba.head_dim, chunk, "bf16", num_groups=groups),
        Gemm("scan states", state, mamba.head_dim, chunk, "bf16", num_groups=groups),
        Gemm("scan outputs", chunk, mamba.head_dim, state, "bf16", num_groups=groups),
        Traffic("scan states", 3 * STATE_BYTES * states, 2),
    )


def _mixing_bytes(size: Sizes) -> float:
    """Bytes per token of convolution, gate and norm."""
    mamba = _mamba(size)
    convolved = mamba.conv_size // size.tp
    inner = mamba.inner_size // size.tp
    return CONVOLUTION * convolved + (GATE + NORM) * inner


def _cast_bytes(size: Sizes) -> float:
    """Bytes per token of casts of the mixer's input and of what is projected back."""
    inner = _mamba(size).inner_size // size.tp
    return size.format.cast * (size.model.hidden_size + inner)


def forward(size: Sizes) -> Segment:
    """Return the mixer's forward pass."""
    return (
        *(
            linear(name, size.tokens, n, k, size.format.dtype)
            for name, n, k in _products(size)
        ),
        *_scan(size),
        Traffic("convolution, gate, norm", size.tokens * _mixing_bytes(size), 5),
        *casts("casts", size.tokens * _cast_bytes(size)),
    )


def input_gradient(size: Sizes) -> Segment:
    """Return its backward pass to the input: every product of the scan twice."""
    moved = 2 * _mixing_bytes(size)
    recast = size.format.recast * size.model.hidden_size
    return (
        *(
            Gemm(f"d {name}", size.tokens, k, n, size.format.dtype)
            for name, n, k in _products(size)
        ),
        *_scan(size),
        *_scan(size),
        Traffic("convolution, gate, norm backward", size.tokens * moved, 8),
        *casts("casts backward", size.tokens * (2 * _cast_bytes(size) + recast)),
    )


def weight_gradient(size: Sizes) -> Segment:
    """Return the products that accumulate its gradients."""
    return tuple(
        kernel
        for name, n, k in _products(size)
        for kernel in weight_product(
            size, f"w {name}", n, k, size.tokens, size.format.dtype
        )
    )
