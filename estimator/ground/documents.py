"""YAML text to plain values that remember where they stand.

PyYAML's own rules for scalars are not used: they read ``405e9`` as text, ``12:30:00``
as 45000 and ``no`` as False. Duplicate keys are refused, and so is a document that
grows out of proportion (a file over 1 MB, aliases that multiply, nesting without end).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

import yaml

from estimator.ground.errors import InputError
from estimator.ground.units import MAX_LETTERS, BareNumber, shown

MAX_BYTES = 1_000_000
"""Of a document, wherever it comes from: a file, an upload, a link."""
MAX_DATA_BYTES = 20_000_000
"""Of what programs write: lists of records, and schedules, for which it is enough for
the million chunks that a built-in one may have."""
MAX_VALUES = 50_000
MAX_DEPTH = 40

_INT = re.compile(r"[-+]?(0|[1-9][\d_]*)\Z")
_FLOAT = re.compile(r"[-+]?(\d[\d_]*(\.\d*)?|\.\d+)([eE][-+]?\d+)?\Z")
VARY = "--vary"
"""Where a range is asked for."""
_NOT_FINITE = re.compile(r"[-+]?\.?(nan|inf|infinity)\Z", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_WORDS: dict[str, object] = {"true": True, "false": False, "null": None, "~": None}

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Map(dict[str, Any]):
    """A mapping that knows the place of each of its keys, as ``file:line``."""

    def __init__(self, place: str = "") -> None:
        super().__init__()
        self.place = place
        self.places: dict[str, str] = {}

    def put(self, key: str, value: object, place: str) -> None:
        """Set a key and say where the value comes from."""
        self[key] = value
        self.places[key] = place

    def copy(self) -> Map:
        """Return a deep copy; leaves are immutable and shared."""
        made = Map(self.place)
        for key, value in self.items():
            made.put(key, copied(value), self.places.get(key, self.place))
        return made


class Seq(list[Any]):
    """A list that knows the place of each of its items."""

    def __init__(self, place: str = "") -> None:
        super().__init__()
        self.place = place
        self.places: list[str] = []

    def add(self, value: object, place: str) -> None:
        """Append an item and say where it comes from."""
        self.append(value)
        self.places.append(place)

    def copy(self) -> Seq:
        """Return a deep copy."""
        made = Seq(self.place)
        for value, place in zip(self, self.places, strict=True):
            made.add(copied(value), place)
        return made


def check_bytes(size: int, name: str, most: int = MAX_BYTES, what: str = "") -> None:
    """Raise if a text is too large to be read.

    Raises
    ------
    InputError
        Naming the limit, for input files unless ``what`` says something else.
    """
    if size > most:
        raise InputError(
            f"{name} has {size / 1e6:.1f} MB",
            why=f"{what or 'input files'} are at most {most / 1e6:.0f} MB",
        )


def copied(value: Any) -> Any:
    """Return a copy that shares no mapping or list with ``value``."""
    return value.copy() if isinstance(value, Map | Seq) else value


def checked_text(text: str, place: str) -> str:
    """Return a text that no terminal or file takes for something else.

    Raises
    ------
    InputError
        If it has a control character but newlines and tabs, or half a character.
    """
    if found := _CONTROL.search(text):
        raise InputError(
            f"a text holds the control character U+{ord(found[0]):04X}",
            where=[f"{place}: {text[:MAX_LETTERS]!r}"],
        )
    return text


def marked(value: Any, place: str, depth: int = 0) -> Any:
    """Return plain values of a program as those of a file, with one place for all.

    Raises
    ------
    InputError
        If a value is none that a file can hold.
    """
    if depth > MAX_DEPTH:
        raise InputError(f"{place} is nested more than {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        made = Map(place)
        for key, child in value.items():
            if not isinstance(key, str):
                raise InputError(f"{key!r} in {place} is not a plain word")
            checked_text(key, place)
            made.put(key, marked(child, place, depth + 1), place)
        return made
    if isinstance(value, list | tuple):
        items = Seq(place)
        for child in value:
            items.add(marked(child, place, depth + 1), place)
        return items
    if isinstance(value, PurePath):
        return str(value)
    value = value.item() if hasattr(value, "item") else value  # a NumPy number
    if isinstance(value, str):
        return checked_text(value, place)
    if value is None or isinstance(value, int | float):
        return value
    kind = type(value).__name__
    raise InputError(f"{place} holds a {kind}, which no file can hold")


def place_of(document: Any, path: tuple[object, ...]) -> str:
    """Return the nearest known place on the way along ``path``."""
    place = getattr(document, "place", "")
    for key in path:
        if isinstance(document, Map) and isinstance(key, str) and key in document:
            place = document.places.get(key, place)
            document = document[key]
        elif isinstance(document, Seq) and isinstance(key, int) and key < len(document):
            place = document.places[key]
            document = document[key]
        else:
            break
    return place


def merged(base: Map, patch: Map) -> Map:
    """Return ``base`` with ``patch`` laid over it, mapping by mapping."""
    made = base.copy()
    made.place = patch.place
    for key, value in patch.items():
        made.put(key, over(made.get(key), value), patch.places[key])
    return made


def over(old: Any, value: Any) -> Any:
    """Return a copy of ``value``, laid over ``old`` where both are mappings.

    A mapping with a base of its own stands for itself.
    """
    if isinstance(old, Map) and isinstance(value, Map) and "base" not in value:
        return merged(old, value)
    return copied(value)


def scalar(text: str) -> object:
    """Return the number, truth value or text that an unquoted scalar stands for.

    >>> scalar("405e9"), scalar("16"), scalar("no"), scalar("12:30:00"), scalar("true")
    (405000000000.0, 16, 'no', '12:30:00', True)

    A row of digits too long for a number is text, which no number's field takes.
    """
    if len(text) > MAX_LETTERS:
        return text
    if text.lower() in _WORDS or not text:
        return _WORDS.get(text.lower())
    if _INT.match(text):
        return int(text.replace("_", ""))
    if _FLOAT.match(text):
        return float(text.replace("_", ""))
    if _NOT_FINITE.match(text):
        return float(text.lower().replace(".", ""))
    return text


def parse_document(text: str, name: str) -> Map:
    """Return the mapping that a YAML text holds.

    Raises
    ------
    InputError
        Naming the file and the line, if it is not YAML, not a mapping, repeats a key
        or grows out of proportion.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise InputError(f"{name} is not YAML", where=[_problem(error, name)]) from None
    except RecursionError:
        raise InputError(f"{name} is nested too deeply") from None
    if node is None:
        raise InputError(f"{name} is empty")
    value = _Reader(name).value(node, 0)
    if not isinstance(value, Map):
        kind = "a list" if isinstance(value, Seq) else "a single value"
        raise InputError(
            f"{name} holds {kind}, not a mapping",
            where=[f"{name}:1"],
            fix="start with 'name: ...'",
        )
    return value


def _problem(error: yaml.YAMLError, name: str) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f":{mark.line + 1}" if mark else ""
    return f"{name}{line}: {getattr(error, 'problem', None) or 'unreadable characters'}"


class _Reader:
    """Turns one YAML node tree into marked values, within limits."""

    def __init__(self, name: str) -> None:
        self.name, self.left = name, MAX_VALUES

    def value(self, node: yaml.Node, depth: int) -> object:
        place = f"{self.name}:{node.start_mark.line + 1}"
        self.left -= 1
        if depth > MAX_DEPTH or self.left < 0:
            raise InputError(
                f"{self.name} grows out of proportion",
                where=[place],
                why=f"at most {MAX_VALUES:,} values, nested {MAX_DEPTH} deep, aliases "
                "counted each time they are used",
            )
        if isinstance(node, yaml.MappingNode):
            return self._map(node, place, depth)
        if isinstance(node, yaml.SequenceNode):
            made = Seq(place)
            for child in node.value:
                made.add(
                    self.value(child, depth + 1),
                    f"{self.name}:{child.start_mark.line + 1}",
                )
            return made
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - the third kind
        checked_text(node.value, place)
        is_quoted = node.style in ("'", '"', "|", ">")
        return node.value if is_quoted else scalar(node.value)

    def _map(self, node: yaml.MappingNode, place: str, depth: int) -> Map:
        made = Map(place)
        for key_node, child in node.value:
            here = f"{self.name}:{key_node.start_mark.line + 1}"
            key = key_node.value
            if not isinstance(key, str):
                raise InputError(
                    f"a key in {self.name} is not a plain word", where=[here]
                )
            checked_text(key, here)
            if key in made:
                raise InputError(
                    f"{self.name} gives {key[:60]!r} twice",
                    where=[f"{here}: first given at {made.places[key]}"],
                )
            made.put(key, self.value(child, depth + 1), here)
        return made


Asked = str | Mapping[str, Any] | Iterable[str]
"""``PATH=VALUE`` texts, one of them, or values by path."""


def as_texts(asked: Asked, origin: str) -> list[str]:
    """Return what a program asks for as the texts that a command line would have.

    Several values of a path are joined by commas.

    Raises
    ------
    InputError
        If it is nothing of the kind.

    Examples
    --------
    >>> as_texts("plan.pp=4", "--set"), as_texts({"plan.pp": (4, 8)}, "--vary")
    (['plan.pp=4'], ['plan.pp=4,8'])
    """
    if isinstance(asked, str):
        return [asked]
    given: object = asked  # a program may hand over anything
    if isinstance(given, Mapping) and all(isinstance(path, str) for path in given):
        return [f"{path}={_as_text(value, origin)}" for path, value in given.items()]
    texts = list(given) if isinstance(given, Iterable) else [given]
    if isinstance(given, Mapping) or not all(isinstance(text, str) for text in texts):
        raise InputError(
            f"{origin} takes texts PATH=VALUE or a mapping of paths to values, not "
            f"{shown(given)}",
            fix='["cluster.num_gpus=4096"] or {"cluster.num_gpus": 4096}',
        )
    return [str(text) for text in texts]


def _as_text(value: Any, origin: str) -> str:
    """Return a value as it is written behind a path."""
    if isinstance(value, str):
        return value
    plain = marked(value.tolist() if hasattr(value, "tolist") else value, origin)
    if origin == VARY and isinstance(plain, Seq):
        return ",".join(_as_text(item, "") for item in plain)
    return json.dumps(plain)


def parse_override(text: str, origin: str) -> tuple[tuple[str, ...], object]:
    """Return path and value of ``a.b.c=VALUE`` as the command line takes it.

    A number without a unit is in the field's SI unit.

    >>> parse_override("cluster.num_gpus=4096", "--set")
    (('cluster', 'num_gpus'), 4096.0)
    """
    path, equals, value = text.partition("=")
    keys = tuple(part.strip() for part in path.split("."))
    if not equals or not all(keys) or not value.strip():
        raise InputError(
            f"{origin} {text!r} is not PATH=VALUE",
            fix=f"{origin} cluster.num_gpus=4096",
        )
    document = parse_document(f"value: {value}", f"{origin} {keys[-1]}")
    return keys, _bare(document["value"])


def _bare(value: Any) -> Any:
    """Return ``value`` with its numbers marked as bare ones."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return BareNumber(value)
    if isinstance(value, Map):
        for key in value:
            value[key] = _bare(value[key])
    if isinstance(value, Seq):
        value[:] = [_bare(item) for item in value]
    return value


def to_plain(value: Any) -> Any:
    """Return a spec as plain mappings, lists and scalars."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            item.name: to_plain(getattr(value, item.name)) for item in fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value
