"""What the words of a record stand for, and what its source leaves out: no code."""

from __future__ import annotations

from collections.abc import Mapping

HARDWARE_FLOP = frozenset({"sc21", "bigscience", "opt"})
"""Sources that count what is executed, recomputation included: four forward passes."""
LOGGED_FLOP: Mapping[str, tuple[int, int]] = {"gptneox": (6, 60)}
"""Sources -> FLOP of a token in the framework's log, for each parameter and for each
layer, width and position: neither what is trained nor what is executed
(EleutherAI/gpt-neox, commit a42805b of April 2022, ``megatron/logging.py``,
``get_flops``; the same since March 2021)."""

MICRO_BATCH: Mapping[str, int] = {"gptneox": 4}
"""Sources -> sequences of a micro-batch in their configuration, where a run does not
print them (EleutherAI/gpt-neox, commit ea7aefd, ``configs/20B.yml``)."""

CHECKPOINTED = HARDWARE_FLOP | {"gptneox"}
"""Sources whose runs recompute all where they do not print it: they count it, or their
configuration says so (the same file)."""

REPEATED_IN: Mapping[str, Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "mbridge": {
        "25.09": (
            (r"deepseek.* h100", ("mla_up_proj", "mlp")),
            (r"deepseek", ("mla_up_proj",)),
        ),
        "25.11": (
            (r"deepseek.* gb300", ("moe_act",)),
            (r"deepseek.* h100", ("mla_up_proj", "mlp")),
            (r"deepseek", ("mla_up_proj",)),
        ),
    },
}
"""Sources -> release -> model, GPU and what they recompute (Megatron-Bridge, the files
of ``frameworks.FLEXIBLE_IN``)."""

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
SCHEDULE: Mapping[str, str] = {"megatron": "interleaved 1F1B"}
"""Sources -> schedule of runs that print none: Megatron-LM's table of H100s names it
for all that have a pipeline."""
MOST_VIRTUAL = 4
"""Virtual stages at most where a source does not print them."""

PRECISIONS: tuple[tuple[str, str, str], ...] = (
    (r"fp8 or nvfp4", "nvfp4", "FP8 and NVFP4 were both submitted: the faster, NVFP4"),
    (r"no matching config", "nvfp4", "FP8 is assumed, NVFP4 allowed: the faster"),
    (r"nvfp4|fp4", "nvfp4", ""),
    (r"mx-?fp8|fp8-?mx", "mxfp8", ""),
    (r"deepgemm|block", "fp8", ""),
    (r"row-?wise", "fp8-row", ""),
    (r"fp8|e4m3", "fp8-tensor", ""),
    (r"bf16|fp16|bfloat|half", "bf16", ""),
    (r"int8|8-bit", "bf16", "INT8 is not modelled: BF16"),
    (r"tf32|fp32|single", "bf16", "32-bit products are not modelled: BF16"),
)
"""Words in ``precision`` -> recipe, assumption; the first that fits, else BF16."""
BLOCK_SCALED = frozenset({"dsv3"})
"""Sources whose plain ``FP8`` has a scale per tile and block."""
FASTEST_UNSAID: Mapping[str, str] = {"mlperf": "nvfp4"}
"""Sources -> recipe where a row prints no precision, FP8 on GPUs without it: MLPerf's
rules reward what is fastest."""

MODULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"mla_up_proj|mla up-projection", ("mla_up_proj",)),
    (r"layernorm|rmsnorm|\bnorm\b", ("layernorm",)),
    (r"moe_act|swiglu|\bact\b", ("moe_act",)),
    (r"\bmlp\b", ("mlp",)),
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

REPEATED_BY: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"^dgxc-.*-paxml-gpt3-5b-", ("core_attn", "layernorm", "moe_act")),
    (r"^dgxc-.*-paxml-gpt3-175b-", ("core_attn", "layernorm", "mlp_up")),
    (r"^dgxc-.*-maxtext-llama2-70b-", ("core_attn", "layernorm", "mlp_up")),
    (r"^dgxc-.*-maxtext-llama3-70b-", ("full",)),
    (r"^dgxc-v25\.05[.\d]*-deepseek-v3-.*gb200", ("core_attn",)),
    (r"^dgxc-v25\.05[.\d]*-deepseek-v3-", ("mla_up_proj",)),
)
"""Words in a record's name -> what its script repeats, where the page does not say:
``SAVE_DOT_ONLY`` and ``SAVE_QKV_OUT_PROJ`` of Paxml, ``save_dot_except_mlp`` and
``save_qkv_proj`` of MaxText, which is ``full`` but for the first product of a layer;
``RM`` of NeMo (NVIDIA/dgxc-benchmarking, commits 35a9aec, 85380ff and 1f6d9f4,
``paxml/paxml_mod_configs.py``, ``maxtext/configure.sh``,
``deepseek_v3/*/launch.sh``)."""

CAUSAL_FLOP = frozenset({"mbridge", "moezoo", "mcoremoe"})
"""Sources that halve attention and count multi-token prediction: Megatron-LM from core
0.12 on. All others count full attention."""
FP8_PEAK = frozenset({"dgxc", "nemo", "nemo24.07"})
"""Sources that divide an FP8 run by the FP8 peak."""
