"""What the software of a source does where a record does not say: tables, no code.

A rule holds for a source or an era, never for a single run. Where a rule fills in
something that the record does not print, the prediction says so among its assumptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from estimator.specs.software import (
    AttentionKernel,
    GradientPass,
    LossKernel,
    ShardBuffer,
)

NVIDIA_RECIPES = frozenset(
    {"dgxc", "mbridge", "nemo", "nemo24.07", "moezoo", "mcoremoe", "mlperf"}
)
"""Sources that run NVIDIA's tuned recipes: user buffers, overlapped reduction and
gathering, gradients reduced in BF16."""

OVERLAPPING = NVIDIA_RECIPES | {"megatron"}
"""Sources that hide all three: data-, tensor- and pipeline-parallel communication
(Megatron-LM, README, "fine-grained overlapping")."""

MEGATRON_BUCKETS = frozenset({"megatron", "megascale", "moezoo", "mcoremoe"})
LEAST_BUCKET, BUCKET_PER_REPLICA = 40_000_000, 1_000_000
"""Parameters that Megatron-LM reduces or gathers at once beside computation: 40M, or a
million for each replica (NVIDIA/Megatron-LM, commit 23e00ed,
``core/distributed/distributed_data_parallel.py``)."""
RECIPE_BUCKET = 128 * 1024**2
"""The same in NeMo and Megatron-Bridge (NVIDIA/NeMo,
``callbacks/megatron_comm_overlap.py``; Megatron-Bridge, commit 067f987,
``training/comm_overlap.py``)."""

OVERLAPPED_REDUCTION = OVERLAPPING | {"llama1", "deepseek"}
"""Sources that hide the reduction of gradients at least: LLaMA's all-reduces over the
network run beside computation (Touvron et al., 2302.13971, section 2.4), DeepSeek LLM's
beside the last backward pass (2401.02954, section 2.4, recalled)."""

DDP = REDUCED_WHOLE = frozenset({"hfnanotron"})
DDP_BUCKET = 25 * 2**20 // 2
"""Sources that reduce gradients as PyTorch's DDP does, beside the last backward pass
and 25 MiB of BF16 at a time, but whole and behind it where optimizer states are sharded
(huggingface/nanotron, commit 67c5ebb, ``trainer.py``, ``_init_model`` and
``training_step``; ``examples/config_tiny_llama_bench.yaml``). DDP copies gradients into
its buckets and back (PyTorch, ``csrc/distributed/c10d/reducer.cpp``)."""

PIPELINED_TENSOR = OVERLAPPING | {"deepseek"}
"""Sources that hide the collectives of tensor parallelism behind their own products;
DeepSeek LLM, the same section."""

MEGATRON = NVIDIA_RECIPES | {
    "sc21",
    "korthikanti",
    "megatron",
    "megascale",
    "pfold",
    "simumax",
    "glm",
    "gptneox",
}
"""Sources whose framework shards the optimizer (ZeRO-1) unless it is told otherwise."""

ATTENTION: Mapping[str, AttentionKernel] = {
    "sc21": "unfused",
    "korthikanti": "unfused",
    "bigscience": "unfused",
    "vtrain": "unfused",
    "zb": "unfused",
    "opt": "unfused",
    "gptneox": "unfused",
    "glm": "unfused",
    "llama1": "flash-1",
    "llmfoundry": "flash-1",
    "hfnanotron": "flash-2",
    "nemo": "flash-2",
    "torchtitan": "flash-2",
    "deepseek": "flash-2",
}
"""Sources whose attention is older than the kernels of their GPU: scores written to
memory before FlashAttention (2022) and where a script does not ask for it (zero-bubble,
``examples/pretrain_zero_bubble.sh``, commit f68d387), its first version (xFormers in
LLaMA, Triton in MPT), its second (PyTorch's and nanotron's; NeMo's page of long
sequences measured H100s in March 2024, before Hopper had kernels of its own)."""

OLDER_ATTENTION: tuple[tuple[str, AttentionKernel], ...] = (
    (r"^dgxc-v(24\.11|25\.04)[.\d]*-grok1-", "flash-2"),
    (r"^dgxc-v24\.11[.\d]*-(gpt3-175b|nemotron4-340b)-", "flash-2"),
)
"""Words in a record's name -> attention: scripts that set ``NVTE_FUSED_ATTN=0`` leave
Transformer Engine the FlashAttention of their container, not cuDNN's kernels for Hopper
(NVIDIA/dgxc-benchmarking, commits 35a9aec and 85380ff, ``*/configure.sh``,
``nemo_megatron/launch.sh``)."""

DROPOUT = frozenset({"sc21", "korthikanti", "bigscience", "vtrain", "zb", "opt", "glm"})
"""Sources that drop: Megatron-LM's defaults (0.1) hold unless a script says otherwise
(bigscience-workshop/bigscience, tr11-176B-ml/README.md; VIA-Research/vTrain,
``src/model/gpt_model.py``; Korthikanti et al., whose memory counts the masks;
zero-bubble's script, commit f68d387, sets 0 for exact comparisons only). 0 in GPT-NeoX
(``configs/20B.yml``)."""

POSITIONS: Mapping[str, Literal["learned", "alibi"]] = {
    "sc21": "learned",
    "korthikanti": "learned",
    "vtrain": "learned",
    "zb": "learned",
    "opt": "learned",
    "megascale": "learned",
    "bigscience": "alibi",
}
"""Sources whose positions are not rotary: learned ones are Megatron-LM's default and
were its only ones until 2023; BigScience's are slopes (tr11-176B-ml/README.md)."""

LOCAL_LAYERS = frozenset(
    {
        "sc21",
        "korthikanti",
        "bigscience",
        "vtrain",
        "zb",
        "gptneox",
        "glm",
        "megascale",
        "opt",
    }
)
"""Sources whose layers are Megatron-LM's own: before Transformer Engine (2022), or
where a script does not ask for it."""

BLOCKING_TENSOR = frozenset(
    {"sc21", "bigscience", "vtrain", "gptneox", "glm", "opt", "torchtitan", "simumax"}
)
"""Sources from before Megatron-LM hid the backward all-reduce of tensor parallelism;
Megatron-DeepSpeed and GPT-NeoX never did (bigscience-workshop/Megatron-DeepSpeed,
commit 8387ae1, ``mpu/layers.py``; EleutherAI/gpt-neox, ``mpu/mappings.py``), nor does
PyTorch's DTensor, unless a record's notes say async TP. SimuMax keeps whatever overlaps
off (MooreThreads/SimuMax, commit 4dcaae5, ``docs/b200/b200_real_repro_guide.md``)."""

SPLIT_PROJECTIONS = frozenset({"torchtitan"})
"""Sources whose layers have a linear module for queries, keys and values each, and for
gate and up-projection (pytorch/torchtitan, commit b5bcd76, ``models/llama3``)."""

ATTENTION_COPIES: Mapping[str, int] = {"hfnanotron": 7}
"""Sources -> tensors copied around attention: three are put in order, two of them
joined and put in order again; eight on the way back (huggingface/nanotron, commit
67c5ebb, ``models/llama.py``, ``CausalSelfAttention``)."""

REPEATED_KV = frozenset({"torchtitan"})
"""Sources that copy keys and values for each head (pytorch/torchtitan,
``models/llama/model.py``, ``repeat_kv``, until commit ff0829c of January 2026)."""

GATHERED_CONTEXT = frozenset({"llama3"})
"""Sources whose context-parallel ranks gather keys and values before attention (Llama
Team, arXiv 2407.21783, section 3.3.2)."""

RING_IN_FP32 = frozenset({"torchtitan"})
"""Sources whose ring is PyTorch's, which sums in FP32 (``convert_to_f32``). A compiled
program waits for each collective at once (``_functional_collectives.py``,
``_maybe_wrap_tensor``), and TorchInductor moves none unless it is told to."""

BATCH_FIRST = frozenset({"torchtitan"})
"""Sources whose activations have the batch first and whose collectives are DTensor's,
unless a record's notes say async TP, which gathers inside products (torchtitan,
``models/llama3``; PyTorch, ``_functional_collectives.py``)."""

EARLY_STOP = frozenset({"torchtitan"})
"""Sources that recompute through ``torch.utils.checkpoint``, not reentrant (torchtitan,
``distributed/activation_checkpoint.py``)."""

BLOCKING_SENDS = frozenset({"bigscience", "vtrain", "gptneox", "glm"})
"""Sources whose pipeline is DeepSpeed's, which waits for each send between stages."""

BLOCKING_LAUNCHES = frozenset({"bigscience"})
"""Sources that wait for each kernel: ``CUDA_LAUNCH_BLOCKING=1`` against hangs
(bigscience, tr11-176B-ml/chronicles-prequel.md)."""

_IN_PLACE: Mapping[str, ShardBuffer] = dict.fromkeys(NVIDIA_RECIPES, "in-place")
SHARD_BUFFER: Mapping[str, ShardBuffer] = {
    "sc21": "pieces",
    "hfnanotron": "pieces",
    "llmfoundry": "flat",
    "llama1": "flat",
    "opt": "flat",
    "palm": "in-place",
    **_IN_PLACE,
}
"""Sources whose sharded weights do not travel as those of PyTorch's FSDP2 do. A list of
the ranks' pieces for each weight, the GPU waited for before each module: ZeRO-3 of 2021
(microsoft/DeepSpeed, commit 11e94e6, ``partition_parameters.py``,
``_allgather_param``; ``stage3.py``, ``_synchronize_communication``). One flat
parameter: FSDP's first version, MPT's, and fairscale's before it. In place: XLA and
Megatron-FSDP."""

_AVERAGED: Mapping[str, tuple[GradientPass, ...]] = dict.fromkeys(
    (
        "sc21",
        "korthikanti",
        "bigscience",
        "vtrain",
        "zb",
        "opt",
        "gptneox",
        "glm",
        "megascale",
        "mcoremoe",
        "moezoo",
    ),
    ("average",),
)
GRADIENT_PASSES: Mapping[str, tuple[GradientPass, ...]] = {
    **_AVERAGED,
    "megatron": ("average", "check"),
    "pfold": ("average", "check"),
    "simumax": ("average", "check"),
}
"""Sources -> passes over gradients in kernels of their own. Megatron-LM and its forks
divide by the replicas before they reduce (since 2019), and look for NaN first since
commit b1116a0 of September 2023 unless ``--no-check-for-nan-in-loss-and-grad`` is
given, as in Megatron-MoE-ModelZoo (commit e865051, ``model_configs/benchmarking``).
NVIDIA's own recipes let the collective average (NeMo and Megatron-Bridge,
``average_in_collective``) and their benchmarks check nothing (Megatron-Bridge, commit
067f987, ``scripts/performance/utils/overrides.py``)."""
SCALED_LOSS = r"fp16|half"
"""Words in ``precision`` of runs whose loss is scaled: one more pass."""

COMPILED = ("maxtext", "paxml", "jax")
"""Words in a record's name of frameworks whose programs XLA compiles."""

UNFUSED = frozenset({"hfnanotron"})
"""Sources whose gated activations are PyTorch's own operations."""

LOSS: Mapping[str, LossKernel] = {
    "llmfoundry": "half",
    "hfnanotron": "eager",
    "sc21": "unfused",
    "korthikanti": "unfused",
    "bigscience": "unfused",
    "vtrain": "unfused",
    "zb": "unfused",
    "opt": "unfused",
    "gptneox": "unfused",
    "glm": "unfused",
    "megascale": "unfused",
    "dgxc": "native",
    "moezoo": "native",
    "mcoremoe": "native",
    "mbridge": "in-place",
    "simumax": "in-place",
}
"""Sources whose loss is not one kernel that keeps FP32 probabilities. Operation by
operation: Megatron-LM and its forks before June 2024 (NVIDIA/Megatron-LM, commit
7b4a6d7 fused what it could, commit 0f60adb of March 2025 made it one kernel), metaseq
among them (facebookresearch/metaseq, commit f7ffa5f,
``criterions/vocab_parallel_cross_entropy.py``), and plain PyTorch. What Megatron-LM
fused: NeMo since September 2024 (NVIDIA/NeMo, commit 1d5de59, ``gpt/model/base.py``)
and ModelZoo's configurations. Transformer Engine's: Megatron-Bridge's benchmarks
(commit 067f987, ``scripts/performance/utils/overrides.py``) and SimuMax's. Logits in
BF16 only: MPT's default ``loss_fn`` is ``fused_crossentropy`` (mosaicml/llm-foundry,
commit 8c8dd48, ``llmfoundry/models/mpt/modeling_mpt.py``), which is FlashAttention's;
its gradient has the format of the logits (Dao-AILab/flash-attention, commit 08124c8,
``flash_attn/losses/cross_entropy.py``)."""

PLAIN_LOSS = r"torchtitan.*_202412_"
"""Words in a source's title whose loss is PyTorch's own, in compiled runs, too: from 18
December 2024 to 20 February 2025 torchtitan left its loss out of compilation because of
CUDA errors, in commit 9dec370, too, with which they were measured (``train.py``). Over
a vocabulary that ranks share it is DTensor's, operation by operation."""

EAGER = frozenset({"torchtitan"})
"""Sources of plain PyTorch, norms and rotary embeddings included, where a record's
notes do not say that it is compiled (torchtitan, ``docs/performance.md``)."""

HALF_GRADIENTS = frozenset(
    {"sc21", "korthikanti", "llmfoundry", "vtrain", "opt", "gptneox"}
)
"""Sources that reduce gradients in 16 bits, beside NVIDIA's."""

SEPARATE_GRADIENTS = frozenset(
    {"sc21", "bigscience", "gptneox", "glm", "vtrain", "opt"}
)
"""Sources whose framework adds each gradient in a kernel of its own: Megatron-LM of
2021 and the DeepSpeed forks of it. The product that adds it itself came with apex's
``fused_weight_gradient_mlp_cuda`` (NVIDIA/apex, pull request 1317, March 2022)."""

HALF_MOMENTS = frozenset({"dsv3", "dsv2", "deepseek"})
"""Sources that keep the optimizer's moments in BF16 (DeepSeek-V3, section 3.3.2)."""

NO_SEQUENCE_PARALLEL = frozenset(
    {"sc21", "vtrain", "bigscience", "zb", "opt", "glm", "gptneox"}
)
"""Sources from before sequence parallelism (Korthikanti et al., 2022), or without."""

WHOLE_EXPERTS = frozenset({"mbridge", "mcoremoe", "moezoo", "simumax", "dsv3", "dsv2"})
"""Sources whose recipes set ``expert_tensor_parallel_size`` 1 (Megatron-Bridge,
MoE-ModelZoo, DeepSeek). Elsewhere Megatron-LM's default holds: that of tp."""

OVERLAPPED_EXPERTS: Mapping[str, str] = {
    "mcoremoe": r"deepseek.* h100",
    "moezoo": r"deepseek.* h100",
    "mbridge": r"deepseek.* (h100|b200)",
}
"""Sources -> model and GPU whose recipe hides expert exchanges between the chunks of an
interleaved pipeline: ``A2A_OVERLAP=1``, "best config on 1024 H100 GPUs",
Megatron-MoE-ModelZoo (commit e865051), best_practice/deepseek-v3; on B200s
perf_recipes/deepseek/b200, Megatron-Bridge (commit 067f987)."""

DEDUPLICATED = frozenset({"dsv3", "dsv2", "mbridge", "mcoremoe", "moezoo"})
"""Sources that dispatch through DeepEP or HybridEP where a row does not say otherwise;
all others use a collective, as Megatron-LM, torchtitan and MaxText do by themselves."""

FLEXIBLE_IN: Mapping[str, Mapping[str, str]] = {
    "mbridge": {"25.09": r"deepseek.* h100", "25.11": r"gb[23]00|deepseek.* h100"},
}
"""Sources -> release -> model and GPU that dispatch through DeepEP or HybridEP in it,
all others by a collective; in a release that is not named all do (Megatron-Bridge,
v0.1.0rc4 ``scripts/performance/run_script.py``, v0.2.0
``configs/*/workload_base_configs.py``)."""

GATHERED_BYTES = 2**30
CHECKED_GPU = r"h100(-sxm\d?)?(-80gb)?"
CHECKED_REDUCTION, LEAST_CHECK_S = 440.0, 0.25e-3
"""What nanotron gathers and reduces before it trains (huggingface/nanotron, commit
67c5ebb, ``trainer.py``, ``measure_bandwidth``), and what tells jobs on H100s whose
hosts check each collective first from others: GB/s of the reduction in a node, at most,
and seconds of the gather for each rank, at least. Jobs are at 391 to 430 and 0.28 to
0.65 ms, or at 450 to 461 and, on 32 ranks and more, 0.04 to 0.17 ms. Nanotron's script
for several nodes sets ``TORCH_DISTRIBUTED_DEBUG=DETAIL`` (commit 77f54c1), under which
PyTorch does this (``ProcessGroupWrapper.cpp``)."""

FUSED_ROUTER = frozenset({"mbridge", "mcoremoe", "moezoo"})
"""Sources whose recipes set ``moe_router_fusion``: Megatron-Bridge from 25.09 on
(commit 067f987, ``perf_recipes``) and Megatron-MoE-ModelZoo (commit e865051,
``model_configs/benchmarking``)."""

FUSED_EXPERTS: Mapping[str, tuple[str, str]] = {"mbridge": ("26.06", "nvl72")}
"""Sources -> release from which, and interconnect on which, MXFP8 recipes run experts
as one kernel behind HybridEP, hide the exchanges and capture the whole step in a graph:
``_enable_hybridep_full_iteration_mxfp8``, Megatron-Bridge (commit 067f987),
perf_recipes/qwen/common.py and perf_recipes/deepseek/common.py."""
WEIGHED_STAGES = frozenset({"hfnanotron"})
"""Sources that cut a pipeline where the weights of layers and head say."""
