"""Published runs, as a table of records describes them, to the specs used here.

A record is a mapping with ``model``, ``cluster``, ``parallel``, ``batch`` and
``measured``. Its model is built from its dimensions, not looked up by name, because
many records are of cut-down or synthetic models. What is absent was not printed. A
built-in model of the same name lends what records have no field for: sliding windows,
hybrid layers, parallel blocks; or everything, where a record has no dimensions at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from estimator.catalog import kinds, loading
from estimator.catalog.records.checks import MOST_LAYERS
from estimator.catalog.records.mixers import hybrid_pattern, local_attention, mamba
from estimator.ground.errors import InputError
from estimator.specs.model import MLA_FIELDS, Attention, Mlp, Moe, Transformer

Record = Mapping[str, Any]

LEAST_LETTERS = 8
"""Letters and digits from which on one name may be the beginning of another."""
_IN_NAME = re.compile(r"-(\d+(?:\.\d+)?)B\Z")


def transformer(record: Record) -> Transformer:
    """Return the architecture that a record's ``model`` describes.

    Defaults where a record is silent: as many KV heads as heads, heads that share the
    hidden size, a plain feed-forward block of four times the hidden size, no biases;
    embeddings are tied where the block is plain (GPT-style Megatron models), else not.

    Raises
    ------
    InputError
        If the number of layers can be told neither from the record nor from its name.
    """
    model, seq_len = record["model"], record["batch"]["seq_len"]
    built_in = _built_in(str(model["name"]))
    if "hidden" not in model or "heads" not in model:
        if built_in is None:
            raise InputError(
                f"{model['name'][:60]!r} is not a built-in model, and its dimensions "
                "are not given (model.layers, hidden, heads, ffn, vocab)"
            )
        return replace(built_in, **_vocabulary(model))
    if built_in is not None and _is_special(built_in) and _fits(built_in, model):
        return _cut(built_in, model.get("layers", built_in.num_layers), model)
    pattern = hybrid_pattern(model)
    is_gated = bool(model.get("gated_mlp", False))
    is_moe = _is_moe(record)
    width = model.get("dense_ffn", 0) if is_moe else _width(model)
    is_squared = model.get("act") == "squared-relu"
    is_parallel = bool(model.get("parallel_block", False))
    return Transformer(
        name=str(record["id"]),
        title=str(model["name"]),
        source=str(record.get("source", "")),
        num_layers=len(pattern) or _num_layers(record),
        hidden_size=model["hidden"],
        vocab_size=_vocab(model),
        attention=_attention(model),
        mlp=Mlp(
            ffn_hidden_size=width,
            is_gated=is_gated,
            activation="squared-relu" if is_squared else "silu" if is_gated else "gelu",
        ),
        moe=_moe(model) if is_moe else None,
        mamba=mamba(model, pattern),
        hybrid_pattern=pattern,
        num_mtp_modules=model.get("mtp_depth", 0),
        tied_embeddings=model.get("tied_embeddings", not is_gated),
        is_parallel=is_parallel,
        norms_per_layer=int(is_parallel),  # both blocks read the same normed input
        num_learned_positions=seq_len if model.get("pos") == "learned" else 0,
    )


@cache
def _built_in(name: str) -> Transformer | None:
    """Return the built-in model of this name, dots and dashes apart.

    One may begin with the other: ``gemma3_27b_pt``, ``nemotron-3-nano``.
    """
    wanted = _letters(name)
    names = {_letters(known): known for known in kinds.names("model")}
    near = [
        letters
        for letters in names
        if min(len(letters), len(wanted)) >= LEAST_LETTERS
        and (letters.startswith(wanted) or wanted.startswith(letters))
    ]
    if not near:
        return None
    best = wanted if wanted in names else max(near, key=len)
    made: Transformer = loading.load("model", names[best])
    return made


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_special(model: Transformer) -> bool:
    return bool(model.attention.local or model.hybrid_pattern or model.is_parallel)


def _fits(built_in: Transformer, model: Mapping[str, Any]) -> bool:
    """Return whether the dimensions that a record prints are the built-in model's.

    A model cut down to fewer layers still is the same.
    """
    sizes = (built_in.hidden_size, built_in.attention.num_heads)
    layers = model.get("layers", built_in.num_layers)
    return (model["hidden"], model["heads"]) == sizes and layers <= built_in.num_layers


def _cut(built_in: Transformer, layers: int, model: Mapping[str, Any]) -> Transformer:
    """Return a built-in model with its first layers, and the vocabulary told."""
    pattern = built_in.hybrid_pattern[:layers]
    has_mamba = "M" in pattern or not pattern
    return replace(
        built_in,
        num_layers=layers,
        hybrid_pattern=pattern,
        mamba=built_in.mamba if has_mamba else None,
        **_vocabulary(model),
    )


def _vocabulary(model: Mapping[str, Any]) -> dict[str, Any]:
    return {"vocab_size": model["vocab"]} if "vocab" in model else {}


def _vocab(model: Mapping[str, Any]) -> int:
    if "vocab" not in model:
        raise InputError("model.vocab is missing")
    return int(model["vocab"])


def _is_moe(record: Record) -> bool:
    kind = record["model"].get("type", record.get("kind"))
    return bool(kind == "moe" or (kind is None and "experts" in record["model"]))


def _width(model: Mapping[str, Any]) -> int:
    return int(model.get("ffn", 4 * model["hidden"]))


def _attention(model: Mapping[str, Any]) -> Attention:
    heads = model["heads"]
    if str(model.get("attention")).upper() == "MLA":
        missing = [name for name in MLA_FIELDS if name not in model]
        if missing:
            raise InputError(f"model.{', model.'.join(missing)} is missing")
        return Attention(
            kind="mla",
            num_heads=heads,
            q_lora_rank=model.get("q_lora_rank", 0),
            kv_lora_rank=model["kv_lora_rank"],
            qk_nope_head_dim=model["qk_nope_head_dim"],
            qk_rope_head_dim=model["qk_rope_head_dim"],
            v_head_dim=model["v_head_dim"],
        )
    kv_heads = model.get("kv_heads", heads)
    return Attention(
        kind="mha" if kv_heads == heads else "gqa",
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_dim=model.get("head_dim", model["hidden"] // heads),
        local=local_attention(model),
    )


def _moe(model: Mapping[str, Any]) -> Moe:
    missing = [key for key in ("experts", "top_k", "moe_ffn") if key not in model]
    if missing:
        raise InputError(f"model.{', model.'.join(missing)} is missing")
    num_shared = model.get("shared_experts", 0)
    if model.get("shared_ffn") and not num_shared:
        num_shared = 1
    most = model.get("max_nodes_per_token", 0)  # DeepSeek: half of the groups
    is_limited = most and model["experts"] % (2 * most) == 0
    return Moe(
        num_experts=model["experts"],
        experts_per_token=model["top_k"],
        ffn_hidden_size=model["moe_ffn"],
        num_shared_experts=num_shared,
        shared_ffn_hidden_size=model.get("shared_ffn", 0) // (num_shared or 1),
        num_dense_layers=model.get("dense_layers", 0),
        layer_step=model.get("moe_layer_step", 1),
        num_expert_groups=2 * most if is_limited else 1,
        groups_per_token=most if is_limited else 1,
    )


def _num_layers(record: Record) -> int:
    """Return the layers, or the multiple of pp that the size in the name asks for."""
    model = record["model"]
    if "layers" in model:
        return int(model["layers"])
    size = _IN_NAME.search(str(model["name"]))
    if size is None:
        raise InputError(
            f"the record {record['id']} does not say how many layers its model has"
        )
    h, pp = int(model["hidden"]), int(record.get("parallel", {}).get("pp", 1))
    layers: float = (float(size[1]) * 1e9 - _vocab(model) * h) / (12 * h**2)
    made = max(1, round(layers / pp)) * pp
    if made > MOST_LAYERS:
        raise InputError(
            f"a model {h:,} wide of the size in its name would have {made:,} layers",
            why=f"at most {MOST_LAYERS:,} are worked out",
        )
    return made
