"""One long table as text: ``pandas.read_csv(path, comment="#")`` reads it."""

from __future__ import annotations

import csv

from estimator.explore.frames import long
from estimator.explore.results import Result
from estimator.show.formats.about import about, as_words
from estimator.show.formats.base import writes


@writes("csv")
def encode(result: Result) -> bytes:
    """Return comma-separated values, with comments that say what they are."""
    comments = "".join(
        f"# {name}: {' '.join(words.split())}\n" for name, words in about(result)
    )
    frame = long(result)
    texts = frame.select_dtypes(exclude="number").columns
    for name in texts:
        frame[name] = frame[name].map(as_words, na_action="ignore")
    table = frame.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    return (comments + table).encode()
