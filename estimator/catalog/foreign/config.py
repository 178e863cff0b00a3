"""Values of a ``config.json``: typed, with every mistake kept for one message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Reader = Callable[["Config"], Any]
"""Reads one field of a model file; None leaves the field out."""

MAX_COUNT = 10**9
MIXERS = {"mamba": "M", "attention": "*", "mlp": "-", "moe": "E"}


class Config:
    """A configuration, and the mistakes found in it so far."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.mistakes: list[str] = []

    def count(self, *keys: str, default: int | None = None) -> int:
        """Return the whole number above 0 under the first of ``keys`` that is there."""
        value = self.number(*keys)
        if value is None and default is None:
            self._add(f"{' or '.join(keys)} is missing")
        return value or default or 1

    def number(self, *keys: str) -> int | None:
        """Return the same, or None where the keys are absent or null."""
        for key in keys:
            value = self.values.get(key)
            if value is None:
                continue
            if type(value) is int and 0 < value <= MAX_COUNT:
                return value
            self._add(f"{key}: write a whole number above 0, not {_shown(value)}")
            return 1
        return None

    def optional(self, key: str) -> int | None:
        """Return a whole number, or None where the key is absent, null or 0."""
        return None if self.values.get(key) == 0 else self.number(key)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return a truth value."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self._add(f"{key}: write true or false, not {_shown(value)}")
        return value is True

    def text(self, key: str) -> str:
        """Return a text that has to be there."""
        value = self.values.get(key)
        if value is None:
            self._add(f"{key} is missing")
        elif not isinstance(value, str):
            self._add(f"{key}: write a text, not {_shown(value)}")
        return value if isinstance(value, str) else ""

    def items(self, key: str) -> list[Any]:
        """Return a list, empty where the key is absent or null."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, list):
            self._add(f"{key}: write a list, not {_shown(value)}")
        return value if isinstance(value, list) else []

    def only(self, key: str, *accepted: object) -> None:
        """Note a mistake unless the key is absent or one of the values accepted."""
        value = self.values.get(key)
        if value is not None and value not in accepted:
            self._add(f"{key} {_shown(value)} is more than a model file can say")

    def _add(self, mistake: str) -> None:
        if mistake not in self.mistakes:
            self.mistakes.append(mistake)


def _shown(value: object) -> str:
    return f"{value!r}"[:60]


def count(*keys: str, default: int | None = None) -> Reader:
    """Read a number that has to be there, unless it has a default."""
    return lambda config: config.count(*keys, default=default)


def optional(key: str) -> Reader:
    """Read a number that may be absent, null or 0."""
    return lambda config: config.optional(key)


def flag(key: str, *, default: bool = False) -> Reader:
    """Read a truth value; False is what a model file takes for granted."""
    return lambda config: config.flag(key, default=default) or None


def head_dim(*keys: str, hidden: str = "hidden_size") -> Reader:
    """Read the width of a head; by default the heads share the hidden size."""

    def read(config: Config) -> int:
        heads = config.number("num_attention_heads", "n_head") or 1
        shared = (config.number(hidden) or 1) // heads
        return config.number(*keys) or max(1, shared)

    return read


def attention_kind(config: Config) -> str:
    """Read which attention it is, from its KV heads."""
    heads = config.number("num_attention_heads", "n_head")
    shared = config.number("num_key_value_heads") or heads
    return "mha" if shared == heads else "mqa" if shared == 1 else "gqa"


def kv_heads(config: Config) -> int | None:
    """Read the KV heads where they are shared."""
    return (
        config.number("num_key_value_heads")
        if attention_kind(config) == "gqa"
        else None
    )


def sliding(*, global_every: int = 0, pattern: str = "") -> Reader:
    """Read sliding windows: ``layer_types``, the key ``pattern``, or a default."""

    def read(config: Config) -> dict[str, Any] | None:
        window = config.optional("sliding_window")
        if window is None or not config.flag("use_sliding_window", default=True):
            return None
        every = config.number(pattern) or global_every
        types = config.items("layer_types")
        if types:
            every = _period([name == "full_attention" for name in types])
            if every < 0:
                config.only("layer_types")
            if every == 1:
                return None
        return local("sliding", window, every)

    return read


def four_times(key: str, hidden: str) -> Reader:
    """Read the feed-forward width; by default four times the hidden size."""
    return lambda config: config.number(key) or 4 * (config.number(hidden) or 1)


def hybrid_pattern(config: Config) -> str:
    """Read the mixers of a hybrid model, one symbol a layer."""
    names = config.items("layers_block_type")
    if names:
        return "".join(MIXERS.get(str(name), "?") for name in names)
    return config.text("hybrid_override_pattern")


def where(symbol: str, entry: Any) -> Reader:
    """Read a field of a hybrid only where its pattern has a kind of mixer."""

    def read(config: Config) -> Any:
        if symbol not in hybrid_pattern(config):
            return None
        return entry(config) if callable(entry) else entry

    return read


def _period(is_global: list[bool]) -> int:
    """Return n where every n-th layer is global, 0 for none, -1 for another order."""
    every = is_global.index(True) + 1 if any(is_global) else 0
    wanted = [every > 0 and (layer + 1) % every == 0 for layer in range(len(is_global))]
    return every if wanted == is_global else -1


def local(kind: str, window: int, global_every: int) -> dict[str, Any]:
    """Return the mapping of a local attention."""
    made: dict[str, Any] = {"kind": kind, "window": window}
    return made | ({"global_every": global_every} if global_every > 0 else {})
