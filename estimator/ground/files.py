"""Results as files: whole, or not at all."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from estimator.ground.errors import EstimatorError, InputError, OutsideError

TRACE_SUFFIXES = (".json", ".json.gz")
DISK_FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Of the system's errors those that are no fault of the place that was asked for."""
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
        raise refused(path, error) from None
    if is_folder:
        raise InputError(f"{path} is a folder, not a file")
    if not has_folder:
        what = f"there is no folder {path.parent} for {path.name}"
        raise InputError(what, where=[str(path)])
    if not os.access(path if is_there else path.parent, os.W_OK):
        raise InputError(f"{path} cannot be written", why="permission denied")


def write_text(path: Path, parts: Iterable[str]) -> None:
    """Write text in UTF-8.

    Raises
    ------
    InputError
        If it cannot be written; what was there before then stays as it was.
    OutsideError
        If the disk is full or fails; likewise.
    """
    _write(path, (part.encode() for part in parts))


def write_bytes(path: Path, parts: Iterable[bytes]) -> None:
    """Write bytes.

    Raises
    ------
    InputError
        If it cannot be written; what was there before then stays as it was.
    OutsideError
        If the disk is full or fails; likewise.
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
    OutsideError
        If the disk is full or fails; likewise.
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


def refused(path: Path, error: OSError) -> EstimatorError:
    """Return the message that a file cannot be written."""
    kind = OutsideError if error.errno in DISK_FAILURES else InputError
    return kind(f"{path} cannot be written", why=str(error.strerror or error))


@contextmanager
def whole(path: Path, key: str = "") -> Iterator[Path]:
    """Yield a place beside a file that takes its place when the body has written it.

    What is no plain file, such as a device, is written into as it is.

    Parameters
    ----------
    key : str
        Part of the name beside; the process without, so that two may write at once.

    Raises
    ------
    InputError
        If the place cannot be written; what was there before then stays as it was.
    OutsideError
        If the disk is full or fails; likewise.
    """
    target = path.resolve()
    if path.exists() and not path.is_file():
        beside = path
    else:
        beside = target.with_name(f".{target.name}.{key or os.getpid()}.part")
    try:
        yield beside
        if beside != path:
            beside.replace(target)
    except OSError as error:
        raise refused(path, error) from None
    finally:
        if beside != path:
            with suppress(OSError):
                beside.unlink()


def _write(path: Path, parts: Iterable[bytes], *, is_packed: bool = False) -> None:
    check_target(path)
    with whole(path) as beside, beside.open("wb") as file:
        _write_parts(file, parts, is_packed=is_packed)


def _write_parts(file: IO[bytes], parts: Iterable[bytes], *, is_packed: bool) -> None:
    if not is_packed:
        file.writelines(parts)
        return
    # neither name nor time inside: the same trace is the same file
    with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed:
        packed.writelines(parts)
