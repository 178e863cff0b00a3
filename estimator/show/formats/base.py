"""The registry of file formats, and how a result becomes a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from estimator.explore.results import Result
from estimator.ground import files
from estimator.ground.errors import InputError
from estimator.ground.extras import require
from estimator.ground.registry import Registry

Writer = Callable[[Result], bytes]
MOST_LETTERS = 60


class FileFormat(NamedTuple):
    """How a kind of file is written."""

    encode: Writer
    needs: tuple[str, ...] = ()
    """Libraries that the extra ``export`` brings."""

    def require(self) -> None:
        """Raise unless its libraries are installed."""
        summary = (self.encode.__doc__ or "").splitlines()[0]
        what = summary.removeprefix("Return ").rstrip(".")
        require(what, "export", *self.needs)


file_format: Registry[FileFormat] = Registry(
    "file format", package="estimator.show.formats"
)
"""Ending -> how a file that ends so is written."""


def writes(ending: str, *needs: str) -> Callable[[Writer], Writer]:
    """Return a decorator that files a writer under the ending of its files."""

    def add(encode: Writer) -> Writer:
        file_format(ending)(FileFormat(encode, needs))
        return encode

    return add


def check_target(path: Path) -> None:
    """Raise unless a result can be written here; cheap, for before the work.

    Raises
    ------
    InputError
        If the name has another ending, or cannot be written.
    EstimatorError
        If the library is missing that writes it.
    """
    if path.suffix == ".html":
        raise InputError(
            f"{path} is a report, not tables",
            fix=f"estimator report NAME --out {path}",
        )
    files.check_target(path, [f".{ending}" for ending in file_format])
    file_format[path.suffix[1:]].require()


def write(result: Result, path: Path) -> None:
    """Write a result; the file's ending says how.

    Raises
    ------
    InputError
        If it cannot be written; what was there before then stays as it was.
    """
    check_target(path)
    files.write_bytes(path, [file_format[path.suffix[1:]].encode(result)])


def file_name(name: str, ending: str) -> str:
    """Return a name that every file system takes.

    >>> file_name("deepseek-v3@h100", "csv"), file_name("../a b", "csv")
    ('deepseek-v3@h100.csv', 'a-b.csv')
    """
    plain = re.sub(r"[^\w@+.-]+", "-", name, flags=re.ASCII).strip("-.")
    return f"{plain[:MOST_LETTERS] or 'estimate'}.{ending}"
