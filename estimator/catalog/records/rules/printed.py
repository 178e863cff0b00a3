"""What the words of a record stand for: tables, no code."""

from __future__ import annotations

SCHEDULES: tuple[tuple[str, str], ...] = (
    ("dualpipe-v", "dualpipe-v"),
    ("dualpipev", "dualpipe-v"),
    ("dualpipe", "dualpipe"),
    ("zb-2p", "zb-h2"),
    ("zb-1p", "zb-h1"),
    ("zb-v", "zb-v"),
    ("zbv", "zb-v"),
    ("zb-h2", "zb-h2"),
    ("zb", "zb-h1"),
    ("zero-bubble", "zb-h1"),
    ("zero bubble", "zb-h1"),
    ("gpipe", "gpipe"),
    ("breadth", "breadth-first"),
)
"""Words in ``schedule`` -> schedule; interleaved and plain 1F1B apart."""

PLAIN = "fp8-plain"
"""Scaled as the framework does by itself (``defaults.fp8`` of its file)."""
PRECISIONS: tuple[tuple[str, str, str], ...] = (
    (r"fp8 or nvfp4", PLAIN, "FP8 and NVFP4 were both submitted: FP8"),
    (r"no matching config", PLAIN, "FP8 is assumed, as the collector does"),
    (r"nvfp4|fp4", "nvfp4", ""),
    (r"mx-?fp8|fp8-?mx", "mxfp8", ""),
    (r"deepgemm|block", "fp8", ""),
    (r"row-?wise", "fp8-row", ""),
    (r"tensor-?wise|per-tensor|fp8-cs|delayed", "fp8-tensor", ""),
    (r"fp8|e4m3", PLAIN, ""),
    (r"^\W*(fp16|half)", "fp16", ""),
    (r"bf16|bfloat", "bf16", ""),
    (r"fp16|half", "fp16", ""),
    (r"int8|8-bit", "bf16", "INT8 is not modelled: BF16"),
    (r"tf32|fp32|single", "bf16", "32-bit products are not modelled: BF16"),
)
"""Words in ``precision`` -> recipe, assumption; the first that fits, else BF16. Of two
16-bit formats the one that is named first."""
MODULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"mla_up_proj|mla up-projection", ("mla_up_proj",)),
    (r"layernorm|rmsnorm|\bnorm\b", ("layernorm",)),
    (r"moe_act|swiglu|\bact\b", ("moe_act",)),
    (r"\bmlp\b", ("mlp",)),
    (r"\bmlp_up\b", ("mlp_up",)),
    (r"(?<!-)\bmoe\b(?!-)", ("moe",)),
    (r"core_attn|attention core", ("core_attn",)),
    (
        r"selective (op|layer)|per-op selective",
        ("layernorm", "moe_act", "second_product"),
    ),
    (r"partial: activations of linear layers kept", ("layernorm", "moe_act")),
)
"""Words in ``recompute`` -> modules, all that fit. Per-op selective checkpointing of
torchtitan keeps matrix products and attention, and repeats what is element-wise and
every second product (torchtitan, ``parallelize_llama.py``, June 2024 and later)."""
