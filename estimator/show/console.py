"""Where tables go: a terminal, as wide as it is, or a page of one width."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 110
"""Columns of what is piped."""


def console(piped_width: int = PIPED_WIDTH) -> Console:
    """Return where tables are printed."""
    from rich.console import Console

    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=piped_width)


def progress_console() -> Console | None:
    """Return where progress is shown: standard error, or None if nobody looks at it."""
    from rich.console import Console

    out = Console(stderr=True)
    return out if out.is_terminal else None


def columns() -> int:
    """Return how wide text may be."""
    is_shown = sys.stdout is not None and sys.stdout.isatty()  # None where it is closed
    return shutil.get_terminal_size().columns if is_shown else PIPED_WIDTH
