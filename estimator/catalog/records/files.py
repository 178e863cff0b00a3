"""Text of a runs file to records: a YAML list, read fast, broken entries apart."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, NamedTuple

import yaml

from estimator.ground.errors import InputError
from estimator.ground.units import MAX_LETTERS

MAX_RECORDS = 20_000


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader; a date is text, and so are more digits than a number has."""


def _whole(loader: Any, node: yaml.ScalarNode) -> object:
    is_long = len(node.value) > MAX_LETTERS
    return node.value if is_long else loader.construct_yaml_int(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)
_Loader.add_constructor(
    "tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str
)
_UNREADABLE = (
    yaml.YAMLError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
)
"""What PyYAML raises on a text, or on a value that its tag does not fit."""
_ENTRY = re.compile(r"^- ", re.MULTILINE)
_ID = re.compile(r"^(?:- |  )id:\s*['\"]?([^\s'\"#]+)", re.MULTILINE)


class Broken(NamedTuple):
    """An entry of the list that is not YAML."""

    id: str
    reason: str


def parse_records(text: str, name: str) -> list[Any]:
    r"""Return the entries of a YAML list: mappings, or whatever else stands there.

    Where the file as a whole is not YAML, its entries are read one by one, and those
    that are not come back as :class:`Broken`.

    Raises
    ------
    InputError
        If it is not a list, or nothing in it can be read.

    Examples
    --------
    >>> parse_records("- {id: a}\n- {id: b", "runs.yaml")[1].id
    'record 2'
    """
    try:
        found = yaml.load(text, Loader=_Loader)  # noqa: S506 - the safe loader in C
    except _UNREADABLE as error:
        found = _one_by_one(text, name)
        if all(isinstance(entry, Broken) for entry in found):
            raise InputError(
                f"{name} is not YAML", where=[_place(error, name, 0)]
            ) from None
    except RecursionError:
        raise InputError(f"{name} is nested too deeply") from None
    if not isinstance(found, list):
        kind = "empty" if found is None else f"a {type(found).__name__}, not a list"
        raise InputError(f"{name} is {kind}", fix="a YAML list of records: '- id: ...'")
    _check_number(len(found), name)
    return found


def _check_number(count: int, name: str) -> None:
    if count > MAX_RECORDS:
        raise InputError(
            f"{name} has {count:,} records", why=f"{MAX_RECORDS:,} are the limit"
        )


def _one_by_one(text: str, name: str) -> list[Any]:
    bounds = [match.start() for match in _ENTRY.finditer(text)] + [len(text)]
    _check_number(len(bounds) - 1, name)
    made: list[Any] = []
    for index, (start, end) in enumerate(pairwise(bounds)):
        part = text[start:end]
        try:
            made += yaml.load(part, Loader=_Loader)  # noqa: S506 - likewise
        except (*_UNREADABLE, RecursionError) as error:
            named = _ID.search(part)
            first = text.count("\n", 0, start)
            made.append(
                Broken(
                    named[1] if named else f"record {index + 1}",
                    f"not YAML: {_place(error, name, first)}",
                )
            )
    return made


def _place(error: Exception, name: str, first_line: int) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f":{first_line + mark.line + 1}" if mark else ""
    problem = getattr(error, "problem", None) or str(error).split("\n")[0]
    return f"{name}{line}: {problem[:120]}"
