"""A decoder-only language model by its published hyper-parameters.

A model is a stack of layers, and a layer is one or two blocks that each add to the
residual stream: attention and a feed-forward block in a transformer, a single mixer in
a hybrid. :data:`BLOCKS` says which blocks a kind of layer has; parameters and FLOP are
sums over them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import cached_property
from typing import Literal

from estimator.specs.base import (
    Count,
    CountOrNone,
    Depth,
    FewOrNone,
    Length,
    Line,
    Rows,
    RowsOrNone,
    Width,
    WidthOrNone,
    spec,
)

BlockKind = Literal["attention", "mlp", "moe", "mamba"]
LayerKind = Literal["dense", "moe", "attention", "mlp", "experts", "mamba"]

BLOCKS: Mapping[LayerKind, tuple[BlockKind, ...]] = {
    "dense": ("attention", "mlp"),
    "moe": ("attention", "moe"),
    "attention": ("attention",),
    "mlp": ("mlp",),
    "experts": ("moe",),
    "mamba": ("mamba",),
}
"""The blocks of each kind of layer. The last four are the mixers of hybrid models."""

PATTERN: Mapping[str, LayerKind] = {
    "M": "mamba",
    "*": "attention",
    "-": "mlp",
    "E": "experts",
}
"""Symbols of a hybrid pattern, as Megatron-LM and Hugging Face write them."""


MLA_FIELDS = (
    "kv_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "v_head_dim",
)
"""What multi-head latent attention needs in place of ``head_dim``."""


@spec
class LocalAttention:
    """Attention of the layers whose tokens see a bounded part of the sequence."""

    kind: Literal["sliding", "chunked"]
    """The last ``window`` tokens, or those of the token's own chunk of ``window``."""
    window: Length
    """Tokens, the own one included."""
    global_every: CountOrNone = 0
    """Every n-th layer sees the whole sequence (Gemma 3: 6); 0: no layer does."""


@spec
class Attention:
    """Multi-head, grouped-query, multi-query or multi-head latent attention."""

    kind: Literal["mha", "gqa", "mqa", "mla"]
    num_heads: Width
    num_kv_heads: WidthOrNone = 0
    """0 stands for as many as ``num_heads``, for ``mqa`` for one."""
    head_dim: WidthOrNone = 0
    q_lora_rank: WidthOrNone = 0
    """0 stands for a query projection that is not compressed."""
    kv_lora_rank: WidthOrNone = 0
    qk_nope_head_dim: WidthOrNone = 0
    qk_rope_head_dim: WidthOrNone = 0
    v_head_dim: WidthOrNone = 0
    local: LocalAttention | None = None
    has_qkv_bias: bool = False
    has_out_bias: bool = False
    qk_norm: Literal["none", "per-head", "full-width", "unweighted"] = "none"
    """One scale per element of a head (Qwen3), of all heads (OLMo 2), or no scale."""
    has_sinks: bool = False
    """A learned logit per head that takes attention away from tokens (gpt-oss)."""

    def __post_init__(self) -> None:
        wanted = MLA_FIELDS if self.kind == "mla" else ("head_dim",)
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
        return self.num_kv_heads or (1 if self.kind == "mqa" else self.num_heads)

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
    """The feed-forward block of dense layers; its form is that of experts, too."""

    ffn_hidden_size: WidthOrNone = 0
    """Width of a dense layer's block; 0 where no layer has one."""
    is_gated: bool = True
    """Gated (SwiGLU, three matrices) or plain (two)."""
    activation: Literal["silu", "gelu", "relu", "squared-relu"] = "silu"
    has_bias: bool = False


@spec
class Moe:
    """The expert blocks, and which layers have them."""

    num_experts: Count
    experts_per_token: Count
    ffn_hidden_size: Width
    """Width of one routed expert."""
    num_shared_experts: CountOrNone = 0
    shared_ffn_hidden_size: WidthOrNone = 0
    """Width of one shared expert; 0 stands for that of a routed one."""
    num_dense_layers: CountOrNone = 0
    """Leading layers without experts."""
    layer_step: Count = 1
    """Behind those, every n-th layer has experts (Llama 4 Maverick: 2)."""
    num_expert_groups: Count = 1
    """Groups that routing is limited by; one group a node."""
    groups_per_token: Count = 1
    has_router_bias: bool = False
    """The router is a linear layer with bias (gpt-oss)."""
    has_expert_bias: bool = False
    """A bias per expert steers routing without an auxiliary loss (DeepSeek-V3)."""

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
        if self.groups_per_token > self.num_expert_groups:
            raise ValueError(
                f"{self.groups_per_token} groups a token are more than "
                f"{self.num_expert_groups}"
            )

    @property
    def shared_width(self) -> int:
        """Width of all shared experts together."""
        one = self.shared_ffn_hidden_size or self.ffn_hidden_size
        return self.num_shared_experts * one


@spec
class Mamba:
    """A Mamba-2 mixer: a gated state-space model behind a short convolution.

    References
    ----------
    .. [1] T. Dao and A. Gu, "Transformers are SSMs," arXiv 2405.21060, sections 6, 7.
    """

    num_heads: Width
    head_dim: Width
    state_size: Width
    """Width of the state that each of a head's channels carries along the sequence."""
    num_groups: Count = 1
    """Groups of heads that share the state's input (B) and output (C) projections."""
    conv_kernel: Width = 4
    """Tokens that the depthwise convolution in front of the state space covers."""
    chunk_size: Length = 256
    """Tokens of one block of the scan; inside a block it is matrix products."""

    def __post_init__(self) -> None:
        if self.num_heads % self.num_groups:
            raise ValueError(
                f"{self.num_heads} heads do not split into {self.num_groups} groups"
            )

    @property
    def inner_size(self) -> int:
        """Width of all heads together."""
        return self.num_heads * self.head_dim

    @property
    def conv_size(self) -> int:
        """Channels of the convolution: the heads' inputs, B and C."""
        return self.inner_size + 2 * self.num_groups * self.state_size

    @property
    def in_size(self) -> int:
        """Width of the input projection: gate, convolved channels, a step per head."""
        return self.inner_size + self.conv_size + self.num_heads


@spec
class Transformer:
    """One architecture."""

    name: Line
    title: Line
    source: str
    num_layers: Depth
    """Attention and feed-forward block are one layer; in a hybrid each mixer is."""
    hidden_size: Width
    vocab_size: Rows
    attention: Attention
    mlp: Mlp = field(default_factory=Mlp)
    moe: Moe | None = None
    mamba: Mamba | None = None
    hybrid_pattern: str = ""
    """One symbol of :data:`PATTERN` a layer; empty for a transformer."""
    num_mtp_modules: FewOrNone = 0
    """Multi-token-prediction modules: a layer, a projection and a head each."""
    tied_embeddings: bool = False
    num_learned_positions: RowsOrNone = 0
    """Rows of a learned position embedding; 0 for rotary, slopes or no positions."""
    has_alibi: bool = False
    """Slopes are added to scores (Press et al., 2022), nothing is rotated."""
    has_embedding_norm: bool = False
    norm: Literal["rmsnorm", "layernorm", "layernorm-no-bias"] = "rmsnorm"
    norms_per_layer: FewOrNone = 0
    """0 stands for one a block; Gemma 2: 4, PaLM: 1."""
    is_parallel: bool = False
    """Attention and feed-forward block read the same input (PaLM, Falcon)."""
    notes: str = ""

    def __post_init__(self) -> None:
        for problem in self._misfits():
            raise ValueError(problem)

    def _misfits(self) -> Iterator[str]:
        pattern = self.hybrid_pattern
        if strange := sorted(set(pattern) - set(PATTERN)):
            yield (
                f"hybrid_pattern has {strange[0]!r}; its symbols are "
                f"{', '.join(f'{symbol} ({kind})' for symbol, kind in PATTERN.items())}"
            )
        if self.has_alibi and self.num_learned_positions:
            yield "has_alibi and num_learned_positions: positions are one or the other"
        if pattern and len(pattern) != self.num_layers:
            yield (
                f"hybrid_pattern describes {len(pattern)} layers, but num_layers is "
                f"{self.num_layers}"
            )
        blocks = {block for kind in set(self.layer_kinds) for block in BLOCKS[kind]}
        if "mlp" in blocks and not self.mlp.ffn_hidden_size:
            yield "mlp.ffn_hidden_size is needed: some layers are dense"
        if "moe" in blocks and self.moe is None:
            yield "moe is needed: hybrid_pattern has layers of experts"
        if self.moe is not None and "moe" not in blocks:
            yield f"moe has experts, but none of {self.num_layers} layers is of them"
        if ("mamba" in blocks) != (self.mamba is not None):
            yield "mamba and layers of kind M in hybrid_pattern go together"

    @cached_property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        """The kind of each layer, from the input to the output."""
        if self.hybrid_pattern:
            return tuple(PATTERN[symbol] for symbol in self.hybrid_pattern)
        kinds: list[LayerKind] = ["dense"] * self.num_layers
        if self.moe:
            first, step = self.moe.num_dense_layers, self.moe.layer_step
            for layer in range(first + step - 1, self.num_layers, step):
                kinds[layer] = "moe"
        return tuple(kinds)

    def local_attention(self, layer: int) -> LocalAttention | None:
        """Return the bound on what a layer's tokens see; None where there is none."""
        local = self.attention.local
        if local is None:
            return None
        is_global = local.global_every and (layer + 1) % local.global_every == 0
        return None if is_global else local

    def attention_span(self, layer: int, seq_len: int) -> int:
        """Return the most tokens that one of a layer's tokens attends to.

        It is 0 for a layer without attention. How many they are on average, with or
        without a causal mask, is :func:`estimator.costs.flop.mean_span`.
        """
        if "attention" not in BLOCKS[self.layer_kinds[layer]]:
            return 0
        local = self.local_attention(layer)
        return seq_len if local is None else min(local.window, seq_len)
