"""A decoder-only transformer by its published hyper-parameters."""

from __future__ import annotations

from typing import Literal

from estimator.specs.base import Count, CountOrNone, spec

LayerKind = Literal["dense", "moe"]


@spec
class Attention:
    """Multi-head, grouped-query or multi-head latent attention."""

    kind: Literal["mha", "gqa", "mla"]
    num_heads: Count
    num_kv_heads: CountOrNone = 0
    """0 stands for as many as ``num_heads``."""
    head_dim: CountOrNone = 0
    q_lora_rank: CountOrNone = 0
    """0 stands for a query projection that is not compressed."""
    kv_lora_rank: CountOrNone = 0
    qk_nope_head_dim: CountOrNone = 0
    qk_rope_head_dim: CountOrNone = 0
    v_head_dim: CountOrNone = 0

    def __post_init__(self) -> None:
        if self.kind == "mla":
            wanted: tuple[str, ...] = (
                "kv_lora_rank",
                "qk_nope_head_dim",
                "qk_rope_head_dim",
                "v_head_dim",
            )
        else:
            wanted = ("head_dim",)
        missing = [name for name in wanted if not getattr(self, name)]
        if missing:
            raise ValueError(f"{self.kind} attention needs {', '.join(missing)}")
        if self.num_heads % self.kv_heads:
            raise ValueError(
                f"{self.num_heads} heads cannot share {self.kv_heads} KV heads evenly"
            )

    @property
    def kv_heads(self) -> int:
        """KV heads, with the default filled in."""
        return self.num_kv_heads or self.num_heads

    @property
    def qk_dim(self) -> int:
        """Width of one head's query and key."""
        if self.kind == "mla":
            return self.qk_nope_head_dim + self.qk_rope_head_dim
        return self.head_dim

    @property
    def v_dim(self) -> int:
        """Width of one head's value."""
        return self.v_head_dim if self.kind == "mla" else self.head_dim


@spec
class Mlp:
    """The feed-forward block of a dense layer."""

    ffn_hidden_size: Count
    is_gated: bool = True
    """Gated (SwiGLU, three matrices) or plain (two)."""


@spec
class Moe:
    """The expert blocks of the layers behind the first dense ones."""

    num_experts: Count
    experts_per_token: Count
    ffn_hidden_size: Count
    num_shared_experts: CountOrNone = 0
    num_dense_layers: CountOrNone = 0
    num_expert_groups: Count = 1
    """Groups that routing is limited by; one group a node."""
    groups_per_token: Count = 1

    def __post_init__(self) -> None:
        if self.experts_per_token > self.num_experts:
            raise ValueError(
                f"{self.experts_per_token} experts a token are more than "
                f"{self.num_experts}"
            )
        if self.num_experts % self.num_expert_groups:
            raise ValueError(
                f"{self.num_experts} experts do not split into "
                f"{self.num_expert_groups} groups"
            )


@spec
class Transformer:
    """One architecture."""

    name: str
    title: str
    source: str
    num_layers: Count
    hidden_size: Count
    vocab_size: Count
    attention: Attention
    mlp: Mlp
    moe: Moe | None = None
    num_mtp_modules: CountOrNone = 0
    """Multi-token-prediction modules: a layer, a projection and a head each."""
    tied_embeddings: bool = False
    num_learned_positions: CountOrNone = 0
    """Rows of a learned position embedding; 0 for rotary positions."""
    norm: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    has_biases: bool = False
    notes: str = ""

    @property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        """The kind of each layer, from the input to the output."""
        num_dense = self.moe.num_dense_layers if self.moe else self.num_layers
        return tuple(
            "dense" if index < num_dense else "moe" for index in range(self.num_layers)
        )
