"""Why one scenario costs more than another: the difference, shared among its causes.

Changed inputs are taken from the two scenario files, name by name. Each one's share is
its Shapley value: its effect averaged over every order in which the inputs could have
been changed. Shares add up to the difference exactly, whatever the order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import combinations, permutations
from math import factorial
from typing import Any, NamedTuple

import numpy as np

from estimator.ground.documents import Map, copied

MAX_EXACT = 6
"""Changed inputs up to which every subset is evaluated."""
SAMPLED_ORDERS = 40
MOST_LETTERS = 60
"""Of a value beside the other; longer ones are called changed."""
IGNORED = frozenset({"name", "question", "variants", "assumptions", "published_on"})
"""Parts that no number follows from, and what phases bring along."""

Attribution = Callable[[int, Callable[[frozenset[int]], float]], list[float]]
"""Number of inputs and what a subset of them gives -> each input's share."""


def changed(
    before: Any, after: Any, path: tuple[str, ...] = ()
) -> list[tuple[str, ...]]:
    """Return the paths at which two documents differ, as deep as both have parts."""
    if isinstance(before, Map) and isinstance(after, Map):
        keys = [*before, *(key for key in after if key not in before)]
        return [
            found
            for key in keys
            if path or key not in IGNORED
            for found in changed(before.get(key), after.get(key), (*path, key))
        ]
    return [] if before == after else [path]


def patched(before: Map, after: Map, paths: list[tuple[str, ...]]) -> Map:
    """Return ``before`` with the values that ``after`` has at some paths.

    Published phases bring along what they were spent on.
    """
    made = before.copy()
    if any(path[0] == "phases" for path in paths):
        paths = [*paths, ("published_on",)]
    for path in paths:
        source: Any = after
        holder: Any = made
        for key in path[:-1]:
            source = source.get(key) if isinstance(source, Map) else None
            if not isinstance(holder.get(key), Map):
                holder.put(key, Map(), "")
            holder = holder[key]
        last = path[-1]
        if isinstance(source, Map) and last in source:
            holder.put(last, copied(source[last]), source.places[last])
        else:
            holder.pop(last, None)
    return made


def sequential(
    num_inputs: int, value: Callable[[frozenset[int]], float]
) -> list[float]:
    """Return each input's share when they are changed one after the other.

    >>> sequential(2, lambda subset: {0: 0, 1: 2, 2: 6}[len(subset)])
    [2.0, 4.0]
    """
    return _over_orders([list(range(num_inputs))], value)


def num_evaluations(num_inputs: int) -> int:
    """Return how many scenarios :func:`shapley` evaluates at most.

    >>> num_evaluations(3), num_evaluations(10)
    (8, 400)
    """
    subsets = 1 << num_inputs
    if num_inputs > MAX_EXACT:
        return min(SAMPLED_ORDERS * num_inputs, subsets)
    return subsets


def shapley(
    num_inputs: int,
    value: Callable[[frozenset[int]], float],
    rng: np.random.Generator | None = None,
) -> list[float]:
    """Return each input's share of ``value(all) - value(none)``.

    Up to :data:`MAX_EXACT` inputs exactly; beyond, averaged over sampled orders, which
    add up to the difference just the same.

    Examples
    --------
    >>> shapley(2, lambda subset: {0: 0, 1: 2, 2: 6}[len(subset)])
    [3.0, 3.0]
    """
    if num_inputs > MAX_EXACT:
        drawn = rng or np.random.default_rng(0)
        orders = [drawn.permutation(num_inputs).tolist() for _ in range(SAMPLED_ORDERS)]
        return _over_orders(orders, value)
    if num_inputs <= 3:
        return _over_orders([list(o) for o in permutations(range(num_inputs))], value)
    shares = [0.0] * num_inputs
    for size in range(num_inputs):
        weight = factorial(size) * factorial(num_inputs - size - 1)
        for subset in combinations(range(num_inputs), size):
            without = value(frozenset(subset))
            for index in set(range(num_inputs)) - set(subset):
                gain = value(frozenset((*subset, index))) - without
                shares[index] += weight * gain / factorial(num_inputs)
    return shares


def _over_orders(
    orders: list[list[int]], value: Callable[[frozenset[int]], float]
) -> list[float]:
    shares: dict[int, float] = dict.fromkeys(range(len(orders[0])), 0.0)
    for order in orders:
        so_far: frozenset[int] = frozenset()
        for index in order:
            after = so_far | {index}
            shares[index] += (value(after) - value(so_far)) / len(orders)
            so_far = after
    return list(shares.values())


class Change(NamedTuple):
    """A changed input in words; old and new are empty where they have no short ones."""

    name: str
    old: str = ""
    new: str = ""

    def __str__(self) -> str:
        """Return ``path: old -> new``."""
        return f"{self.name}: {self.old} -> {self.new}" if self.old else self.name


def change(path: tuple[str, ...], before: Map, after: Map) -> Change:
    """Return a changed input, with what it was and is where both have short words."""
    name = ".".join(path)
    old, new = (_words(_at(document, path)) for document in (before, after))
    if not old or not new or old == new or max(len(old), len(new)) > MOST_LETTERS:
        return Change(f"{name} (changed)")
    return Change(name, old, new)


def label(path: tuple[str, ...], before: Map, after: Map) -> str:
    """Return a changed input as ``path: old -> new``, where both have short words."""
    return str(change(path, before, after))


def _at(document: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = document
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _words(value: Any) -> str:
    """Return a value in words: its name, or what it holds; empty where none are short.

    >>> _words(["mlp", "moe"]), _words({"recipe": "fp8", "moments": "bf16"})
    ('mlp, moe', 'recipe fp8, moments bf16')
    >>> _words([{"name": "pre-training"}]), _words(None), _words([])
    ('pre-training', 'default', 'none')
    """
    if isinstance(value, Mapping):
        return str(value.get("name") or _joined(value.items()))
    if isinstance(value, list):
        return ", ".join(map(_words, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "default" if value is None else str(value)


def _joined(items: Iterable[tuple[str, Any]]) -> str:
    """Return names and values; nothing where a value has parts of its own."""
    held = list(items)
    if any(isinstance(value, Mapping | list) for _, value in held):
        return ""
    return ", ".join(f"{name} {_words(value)}" for name, value in held)
