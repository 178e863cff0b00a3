"""Software with features turned on: ``with`` of its file, over its base."""

from __future__ import annotations

from typing import Any

from estimator.ground.documents import Map, Seq, copied, merged
from estimator.ground.errors import InputError
from estimator.ground.registry import suggestion

WITH = "with"
"""Key of a list of features; it is gone once they are on, as ``base`` is."""


def release_over(base: Map, document: Map) -> Map:
    """Return a release over its base, with the features that it turns on between them.

    A feature sets switches, and tells their source; what the release itself says of a
    switch stands above both.

    Raises
    ------
    InputError
        If a feature is offered by neither.
    """
    own = document.copy()
    own = _admitting(own) if base else own
    wanted = own.pop(WITH, None)
    if wanted is None:
        return merged(base, own)
    place = document.places[WITH]
    if not isinstance(wanted, Seq):
        raise InputError(
            "with: write a list of features, in brackets",
            where=[place],
            fix=f"with: [{str(wanted)[:60]}]",
        )
    made = merged(base, own)
    offers = made.get("offers")
    known = offers if isinstance(offers, Map) else Map(place)
    features = Map(place)
    for feature, there in zip(wanted, wanted.places, strict=True):
        if not isinstance(feature, str) or not isinstance(known.get(feature), Map):
            raise InputError(
                f"{made.get('name', 'this software')} has no feature called "
                f"{str(feature)[:60]!r}",
                where=[there],
                why=f"it offers: {', '.join(known) or 'nothing to turn on'}",
                fix=suggestion(str(feature), list(known)),
            )
        source = _source(made, feature)
        for path, value in known[feature].items():
            _put(features, path.split("."), value, there)
            if source:
                _put(features, ["sources", path], source, there)
    return merged(merged(base, features), own)


UNTOLD = "assumed: its file gives no source"
_TEXTS = ("offers", "sources")


def _admitting(own: Map) -> Map:
    """Return a release's own switches, those without a source of their own as assumed.

    Else they would have the source of what they replace.
    """
    if "framework" not in own:  # a scenario's switches, which say that they are asked
        return own
    if not isinstance(own.get("sources"), Map):
        own.put("sources", Map(own.place), own.place)
    told = own["sources"]
    for group, value in own.items():
        if isinstance(value, Map) and group not in _TEXTS:
            for key in value:
                if f"{group}.{key}" not in told:
                    told.put(f"{group}.{key}", UNTOLD, value.places[key])
    return own


def _source(document: Map, feature: str) -> Any:
    sources = document.get("sources")
    return sources.get(f"offers.{feature}") if isinstance(sources, Map) else None


def _put(holder: Map, keys: list[str], value: Any, place: str) -> None:
    """Set a value below mappings that are made on the way; ``sources`` are flat."""
    for key in keys[:-1]:
        if not isinstance(holder.get(key), Map):
            holder.put(key, Map(place), place)
        holder = holder[key]
    holder.put(keys[-1], copied(value), place)
