"""Columns of rows as Parquet or CSV, and back, to the last digit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Columns = Mapping[str, Any]
FORMATS = (".parquet", ".csv")
ROWS_AT_ONCE = 65_536
"""Rows of CSV whose texts are in memory together."""


def write_table(columns: Columns, path: Path, suffix: str) -> None:
    """Write columns as Parquet or CSV."""
    if suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.table({name: pa.array(values) for name, values in columns.items()})
        parquet.write_table(table, path, compression="zstd")
        return
    import pandas as pd

    pd.DataFrame(dict(columns)).to_csv(path, index=False)


def read_tables(paths: Iterable[Path], suffix: str) -> dict[str, Any]:
    """Return the columns of files of the same kind, one behind the other."""
    if suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.concat_tables(parquet.read_table(path) for path in paths)
        return {
            name: column.to_numpy()
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    pieces = list(_csv_pieces(paths))
    return {name: _joined([piece[name] for piece in pieces]) for name in pieces[0]}


def _csv_pieces(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    import pandas as pd

    for path in paths:
        frames = pd.read_csv(
            path, dtype=str, keep_default_na=False, chunksize=ROWS_AT_ONCE
        )
        for frame in frames:
            yield {str(name): _parsed(str(name), list(frame[name])) for name in frame}


def _parsed(name: str, texts: list[str]) -> Any:
    """Return a CSV column as it was written, to the last digit."""
    if name in ("reason", "adjusted", "price_title"):
        return np.array(texts, dtype=object)
    if texts and set(texts) <= {"True", "False"}:
        return np.array([text == "True" for text in texts])
    for kind in (np.int64, np.float64):
        try:
            return np.array([text or "nan" for text in texts]).astype(kind)
        except ValueError:
            continue
    return np.array(texts, dtype=object)


def _joined(pieces: Sequence[Any]) -> Any:
    """Return a column's pieces as one; where one holds words, all are words."""
    if any(piece.dtype == object for piece in pieces):
        pieces = [piece.astype(str).astype(object) for piece in pieces]
    return np.concatenate(pieces)
