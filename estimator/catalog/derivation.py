"""What a scenario keeps of the one that it is derived from, and which price it takes.

A scenario is made in layers: a file over its base, variants over a file, ``--set`` and
``--vary`` over both. What a layer writes, stands. What it does not write was said of
the scenario below, and goes where it is no longer true of the one above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Any

from estimator.ground.documents import Map, Seq, copied, merged
from estimator.specs.base import SET_BY_USER
from estimator.specs.scenario import Setting

Path = tuple[str, ...]
Prices = Callable[[], Sequence[Map]]
"""The built-in prices, read when one is needed."""

STORY = ("model", "cluster", "software", "plan", "phases", "precision", "recompute")
"""Parts of a scenario that its question tells."""
SUBJECT = ("model", "cluster")
"""Parts without which an assumption that names no path is not true any more."""
SETTING = tuple(part.name for part in fields(Setting))
PUBLISHED_ON = "published_on"
"""Where a scenario keeps the setting of the one below it."""
NAMES = ("name", "title", "source", "sources")
"""Parts of a model that say what it is called, and by whom."""
NO_SWITCH = frozenset({*NAMES, "framework", "release", "offers", "with"})
"""Parts of a software that have no source of their own."""
ASKED = "asked: set in the scenario"
"""Source of a switch that a scenario, or a person over it, sets over a release."""
GPU: Path = ("cluster", "node", "gpu", "name")
MODEL: Path = ("model", "name")

BY_THE_HOUR = "by the hour"
COMMITMENTS = {
    "1 year": "1 year",
    "3 years": "3 years",
    "spot": "spot",
    "purchase": "purchase",
}
"""Commitment -> kind of price; every other one buys by the hour."""
PREFERRED = (BY_THE_HOUR, "1 year", "3 years", "purchase", "spot")
"""Kinds of price where there is none of the same kind, the first that there is."""


def settle(before: Map, after: Map, written: Iterable[Path], prices: Prices) -> None:
    """Let go of what is no longer true in ``after``, and take its GPU's own price.

    Parameters
    ----------
    before, after : Map
        Scenarios with every name replaced by its content, without the layer and with
        it; ``after`` is changed.
    written : iterable of tuple of str
        The paths that the layer writes.
    prices : function
        Returns what may be chosen from.
    """
    written = list(written)
    roots = {path[0] for path in written}

    def differs(*path: str) -> bool:
        return bool(_spelled(_at(before, path)) != _spelled(_at(after, path)))

    if "question" not in roots and any(differs(part) for part in STORY):
        after.pop("question", None)
    if "assumptions" not in roots and isinstance(after.get("assumptions"), Seq):
        is_other = any(differs(part) for part in SUBJECT) or differs(*MODEL)
        _keep(
            after["assumptions"],
            lambda said: (
                not (
                    differs(*MODEL)
                    or any(differs(*path.split(".")) for path in _about(said))
                    or (is_other and not _about(said))
                )
            ),
        )
    if ("phases",) not in written and _trained(before) != _trained(after):
        _leave_out_published(before, after)
    if PUBLISHED_ON not in roots:
        is_own = ("phases",) in written or _published(before) != _published(after)
        _keep_setting(before, after, is_own=is_own)
    if "price" not in roots and differs(*GPU) and isinstance(after.get("price"), Map):
        _settle_price(before, after, prices)


def _spelled(value: Any) -> Any:
    """Return a number format as a mapping, in which form ever it is written."""
    return {"recipe": value} if isinstance(value, str) else value


def _about(said: Any) -> Sequence[str]:
    """Return the paths that an assumption speaks of."""
    about = said.get("about") if isinstance(said, Map) else None
    return [str(path) for path in about] if isinstance(about, Seq) else []


def _keep(rows: Seq, is_kept: Callable[[Any], bool]) -> None:
    kept = [
        (row, at) for row, at in zip(rows, rows.places, strict=True) if is_kept(row)
    ]
    rows[:] = [row for row, _ in kept]
    rows.places[:] = [at for _, at in kept]


def _trained(document: Map) -> dict[str, Any]:
    """Return a scenario's model without what it is called, and by whom."""
    model = document.get("model")
    held = model.items() if isinstance(model, Map) else ()
    return {key: value for key, value in held if key not in NAMES}


def _published(document: Map) -> list[Any]:
    phases = document.get("phases")
    return [
        phase
        for phase in (phases if isinstance(phases, Seq) else ())
        if isinstance(phase, Map) and phase.get("basis") == "published"
    ]


def _leave_out_published(before: Map, after: Map) -> None:
    """Let go of phases that were published of another model."""
    if published := _published(after):
        names = ", ".join(str(phase.get("name")) for phase in published)
        say(
            after,
            f"What was published of {_at(before, MODEL)} is left out: {names}.",
            about=("model", "phases"),
        )
        _keep(after["phases"], lambda phase: phase not in published)


def _keep_setting(before: Map, after: Map, *, is_own: bool) -> None:
    """Keep what published phases were spent on: the first scenario that has them."""
    if is_own or not _published(after):
        after.pop(PUBLISHED_ON, None)
    elif PUBLISHED_ON not in after:
        kept = Map(before.place)
        for part in SETTING:
            if part in before:
                kept.put(part, copied(before[part]), before.places[part])
        after.put(PUBLISHED_ON, kept, before.place)


def say(document: Map, text: str, about: Iterable[str]) -> None:
    """Add an assumption to a scenario."""
    if not isinstance(document.get("assumptions"), Seq):
        document.put("assumptions", Seq(document.place), document.place)
    said, paths = Map(document.place), Seq(document.place)
    for path in about:
        paths.add(path, document.place)
    said.put("text", text, document.place)
    said.put("about", paths, document.place)
    document["assumptions"].add(said, document.place)


def _settle_price(before: Map, after: Map, prices: Prices) -> None:
    """Take the new GPU's own price, or keep the other one, which then says so.

    A price that names no GPU is one of the GPU that it was given for.
    """
    price, gpu = after["price"], _at(after, GPU)
    if not price.get("gpu"):
        price.put("gpu", _at(before, GPU), price.place)
    if price["gpu"] == gpu:
        return
    own = own_price(price, gpu, prices())
    if own is not None:
        made = own.copy()
        made.put("instead_of", price.get("name", ""), price.place)
        after.put("price", made, after.places["price"])


def own_price(price: Map, gpu: object, prices: Iterable[Map]) -> Map | None:
    """Return the price to take for a GPU in place of one of another GPU.

    Rented stays rented, owned stays owned. Of the same kind, the newest: by the hour
    (on demand, an index, an author's assumption), for one year, for three years, spot.
    Where the GPU has none of this kind, the newest of the first of
    :data:`PREFERRED` that it has. What was paid or asked goes before what was assumed.
    None where the GPU has no price.
    """

    def rank(each: Map) -> tuple[bool, int, bool, str, str]:
        kind = _kind(each)
        return (
            kind == _kind(price),
            -PREFERRED.index(kind),
            each.get("status") != "assumed",
            str(each.get("date")),
            str(each.get("name")),
        )

    own = (
        each
        for each in prices
        if each.get("gpu") == gpu and each.get("basis") == price.get("basis")
    )
    return max(own, key=rank, default=None)


def _kind(price: Map) -> str:
    return COMMITMENTS.get(str(price.get("commitment", "")), BY_THE_HOUR)


def _at(document: Any, path: Sequence[str]) -> Any:
    """Return what stands at a path, or None."""
    for key in path:
        if isinstance(document, Map):
            document = document.get(key)
        elif isinstance(document, Seq) and key.isdecimal() and int(key) < len(document):
            document = document[int(key)]
        else:
            return None
    return document


def leaves(document: Any, path: Path = ()) -> list[Path]:
    """Return the path of every value of a mapping; a list is one value."""
    if not isinstance(document, Map):
        return [path]
    return [found for key in document for found in leaves(document[key], (*path, key))]


def disown(document: Map, path: Path) -> None:
    """Say beside an overridden number that its file's source no longer covers it."""
    holder: Any = document
    owner: Map | None = None
    for key in path[:-1]:
        holder = _at(holder, (key,))  # gone where another patch replaced the whole
        if holder is None:
            return
        if isinstance(holder, Map) and {"sources", "source"} & set(holder):
            owner = holder
    if owner is None or path[0] == "software":  # each switch says so itself
        return
    if isinstance(owner.get("sources"), Map):
        owner["sources"].put(path[-1], SET_BY_USER, "--set")
    elif isinstance(owner.get("source"), str):
        text = f"{path[-1]} {SET_BY_USER}; otherwise {owner['source']}"
        owner.put("source", text, "--set")
    if path[0] == "price":
        _mark_changed(document["price"], path[-1])


def own_switches(software: Map, path: Path) -> None:
    """Say beside the switches at a path of software that a scenario sets them."""
    sources = software.get("sources")
    if path[0] in NO_SWITCH or not isinstance(sources, Map):
        return
    for leaf in leaves(_at(software, path), path):
        sources.put(".".join(leaf), ASKED, software.place)


def price_over(base: Map, patch: Map) -> Map:
    """Return a price with other numbers over a built-in one, which says so."""
    made = merged(base, patch)
    if "name" in patch:  # a price of its own
        return made
    holder = Map(patch.place)
    holder.put("price", made, patch.place)
    for path in leaves(patch):
        if path[0] in ("usd_per_gpu_hour", "owned"):
            if "source" in patch:
                _mark_changed(made, path[-1])
            else:
                disown(holder, ("price", *path))
    return made


def _mark_changed(price: Map, field: str) -> None:
    """Say in a price which of its numbers is not its file's any more."""
    changed = copied(price.get("changed"))
    if not isinstance(changed, Seq):
        changed = Seq(price.place)
    if field not in changed:
        changed.add(field, price.place)
    price.put("changed", changed, price.place)
