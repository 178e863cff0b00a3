"""The words that embedding and head have rows for, filled up as a framework does."""

from __future__ import annotations

from estimator.specs.model import Transformer
from estimator.specs.software import Software


def rows_of_rank(model: Transformer, software: Software, tp: int) -> int:
    """Return the rows of a vocabulary matrix that a tensor-parallel rank holds.

    Parameters
    ----------
    model : Transformer
        With its true vocabulary.
    software : Software
        Whose ``defaults.vocab_multiple`` it is filled up to, ``vocab_times_tp`` or not.
    tp : int
        Ranks that share the vocabulary.

    Notes
    -----
    ``ceil(ceil(V / multiple) multiple / tp)``: what is left over makes all but the last
    rank's part longer (NVIDIA/Megatron-LM, ``_vocab_size_with_padding``; PyTorch's
    ``chunk``).

    Examples
    --------
    >>> from estimator.catalog.loading import load
    >>> gpt2 = load("model", "gpt2-1.5b")
    >>> [
    ...     rows_of_rank(gpt2, load("software", name), 2)
    ...     for name in ("megatron-lm-2021-04", "pytorch-fsdp2")
    ... ]
    [25216, 25129]
    """
    usual = software.defaults
    multiple = usual.vocab_multiple * (tp if usual.vocab_times_tp else 1)
    filled = -(-model.vocab_size // multiple) * multiple
    return -(-filled // tp)
