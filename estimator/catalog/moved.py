"""Fields that stand elsewhere now: old files, links and ``--set`` keep their meaning.

What a framework decides stood among the fields of the plan and of the precision, and
has a noun of its own since: ``software``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from estimator.catalog.derivation import PUBLISHED_ON
from estimator.ground.documents import Map, over

Path = tuple[str, ...]

MOVED: Mapping[str, str] = {
    "plan.attention_kernel": "kernels.attention",
    "plan.attention_copies": "kernels.attention_copies",
    "plan.repeats_kv": "kernels.repeats_kv",
    "plan.transformer_impl": "kernels.library",
    "plan.fused_projections": "kernels.fused_projections",
    "plan.fused_kernels": "kernels.fused_activations",
    "plan.fused_norms": "kernels.fused_norms",
    "plan.loss_kernel": "kernels.loss",
    "plan.early_stop": "kernels.early_stop",
    "plan.launch": "kernels.launch",
    "plan.software_maturity": "kernels.maturity",
    "plan.expert_dispatch": "experts.dispatch",
    "plan.fused_experts": "experts.fused",
    "plan.fused_router": "experts.fused_router",
    "plan.num_comm_sms": "experts.num_comm_sms",
    "plan.overlap.tensor": "communication.tensor",
    "plan.overlap.pipeline": "communication.pipeline",
    "plan.overlap.context": "communication.context",
    "plan.overlap.expert_all_to_all": "communication.experts",
    "plan.overlap.gradient_reduce": "gradients.overlaps_reduction",
    "plan.overlap.parameter_gather": "gradients.overlaps_gather",
    "plan.batch_first": "communication.batch_first",
    "plan.context_exchange": "communication.context_exchange",
    "plan.context_sums": "communication.context_sums",
    "plan.checks_collectives": "communication.checks_collectives",
    "plan.fused_gradients": "gradients.fused",
    "plan.gradient_passes": "gradients.passes",
    "plan.zero_reduction": "gradients.reduction",
    "plan.bucket_size": "gradients.bucket_size",
    "plan.shard_buffer": "storage.shard_buffer",
    "plan.dropout": "defaults.dropout",
    "precision.gradients": "gradients.format",
    "precision.moments": "storage.moments",
}
"""Old path -> switch of the software."""
ROOTS = frozenset(path.split(".", maxsplit=1)[0] for path in MOVED)


class MovedWarning(FutureWarning):
    """A field is written where it used to stand."""

    def __init__(self, path: str, new: str, place: str) -> None:
        super().__init__(f"{place}: {path} is {new} now")
        self.path = path


class Moved(NamedTuple):
    """A value at its new path, and the place where the old one is written."""

    path: Path
    value: Any
    place: str


def today(path: str, place: str) -> str:
    """Return where a path stands now; one that moved is told in a warning.

    >>> today("plan.schedule", "--vary")
    'plan.schedule'
    """
    if path not in MOVED:
        return path
    new = f"software.{MOVED[path]}"
    warnings.warn(MovedWarning(path, new, place), stacklevel=2)
    return new


def split(path: Path, value: Any, place: str) -> tuple[Any, list[Moved]]:
    """Return a value without what stands elsewhere now, and that at its new path.

    None is left of a value that moves as a whole, or all of whose parts do.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     split(("plan", "launch"), "graph", "--set")[1][0].path
    ('software', 'kernels', 'launch')
    """
    if path and path[0] not in ROOTS:
        return value, []
    new = today(".".join(path), place)
    if new != ".".join(path):
        return None, [Moved(tuple(new.split(".")), value, place)]
    if not isinstance(value, Map):
        return value, []
    kept, found = Map(value.place), []
    for key, child in value.items():
        rest, moved = split((*path, key), child, value.places[key])
        found += moved
        if rest is not None or not moved:
            kept.put(key, rest, value.places[key])
    return (kept if kept or not found else None), found


def brought_up(document: Map) -> Map:
    """Return a scenario's file with each moved field at its new path."""
    made, found = document, list[Moved]()
    for key in ROOTS & set(document):
        rest, moved = split((key,), document[key], document.places[key])
        if not moved:
            continue
        found += moved
        made = made.copy() if made is document else made
        if rest is None:
            del made[key]
        else:
            made.put(key, rest, made.places[key])
    if isinstance(made.get("variants"), Map):
        made = _variants(made)
    if isinstance(spent_on := made.get(PUBLISHED_ON), Map):
        made = made.copy() if made is document else made
        made.put(PUBLISHED_ON, brought_up(spent_on), made.places[PUBLISHED_ON])
    for path, value, place in found:
        _put(made, path, value, place)
    return made


def _variants(document: Map) -> Map:
    """Return a scenario whose variants write new paths."""
    made = document.copy()
    for name, patch in made["variants"].items():
        if not isinstance(patch, Map):
            continue
        new = Map(patch.place)
        for path, value, place in _each(patch):
            new.put(".".join(path), value, place)
        made["variants"].put(name, new, made["variants"].places[name])
    return made


def _each(patch: Map) -> Iterator[Moved]:
    for path, value in patch.items():
        place = patch.places[path]
        yield from patches(tuple(path.split(".")), value, place)


def patches(path: Path, value: Any, place: str) -> Iterator[Moved]:
    """Yield what a patch sets, at paths of today."""
    rest, moved = split(path, value, place)
    if rest is not None or not moved:
        yield Moved(path, rest, place)
    yield from moved


def _put(document: Map, path: Sequence[str], value: Any, place: str) -> None:
    """Set a switch that a file writes at its old path, unless it has it at the new."""
    software = document.get("software")
    if not isinstance(software, Map):
        made = Map(place)
        if software is not None:
            made.put("base", software, document.places["software"])
        document.put("software", made, place)
    holder = document["software"]
    for key in path[1:-1]:
        if not isinstance(holder.get(key), Map):
            holder.put(key, Map(place), place)
        holder = holder[key]
    if path[-1] not in holder:
        holder.put(path[-1], over(None, value), place)
