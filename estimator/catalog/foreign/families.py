"""What is known of each ``model_type``: where a model file's fields stand.

A family maps dotted paths of a model file to a value that its code fixes, or to a
reader of ``config.json``. To add one, add an entry; start from the family that its
code was copied from. Defaults are those of the configuration classes in Hugging Face
Transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from estimator.catalog.foreign.config import (
    Config,
    Reader,
    attention_kind,
    count,
    flag,
    four_times,
    head_dim,
    hybrid_pattern,
    kv_heads,
    local,
    optional,
    sliding,
    where,
)

Family = Mapping[str, Any]


def _tied(*, default: bool) -> Reader:
    return flag("tie_word_embeddings", default=default)


def _without(family: Family, *paths: str) -> Family:
    return {path: entry for path, entry in family.items() if path not in paths}


def _all_sparse(config: Config) -> int:
    """Read the experts of a model whose every layer has them, or say so."""
    config.only("decoder_sparse_step", 1)
    config.only("mlp_only_layers", [])
    return config.count("num_experts", "num_local_experts")


def _every_layer(config: Config) -> None:
    """Read which layers behind the dense ones have experts: every one, or say so."""
    config.only("moe_layer_freq", 1)


def _no_window(config: Config) -> None:
    """Read Qwen's windows: none, or say so."""
    config.only("use_sliding_window", False)


def _noaux(config: Config) -> bool | None:
    return config.values.get("topk_method") == "noaux_tc" or None


def _chunked(config: Config) -> dict[str, Any] | None:
    """Read Llama 4's chunks; layers without rotary positions see everything."""
    window = config.optional("attention_chunk_size")
    every = config.number("no_rope_layer_interval") or 4
    return None if window is None else local("chunked", window, every)


def _falcon_kind(config: Config) -> str:
    if config.flag("new_decoder_architecture"):
        return "gqa"
    return "mqa" if config.flag("multi_query", default=True) else "mha"


def _falcon_kv_heads(config: Config) -> int | None:
    return config.number("num_kv_heads") if _falcon_kind(config) == "gqa" else None


def _falcon_norms(config: Config) -> int | None:
    if config.flag("new_decoder_architecture"):
        return config.number("num_ln_in_parallel_attn")
    return 1 if config.flag("parallel_attn", default=True) else None


LLAMA: Family = {
    "num_layers": count("num_hidden_layers"),
    "hidden_size": count("hidden_size"),
    "vocab_size": count("vocab_size"),
    "attention.kind": attention_kind,
    "attention.num_heads": count("num_attention_heads"),
    "attention.num_kv_heads": kv_heads,
    "attention.head_dim": head_dim("head_dim"),
    "mlp.ffn_hidden_size": count("intermediate_size"),
    "tied_embeddings": _tied(default=False),
}
BIASES: Family = {
    "attention.has_qkv_bias": flag("attention_bias"),
    "attention.has_out_bias": flag("attention_bias"),
    "mlp.has_bias": flag("mlp_bias"),
}
SPARSE = _without(LLAMA, "mlp.ffn_hidden_size")
EXPERTS: Family = {
    "moe.num_experts": _all_sparse,
    "moe.experts_per_token": count("num_experts_per_tok", "experts_per_token"),
    "moe.ffn_hidden_size": count("moe_intermediate_size", "intermediate_size"),
}
QWEN: Family = {**LLAMA, "attention.local": _no_window}
QWEN3: Family = {**QWEN, **BIASES, "attention.qk_norm": "per-head"}
DEEPSEEK_EXPERTS: Family = {
    "moe.num_experts": count("n_routed_experts"),
    "moe.experts_per_token": count("num_experts_per_tok"),
    "moe.ffn_hidden_size": count("moe_intermediate_size"),
    "moe.num_shared_experts": optional("n_shared_experts"),
    "moe.num_dense_layers": optional("first_k_dense_replace"),
    "moe.layer_step": _every_layer,
    "moe.num_expert_groups": optional("n_group"),
    "moe.groups_per_token": optional("topk_group"),
    "num_mtp_modules": optional("num_nextn_predict_layers"),
}
DEEPSEEK: Family = {
    **_without(LLAMA, "attention.num_kv_heads", "attention.head_dim"),
    **DEEPSEEK_EXPERTS,
    "attention.kind": "mla",
    "attention.q_lora_rank": optional("q_lora_rank"),
    "attention.kv_lora_rank": count("kv_lora_rank"),
    "attention.qk_nope_head_dim": count("qk_nope_head_dim"),
    "attention.qk_rope_head_dim": count("qk_rope_head_dim"),
    "attention.v_head_dim": count("v_head_dim"),
    "moe.has_expert_bias": _noaux,
}
GEMMA: Family = {
    **LLAMA,
    "mlp.activation": "gelu",
    "tied_embeddings": _tied(default=True),
}
GEMMA3: Family = {
    **GEMMA,
    "vocab_size": count("vocab_size", default=262208),
    "attention.qk_norm": "per-head",
    "attention.local": sliding(global_every=6, pattern="sliding_window_pattern"),
    "norms_per_layer": 4,
}
LLAMA4: Family = {
    **LLAMA,
    "attention.local": _chunked,
    "attention.qk_norm": lambda config: (
        "unweighted" if config.flag("use_qk_norm", default=True) else None
    ),
    "mlp.ffn_hidden_size": count("intermediate_size_mlp"),
    "moe.num_experts": count("num_local_experts"),
    "moe.experts_per_token": count("num_experts_per_tok"),
    "moe.ffn_hidden_size": count("intermediate_size"),
    "moe.num_shared_experts": 1,
    "moe.layer_step": optional("interleave_moe_layer_step"),
}
NEMOTRON_H: Family = {
    **_without(LLAMA, "mlp.ffn_hidden_size", "attention.head_dim"),
    **BIASES,
    "attention.head_dim": head_dim("attention_head_dim", "head_dim"),
    "mlp.ffn_hidden_size": where("-", count("intermediate_size")),
    "mlp.is_gated": False,
    "mlp.activation": "squared-relu",
    "moe.num_experts": where("E", count("n_routed_experts")),
    "moe.experts_per_token": where("E", count("num_experts_per_tok")),
    "moe.ffn_hidden_size": where("E", count("moe_intermediate_size")),
    "moe.num_shared_experts": where("E", optional("n_shared_experts")),
    "moe.shared_ffn_hidden_size": where(
        "E", optional("moe_shared_expert_intermediate_size")
    ),
    "moe.has_expert_bias": where("E", True),
    "mamba.num_heads": count("mamba_num_heads"),
    "mamba.head_dim": count("mamba_head_dim"),
    "mamba.state_size": count("ssm_state_size"),
    "mamba.num_groups": count("n_groups"),
    "mamba.conv_kernel": count("conv_kernel", default=4),
    "mamba.chunk_size": count("chunk_size", default=128),
    "hybrid_pattern": hybrid_pattern,
}
GPT2: Family = {
    "num_layers": count("n_layer", "num_hidden_layers"),
    "hidden_size": count("n_embd", "hidden_size"),
    "vocab_size": count("vocab_size"),
    "attention.kind": "mha",
    "attention.num_heads": count("n_head", "num_attention_heads"),
    "attention.head_dim": head_dim(hidden="n_embd"),
    "attention.has_qkv_bias": True,
    "attention.has_out_bias": True,
    "mlp.ffn_hidden_size": four_times("n_inner", "n_embd"),
    "mlp.is_gated": False,
    "mlp.activation": "gelu",
    "mlp.has_bias": True,
    "tied_embeddings": _tied(default=True),
    "num_learned_positions": count("n_positions", "n_ctx"),
    "norm": "layernorm",
}
NEOX: Family = {
    **LLAMA,
    "attention.has_qkv_bias": flag("attention_bias", default=True),
    "attention.has_out_bias": flag("attention_bias", default=True),
    "mlp.is_gated": False,
    "mlp.activation": "gelu",
    "mlp.has_bias": True,
    "norm": "layernorm",
    "is_parallel": flag("use_parallel_residual", default=True),
}
FALCON: Family = {
    **LLAMA,
    "attention.kind": _falcon_kind,
    "attention.num_kv_heads": _falcon_kv_heads,
    "attention.has_qkv_bias": flag("bias"),
    "attention.has_out_bias": flag("bias"),
    "mlp.ffn_hidden_size": four_times("ffn_hidden_size", "hidden_size"),
    "mlp.is_gated": False,
    "mlp.activation": "gelu",
    "mlp.has_bias": flag("bias"),
    "tied_embeddings": _tied(default=True),
    "norm": "layernorm",
    "norms_per_layer": _falcon_norms,
    "has_alibi": flag("alibi"),
    "is_parallel": flag("parallel_attn", default=True),
}

FAMILIES: Mapping[str, Family] = {
    "llama": {**LLAMA, **BIASES},
    "mistral": {**LLAMA, "attention.local": sliding()},
    "mixtral": {**SPARSE, **EXPERTS, "attention.local": sliding()},
    "qwen2": {**QWEN, "attention.has_qkv_bias": True},
    "qwen2_moe": {
        **_without(QWEN, "mlp.ffn_hidden_size"),
        **EXPERTS,
        "attention.has_qkv_bias": True,
        "moe.num_shared_experts": 1,
        "moe.shared_ffn_hidden_size": count("shared_expert_intermediate_size"),
    },
    "qwen3": QWEN3,
    "qwen3_moe": {**_without(QWEN3, "mlp.ffn_hidden_size"), **EXPERTS},
    "deepseek": {**LLAMA, **DEEPSEEK_EXPERTS},
    "deepseek_v2": DEEPSEEK,
    "deepseek_v3": DEEPSEEK,
    "kimi_k2": DEEPSEEK,
    "gemma": GEMMA,
    "gemma2": {
        **GEMMA,
        "attention.local": sliding(global_every=2),
        "norms_per_layer": 4,
    },
    "gemma3": GEMMA3,
    "gemma3_text": GEMMA3,
    "glm4_moe": {
        **LLAMA,
        **DEEPSEEK_EXPERTS,
        "attention.has_qkv_bias": flag("attention_bias"),
        "attention.qk_norm": lambda config: (
            "per-head" if config.flag("use_qk_norm") else None
        ),
        "moe.has_expert_bias": True,
    },
    "gpt_oss": {
        **SPARSE,
        **EXPERTS,
        "attention.local": sliding(global_every=2),
        "attention.has_qkv_bias": flag("attention_bias", default=True),
        "attention.has_out_bias": flag("attention_bias", default=True),
        "attention.has_sinks": True,
        "mlp.has_bias": True,
        "moe.has_router_bias": True,
    },
    "llama4": LLAMA4,
    "llama4_text": LLAMA4,
    "olmo2": {**LLAMA, "attention.qk_norm": "full-width"},
    "nemotron": {
        **LLAMA,
        **BIASES,
        "mlp.is_gated": False,
        "mlp.activation": "squared-relu",
        "norm": "layernorm",
    },
    "nemotron_h": NEMOTRON_H,
    "gpt2": GPT2,
    "gpt_neox": NEOX,
    "falcon": FALCON,
}
