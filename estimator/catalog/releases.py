"""Which software a scenario runs on: the one it names, or its accelerator's default.

A scenario's ``software`` is a name, a mapping with a ``base``, or switches alone, which
lie over what the scenario below has, or over the default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from estimator.catalog.derivation import leaves, own_switches, say
from estimator.catalog.features import WITH, release_over
from estimator.catalog.kinds import names
from estimator.ground.documents import Map, Seq, copied

Path = tuple[str, ...]
Read = Callable[[str], Map]
"""Returns the release of a name, on its bases."""

SOFTWARE = "software"
BY_DEFAULT = "the accelerator's default software"
"""Place of a release that nobody asked for."""


LINES: Mapping[str, tuple[str, ...]] = {
    "nvidia": ("megatron-lm", "megatron-core"),
    "amd": ("primus",),
    "google": ("t5x", "maxtext"),
}
"""Vendor of an accelerator -> frameworks, the older first, that pre-training on it is
mostly done with."""
ANYWHERE = "pytorch-fsdp2-compiled"
"""What runs on all others."""
SINCE = {"fp8": 2023, "mxfp8": 2025, "nvfp4": 2025}
"""The year from which on frameworks train in a number format."""
_DATED = re.compile(r"(.+)-(?:20)?(\d\d)[-.](\d\d)")


def default_name(vendor: str, recipe: str = "", year: int | None = None) -> str:
    """Return the release that runs on an accelerator where a scenario names none.

    Of the vendor's frameworks the newest, or the newest of a year; of the first year
    that has the number format, where that is later.

    >>> default_name("nvidia", "bf16", 2021), default_name("google")
    ('megatron-lm-2021-04', 'maxtext-2025-12')
    """
    line = LINES.get(vendor.lower())
    if line is None:
        return ANYWHERE
    dated = [found for name in names("software") if (found := _DATED.fullmatch(name))]
    known = {
        (int(found[2]), int(found[3])): found[0] for found in dated if found[1] in line
    }
    if year is None:
        return known[max(known)]
    last = max(year, SINCE.get(recipe.partition("-")[0], 0)) - 2000
    return known[max((date for date in known if date[0] <= last), default=min(known))]


def default_of(setting: Map) -> str:
    """Return the release that a document's accelerator, format and year ask for."""
    year, precision = setting.get("year"), setting.get("precision")
    recipe = precision.get("recipe") if isinstance(precision, Map) else precision
    return default_name(
        str(_gpu(setting).get("vendor", "")),
        str(recipe or ""),
        int(year) if isinstance(year, int | float) else None,
    )


def completed(document: Map, read: Read) -> None:
    """Give a scenario's document its release in full, in place, and say which."""
    software = document.get(SOFTWARE)
    if isinstance(software, Map) and "framework" not in software:
        below, place = read(default_of(document)), document.places[SOFTWARE]
        document.put(SOFTWARE, switched(below, software), place)
    elif software is None:
        below = read(default_of(document))
        document.put(SOFTWARE, copied(below), BY_DEFAULT)
    else:
        return
    if "phases" in document:
        _say_default(document, below)


UNNAMED = "No software was named"
"""How the sentence begins that tells a default."""


def _say_default(document: Map, release: Map) -> None:
    say(
        document,
        f"{UNNAMED}: {release['title']}, the default on "
        f"{_gpu(document).get('vendor', 'its accelerator')}.",
        about=("software.name",),
    )


PLAN = ("zero", "sequence_parallel")
"""Fields of a plan that follow from the software where it does not give them."""


def plan_filled(document: Map) -> None:
    """Give a document's plan, in place, what its software does where it is silent."""
    plan, software = document.get("plan"), document.get(SOFTWARE)
    usual = software.get("defaults") if isinstance(software, Map) else None
    if not isinstance(plan, Map) or not isinstance(usual, Map):
        return
    for key in PLAN:
        if key in usual and plan.places.get(key, BY_DEFAULT) == BY_DEFAULT:
            plan.put(key, usual[key], BY_DEFAULT)


def switched(release: Map, patch: Map) -> Map:
    """Return a release under a scenario's switches, which say so in its sources."""
    made = release_over(release, patch)
    own = patch.get("sources")
    told = own if isinstance(own, Map) else Map()
    for path in leaves(patch):
        if path[0] != "sources" and ".".join(path) not in told:
            own_switches(made, path)
    return made


def turned_on(software: Map) -> Map:
    """Return a release with the features that stand in it as ``with`` turned on."""
    patch = Map(software.place)
    below = software.copy()
    patch.put(WITH, below.pop(WITH), software.places[WITH])
    return release_over(below, patch)


def give_way(before: Map, after: Map, written: Iterable[Path], read: Read) -> str:
    """Take the accelerator's default where a layer's accelerator lacks the software.

    Nothing gives way that the layer asks for by name. What it sets of the software is
    set of the other one. Returns a sentence where another one was asked for before.
    """
    written = list(written)
    if (SOFTWARE,) in written or not isinstance(after.get(SOFTWARE), Map):
        return ""
    old = after[SOFTWARE]
    is_default = after.places[SOFTWARE] == BY_DEFAULT
    if not is_default and (runs_on(old, after) or not runs_on(old, before)):
        return ""
    name = default_of(after)
    if name == old.get("name"):
        return ""
    made = copied(read(name))
    for path in written:
        if path[0] == SOFTWARE and len(path) > 1:
            _set(made, path[1:], old, after.places[SOFTWARE])
            own_switches(made, path[1:])
    after.put(SOFTWARE, made, BY_DEFAULT if is_default else after.places[SOFTWARE])
    if is_default:
        return ""
    return (
        f"{old.get('title')} does not run on {_gpu(after).get('title')}: "
        f"{made['title']} instead."
    )


def say_which(document: Map, gave_way: str) -> None:
    """Say in a settled scenario which software it runs on where nobody asked for it.

    Parameters
    ----------
    gave_way : str
        What :func:`give_way` returned.
    """
    if gave_way:
        say(document, gave_way, about=("software.name", "cluster.node.gpu.name"))
    elif document.places.get(SOFTWARE) == BY_DEFAULT and not _is_said(document):
        _say_default(document, document[SOFTWARE])


def _is_said(document: Map) -> bool:
    said = document.get("assumptions")
    return isinstance(said, Seq) and any(
        isinstance(each, Map) and str(each.get("text")).startswith(UNNAMED)
        for each in said
    )


def runs_on(software: Map, setting: Map) -> bool:
    """Whether a release is said to run on a setting's accelerator, or it is unknown."""
    vendors = software.get("accelerators")
    vendor = str(_gpu(setting).get("vendor", "")).lower()
    return not isinstance(vendors, Seq) or not vendor or vendor in vendors


def _gpu(setting: Map) -> Map:
    found: Any = setting
    for key in ("cluster", "node", "gpu"):
        found = found.get(key) if isinstance(found, Map) else None
    return found if isinstance(found, Map) else Map()


def _set(made: Map, path: Path, old: Map, place: str) -> None:
    """Copy a switch from one release to another."""
    source: Any = old
    holder: Any = made
    for key in path[:-1]:
        source = source.get(key) if isinstance(source, Map) else None
        holder = holder.get(key) if isinstance(holder, Map) else None
    if isinstance(source, Map) and isinstance(holder, Map) and path[-1] in source:
        holder.put(path[-1], copied(source[path[-1]]), place)
