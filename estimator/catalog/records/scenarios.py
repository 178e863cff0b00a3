"""Published runs to scenarios, by rules that hold for whole groups of sources.

What a record prints is taken over. What it leaves open follows from the framework and
the year it comes from (``rules/``), never from the run, and is stated among
the assumptions of its prediction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, repeat
from typing import Any, Literal

from estimator.catalog import loading
from estimator.catalog.records.ablations import techniques
from estimator.catalog.records.clusters import cluster
from estimator.catalog.records.gaps import filled, plans
from estimator.catalog.records.mixers import seems_hybrid
from estimator.catalog.records.models import Record, model_and_gpu, release, transformer
from estimator.catalog.records.plans import ONE_SEQUENCE, micro_batches, plan_of
from estimator.catalog.records.rules import frameworks, printed
from estimator.catalog.records.software import software
from estimator.catalog.records.words import says
from estimator.costs.formats import FORMATS
from estimator.costs.rates import Layer, device
from estimator.specs.degrees import Degrees
from estimator.specs.hardware import Gpu
from estimator.specs.scenario import Scenario
from estimator.specs.training import GlobalBatch, ParallelPlan, Phase, Precision

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


def family(record: Record) -> str:
    """Return the source family: the identifier up to its first separator.

    >>> family({"id": "nemo24.07-gpt3-5b"}), family({"id": "sc21_table2"})
    ('nemo24.07', 'sc21')
    """
    return re.split(r"[-_]", str(record["id"]), maxsplit=1)[0]


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
    source = family(record)
    record, notes = filled(record)
    batch, where = record["batch"], cluster(record)
    model = transformer(record)
    has = techniques(record, source)
    if has is not None:
        is_parallel = "parallel block" in has
        model = replace(
            model, is_parallel=is_parallel, norms_per_layer=int(is_parallel)
        )
    positions = frameworks.POSITIONS.get(source)
    if positions == "learned":
        model = replace(model, num_learned_positions=batch["seq_len"])
    elif positions == "alibi":
        model = replace(model, has_alibi=True)
    if has and "sliding window" in has:
        notes.append("the window of its attention is not printed: none")
    if seems_hybrid(record["model"]) and not model.mamba:
        notes.append("which layers are not attention is not printed: all are")
    recompute = _recompute(record, notes)
    may_be = plans(record, model, where)
    options = [
        plan_of({**record, "parallel": given}, model, where.num_gpus, source, said)
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
        software=loading.load("software", "neutral").having(
            software(
                record,
                source,
                tp=options[0].tp,
                zero=options[0].zero,
                num_replicas=Degrees(tp=options[0].tp, pp=options[0].pp).dp(
                    where.num_gpus
                ),
                num_gpus=where.num_gpus,
                notes=notes,
            )
            | _formats(record, source)
        ),
        plan=options[0],
        precision=_precision(record, where.node.gpu, source, notes),
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
    return Mapped(made, recompute, tuple(notes), tuple(options))


@cache
def _loaded(kind: str, name: str) -> Any:
    return loading.load(kind, name)


def _precision(record: Record, gpu: Gpu, source: str, notes: list[str]) -> Precision:
    """Return the precision that a record prints, as far as its accelerator has it."""
    text = str(record.get("precision") or "").lower()
    recipe, note = next(
        (
            (recipe, note)
            for words, recipe, note in printed.PRECISIONS
            if re.search(words, text)
        ),
        ("bf16", ""),
    )
    if not text:
        recipe = printed.FASTEST_UNSAID.get(source, "bf16")
        note = f"no precision is printed: {recipe.upper()}"
    if recipe == "fp8-tensor" and source in printed.BLOCK_SCALED:
        recipe = "fp8"
    rates = device(gpu, Layer.IN_SITU).gemm_flop_per_s
    if FORMATS[recipe].dtype not in rates:
        lacks = recipe
        recipe = next(name for name in ("fp8-tensor", "bf16") if _is_told(name, rates))
        note = f"{gpu.title} has no rate of {lacks}: {recipe}"
    if note:
        notes.append(note)
    return Precision(recipe=recipe)  # type: ignore[arg-type]


def _formats(record: Record, source: str) -> dict[str, Any]:
    text = str(record.get("precision") or "").lower()
    is_half = source in frameworks.HALF_MOMENTS
    return {
        "gradients.format": _gradients(text, source),
        "storage.moments": "bf16" if is_half else "fp32",
    }


def _is_told(recipe: str, rates: Mapping[str, float]) -> bool:
    return recipe == "bf16" or FORMATS[recipe].dtype in rates


def _gradients(text: str, source: str) -> Literal["bf16", "fp32", "bf16+fp32"]:
    """Return the type of gradients: as printed, else as the framework's."""
    if says(text, "fp32 gradient accumulation"):
        return "bf16+fp32"
    is_half = source in frameworks.NVIDIA_RECIPES | frameworks.HALF_GRADIENTS
    return "bf16" if is_half else "fp32"


def _recompute(record: Record, notes: list[str]) -> tuple[Modules, ...]:
    """Return what may be recomputed, the likeliest first."""
    text = str(record.get("recompute") or "").lower()
    if scripted := _scripted(record):
        notes.append("recomputed is what the source's scripts say")
        return (scripted,)
    if says(text, "offload"):
        notes.append("offloading of activations is not modelled")
    if _NONE.match(text):
        return ((),)
    if not text and family(record) in printed.CHECKPOINTED:
        notes.append("recomputation is not printed, but counted or configured: full")
        return (("full",),)
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


def _scripted(record: Record) -> Modules:
    """Return what a source's scripts recompute, where its pages do not print it."""
    known = printed.REPEATED_IN.get(family(record), {}).get(release(record), ())
    for words, modules in known:
        if re.search(words, model_and_gpu(record)):
            return modules
    for words, modules in printed.REPEATED_BY:
        if re.search(words, str(record["id"])):
            return modules
    return ()


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
