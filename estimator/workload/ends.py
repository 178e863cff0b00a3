"""Kernels at the two ends of the model: embedding, head and loss, MTP projection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from estimator.ground.errors import EstimatorError
from estimator.schedules.notation import Op
from estimator.specs.software import LossKernel
from estimator.workload.attention import COPY, DROPOUT, NORM, norm_bytes
from estimator.workload.stages import ElementKind
from estimator.workload.vocabulary import rows_of_rank
from estimator.workload.work import (
    ACCUMULATE,
    ADD,
    Gemm,
    HostCalls,
    Segment,
    Sizes,
    Traffic,
    linear,
    weight_product,
)


class EndPasses(NamedTuple):
    """What a loss moves in one direction."""

    bytes_per_logit: int
    num_kernels: int


LOSS_FORWARD: Mapping[LossKernel, EndPasses] = {
    "half": EndPasses(4, 4),
    "fused": EndPasses(8, 4),
    "in-place": EndPasses(6, 4),
    "native": EndPasses(22, 6),
    "unfused": EndPasses(38, 20),
    "eager": EndPasses(38, 20),
    "log-softmax": EndPasses(22, 5),
}
"""BF16 logits out and read; FP32 probabilities written as well. ``in-place``: two
readings and the gradient (NVIDIA/TransformerEngine, commit 8ca2caf,
``common/triton/cross_entropy.py``; 3.3 ps a logit both ways on a B200,
MooreThreads/SimuMax, commit 4dcaae5, which are 10.4 bytes here). ``native``: cast and
maximum, exponential and sum, quotient (NVIDIA/Megatron-LM, commit 23e00ed,
``core/fusions/fused_cross_entropy.py``). ``unfused`` and ``eager``: cast, maximum,
difference, exponential, sum and quotient, one kernel for each, and small ones that pick
the target's logit (NVIDIA/Megatron-LM, commit d98e8a6,
``core/tensor_parallel/cross_entropy.py``); or a cast and a kernel that reads rows too
long for shared memory three times (PyTorch, ``native/cuda/SoftMax.cu``, recalled)."""
LOSS_BACKWARD: Mapping[LossKernel, EndPasses] = {
    "half": EndPasses(4, 3),
    "fused": EndPasses(6, 3),
    "in-place": EndPasses(4, 3),
    "native": EndPasses(10, 4),
    "unfused": EndPasses(14, 10),
    "eager": EndPasses(20, 10),
    "log-softmax": EndPasses(26, 5),
}
"""``in-place``: a product with the loss's gradient; ``native``: the same in FP32, and a
cast; ``unfused``: a product in place and a cast, in the same file; ``log-softmax``:
zeros, a sum of gradients, the gradient, a cast."""

LOSS_REDUCTIONS: Mapping[LossKernel, int] = {
    "half": 2,
    "fused": 2,
    "in-place": 2,
    "native": 2,
    "unfused": 3,
    "eager": 3,
    "log-softmax": 3,
}
"""All-reduces of a number for each token where ranks share the vocabulary: maximum and
sum, and the target's logit where it does not travel with the sum (the same file, and
``core/fusions/fused_cross_entropy.py``)."""
BATCH = HostCalls("batch", 12)
"""Two copies and a broadcast to learn its size, a copy and a broadcast of it, tokens,
labels, positions, and masks (NVIDIA/Megatron-LM, commit 55ba1f7, ``mpu/data.py``,
``utils.py``, ``pretrain_gpt.py``)."""
MEAN_LOSS = HostCalls("mean loss", 12)
"""Product with the mask, two sums and their quotient, its average over the replicas for
the log, and scaling (the same, and ``schedules.py``)."""
MEAN_LOSS_BACKWARD = HostCalls("mean loss backward", 7)
SCATTER_KERNELS = 6
"""Sorting tokens, adding their rows, clearing and adding the gradient (PyTorch,
``native/cuda/Embedding.cu``, recalled)."""


def loss_kernel(size: Sizes) -> LossKernel:
    """Return the loss that runs; DTensor's is another where ranks share the words."""
    kernel = size.software.kernels.loss
    return "eager" if kernel == "log-softmax" and size.tp > 1 else kernel


def segment(size: Sizes, kind: ElementKind, op: Op) -> Segment:
    """Return the kernels of an embedding's or a head's pass (``F``, ``I`` or ``W``)."""
    if kind == "embedding":
        return _embedding(size, op)
    if kind != "head":
        raise EstimatorError(f"{kind!r} is neither embedding nor head")
    h, tokens = size.model.hidden_size, size.tokens
    vocabulary = rows_of_rank(size.model, size.software, size.tp)
    norm, norm_backward = norm_bytes(size)
    kernel, rows = loss_kernel(size), size.split_tokens * h
    if op == Op.F:
        return (
            *(() if size.plan.pp == 1 else (BATCH,)),
            Traffic("last norm", rows * norm, 1),
            linear("logits", tokens, vocabulary, h, "bf16"),
            _loss("loss", tokens * vocabulary, LOSS_FORWARD[kernel]),
            MEAN_LOSS,
        )
    if op == Op.I:
        return (
            Gemm("d logits", tokens, h, vocabulary, "bf16"),
            _loss("loss backward", tokens * vocabulary, LOSS_BACKWARD[kernel]),
            Traffic("last norm backward", rows * norm_backward, 2),
            MEAN_LOSS_BACKWARD,
        )
    return weight_product(size, "w logits", vocabulary, h, tokens, "bf16")


def _embedding(size: Sizes, op: Op) -> Segment:
    """Return a pass of the embedding: gather, learned positions, dropout.

    A rank of several masks the tokens that others hold. Source: NVIDIA/Megatron-LM,
    commit 55ba1f7, ``mpu/layers.py``, ``model/language_model.py``.
    """
    if op == Op.I:
        return (Traffic("embedding", 0.0, 0),)
    is_back, has_positions = op == Op.W, bool(size.model.num_learned_positions)
    moved = 2 + ACCUMULATE if is_back else 4
    launched = SCATTER_KERNELS if is_back else 1
    if size.tp > 1:
        launched += 2 if is_back else 8
    if has_positions:  # their gradient is a sum over sequences, of much fewer rows
        moved += 2 if is_back else 4 + ADD
        launched += SCATTER_KERNELS if is_back else 2
    if size.is_local and has_positions:
        moved, launched = moved + COPY, launched + 1
    if size.software.defaults.dropout:
        moved, launched = moved + DROPOUT, launched + 1
    kernels = (
        Traffic("embedding", size.tokens * size.model.hidden_size * moved, launched),
    )
    return kernels if is_back else (BATCH, *kernels)


def _loss(name: str, num_logits: int, passes: EndPasses) -> Traffic:
    return Traffic(name, num_logits * passes.bytes_per_logit, passes.num_kernels)


class EndProjection(NamedTuple):
    """What a multi-token-prediction module adds to a layer, pass by pass."""

    forward: Segment
    input: Segment
    weight: Segment


def mtp_projection(size: Sizes) -> EndProjection:
    """Return what a multi-token-prediction module adds to a layer.

    Two norms, and a projection of the previous hidden state joined with the next
    token's embedding. Source: DeepSeek-V3 technical report, section 2.2.
    """
    h, tokens = size.model.hidden_size, size.tokens
    forward = (
        linear("MTP projection", tokens, h, 2 * h, size.format.dtype),
        Traffic("MTP norms", tokens * h * (2 * NORM + ADD), 4),
    )
    backward = (
        Gemm("d MTP projection", tokens, 2 * h, h, size.format.dtype),
        Traffic("MTP norms backward", tokens * h * (2 * NORM + ADD), 4),
    )
    dtype = size.format.dtype
    weight = weight_product(size, "w MTP projection", h, 2 * h, tokens, dtype)
    return EndProjection(forward, backward, weight)
