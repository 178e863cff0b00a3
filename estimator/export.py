"""Results as files: whole, or not at all."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from estimator.errors import InputError

TRACE_SUFFIXES = (".json", ".json.gz")
FIGURE_SUFFIXES = (".html", ".png", ".svg", ".pdf")
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def check_target(path: Path, suffixes: Sequence[str] = ()) -> None:
    """Raise unless a file can be written here; cheap, for before the work.

    Parameters
    ----------
    suffixes : sequence of str
        What the name ends in, one of them; empty for any.

    Raises
    ------
    InputError
        If the name has another ending, or there is no such folder to write into.
    """
    if suffixes and not path.name.endswith(tuple(suffixes)):
        raise InputError(
            f"{path} does not end in {' or '.join(suffixes)}",
            fix=str(path.with_name((path.name.split(".")[0] or "step") + suffixes[-1])),
        )
    try:
        is_folder, is_there = path.is_dir(), path.exists()
        has_folder = path.parent.is_dir()
    except OSError as error:
        raise _refused(path, error) from None
    if is_folder:
        raise InputError(f"{path} is a folder, not a file")
    if not has_folder:
        raise InputError(f"there is no folder {path.parent} for {path.name}")
    if not os.access(path if is_there else path.parent, os.W_OK):
        raise InputError(f"{path} cannot be written", why="permission denied")


def write_text(path: Path, parts: Iterable[str]) -> None:
    """Write text in UTF-8.

    Raises
    ------
    InputError
        If it cannot be written; what was there before then stays as it was.
    """
    _write(path, (part.encode() for part in parts))


def write_bytes(path: Path, parts: Iterable[bytes]) -> None:
    """Write bytes.

    Raises
    ------
    InputError
        If it cannot be written; what was there before then stays as it was.
    """
    _write(path, parts)


def write_trace(
    path: Path, events: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
) -> None:
    """Write Chrome trace events as JSON, one per line, compressed for ``.gz``.

    Parameters
    ----------
    about : mapping
        What the trace shows; viewers keep it as ``otherData``.

    Raises
    ------
    InputError
        If it cannot be written; what was there before then stays as it was.
    """
    check_target(path, TRACE_SUFFIXES)
    is_packed = path.name.endswith(".gz")
    _write(path, _trace_lines(events, about), is_packed=is_packed)


def packed_trace(
    events: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
) -> bytes:
    """Return what :func:`write_trace` writes into a ``.json.gz``."""
    file = io.BytesIO()
    _write_parts(file, _trace_lines(events, about), is_packed=True)
    return file.getvalue()


def _trace_lines(
    events: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
) -> Iterator[bytes]:
    head = f'{{"displayTimeUnit":"ms","otherData":{_encode(about)},"traceEvents":[\n'
    yield head.encode()
    for number, event in enumerate(events):
        yield (f",\n{_encode(event)}" if number else _encode(event)).encode()
    yield b"\n]}\n"


def _refused(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be written", why=str(error.strerror or error))


def _write(path: Path, parts: Iterable[bytes], *, is_packed: bool = False) -> None:
    """Write beside the file and rename; straight into what is no plain file."""
    check_target(path)
    target = path.resolve()
    is_special = path.exists() and not path.is_file()
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with (path if is_special else beside).open("wb") as file:
            _write_parts(file, parts, is_packed=is_packed)
        if not is_special:
            beside.replace(target)
    except OSError as error:
        raise _refused(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def _write_parts(file: IO[bytes], parts: Iterable[bytes], *, is_packed: bool) -> None:
    if not is_packed:
        file.writelines(parts)
        return
    # neither name nor time inside: the same trace is the same file
    with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed:
        packed.writelines(parts)
