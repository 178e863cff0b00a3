"""What ``--json`` prints, as a file."""

from __future__ import annotations

import json

from estimator.explore.results import Result
from estimator.show.formats.base import writes


@writes("json")
def encode(result: Result) -> bytes:
    """Return a JSON document."""
    return (json.dumps(result.to_dict(), indent=1, allow_nan=False) + "\n").encode()
