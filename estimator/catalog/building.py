"""A document becomes a spec, or one message with file and line of every mistake."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from estimator.catalog.kinds import KINDS
from estimator.ground.documents import Map, place_of
from estimator.ground.errors import InputError
from estimator.ground.registry import suggestion
from estimator.ground.units import MAX_LETTERS, shown
from estimator.schedules.programs import schedule
from estimator.specs.fit import GPUS, Misfit, MisfitError, check, frameworks
from estimator.specs.paths import field_near
from estimator.specs.scenario import Scenario

UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
"""Pydantic's names of a field that a spec does not have."""
MOST_MISTAKES = 20
"""That one message lists."""
_NAMED = re.compile(r"Value error, ([a-z_]+(?:\.[a-z_]+)*): ")


class UnfitError(InputError):
    """A scenario whose parts are right, but do not fit together."""

    def __init__(
        self, what: str, where: Sequence[str], misfits: tuple[Misfit, ...]
    ) -> None:
        super().__init__(what, where=where)
        self.misfits = misfits


@cache
def adapter(kind: str) -> TypeAdapter[Any]:
    """Return the validator of a kind's spec."""
    return TypeAdapter(KINDS[kind].spec)


def build(kind: str, document: Map, name: str, *, is_hypothetical: bool = False) -> Any:
    """Return the spec that an inlined document describes, or every mistake in it.

    What frameworks refuse is a mistake in a scenario, unless it is hypothetical: nobody
    asked for it, as for the steps from one scenario to another.
    """
    if kind == "scenario":
        _check_schedule(document)
    try:
        made = adapter(kind).validate_python(document)
        if isinstance(made, Scenario) and not is_hypothetical:
            check(frameworks(made))
    except ValidationError as error:
        where = _mistakes(error, document, KINDS[kind].spec)
        found = [item.get("ctx", {}).get("error") for item in error.errors()]
        misfits = found[0].misfits if isinstance(found[0], MisfitError) else ()
    except MisfitError as error:
        where = [_misplaced(each, document) for each in error.misfits]
        misfits = error.misfits
    else:
        return made
    what = f"{name} does not describe a {KINDS[kind].spec.__name__}"
    if misfits:
        raise UnfitError(what, where, misfits)
    raise InputError(what, where=where)


def _misplaced(each: Misfit, document: Map) -> str:
    """Return a line for what does not fit, by the field that was written last.

    Of those that would put it right, what a person set over a file; the GPUs first.
    """
    for path in (GPUS, each.path, *each.nearest):
        place = _placed(document, path)
        if path in each.nearest and place.startswith("--"):
            return f"{place}: {each.blaming(path)}"
    return f"{_placed(document, each.path)}: {each}"


def _placed(document: Map, path: str) -> str:
    keys = (int(key) if key.isdecimal() else key for key in path.split("."))
    return place_of(document, tuple(keys))


def _check_schedule(document: Map) -> None:
    plan = document.get("plan")
    name = plan.get("schedule") if isinstance(plan, Map) else None
    if isinstance(name, str):
        check_schedule(name, place_of(document, ("plan", "schedule")))


def check_schedule(name: str, place: str) -> None:
    """Raise InputError if there is no schedule of a name that is written somewhere."""
    if name not in schedule:
        known = list(schedule)
        raise InputError(
            f"there is no schedule called {name[:60]!r}",
            where=[place],
            why=f"known: {', '.join(known)}",
            fix=suggestion(name, known),
        )


def _mistakes(error: ValidationError, document: Map, spec: type[Any]) -> list[str]:
    """Return a line for each of the first mistakes, and how many more there are."""
    items = error.errors(include_url=False)
    lines = list(dict.fromkeys(_lines(items[:MOST_MISTAKES], document, spec)))
    more = len(items) - MOST_MISTAKES
    return lines + ([f"and {more:,} more"] if more > 0 else [])


def _lines(items: Iterable[Any], document: Map, spec: type[Any]) -> Iterator[str]:
    for item in items:
        path = tuple(item["loc"])
        misfit = item.get("ctx", {}).get("error")
        if isinstance(misfit, MisfitError):
            yield from (_misplaced(each, document) for each in misfit.misfits)
            continue
        if item["type"] == "value_error":  # it names the field to change
            named = _NAMED.match(str(item["msg"]))
            path = (*path, *named[1].split(".")) if named and not path else path
        place = place_of(document, path)
        field = ".".join(str(key)[:MAX_LETTERS] for key in item["loc"])
        close = ""
        if item["type"] in UNKNOWN:
            close = field_near(spec, [str(key) for key in item["loc"]], document)
        yield f"{place}: {_message(item, field, close)}"


def _message(item: Any, field: str, close: str) -> str:
    """Return what is wrong with a field; ``close``: the one that may be meant."""
    kind = item["type"]
    if kind == "missing":
        return f"field {field!r} is missing"
    if kind in UNKNOWN:
        hint = f"; did you mean {close}?" if close else ""
        return f"unknown field {field!r}{hint}"
    if kind in ("dataclass_type", "dataclass_exact_type", "dict_type", "mapping_type"):
        kind = KINDS["scenario"].references.get(field, "")
        name = f"a name of estimator list {kind} or " if kind else ""
        return f"{field}: write {name}a mapping of fields here"
    if kind == "tuple_type":
        return f"{field}: write a list here, in brackets"
    if kind == "int_parsing_size":
        return f"{field}: {shown(item['input'])} is more than any count may be: 1e9"
    text = str(item["msg"]).removeprefix("Value error, ")
    if kind != "value_error":
        text += f", not {shown(item['input'])}"
    return f"{field}: {text[0].lower()}{text[1:]}" if field else text
