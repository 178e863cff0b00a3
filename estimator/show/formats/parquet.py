"""One long table in columns; pandas finds what it holds in ``frame.attrs``."""

from __future__ import annotations

import io

from estimator.explore.frames import long
from estimator.explore.results import Result
from estimator.show.formats.about import about
from estimator.show.formats.base import writes


@writes("parquet", "pyarrow")
def encode(result: Result) -> bytes:
    """Return a Parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    said: dict[str, list[str]] = {}
    for name, words in about(result):
        said.setdefault(name, []).append(words)
    frame = long(result)
    frame.attrs = {name: "\n".join(words) for name, words in said.items()}
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({**table.schema.metadata, **frame.attrs})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
