"""Published runs to scenarios.

What a record prints is taken over. What it leaves open follows from the release of its
framework (``software/``), never from the run or its source, and is stated among the
assumptions of its prediction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, repeat
from typing import Any

from estimator.catalog import loading
from estimator.catalog.records.clusters import cluster
from estimator.catalog.records.gaps import filled, plans
from estimator.catalog.records.mixers import seems_hybrid
from estimator.catalog.records.models import Record, transformer
from estimator.catalog.records.plans import ONE_SEQUENCE, micro_batches, plan_of
from estimator.catalog.records.rules import printed
from estimator.catalog.records.software import software_of
from estimator.catalog.records.words import says
from estimator.costs.formats import FORMATS
from estimator.costs.rates import Layer, device
from estimator.specs.hardware import Gpu
from estimator.specs.model import Transformer
from estimator.specs.scenario import Scenario
from estimator.specs.software import Software
from estimator.specs.training import (
    GlobalBatch,
    ParallelPlan,
    Phase,
    Precision,
)

_FULL = re.compile(
    r"^(full|yes|true|on\b|block|uniform|activation check|gradient check)|full remat"
    r"|remat\w*\W+(of )?(full|all|everything)\b|granularity=full"
)
_NONE = re.compile(r"none|no\b|off\b|false|disabled|without\b")

Modules = tuple[Any, ...]
"""Recomputed modules, as a scenario names them."""

_MODULE_LIST = re.compile(r"modules=\[([^\]]*)\]")


@dataclass(frozen=True)
class Mapped:
    """A record as a scenario, and what was assumed on the way."""

    scenario: Scenario
    recompute: tuple[Modules, ...]
    """What may have been recomputed; the first that fits in memory is taken."""
    assumptions: tuple[str, ...]
    plans: tuple[ParallelPlan, ...] = ()
    """Plans that may have been run where none is printed, likewise."""
    has_default: bool = False
    """Whether the software is the accelerator's default."""


def scenario(record: Record) -> Scenario:
    """Return the scenario that a record describes: :func:`mapped` without its notes."""
    return mapped(record).scenario


def mapped(record: Record) -> Mapped:
    """Return the scenario that a record describes, with the assumptions made.

    Raises
    ------
    InputError
        If the record leaves open what cannot be told: GPUs, batch, plan, hardware.
    """
    record, notes = filled(record)
    batch, where = record["batch"], cluster(record)
    gpu = where.node.gpu
    recipe, note = _printed_recipe(record)
    software, has_default = software_of(record, gpu, recipe, notes)
    notes += [note] if note else []
    model = transformer(record)
    if "pos" not in record["model"]:
        model = _placed(model, software, batch["seq_len"])
    if seems_hybrid(record["model"]) and not model.mamba:
        notes.append("which layers are not attention is not printed: all are")
    recompute = _recompute(record, notes)
    may_be = plans(record, model, where, software)
    options = [
        plan_of({**record, "parallel": given}, model, where.num_gpus, software, said)
        for given, said in zip(may_be.given, chain([notes], repeat([])), strict=False)
    ]
    notes += [may_be.note] if may_be.note else []
    if ONE_SEQUENCE in notes:
        more = [
            replace(plan, micro_batch_size=size)
            for plan in options
            for size in micro_batches(plan, batch["global"], where.num_gpus)
        ]
        if len(more) > len(options):
            notes.remove(ONE_SEQUENCE)
            notes.append("the micro-batch is not printed: the fastest that fits")
        options = more
    made = Scenario(
        name=str(record["id"]),
        model=model,
        cluster=where,
        software=software,
        plan=options[0],
        precision=_precision(recipe, gpu, software, notes),
        recompute=recompute[0],
        phases=(
            Phase(
                name="run",
                num_tokens=float(batch["global"] * batch["seq_len"]),
                seq_len=batch["seq_len"],
                global_batch_size=GlobalBatch(
                    initial=batch["global"], final=batch["global"]
                ),
            ),
        ),
        price=_loaded("price", "h100-lambda-2024-09"),
        power=_loaded("power", "world-average"),
    )
    return Mapped(made, recompute, tuple(notes), tuple(options), has_default)


@cache
def _loaded(kind: str, name: str) -> Any:
    return loading.load(kind, name)


def _placed(model: Transformer, software: Software, seq_len: int) -> Transformer:
    """Return a model with the positions of its framework where it tells none."""
    usual = software.defaults.positions
    if usual == "learned":
        return replace(model, num_learned_positions=seq_len)
    return replace(model, has_alibi=True) if usual == "alibi" else model


def _printed_recipe(record: Record) -> tuple[str, str]:
    """Return the recipe that a record prints, and what is assumed of it."""
    text = str(record.get("precision") or "").lower()
    if not text:
        return "bf16", "no precision is printed: BF16"
    return next(
        (
            (recipe, note)
            for words, recipe, note in printed.PRECISIONS
            if re.search(words, text)
        ),
        ("bf16", ""),
    )


def _precision(
    recipe: str, gpu: Gpu, software: Software, notes: list[str]
) -> Precision:
    """Return the precision that is printed, as far as the accelerator has it."""
    if recipe == printed.PLAIN:
        recipe = software.defaults.fp8
    rates = device(gpu, Layer.IN_SITU).gemm_flop_per_s
    if FORMATS[recipe].dtype not in rates:
        lacks = recipe
        recipe = next(name for name in ("fp8-tensor", "bf16") if _is_told(name, rates))
        notes.append(f"{gpu.title} has no rate of {lacks}: {recipe}")
    return Precision(recipe=recipe)  # type: ignore[arg-type]


def _is_told(recipe: str, rates: Mapping[str, float]) -> bool:
    return recipe == "bf16" or FORMATS[recipe].dtype in rates


def _recompute(record: Record, notes: list[str]) -> tuple[Modules, ...]:
    """Return what may be recomputed, the likeliest first."""
    told = record.get("recompute")
    if isinstance(told, list | tuple):
        return (tuple(told),)
    text = str(told or "").lower()
    if says(text, "offload"):
        notes.append("offloading of activations is not modelled")
    if _NONE.match(text):
        return ((),)
    if not text or text.startswith(("not stated", "unknown")):
        notes.append("recomputation is not printed: the least that fits in memory")
        return ((), ("core_attn",), ("full",))
    named = _named(text)
    if "may differ" in text and named:
        notes.append(
            "the recipe at HEAD recomputes, the release measured may not: nothing is "
            "recomputed if that fits in memory"
        )
        return ((), named)
    if not named and "remat" in text:
        notes.append("the rematerialisation policy is open: the least that fits")
        return ((), ("layernorm", "moe_act"), ("layernorm", "mlp", "moe"), ("full",))
    return (named,)


def _named(text: str) -> Modules:
    """Return what a text says is recomputed, wherever it has that from.

    >>> _named("as in the recipe at head: modules=[mlp]"), _named("remat of layernorm")
    (('mlp',), ('layernorm',))
    >>> _named("full, as the recipe at head"), _named("recipe at head sets none")
    (('full',), ())
    """
    if _FULL.search(text):
        return ("full",)
    quoted = _MODULE_LIST.search(text)
    if named := _modules(quoted[1] if quoted else text):
        return named
    is_open = quoted or re.search(r"sets none|at head|remat", text)
    return () if is_open and "selective" not in text else ("core_attn",)


def _modules(text: str) -> Modules:
    """Return the modules that a text names.

    >>> _modules("mla_up_proj, mlp"), _modules("selective: layernorm, moe")
    (('mla_up_proj', 'mlp'), ('layernorm', 'moe'))
    """
    found = [
        module
        for words, modules in printed.MODULES
        if re.search(words, text)
        for module in modules
    ]
    return tuple(dict.fromkeys(found))
