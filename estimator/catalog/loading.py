"""Names and files become specs; the only module that opens input files.

A scenario names other files (model, node, fabric, ...). They are put in its place
before anything is checked, so that a dotted path such as ``cluster.node.gpu.num_sms``
reaches into the whole, and every mistake is reported at once with its file and line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from estimator.catalog.derivation import (
    PUBLISHED_ON,
    disown,
    leaves,
    price_over,
    settle,
)
from estimator.ground.documents import (
    MAX_BYTES,
    Asked,
    Map,
    Seq,
    as_texts,
    copied,
    marked,
    merged,
    over,
    parse_document,
    parse_override,
    place_of,
)
from estimator.ground.errors import InputError
from estimator.ground.registry import suggestion
from estimator.ground.units import MAX_LETTERS, shown
from estimator.schedules.programs import schedule
from estimator.specs.economics import Power, Price, Programme
from estimator.specs.fit import GPUS, Misfit, MisfitError, check, frameworks
from estimator.specs.hardware import Fabric, Gpu, Node
from estimator.specs.model import Transformer
from estimator.specs.paths import field_near
from estimator.specs.scenario import Scenario, Setting

T = TypeVar("T")

Named = str | os.PathLike[str] | Mapping[str, Any]
"""A built-in name, a variant, a file, or what a file would hold."""
MAPPING = "the mapping"
"""Place of what a program hands over."""


@dataclass(frozen=True)
class Kind:
    """One kind of input file: its folder, its spec, and the kinds that it names."""

    folder: str
    spec: type[Any]
    references: Mapping[str, str]
    """Dotted path -> kind of the file that a name at this path stands for."""


KINDS: Mapping[str, Kind] = {
    "gpu": Kind("hardware/gpu", Gpu, {}),
    "node": Kind("hardware/node", Node, {"gpu": "gpu"}),
    "fabric": Kind("hardware/fabric", Fabric, {}),
    "price": Kind("hardware/price", Price, {}),
    "power": Kind("hardware/power", Power, {}),
    "programme": Kind("hardware/programme", Programme, {}),
    "model": Kind("models", Transformer, {}),
    "scenario": Kind(
        "scenarios",
        Scenario,
        {
            "model": "model",
            "cluster.node": "node",
            "cluster.node.gpu": "gpu",
            "cluster.fabric": "fabric",
            "published_on.cluster.node": "node",
            "published_on.cluster.node.gpu": "gpu",
            "published_on.cluster.fabric": "fabric",
            "price": "price",
            "power": "power",
            "programme": "programme",
        },
    ),
}
UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
"""Pydantic's names of a field that a spec does not have."""
MOST_MISTAKES = 20
"""That one message lists."""
_NAMED = re.compile(r"Value error, ([a-z_]+(?:\.[a-z_]+)*): ")
DEFAULTS = {"power": "world-average"}
SHORTHANDS = {"precision": "recipe"}
"""A text at this path stands for a mapping with this key."""


_besides: ContextVar[str | None] = ContextVar("path besides", default=None)


@contextmanager
def built_in_only(besides: str = "") -> Iterator[None]:
    """Refuse every name that is a path but one: for what strangers hand in."""
    token = _besides.set(besides)
    try:
        yield
    finally:
        _besides.reset(token)


@cache
def data_folder() -> Path:
    """Return the folder that holds ``hardware/``, ``models/`` and ``scenarios/``."""
    package = Path(__file__).parents[1]
    checkout = package.parent
    return checkout if (checkout / "hardware").is_dir() else package / "_data"


def names(kind: str) -> list[str]:
    """Return the names of the built-in files of a kind."""
    folder = data_folder() / KINDS[kind].folder
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read(kind: str, name: str, origin: str = "") -> Map:
    """Return the file of a kind, by built-in name or path, with its bases merged in.

    Raises
    ------
    InputError
        If there is no such file, or it is not a readable mapping.
    """
    return _read(kind, name, origin, ())


def _read(kind: str, name: str, origin: str, above: tuple[str, ...]) -> Map:
    path = _path(kind, name, origin)
    if str(path) in above:
        raise InputError(
            f"{path.name} is its own base", where=[" -> ".join((*above, str(path)))]
        )
    document = parse_document(read_text(path), str(path) if "/" in name else path.name)
    return _on_base(kind, document, str(path), (*above, str(path)))


def _on_base(kind: str, document: Map, file: str, above: tuple[str, ...]) -> Map:
    """Return what a file holds, laid over the base that it names."""
    base = document.pop("base", None)
    if base is None:
        return document
    place = document.places["base"]
    if not isinstance(base, str):
        raise InputError(
            f"the base of {Path(file).name} is a name or a path, not {base!r}",
            where=[place],
        )
    below = _read(kind, _near(base, f"{file}:"), place, above)
    return derived(below, document) if kind == "scenario" else merged(below, document)


def derived(base: Map, document: Map) -> Map:
    """Return a scenario over another one, with what is still true of that."""
    return _settled(base, merged(base, document), leaves(document))


def _settled(before: Map, after: Map, written: Iterable[Sequence[str]]) -> Map:
    """Return a scenario inlined, without what its last layer contradicts."""
    made = inlined("scenario", after)
    with suppress(InputError):  # a layer may mend what is broken below
        settle(inlined("scenario", before), made, map(tuple, written), _prices)
    if PUBLISHED_ON not in after and not _is_setting(made.get(PUBLISHED_ON)):
        made.pop(PUBLISHED_ON, None)
    return made


def _is_setting(value: object) -> bool:
    """Whether nothing is wrong in a setting; what is is told of the scenario itself."""
    try:
        TypeAdapter(Setting).validate_python(value)
    except ValidationError:
        return False
    return True


@cache
def _prices() -> tuple[Map, ...]:
    return tuple(read("price", name) for name in names("price"))


def existing(name: str, origin: str = "") -> Path:
    """Return the path of an input file, or say at ``origin`` that there is none."""
    path = Path(name)
    if not is_there(path):
        said = name[:200] if name.isprintable() else repr(name[:200])
        raise InputError(f"there is no file {said}", where=_at(origin))
    if path.is_dir():
        raise InputError(f"{name} is a folder, not a file", where=_at(origin))
    return path


def is_there(path: Path) -> bool:
    """Return whether a path exists, whatever its letters."""
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or has a null byte
        return False


def _path(kind: str, name: str, origin: str) -> Path:
    if "/" in name or name.endswith((".yaml", ".yml")):
        if _besides.get() not in {None, name}:
            raise InputError(
                f"{name[:80]!r} is a path, and only built-in files are read here",
                where=_at(origin),
                why=f"known: {', '.join(names(kind))}",
            )
        return existing(name, origin)
    built_in = data_folder() / KINDS[kind].folder / f"{name}.yaml"
    if not is_there(built_in) or Path(name).name != name:
        known = names(kind)
        raise InputError(
            f"there is no {kind} called {name[:80]!r}",
            where=_at(origin),
            why=f"known: {', '.join(known)}",
            fix=suggestion(name, known),
        )
    return built_in


def _at(origin: str) -> list[str]:
    return [origin] if origin else []


def read_text(path: Path, most: int = MAX_BYTES) -> str:
    """Return the content of an input file, or say why it cannot be read."""
    try:
        size = path.stat().st_size
        if size <= most:
            with path.open(encoding="utf-8") as file:
                text = file.read(most + 1)  # a device has no size, and maybe no end
            size = max(size, len(text))
        if size > most:
            raise InputError(
                f"{path} has {size / 1e6:.1f} MB",
                why=f"input files are at most {most / 1e6:.0f} MB",
            )
    except OSError as error:
        raise InputError(f"{path} cannot be read", why=str(error.strerror)) from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8") from None
    except ValueError:
        raise InputError(f"{str(path)[:200]!r} is no path: a null byte") from None
    return text


def inlined(kind: str, document: Map) -> Map:
    """Return the document with every name of another file replaced by its content."""
    made = document.copy()
    for path, referred in KINDS[kind].references.items():
        *parents, key = path.split(".")
        holder: Any = made
        for parent in parents:
            holder = holder.get(parent) if isinstance(holder, Map) else None
        if isinstance(holder, Map) and key in holder:
            place = holder.places[key]
            holder.put(key, _referred(referred, holder[key], place), place)
    return made


def _referred(kind: str, value: Any, place: str) -> Any:
    """Return what a name stands for, or a mapping with its own ``base`` merged in."""
    if isinstance(value, str):
        return read(kind, _near(value, place), place)
    if isinstance(value, Map) and isinstance(value.get("base"), str):
        patch = value.copy()
        base = read(kind, _near(patch.pop("base"), place), place)
        return price_over(base, patch) if kind == "price" else merged(base, patch)
    return value


def resolved(path: str, name: str, place: str) -> Any:
    """Return the mapping that a name at a dotted path of a scenario stands for."""
    kind = KINDS["scenario"].references[path]
    referred = _referred(kind, name, place)
    return inlined(kind, referred) if isinstance(referred, Map) else referred


def _near(name: str, place: str) -> str:
    """Return a path as seen from the file that names it, where there is one."""
    beside = Path(place.rpartition(":")[0]).parent / name
    is_path = name.endswith((".yaml", ".yml"))
    return str(beside) if is_path and is_there(beside) else name


def apply(
    kind: str,
    document: Map,
    path: Sequence[str],
    value: Any,
    place: str,
    *,
    is_merged: bool = False,
) -> None:
    """Set ``value`` at a dotted path, reaching through names of other files.

    Parameters
    ----------
    is_merged : bool
        Lay a mapping over the one that is there, as over a base.

    Raises
    ------
    InputError
        If the path runs through a value that has no parts.
    """
    references = KINDS[kind].references
    holder: Any = document
    for depth, key in enumerate(path[:-1]):
        here = ".".join(path[: depth + 1])
        holder = _step_into(holder, key, here, references.get(here), place)
    last = path[-1]
    if isinstance(holder, Seq):
        index = _index(holder, last, ".".join(path), place)
        old, holder.places[index] = holder[index], place
        holder[index] = over(old, value) if is_merged else copied(value)
    else:
        made = over(holder.get(last), value) if is_merged else copied(value)
        holder.put(last, made, place)


def _step_into(
    holder: Any, key: str, here: str, referred: str | None, place: str
) -> Any:
    if isinstance(holder, Seq):
        child = holder[_index(holder, key, here, place)]
    else:
        if key not in holder:
            holder.put(key, DEFAULTS.get(key) or Map(place), place)
        child = holder[key]
        if referred:
            child = _referred(referred, child, holder.places[key])
            holder.put(key, child, holder.places[key])
        if isinstance(child, str) and here in SHORTHANDS:
            expanded = Map(holder.places[key])
            expanded.put(SHORTHANDS[here], child, holder.places[key])
            holder.put(key, expanded, holder.places[key])
            child = expanded
    if not isinstance(child, Map | Seq):
        raise InputError(f"{here!r} has no parts", where=[place])
    return child


def _index(holder: Seq, key: str, here: str, place: str) -> int:
    if key.isdecimal() and len(key) < 9 and int(key) < len(holder):
        return int(key)
    raise InputError(
        f"{here!r}: write a number from 0 to {len(holder) - 1}, not {shown(key)}",
        where=[place],
    )


def load(kind: str, name: str) -> Any:
    """Return the spec of a built-in name or a file.

    Raises
    ------
    InputError
        Listing every mistake with file and line.
    """
    if kind == "scenario":
        return load_scenario(name)
    return build(kind, inlined(kind, read(kind, name)), name)


def load_scenario(name: Named | Scenario, overrides: Asked = ()) -> Scenario:
    """Return the resolved scenario of ``NAME[@VARIANT[+VARIANT...]]`` or a file.

    Parameters
    ----------
    name : str, path, mapping or Scenario
        A built-in name or a path, then the variants to apply from left to right; or
        what a file would hold. A resolved scenario is returned as it is.
    overrides : str, iterable of str or mapping
        ``PATH=VALUE`` patches, or values by path, applied last.
    """
    if isinstance(name, Scenario):
        if overrides:
            raise InputError("a resolved scenario takes no overrides", fix="its name")
        return name
    document = scenario_document(name, overrides)
    made: Scenario = build("scenario", document, label(name))
    return made


def label(scenario: Named) -> str:
    """Return what a message calls a scenario that was asked for.

    Raises
    ------
    InputError
        If it is nothing that a scenario can be asked for by.
    """
    if isinstance(scenario, str | os.PathLike):
        return os.fspath(scenario)
    if isinstance(scenario, Mapping):
        return str(scenario.get("name", MAPPING))
    kind = type(scenario).__name__
    raise InputError(
        f"a scenario is a name, a file or a mapping here, not a {kind}",
        fix="'deepseek-v3'",
    )


def scenario_document(name: Named, overrides: Asked = ()) -> Map:
    """Return the inlined mapping of a scenario, variants and overrides applied."""
    return patched(unpatched(name), parsed(overrides))


def unpatched(name: Named) -> Map:
    """Return the inlined mapping of a scenario, variants applied."""
    stem, at, variants = label(name).partition("@")
    if isinstance(name, Mapping):
        at, document = "", _on_base("scenario", marked(name, MAPPING), MAPPING, ())
    else:
        document = read("scenario", stem)
    for key, default in DEFAULTS.items():
        if key not in document:
            document.put(key, default, document.place)
    if not at:
        return inlined("scenario", document)
    known = [
        patch
        for variant in variants.split("+")
        for patch in _variant(document, variant, label(name))
    ]
    made = _layered(document, known, is_merged=True)
    made.put("name", f"{document.get('name', stem)}@{variants}", document.place)
    return made


class Patch(NamedTuple):
    """A value for a dotted path, and where it was written."""

    path: tuple[str, ...]
    value: Any
    place: str


def parsed(overrides: Asked, origin: str = "--set") -> list[Patch]:
    """Return what ``PATH=VALUE`` texts, or values by path, ask for."""
    texts = as_texts(overrides, origin)
    return [Patch(*parse_override(text, origin), origin) for text in texts]


def patched(
    document: Map, patches: Sequence[Patch], also: Iterable[Sequence[str]] = ()
) -> Map:
    """Return an inlined scenario with a person's patches, all of them one layer.

    Parameters
    ----------
    also : iterable of sequence of str
        Further paths that the person writes, which are set elsewhere.
    """
    made = _layered(document, patches, also)
    for patch in patches:
        disown(made, patch.path)
    return made


def _layered(
    document: Map,
    patches: Sequence[Patch],
    also: Iterable[Sequence[str]] = (),
    *,
    is_merged: bool = False,
) -> Map:
    made = document.copy()
    for path, value, place in patches:
        apply("scenario", made, path, value, place, is_merged=is_merged)
    return _settled(document, made, [*(patch.path for patch in patches), *also])


def _variant(document: Map, variant: str, name: str) -> list[Patch]:
    variants = document.get("variants")
    known = sorted(variants) if isinstance(variants, Map) else []
    if not isinstance(variants, Map) or variant not in variants:
        raise InputError(
            f"{name.partition('@')[0]!r} has no variant {shown(variant)}",
            why=f"known: {', '.join(known) or 'none'}",
            fix=suggestion(variant, known),
        )
    patch = variants[variant]
    if not isinstance(patch, Map):
        raise InputError(
            f"the variant {variant!r} is a mapping of dotted paths to values",
            where=[variants.places[variant]],
        )
    return [
        Patch(tuple(path.split(".")), value, patch.places[path])
        for path, value in patch.items()
    ]


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
        return f"{field}: write a mapping of fields here"
    if kind == "tuple_type":
        return f"{field}: write a list here, in brackets"
    if kind == "int_parsing_size":
        return f"{field}: {shown(item['input'])} is more than any count may be: 1e9"
    text = str(item["msg"]).removeprefix("Value error, ")
    if kind != "value_error":
        text += f", not {shown(item['input'])}"
    return f"{field}: {text[0].lower()}{text[1:]}" if field else text
