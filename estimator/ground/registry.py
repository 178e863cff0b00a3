"""A registry: names to functions, filled by the files of one package."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from estimator.ground.errors import InputError

T = TypeVar("T")

MOST_LETTERS = 80
"""Of a name that one may have meant."""


def suggestion(name: str, known: list[str]) -> str:
    """Return the known name that is closest to ``name``, quoted, or nothing."""
    is_name = len(name) <= MOST_LETTERS  # comparing takes long where texts are long
    close = difflib.get_close_matches(name, known, n=1) if is_name else ()
    return repr(close[0]) if close else ""


class Registry(Generic[T]):
    """Plug-ins of one kind; the package's files are imported on first use.

    Examples
    --------
    >>> greeting = Registry("greeting")
    >>> @greeting("plain")
    ... def hello() -> str:
    ...     return "hello"
    >>> greeting["plain"](), list(greeting)
    ('hello', ['plain'])
    """

    def __init__(self, kind: str, package: str = "") -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, T] = {}

    def __call__(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files its function under ``name``."""

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"two {self.kind}s are called {name!r}")
            self._entries[name] = entry
            return entry

        return add

    def _load(self) -> None:
        if self._package:
            package = importlib.import_module(self._package)
            self._package = ""
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{package.__name__}.{module.name}")

    def __getitem__(self, name: str) -> T:
        self._load()
        if name not in self._entries:
            known = sorted(self._entries)
            raise InputError(
                f"there is no {self.kind} called {name[:MOST_LETTERS]!r}",
                why=f"known: {', '.join(known)}",
                fix=suggestion(name, known),
            )
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        self._load()
        return len(self._entries)
