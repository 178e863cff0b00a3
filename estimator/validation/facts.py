"""What is known of collected runs beside their source's tables, by id.

``validation/facts.yaml`` is a list of facts: ``source`` tells where one stands, ``of``
the runs that it holds for, and the rest is laid over their records. Nothing measured is
in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from estimator.ground.errors import InputError

TOLD = frozenset(
    {
        "framework",
        "software",
        "model",
        "parallel",
        "batch",
        "precision",
        "recompute",
        "schedule",
        "flop",
    }
)
"""Parts of a record that a fact may tell."""


def with_facts(entries: Sequence[Any], facts: Sequence[Any]) -> list[Any]:
    """Return entries of a runs file with the facts that hold for them.

    >>> fact = {"source": "its script", "of": ["a"], "batch": {"micro": 4}}
    >>> with_facts([{"id": "a", "batch": {"global": 8}}, {"id": "b"}], [fact])[0]
    {'id': 'a', 'batch': {'global': 8, 'micro': 4}, 'facts': ['its script']}
    """
    known: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for fact in facts:
        if strange := set(fact) - TOLD - {"source", "of"}:
            raise InputError(f"facts.yaml: {', '.join(sorted(strange))} is no fact")
        for name in fact["of"]:
            known[name].append(fact)
    return [
        _over(entry, known[str(entry["id"])])
        if isinstance(entry, Mapping) and str(entry.get("id")) in known
        else entry
        for entry in entries
    ]


def _over(entry: Mapping[str, Any], facts: Sequence[Mapping[str, Any]]) -> Any:
    made: dict[str, Any] = dict(entry)
    if "facts" in entry:
        return made
    for fact in facts:
        for key in TOLD & set(fact):
            made[key] = _merged(made.get(key), fact[key])
    return {**made, "facts": [fact["source"] for fact in facts]}


def _merged(old: Any, new: Any) -> Any:
    """Return new over old: mappings key by key, features beside each other."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    made = {**old, **new}
    if "with" in old and "with" in new:
        made["with"] = [*old["with"], *new["with"]]
    if "switches" in old and "switches" in new:
        made["switches"] = {**old["switches"], **new["switches"]}
    return made
