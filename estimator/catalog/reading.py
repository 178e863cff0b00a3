"""A name or a path becomes a document; the only module that opens input files.

A document names others (its base, a model, a node, ...). They are put in its place
before anything is checked, so that a dotted path such as ``cluster.node.gpu.num_sms``
reaches into the whole, and every mistake is reported at once with its file and line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from estimator.catalog.derivation import PUBLISHED_ON, leaves, price_over, settle
from estimator.catalog.features import release_over
from estimator.catalog.kinds import KINDS, folder, names
from estimator.catalog.moved import brought_up
from estimator.catalog.releases import (
    SOFTWARE,
    completed,
    give_way,
    plan_filled,
    say_which,
    switched,
)
from estimator.ground.documents import (
    MAX_BYTES,
    Map,
    check_bytes,
    merged,
    parse_document,
)
from estimator.ground.errors import InputError
from estimator.ground.registry import suggestion
from estimator.specs.scenario import Setting

_besides: ContextVar[str | None] = ContextVar("path besides", default=None)


@contextmanager
def built_in_only(besides: str = "") -> Iterator[None]:
    """Refuse every name that is a path but one: for what strangers hand in."""
    token = _besides.set(besides)
    try:
        yield
    finally:
        _besides.reset(token)


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
    return on_base(kind, document, str(path), (*above, str(path)))


def on_base(kind: str, document: Map, file: str, above: tuple[str, ...]) -> Map:
    """Return what a file holds, laid over the base that it names."""
    if kind == "scenario":
        document = brought_up(document)
    base = document.pop("base", None)
    if base is None:
        return release_over(Map(), document) if kind == "software" else document
    place = document.places["base"]
    if not isinstance(base, str):
        raise InputError(
            f"the base of {Path(file).name} is a name or a path, not {base!r}",
            where=[place],
        )
    below = _read(kind, _near(base, f"{file}:"), place, above)
    return _LAID.get(kind, merged)(below, document)


def derived(base: Map, document: Map) -> Map:
    """Return a scenario over another one, with what is still true of that."""
    below, software = base, document.get(SOFTWARE)
    if isinstance(software, Map) and "base" in software:
        below = base.copy()
        below.pop(SOFTWARE, None)  # another release keeps nothing of it
    elif isinstance(software, Map) and isinstance(base.get(SOFTWARE), str):
        patch, document = software.copy(), document.copy()
        patch.put("base", base[SOFTWARE], base.places[SOFTWARE])
        document.put(SOFTWARE, patch, document.places[SOFTWARE])
    return settled(base, merged(below, document), leaves(document))


_LAID = {"scenario": derived, "software": release_over}
"""How a file is laid over its base, where it is not just merged."""
_OVER = {"price": price_over, "software": switched}
"""How a patch is laid over what a scenario names, likewise."""


def settled(before: Map, after: Map, written: Iterable[Sequence[str]]) -> Map:
    """Return a scenario inlined, without what its last layer contradicts."""
    made = inlined("scenario", after)
    with suppress(InputError):  # a layer may mend what is broken below
        below, paths = inlined("scenario", before), [tuple(path) for path in written]
        gave_way = give_way(below, made, paths, _release)
        plan_filled(made)
        settle(below, made, paths, _prices)
        say_which(made, gave_way)
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
def _release(name: str) -> Map:
    return read("software", name)


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
    built_in = folder(kind) / f"{name}.yaml"
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
        check_bytes(size, str(path), most)
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
            holder.put(key, referent(referred, holder[key], place), place)
    if kind == "scenario":
        for setting in (made, made.get(PUBLISHED_ON)):
            if isinstance(setting, Map):
                completed(setting, _release)
                plan_filled(setting)
    return made


def referent(kind: str, value: Any, place: str) -> Any:
    """Return what a name stands for, or a mapping with its own ``base`` merged in."""
    if isinstance(value, str):
        return read(kind, _near(value, place), place)
    if isinstance(value, Map) and isinstance(value.get("base"), str):
        patch = value.copy()
        base = read(kind, _near(patch.pop("base"), place), place)
        return _OVER.get(kind, merged)(base, patch)
    return value


def resolved(path: str, name: str, place: str) -> Any:
    """Return the mapping that a name at a dotted path of a scenario stands for."""
    kind = KINDS["scenario"].references[path]
    referred = referent(kind, name, place)
    return inlined(kind, referred) if isinstance(referred, Map) else referred


def _near(name: str, place: str) -> str:
    """Return a path as seen from the file that names it, where there is one."""
    beside = Path(place.rpartition(":")[0]).parent / name
    is_path = name.endswith((".yaml", ".yml"))
    return str(beside) if is_path and is_there(beside) else name
