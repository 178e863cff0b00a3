"""Published runs, as a table of records describes them, to the specs used here.

A record is a mapping with ``model``, ``cluster``, ``parallel``, ``batch`` and
``measured``. Its model is built from its dimensions, not looked up by name, because
many records are of cut-down or synthetic models. What is absent was not printed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from estimator.errors import InputError
from estimator.specs.model import Attention, Mlp, Moe, Transformer

Record = Mapping[str, Any]

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
    is_gated = bool(model.get("gated_mlp", False))
    is_moe = model["type"] == "moe"
    width = model.get("dense_ffn", 0) if is_moe else _width(model)
    is_squared = model.get("act") == "squared-relu"
    return Transformer(
        name=str(record["id"]),
        title=str(model["name"]),
        source=str(record["source"]),
        num_layers=_num_layers(record),
        hidden_size=model["hidden"],
        vocab_size=model["vocab"],
        attention=_attention(model),
        mlp=Mlp(
            ffn_hidden_size=width,
            is_gated=is_gated,
            activation="squared-relu" if is_squared else "silu" if is_gated else "gelu",
        ),
        moe=_moe(model) if is_moe else None,
        num_mtp_modules=model.get("mtp_depth", 0),
        tied_embeddings=model.get("tied_embeddings", not is_gated),
        num_learned_positions=seq_len if model.get("pos") == "learned" else 0,
    )


def _width(model: Mapping[str, Any]) -> int:
    return int(model.get("ffn", 4 * model["hidden"]))


def _attention(model: Mapping[str, Any]) -> Attention:
    heads = model["heads"]
    if model.get("attention") == "MLA":
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
    )


def _moe(model: Mapping[str, Any]) -> Moe:
    num_shared = model.get("shared_experts", 0)
    return Moe(
        num_experts=model["experts"],
        experts_per_token=model["top_k"],
        ffn_hidden_size=model["moe_ffn"],
        num_shared_experts=num_shared,
        shared_ffn_hidden_size=model["shared_ffn"] // num_shared if num_shared else 0,
        num_dense_layers=model.get("dense_layers", 0),
        layer_step=model.get("moe_layer_step", 1),
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
    layers: float = (float(size[1]) * 1e9 - model["vocab"] * h) / (12 * h**2)
    return max(1, round(layers / pp)) * pp
