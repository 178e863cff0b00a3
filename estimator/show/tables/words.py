"""A table of words as a record: a terminal draws it, pages and files read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from rich.table import Table
from rich.text import Text

Side = Literal["left", "right"]
IS_DRAWN = True
Cell = str | Text
"""Text is shown as it stands; what a string has in brackets is markup."""


class Column(NamedTuple):
    """A column of a table: its head, and how a terminal sets it."""

    head: str
    side: Side = "left"
    is_drawn: bool = False
    """Bars of characters, which only a terminal shows."""
    is_folded: bool = True
    """Whether what is too wide goes on in a further line."""


@dataclass(frozen=True)
class Words:
    """Rows of words under heads."""

    title: str
    columns: tuple[Column, ...]
    rows: list[tuple[Cell, ...]] = field(default_factory=list)
    has_heads: bool = True
    gap: int = 2
    """Characters between two columns."""
    overflow: Literal["fold", "ellipsis"] = "fold"
    """What becomes of a word that is wider than its column."""

    @classmethod
    def of(
        cls,
        title: str,
        *columns: tuple[str, Side] | tuple[str, Side, bool],
        has_heads: bool = True,
    ) -> Words:
        """Return a table without rows; a column is its head, its side, and the rest."""
        return cls(title, tuple(Column(*each) for each in columns), has_heads=has_heads)

    def add_row(self, *cells: Cell) -> None:
        """Append a row; columns behind the last cell stay empty."""
        empty = ("",) * (len(self.columns) - len(cells))
        self.rows.append((*cells, *empty))

    def read(self) -> list[tuple[Column, tuple[str, ...]]]:
        """Return the words of each column that is not drawn."""
        cells = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.columns)
        return [
            (column, tuple(map(str, under)))
            for column, under in zip(self.columns, cells, strict=True)
            if not column.is_drawn
        ]

    def __rich__(self) -> Table:
        """Return what a terminal draws."""
        table = Table(
            title=self.title,
            title_justify="left",
            box=None,
            padding=(0, self.gap, 0, 0),
            show_header=self.has_heads,
            pad_edge=self.has_heads,
        )
        for column in self.columns:
            table.add_column(
                column.head,
                justify=column.side,
                overflow=self.overflow,
                no_wrap=not column.is_folded,
            )
        for row in self.rows:
            table.add_row(*row)
        return table
