"""What a training framework does, at one release: kernels, buffers, defaults.

A step depends on four things: hardware, model, plan and software. Everything here is
decided by whoever writes a framework, and read in its code or its documentation; what
the person who starts a run decides is the plan (``specs/training.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from estimator.specs.base import CountOrNone, FewOrNone, Line, spec
from estimator.specs.hints import field_hints
from estimator.specs.training import Recipe

AttentionKernel = Literal["fused", "flash-2", "flash-1", "unfused"]
LossKernel = Literal[
    "fused", "in-place", "half", "native", "unfused", "eager", "log-softmax"
]
ShardBuffer = Literal["per-weight", "flat", "in-place", "pieces"]
GradientPass = Literal["average", "check", "unscale", "bucket"]
"""Variants of a kernel or a pass; the fields below tell each."""

Vendor = Literal["nvidia", "amd", "google", "aws", "intel", "apple", "huawei"]
"""Whose accelerators a framework runs on; a GPU's ``vendor`` in small letters."""
VENDORS = frozenset(get_args(Vendor))
STATUSES = ("read", "recalled", "assumed", "asked")
"""How a switch is known; ``asked``: a scenario or a person sets it over its file."""
_RELEASE = re.compile(r"(?:20)?(\d\d)[.-](0[1-9]|1[0-2])")
_SOURCE = re.compile(rf"({'|'.join(STATUSES)}): \S.*")


def _release(text: str) -> str:
    if not _RELEASE.fullmatch(text):
        raise ValueError(f"write 2024-12 or 24.12, not {text[:20]!r}")
    return text


def _source(text: str) -> str:
    if not _SOURCE.fullmatch(text):
        raise ValueError(
            f"begin with how it is known ({', '.join(STATUSES)}), as in "
            f"'read: NVIDIA/Megatron-LM core_v0.9.0, arguments.py', not {text[:40]!r}"
        )
    return text


Release = Annotated[str, AfterValidator(_release)]
"""Year and month, as its makers write them."""
Sourced = Annotated[str, AfterValidator(_source)]
"""``read``, ``recalled`` or ``assumed``, and the repository, commit or tag, and file;
or a paper's section; or why it is assumed."""


@spec
class Kernels:
    """What a layer and the loss are made of."""

    attention: AttentionKernel
    """``fused``: the fastest known on the GPU; ``flash-2``, ``flash-1``: earlier
    releases of FlashAttention (2023, 2022); ``unfused``: scores are written to memory,
    as before."""
    attention_copies: FewOrNone
    """Tensors of all heads' width that are copied around attention, forward and again
    backward: queries, keys and values in another order, joined or cut apart."""
    keeps_12_bits: bool
    """Attention's output is kept in 12 bits, activations are written and sent in 8, as
    DeepSeek's own kernels do."""
    repeats_kv: bool
    """Keys and values are copied for each head that reads them, as PyTorch's
    ``scaled_dot_product_attention`` needs without ``enable_gqa``."""
    library: Literal["transformer_engine", "local"]
    """Where a layer comes from. ``local``: Megatron-LM's own, which have biases, each
    of whose gradients is a sum of its own, and copy attention's result and the
    gradients of queries, keys and values."""
    fused_projections: bool
    """Queries, keys and values are one product, and so are gate and up-projection;
    false: one each, and the gradients of the input that they share are summed."""
    fused_activations: bool
    """A gated activation is one kernel; false: one kernel per operation, each keeping
    its result, as plain PyTorch runs."""
    fused_norms: bool
    """Norms and rotary embeddings are single kernels; false: FP32 operations one by
    one, as plain PyTorch runs them."""
    loss: LossKernel
    """``fused``: one kernel that keeps FP32 probabilities; ``in-place``: two that leave
    the BF16 gradient where the logits were (Transformer Engine, 2025); ``half``: one
    that keeps BF16 logits and writes their BF16 gradient, nothing in FP32
    (FlashAttention's cross entropy); ``unfused``: one kernel per operation on FP32
    logits, in place (Megatron-LM before June 2024); ``native``: the same operations
    compiled into three (its ``cross_entropy_loss_fusion``); ``eager``: each keeps its
    result, as DTensor's loss over a split vocabulary does; ``log-softmax``: PyTorch's
    ``cross_entropy`` on an FP32 copy, DTensor's where ranks share the vocabulary."""
    early_stop: bool
    """Recomputing a layer ends with the last tensor that a gradient needs: a block's
    last product and its collective are left out (``torch.utils.checkpoint`` since
    2.1, where it is not reentrant; compiled programs anyway)."""
    launch: Literal["queued", "graph", "blocking"]
    """How kernels reach the GPU: queued one by one, so that a step lasts at least as
    long as the host needs for them; as a captured or compiled graph; or one by one with
    a wait for each (``CUDA_LAUNCH_BLOCKING``), so that the host's time adds up."""
    maturity: Annotated[float, Field(ge=1e-6, le=2)]
    """Rates of all kernels over those in the GPU's file: below 1 for young or generic
    software, above 1 for releases newer than the measurements."""


@spec
class Experts:
    """How tokens reach experts, and what surrounds their products."""

    dispatch: Literal["deduplicated", "all-to-all"]
    """Once for each node and rank that they visit (DeepEP, HybridEP), or one row for
    each expert in a collective."""
    fused: bool
    """The exchange permutes rows, and expert products apply their activation and casts
    themselves (HybridEP with Transformer Engine's fused grouped MLP, 2026)."""
    fused_router: bool
    """Experts are chosen, and the auxiliary loss is weighed, by a kernel each."""
    num_comm_sms: Annotated[int, Field(ge=0, le=64)] | None = None
    """Streaming multiprocessors that the exchange takes from computation meanwhile;
    null: what the GPU's file says (``in_situ.comm_sms``)."""


@spec
class Communication:
    """What runs behind computation, and in which form."""

    tensor: Literal["none", "async", "pipelined"]
    """Collectives of tensor parallelism. ``async``: backward ones behind weight
    gradients; ``pipelined``: also cut into chunks that hide behind their products."""
    pipeline: bool
    """Send to the next stage behind computation; false: wait for each send."""
    splits_sends: bool
    """Of what all tensor-parallel ranks of a stage hold each sends a part, and those of
    the next stage gather it; false: each sends all. Without sequence parallelism only,
    under which each holds a part anyway."""
    context: bool
    """Exchange keys and values behind attention."""
    experts: bool
    """Exchange tokens behind the other chunk of a pair, where a schedule pairs them."""
    batch_first: bool
    """Activations are laid out batch by batch, so that a collective along the sequence
    copies them whole (PyTorch's DTensor)."""
    context_exchange: Literal["ring", "all-gather"]
    """Keys and values are passed around while attention runs rank by rank, or gathered
    before it runs."""
    context_sums: Literal["bf16", "fp32"]
    """Format in which a ring adds up what its steps leave: partial results, and
    gradients of keys and values, which travel in it (``bf16``: Transformer Engine;
    ``fp32``: PyTorch)."""
    checks_collectives: bool
    """Before each collective the hosts of all its ranks meet and compare shapes
    (PyTorch's ``TORCH_DISTRIBUTED_DEBUG=DETAIL``)."""


@spec
class Gradients:
    """How gradients are accumulated and reduced, and weights sent out again."""

    format: Literal["fp32", "bf16", "bf16+fp32"]
    """What they are accumulated and reduced in; ``bf16+fp32``: products write 16 bits,
    which are added to FP32 ones of their own."""
    fp16_format: Literal["fp32", "bf16", "bf16+fp32"]
    """The same in an FP16 run, 16 bits being FP16's."""
    fused: bool
    """Products add a weight's gradient to what is accumulated themselves."""
    passes: Annotated[tuple[GradientPass, ...], Field(max_length=8)]
    """Kernels of their own over the gradients before the optimizer. ``average``:
    divides them by the replicas before the reduction, which otherwise does;
    ``check``: looks for NaN before it (Megatron-LM's ``check_for_nan_in_grad``);
    ``unscale``: takes out a loss scale, as every FP16 run does; ``bucket``: copies
    16-bit ones into the buckets that are reduced, and back (PyTorch's DDP without an
    optimizer that is sharded)."""
    reduction: Literal["reduce-scatter", "all-reduce"]
    """How ZeRO-1 reduces: each replica gets what it updates, or all of them
    (nanotron)."""
    overlaps_reduction: bool
    """Reduce behind the last backward pass."""
    overlaps_gather: bool
    """Gather updated weights behind the first forward pass."""
    bucket_size: CountOrNone
    """Parameters that travel at once, in whole weights, where gradients or weights move
    beside computation (Megatron-LM's ``ddp-bucket-size``); 0: all of them."""
    bucket_per_replica: CountOrNone
    """The same for each replica, where that is more."""
    are_preallocated: bool
    """They stand in buffers from the first step to the last; false: a gradient is
    there from its backward pass to the optimizer's step."""


@spec
class Storage:
    """What is stored of a weight and of the optimizer's state."""

    shard_buffer: ShardBuffer
    """Where sharded weights are gathered to and gradients scattered from.
    ``per-weight``: a buffer, copied to and from each weight (PyTorch's FSDP2);
    ``flat``: one flat parameter, whose gradients are joined and divided (FSDP1);
    ``in-place``: no copies (XLA, Megatron-FSDP); ``pieces``: each weight alone, as a
    list with a tensor of each rank that the host copies one by one (DeepSpeed's ZeRO-3
    of 2021, which waits for each; nanotron's ZeRO-1)."""
    gathers: Literal["twice", "twice-unless-pipelined", "once"]
    """How often ZeRO-3 gathers a layer's weights: again for its backward pass, or once,
    after which they stay (``reshard_after_forward``)."""
    keeps_16_bit_weights: bool
    """Weights in 16 bits stand beside FP32 ones all the time, also where products read
    8 or 4 bits; false: they are made where they are gathered."""
    gathers_8_bits: bool
    """In an FP8 run weights travel between replicas as they are multiplied."""
    gathers_4_bits: bool
    """The same in FP4; false: 16 bits stand beside FP4 ones, whatever is kept beside
    FP8."""
    num_8_bit_copies: Annotated[int, Field(ge=0, le=2)]
    """Quantised copies of a weight between passes in an FP8 or FP4 run: row by row, and
    column by column for the backward pass; 0: it is quantised where it is used."""
    main_weights: Literal["fp32", "bf16"]
    """What the optimizer updates; ``bf16``: the weights themselves, no copy."""
    moments: Literal["fp32", "bf16", "int8"]
    """Format of the optimizer's two moments."""


@spec
class Defaults:
    """What holds where neither plan nor model says otherwise."""

    zero: Annotated[int, Field(ge=0, le=3)]
    sequence_parallel: bool
    splits_experts: bool
    """Expert tensor parallelism is that of the rest; false: 1."""
    dropout: bool
    """Attention's probabilities and what is added to the residual drop some."""
    positions: Literal["rotary", "learned", "alibi"]
    """Of a model whose file or record does not say."""
    cuts_local_batch: bool
    """A pipeline cuts a replica's sequences into micro-batches of one; false: the batch
    that is given is the micro-batch."""
    weighs_stages: bool
    """A pipeline is cut where the weights of layers and head say."""
    fp8: Recipe
    """What plain FP8 is."""
    vocab_multiple: Annotated[int, Field(ge=1, le=4096)]
    """The vocabulary is filled up to a multiple of this; 1: it is not."""
    vocab_times_tp: bool
    """Of this times tp."""


Patch = Mapping[str, Any]
"""Dotted path of a switch -> its value."""


@spec
class Software:
    """A framework's release: every switch, each with its source."""

    name: Line
    title: Line
    framework: Line
    release: Release
    accelerators: Annotated[tuple[Vendor, ...], Field(min_length=1)]
    kernels: Kernels
    experts: Experts
    communication: Communication
    gradients: Gradients
    storage: Storage
    defaults: Defaults
    offers: Mapping[str, Patch]
    """Features that a person turns on by name -> the switches that they set. One that
    is not here is not to be had."""
    sources: Mapping[str, Sourced]
    """Where each switch comes from, by its dotted path."""

    def __post_init__(self) -> None:
        for feature, patch in self.offers.items():
            if not patch:
                raise ValueError(f"offers.{feature}: say what it sets")
        offers = {
            feature: {path: _switch(path, patch[path], feature) for path in patch}
            for feature, patch in self.offers.items()
        }
        object.__setattr__(self, "offers", offers)
        wanted = {*switch_paths(), *(f"offers.{feature}" for feature in offers)}
        if missing := sorted(wanted - set(self.sources)):
            raise ValueError(f"sources: there is none for {', '.join(missing)}")
        if strange := sorted(set(self.sources) - wanted):
            raise ValueError(f"sources: no switch is called {', '.join(strange)}")

    @property
    def date(self) -> tuple[int, int]:
        """Year and month of the release.

        >>> from estimator.catalog.loading import load
        >>> load("software", "nemo-25.02").date
        (2025, 2)
        """
        return date(self.release)

    @property
    def status(self) -> dict[str, str]:
        """How each switch is known: read, recalled or assumed."""
        return {path: text.split(":")[0] for path, text in self.sources.items()}

    @property
    def num_known(self) -> dict[str, int]:
        """How many switches are known in which way."""
        status = self.status
        known = [status[path] for path in switch_paths()]
        return {each: known.count(each) for each in STATUSES}

    def having(self, switches: Patch) -> Software:
        """Return the release with other values of some switches, which say so.

        >>> from estimator.catalog.loading import load
        >>> made = load("software", "nemo-25.02").having({"kernels.launch": "graph"})
        >>> made.kernels.launch, made.sources["kernels.launch"]
        ('graph', 'asked: set by a program')

        Raises
        ------
        ValueError
            If a switch cannot have its value.
        """
        parts: dict[str, dict[str, Any]] = {}
        for path, value in switches.items():
            group, _, key = path.partition(".")
            parts.setdefault(group, {})[key] = _adapter(path).validate_python(value)
        groups = {
            group: replace(getattr(self, group), **values)
            for group, values in parts.items()
        }
        said = dict.fromkeys(switches, "asked: set by a program")
        return replace(self, **groups, sources={**self.sources, **said})

    def switches(self) -> dict[str, Any]:
        """Return every switch by its dotted path."""
        found: dict[str, Any] = {}
        for path in switch_paths():
            value: Any = self
            for key in path.split("."):
                value = getattr(value, key)
            found[path] = value
        return found


def date(release: str) -> tuple[int, int]:
    """Return year and month of a release.

    >>> date("2024-12"), date("25.09")
    ((2024, 12), (2025, 9))
    """
    found = _RELEASE.fullmatch(release)
    assert found  # noqa: S101 - checked at the door
    return 2000 + int(found[1]), int(found[2])


@cache
def switch_paths() -> tuple[str, ...]:
    """Return the dotted path of every switch, in the order of the specs."""
    return tuple(_below(Software, ""))


NAMING = frozenset({"name", "title", "framework", "release", "offers", "sources"})
"""Fields that say what a release is, not what it does."""


def _below(cls: Any, prefix: str) -> Iterator[str]:
    hints = field_hints(cls)
    for item in fields(cls):
        if not prefix and item.name in NAMING:
            continue
        inner = hints[item.name]
        if isinstance(inner, type) and is_dataclass(inner):
            yield from _below(inner, f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}"


def _switch(path: str, value: object, feature: str) -> Any:
    """Return the value that a feature gives a switch, as the switch takes it."""
    if path not in switch_paths():
        raise ValueError(f"offers.{feature}: there is no switch {path!r}")
    try:
        return _adapter(path).validate_python(value)
    except ValidationError as error:
        words = error.errors(include_url=False)[0]["msg"]
        raise ValueError(f"offers.{feature}.{path}: {words}") from None


@cache
def _adapter(path: str) -> TypeAdapter[Any]:
    group, _, key = path.partition(".")
    cls: Any = Software
    hint = field_hints(cls)[group]
    made: TypeAdapter[Any] = TypeAdapter(field_hints(hint)[key] if key else hint)
    return made
