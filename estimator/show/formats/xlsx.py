"""A spreadsheet: what it holds on the first sheet, a table on each of the others."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from estimator.explore.frames import frames
from estimator.explore.results import Result
from estimator.show.formats.about import about
from estimator.show.formats.base import writes

MOST_LETTERS = 32767
"""Of a cell."""
WIDEST = 60
"""Letters of a column; longer words are wrapped."""
OPTIONS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}
STYLES: Mapping[str, Mapping[str, Any]] = {
    "head": {"bold": True, "bottom": 1},
    "words": {"text_wrap": True, "valign": "top"},
    "count": {"num_format": "#,##0", "valign": "top"},
    "plain": {"num_format": "#,##0.0000", "valign": "top"},
    "small": {"num_format": "0.00E+00", "valign": "top"},
}


@writes("xlsx", "xlsxwriter")
def encode(result: Result) -> bytes:
    """Return a spreadsheet."""
    import xlsxwriter

    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, OPTIONS)
    _tell(book, result)
    styles = {name: book.add_format(style) for name, style in STYLES.items()}
    said = pd.DataFrame(about(result), columns=["about", ""])
    for name, frame in {"about": said, **frames(result)}.items():
        _fill(book.add_worksheet(name), frame, styles)
    book.close()
    return buffer.getvalue()


def _tell(book: Any, result: Result) -> None:
    """Put name, version, date and configuration into the file's properties."""
    first = result.sources[0]
    book.set_properties(
        {
            "title": result.title[:255],
            "comments": "\n".join(result.footers),
            # the same numbers on the same day are the same file
            "created": datetime.fromisoformat(first.date).replace(tzinfo=UTC),
        }
    )
    book.set_custom_property("version", f"estimator {first.version}")
    book.set_custom_property("configuration", first.configuration)


def _fill(sheet: Any, frame: pd.DataFrame, styles: Mapping[str, Any]) -> None:
    """Write a table: words as words, numbers as numbers, gaps as gaps."""
    sheet.freeze_panes(1, 0)
    for column, (name, cells) in enumerate(frame.items()):
        sheet.write_string(0, column, str(name), styles["head"])
        longest = len(str(name))
        for row, value in enumerate(cells, start=1):
            if pd.isna(value) or value == "":
                continue
            if isinstance(value, str):
                sheet.write_string(row, column, value[:MOST_LETTERS], styles["words"])
                longest = max(longest, len(value))
            else:
                style = styles[_style(float(value))]
                sheet.write_number(row, column, float(value), style)
                longest = max(longest, len(f"{value:,.4f}"))
        sheet.set_column(column, column, min(longest, WIDEST) + 2)


def _style(value: float) -> str:
    if value.is_integer() or abs(value) >= 1000:
        return "count"
    return "plain" if abs(value) >= 0.001 else "small"
