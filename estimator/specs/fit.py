"""What does not fit together in a parts, and the nearest numbers that would.

:func:`structure` yields what has no meaning: no scenario may have it. What
:func:`frameworks` yields has one, but does not start there: nobody may write it, and
published runs are taken as they are printed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from estimator.specs.base import unchecked
from estimator.specs.hardware import Cluster
from estimator.specs.layout import EVEN, check_layout, parse_layout
from estimator.specs.model import BLOCKS, Attention, Transformer
from estimator.specs.software import VENDORS, Software
from estimator.specs.training import ParallelPlan, Phase

GPUS, BATCH = "cluster.num_gpus", "global_batch_size"
"""The path of the GPUs, and the last key of a batch's."""
TRIED = 32
"""Numbers of GPUs either way among which one that runs is looked for."""
EVENLY = f"stage_layout: {EVEN}"
"""What suits every model and every number of stages."""


class Parts(Protocol):
    """What of a scenario has to fit together."""

    @property
    def model(self) -> Transformer:
        """What is trained."""

    @property
    def cluster(self) -> Cluster:
        """What it is trained on."""

    @property
    def software(self) -> Software:
        """What trains it."""

    @property
    def plan(self) -> ParallelPlan:
        """How it is spread."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """With which batches and sequences."""


@dataclass(frozen=True)
class Misfit:
    """One thing that does not fit, by the field to change first."""

    path: str
    problem: str
    nearest: Mapping[str, int] = field(default_factory=dict)
    """Fields any one of which would put it right, and the value nearest to its own."""
    remedy: str = ""
    """What to try."""
    remedied: str = ""
    """The field that the remedy is about, if not this one."""

    def __str__(self) -> str:
        words = f"{self.path}: {self.problem}"
        return f"{words}; try {self.remedy}" if self.remedy else words

    def blaming(self, path: str) -> str:
        """Return it in words by another of the fields that would put it right."""
        is_its = path == (self.remedied or self.path)
        remedy = self.remedy if is_its else f"{path}: {self.nearest[path]}"
        return str(replace(self, path=path, remedy=remedy))


class MisfitError(ValueError):
    """A scenario's parts do not fit together."""

    def __init__(self, misfits: tuple[Misfit, ...]) -> None:
        super().__init__("; ".join(map(str, misfits)))
        self.misfits = misfits


def check(misfits: Iterator[Misfit]) -> None:
    """Raise MisfitError if there are any."""
    if found := tuple(misfits):
        raise MisfitError(found)


def structure(parts: Parts) -> Iterator[Misfit]:
    """Yield what has no meaning together."""
    if not any(phase.basis == "simulated" for phase in parts.phases):
        yield Misfit("phases", "a scenario needs at least one simulated phase")
    yield from _spread(parts)
    yield from _experts(parts)
    plan, heads = parts.plan, parts.model.attention.num_heads
    if heads % plan.tp:
        yield Misfit(
            "plan.tp",
            f"tp {plan.tp} does not divide {heads} heads",
            _nearest(parts, "tp", _divisors(heads)),
        )
    if plan.stage_layout != EVEN:
        yield from _layout(parts)


def frameworks(parts: Parts) -> Iterator[Misfit]:
    """Yield what Megatron-LM and torchtitan refuse to start.

    Sources: NVIDIA/Megatron-LM, commit d98e8a6, ``transformer_config.py`` (KV heads),
    ``num_microbatches_calculator.py`` (batch), ``training/arguments.py`` (sequences and
    context parallelism), ``core/utils.py`` (widths), ``tensor_parallel/mappings.py``
    (sequence parallelism), ``ssm/mamba_mixer.py``; pytorch/torchtitan,
    ``parallel_dims.py``, and issue 2577. A launcher starts as many processes on each
    node.
    """
    yield from _release(parts)
    yield from _nodes(parts)
    yield from cuts(parts)
    yield from _batches(parts)


def cuts(parts: Parts) -> Iterator[Misfit]:
    """Yield how layers and sequences cannot be cut, whatever the pipeline and batch."""
    yield from _kv_heads(parts)
    yield from _blocks(parts)
    yield from _sequences(parts)


def splits_evenly(parts: Parts, replica: int) -> bool:
    """Whether each batch splits into so many sequences at a time."""
    batches = (phase.global_batch_size for phase in parts.phases)
    return not any(batch.final % replica for batch in batches if batch)


def around(value: int, multiple: int) -> list[int]:
    """Return the multiples next to a value, nearest first, of two as near the less.

    >>> around(12, 8), around(15360, 448), around(3, 8)
    ([8, 16], [15232, 15680], [8])
    """
    below, above = value // multiple * multiple, -(-value // multiple) * multiple
    return _by_distance(value, {below, above} - {0})


def gpus_around(parts: Parts) -> list[int]:
    """Return the numbers of GPUs next to a scenario's that its plan runs on.

    They are whole nodes, or a part of one.
    """
    num_gpus, node = parts.cluster.num_gpus, parts.cluster.node.gpus_per_node
    multiple = parts.plan.degrees.sharded_multiple
    found = set(around(num_gpus, math.lcm(multiple, node)))
    found |= {part for part in around(min(num_gpus, node), multiple) if part <= node}
    below = [count for count in found if count <= num_gpus]
    above = [count for count in found if count > num_gpus]
    return _by_distance(num_gpus, {*sorted(below)[-1:], *sorted(above)[:1]})


def _gpus_that_run(parts: Parts) -> list[int]:
    """Return the next number of GPUs either way that the batch fits as well.

    Those that the plan alone runs on, where no number near fits the batch.
    """
    near, cluster = gpus_around(parts), parts.cluster
    num_gpus, node = cluster.num_gpus, cluster.node.gpus_per_node
    multiple = parts.plan.degrees.sharded_multiple
    step = math.lcm(multiple, node)
    first = num_gpus // step - TRIED
    found = {max(0, first + turn) * step for turn in range(2 * TRIED + 1)}
    found |= set(range(multiple, node, multiple)) - {0}

    def runs(count: int) -> bool:
        other = unchecked(parts, cluster=unchecked(cluster, num_gpus=count))
        return not any(_batches(other))

    sides: dict[bool, int] = {}
    for count in _by_distance(num_gpus, {*near, *found} - {0, num_gpus}):
        if (count > num_gpus) not in sides and runs(count):
            sides[count > num_gpus] = count
    return list(sides.values()) or near


def _by_distance(value: int, found: set[int]) -> list[int]:
    return sorted(found, key=lambda other: (abs(other - value), other))


def _either(values: list[int]) -> str:
    """Return values as words, the larger first.

    >>> _either([8, 16])
    '16 or 8'
    """
    return " or ".join(str(value) for value in sorted(values, reverse=True))


def _divisors(total: int) -> set[int]:
    small = {size for size in range(1, math.isqrt(total) + 1) if total % size == 0}
    return small | {total // size for size in small}


def _nearest(parts: Parts, axis: str, among: set[int]) -> dict[str, int]:
    """Return the size of an axis nearest to its own that the model can be cut into."""
    runs = among & _sizes(parts, axis) if axis in ("tp", "etp", "ep") else among
    near = _by_distance(getattr(parts.plan, axis), runs)
    return {f"plan.{axis}": near[0]} if near else {}


def _sizes(parts: Parts, axis: str) -> set[int]:
    """Return the sizes of an axis that the model can be cut into."""
    attention = parts.model.attention
    widths = [width for cut, _, width in _widths(parts) if cut == axis]
    if axis == "ep":
        widths.append(parts.model.moe.num_experts if parts.model.moe else 1)
    if axis != "tp":
        return _divisors(math.gcd(*widths))
    sizes = _divisors(math.gcd(attention.num_heads, *widths))
    return {size for size in sizes if _shares_kv_heads(attention, size)}


def _shares_kv_heads(attention: Attention, tp: int) -> bool:
    """Whether KV heads are split over tensor-parallel ranks, or copied as often."""
    kv_heads = attention.kv_heads
    return attention.kind == "mla" or not (kv_heads % tp and tp % kv_heads)


def _widths(parts: Parts) -> Iterator[tuple[str, str, int]]:
    """Yield what is cut beside heads: along which axis, its name and its width."""
    model = parts.model
    blocks = {block for kind in set(model.layer_kinds) for block in BLOCKS[kind]}
    if "mlp" in blocks:
        yield "tp", "ffn_hidden_size", model.mlp.ffn_hidden_size
    if model.moe:
        yield "etp", "an expert's width", model.moe.ffn_hidden_size
    if model.moe and model.moe.shared_width:
        yield "tp", "shared experts' width", model.moe.shared_width
    if model.mamba and "mamba" in blocks:
        yield "tp", "Mamba heads", model.mamba.num_heads
        yield "tp", "Mamba groups", model.mamba.num_groups


def _spread(parts: Parts) -> Iterator[Misfit]:
    """Yield what keeps the plan from covering the GPUs."""
    wrong = parts.plan.degrees.indivisible(parts.cluster.num_gpus)
    if wrong is None:
        return
    nearest = {GPUS: gpus_around(parts)[0]}
    for axis in wrong.sizes:
        if room := wrong.room(axis):
            nearest |= _nearest(parts, axis, _divisors(room))
    remedy = f"num_gpus: {_gpus_that_run(parts)[0]}"
    yield Misfit(f"plan.{wrong.axis}", wrong.words, nearest, remedy, GPUS)


def _experts(parts: Parts) -> Iterator[Misfit]:
    ep, moe = parts.plan.ep, parts.model.moe
    if ep > 1 and moe is None:
        words = f"ep {ep}, but {parts.model.name!r} has no experts"
        yield Misfit("plan.ep", words, {"plan.ep": 1})
    elif moe and moe.num_experts % ep:
        words = f"ep {ep} does not divide {moe.num_experts} experts"
        sizes = _divisors(moe.num_experts)
        yield Misfit("plan.ep", words, _nearest(parts, "ep", sizes))


def _layout(parts: Parts) -> Iterator[Misfit]:
    path, plan, model = "plan.stage_layout", parts.plan, parts.model
    try:
        stages = parse_layout(plan.stage_layout)
    except ValueError as error:
        yield Misfit(path, str(error), remedy=EVENLY)
        return
    if len(stages) % plan.pp or len(stages) < plan.pp:
        yield Misfit(
            path,
            f"it describes {len(stages)} stages, but pp is {plan.pp}",
            remedy=f"another layout, or {EVENLY}",
        )
    try:
        check_layout(stages, model.num_layers, model.num_mtp_modules)
    except ValueError as error:
        yield Misfit(path, str(error), remedy=EVENLY)


def _release(parts: Parts) -> Iterator[Misfit]:
    """Yield that the software does not run on the accelerator."""
    gpu, software = parts.cluster.node.gpu, parts.software
    vendor = gpu.vendor.lower()
    if vendor in VENDORS and vendor not in software.accelerators:
        made_for = " and ".join(software.accelerators)
        yield Misfit(
            "software",
            f"{software.title} does not run on {gpu.title}, but on {made_for}",
            remedy="another one of estimator list software, or none: the default",
        )


def _nodes(parts: Parts) -> Iterator[Misfit]:
    """Yield that some of a node are left over; a part of one node is fine."""
    cluster = parts.cluster
    per_node = cluster.node.gpus_per_node
    if cluster.num_gpus > per_node and cluster.num_gpus % per_node:
        yield Misfit(
            GPUS,
            f"{cluster.num_gpus} GPUs are not whole nodes of {per_node}",
            {GPUS: gpus_around(parts)[0]},
            f"num_gpus: {_either(_gpus_that_run(parts))}",
        )


def _kv_heads(parts: Parts) -> Iterator[Misfit]:
    """Yield that KV heads neither split over tensor-parallel ranks nor are copied."""
    attention, plan = parts.model.attention, parts.plan
    if _shares_kv_heads(attention, plan.tp):
        return
    per_stage = plan.degrees.dp(parts.cluster.num_gpus) * plan.tp
    near = _by_distance(plan.tp, _divisors(per_stage) & _sizes(parts, "tp"))
    yield Misfit(
        "plan.tp",
        f"tp {plan.tp} neither divides {attention.kv_heads} KV heads nor is a multiple "
        "of them",
        {"plan.tp": near[0]},
        f"plan.tp: {_either(near[:2])}",
    )


def _blocks(parts: Parts) -> Iterator[Misfit]:
    """Yield that a block's width does not split over tensor-parallel ranks."""
    for axis, what, width in _widths(parts):
        size = getattr(parts.plan, axis)
        if width % size:
            yield Misfit(
                f"plan.{axis}",
                f"{axis} {size} does not divide {what}, {width}",
                _nearest(parts, axis, _divisors(width)),
            )


def _sequences(parts: Parts) -> Iterator[Misfit]:
    """Yield that sequences do not split over context- and tensor-parallel ranks.

    Context-parallel ranks hold two parts each, an early and a late one: so a causal
    mask leaves all of them as much to do.
    """
    plan = parts.plan
    split = plan.tp if plan.sequence_parallel else 1
    pieces = split * (2 * plan.cp if plan.cp > 1 else 1)
    for number, phase in enumerate(parts.phases):
        length = phase.seq_len or 0
        if phase.basis == "simulated" and length % pieces:
            near, path = around(length, pieces), f"phases.{number}.seq_len"
            nearest = {path: near[0]}
            if length % (2 * split) == 0:
                sizes = _divisors(length // (2 * split))
                nearest |= _nearest(parts, "cp", sizes)
            if length % (pieces // split) == 0:
                sizes = _divisors(length // (pieces // split))
                nearest |= _nearest(parts, "tp", sizes)
            words = f"2 x cp {plan.cp}" if plan.cp > 1 else ""
            words += " x " * (plan.cp > 1 and split > 1) + f"tp {split}" * (split > 1)
            yield Misfit(
                path,
                f"{words} does not divide a sequence of {length} tokens",
                nearest,
                f"seq_len: {_either(near)}",
            )


def _batches(parts: Parts) -> Iterator[Misfit]:
    """Yield that replicas do not get as many whole micro-batches each.

    A batch that grows is looked at where it has grown: on the way, frameworks take what
    divides.
    """
    plan = parts.plan
    dp = plan.degrees.dp(parts.cluster.num_gpus)
    replica = plan.micro_batch_size * dp
    for number, phase in enumerate(parts.phases):
        batch = phase.global_batch_size
        if batch is not None and replica and batch.final % replica:
            near, path = around(batch.final, replica), f"phases.{number}.{BATCH}"
            yield Misfit(
                path,
                f"{batch.final} sequences do not split into micro-batches of "
                f"{plan.micro_batch_size} on {dp} replicas",
                {path: near[0]},
                f"{BATCH}: {_either(near)}",
            )
