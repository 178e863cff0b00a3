"""How linear layers are multiplied, by number format, and what each costs beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """How linear layers are multiplied, and what the format costs beside it."""

    dtype: str
    """Key of the GPU's rates."""
    cast: float = 0.0
    """Bytes that a cast of an input moves per element, BF16 read and result written."""
    recast: float = 0.0
    """The same for the transposed copy that weight gradients need."""
    kept: float = 2.0
    """Bytes of an element kept for the backward pass."""
    sent: float = 2.0
    """Bytes of an element that is dispatched to experts."""
    weight: float = 2.0
    """Bytes of a weight's working copy."""


SCALES = 4 / 128
"""Bytes of scales per element: one FP32 for 128."""

FORMATS: Mapping[str, Format] = {
    "bf16": Format("bf16"),
    "fp16": Format("bf16"),  # whose rate is that of 16 bits
    "fp8": Format("fp8", 3, 3, 1 + SCALES, 1 + SCALES, 1),
    # One kernel reads BF16 once and writes both copies; another has found the maximum.
    # Rows for one product, columns for another: each finds its maxima first.
    "fp8-row": Format("fp8_tensor", 5, 5, 2, 2, 1),
    "fp8-tensor": Format("fp8_tensor", 4, 0, 1, 2, 1),
    "mxfp8": Format("fp8", 2 + 2 * (1 + 1 / 32), 0, 1 + 1 / 32, 2, 1),
    # A kernel finds the maxima, of rows and of columns behind a Hadamard transform;
    # another writes both (Transformer Engine, commit d0067d0, csrc/quantizer.cpp).
    "nvfp4": Format("nvfp4", 4 + 2 * (0.5 + 1 / 16), 0, 0.5 + 1 / 16, 2, 0.5 + 1 / 16),
}
"""Precision recipe -> format. Transformer Engine dispatches in BF16."""
