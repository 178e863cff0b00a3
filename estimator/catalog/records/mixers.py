"""What a record says of sliding windows and of Mamba layers; it has no fixed field.

Keys are read under the names that Hugging Face, Megatron-LM and authors give them; what
is not a count is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from estimator.specs.model import PATTERN, LocalAttention, Mamba

Model = Mapping[str, Any]

WINDOW = ("sliding_window", "sliding_window_size", "window_size", "attention_window")
CHUNK = ("attention_chunk_size", "chunked_attention")
GLOBAL_EVERY = ("global_every", "sliding_window_pattern", "global_attn_every_n_layers")
RATIO = ("local_global_ratio", "local_to_global")
HYBRID = ("hybrid_pattern", "hybrid_override_pattern", "layer_pattern")
MIXERS: Mapping[str, Sequence[str]] = {
    "M": ("mamba_layers", "num_mamba_layers", "ssm_layers"),
    "*": ("attention_layers", "num_attention_layers", "attn_layers"),
    "-": ("mlp_layers", "num_mlp_layers", "ffn_layers"),
}
"""Symbol of :data:`estimator.specs.model.PATTERN` -> keys of its number of layers."""
STATE: Mapping[str, Sequence[str]] = {
    "num_heads": ("mamba_num_heads", "mamba_heads", "mamba_n_heads"),
    "head_dim": ("mamba_head_dim", "mamba_d_head"),
    "state_size": ("mamba_state_dim", "ssm_state_size", "mamba_d_state"),
    "num_groups": ("mamba_num_groups", "mamba_n_groups", "n_groups"),
}
USUAL_STATE: Mapping[str, int] = {"head_dim": 64, "state_size": 128, "num_groups": 8}
"""Mamba-2 as Nemotron-H has it, arXiv 2504.03624; inside twice the hidden size."""

_IN_WORDS = re.compile(
    r"(?:sliding[- ]window|\bSWA\b)[a-z ,=()]{0,24}?(\d[\d,]*)(\s*K\b)?", re.IGNORECASE
)
_HYBRID_WORDS = re.compile(
    r"mamba|hybrid|\bssm\b|jamba|linear attention", re.IGNORECASE
)


def local_attention(model: Model) -> LocalAttention | None:
    """Return the bound on what a model's tokens see; None where none is told.

    >>> local_attention({"sliding_window": 1024, "local_global_ratio": "5:1"})
    LocalAttention(kind='sliding', window=1024, global_every=6)
    >>> local_attention({"note": "sliding-window attention of 4K tokens"}).window
    4096
    """
    window, chunk = _count(model, WINDOW), _count(model, CHUNK)
    if not window and not chunk:
        words = (model.get("attention", ""), model.get("note", ""))
        found = _IN_WORDS.search(" ".join(map(str, words)))
        window = _tokens(found[1], is_k=bool(found[2])) if found else 0
    if not window and not chunk:
        return None
    every = _count(model, GLOBAL_EVERY)
    ratio = next((str(model[key]) for key in RATIO if key in model), "")
    if not every and re.fullmatch(r"\d{1,3}(:1)?", ratio):
        every = int(ratio.split(":")[0]) + 1
    return LocalAttention(
        kind="sliding" if window else "chunked",
        window=window or chunk,
        global_every=every if every > 1 else 0,
    )


def hybrid_pattern(model: Model) -> str:
    """Return a model's mixers, one symbol a layer; empty for a transformer.

    Where numbers of layers are told instead of their order, each kind is spread evenly.
    Layers beyond those of Mamba and attention are feed-forward blocks; where there are
    none beyond, one stands behind each mixer.

    >>> hybrid_pattern({"hybrid_override_pattern": "M-M*-"})
    'M-M*-'
    >>> hybrid_pattern({"layers": 4, "mamba_layers": 3, "attention_layers": 1})
    'M-M-*-M-'
    """
    for key in HYBRID:
        text = model.get(key)
        if isinstance(text, str) and text and set(text) <= set(PATTERN):
            return text
    counts = {symbol: _count(model, keys) for symbol, keys in MIXERS.items()}
    if not counts["M"]:
        return ""
    mixers = "".join(_evenly({key: counts[key] for key in "M*" if counts[key]}))
    rest = counts["-"] or max(0, _count(model, ("layers",)) - len(mixers))
    block = "E" if "experts" in model else "-"
    if not rest:
        return "".join(mixer + block for mixer in mixers)
    return "".join(_evenly({"m": len(mixers), block: rest})).replace("m", "%s") % tuple(
        mixers
    )


def mamba(model: Model, pattern: str) -> Mamba | None:
    """Return the Mamba-2 mixer of a pattern that has one."""
    if "M" not in pattern:
        return None
    told = {name: _count(model, keys) for name, keys in STATE.items()}
    made = {name: told[name] or usual for name, usual in USUAL_STATE.items()}
    heads = told["num_heads"] or max(1, 2 * model["hidden"] // made["head_dim"])
    groups = made["num_groups"] if heads % made["num_groups"] == 0 else 1
    return Mamba(**{**made, "num_heads": heads, "num_groups": groups})


def seems_hybrid(model: Model) -> bool:
    """Return whether a model's words name a mixer other than attention."""
    words = (str(model.get(key, "")) for key in ("name", "type", "attention", "note"))
    return bool(_HYBRID_WORDS.search(" ".join(words)))


def _count(model: Model, keys: Sequence[str]) -> int:
    """Return the first of some keys that is a positive whole number; 0 without."""
    for key in keys:
        value = model.get(key)
        if isinstance(value, str) and (found := re.match(r"\d[\d,]{0,8}", value)):
            value = _tokens(found[0], is_k=False)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1e8:
            return value
    return 0


def _tokens(text: str, *, is_k: bool) -> int:
    return int(text.replace(",", "")[:8]) * (1024 if is_k else 1)


def _evenly(counts: Mapping[str, int]) -> Iterator[str]:
    """Yield symbols in their numbers, each kind spread over the whole length."""
    places = [
        ((2 * index + 1) / (2 * count), symbol)
        for symbol, count in counts.items()
        for index in range(count)
    ]
    return (symbol for _, symbol in sorted(places, key=lambda place: place[0]))
