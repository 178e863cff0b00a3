"""The numbers of two checkouts side by side: what a change of form must not move.

``same.py CHECKOUT OUT.json`` asks the checkout's own command line and keeps each number
by its path; ``same.py --compare OLD.json NEW.json`` lists those that differ by more
than one part in 1e9. What a new constant adds (ranges, assumptions, uncertainty) is
told apart, since it may appear.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

TOLERANCE = 1e-9
MAY_GROW = {"range", "ranges", "assumptions", "uncertainty", "configuration", "date"}
MAY_GROW |= {"provenance", "step_range", "cost_range"}
COMMANDS = {
    **{
        f"schedule-{name}": [
            *["schedule", name, "--ranks", "8", "--microbatches", "16", "--json"]
        ]
        for name in ("1f1b", "interleaved-1f1b", "zb-h1", "zb-v", "dualpipe")
    },
    "validate": ["validate", "--json"],
    "sweep": [
        *["sweep", "deepseek-v3", "--out", "OUT"],
        *["--vary", "cluster.num_gpus=1024:10240:10"],
        *["--vary", "cluster.fabric.bytes_per_s=25 GB/s:100 GB/s:10"],
    ],
    "plan": ["plan", "gpt3-175b", "--json"],
}
PROBE = """
import json, sys
from pathlib import Path
import yaml
for path in sorted(Path("scenarios").glob("*.yaml")):
    made = yaml.safe_load(path.read_text())
    for variant in made.get("variants", {}):
        print(path.stem, variant)
"""


def asked(checkout: Path, arguments: list[str], folder: Path) -> Any:
    """Return what a checkout's command line prints, or the rows that it writes."""
    rows = folder / f"{time.time_ns()}.csv"
    code = "import sys\ntry:\n    from estimator.faces.cli.main import cli\n"
    code += "except ImportError:\n    from estimator.cli import cli\nsys.exit(cli())"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            *(str(rows) if a == "OUT" else a for a in arguments),
        ],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "OUT" in arguments and rows.exists():
        return list(csv.DictReader(rows.open()))
    return json.loads(done.stdout) if done.stdout else {"stderr": done.stderr}


def leaves(part: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each number and word of a document by its path."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield from leaves(value, f"{path}/{key}")
    elif isinstance(part, list):
        for at, value in enumerate(part):
            yield from leaves(value, f"{path}/{at}")
    else:
        yield path, part


def numbers(checkout: Path) -> dict[str, Any]:
    """Return every answer of the checkout, by command and path."""
    probe = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    commands: dict[str, list[str]] = {}
    for name, variant in (line.split() for line in probe.stdout.splitlines()):
        commands[name] = ["run", name, "--json"]
        commands[f"{name}@{variant}"] = ["run", f"{name}@{variant}", "--json"]
    found: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        for name, arguments in (commands | COMMANDS).items():
            found |= leaves(asked(checkout, arguments, Path(folder)), name)
            print(f"{name}: {len(found):,} values", file=sys.stderr)
    return found


def differs(old: Any, new: Any) -> bool:
    """Return whether two values are not the same."""
    with suppress(TypeError, ValueError):
        old, new = float(old), float(new)
        return abs(new - old) > TOLERANCE * max(abs(old), abs(new))
    return bool(old != new)


def main() -> None:
    """Keep a checkout's numbers, or compare two that were kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", type=Path, help="a checkout, or its numbers")
    parser.add_argument("second", type=Path, help="where they go, or other numbers")
    parser.add_argument("--compare", action="store_true", help="compare two files")
    asked = parser.parse_args()
    if not asked.compare:
        asked.second.write_text(json.dumps(numbers(asked.first.resolve())))
        return
    old, new = (json.loads(path.read_text()) for path in (asked.first, asked.second))
    moved = [k for k in old.keys() & new.keys() if differs(old[k], new[k])]
    changed = [*moved, *(old.keys() ^ new.keys())]
    grown = [key for key in changed if MAY_GROW & set(key.split("/"))]
    wrong = sorted(set(changed) - set(grown))
    for key in wrong[:50]:
        print(f"{key}: {old.get(key)} -> {new.get(key)}")
    print(f"{len(old):,} values, {len(wrong)} moved, {len(grown)} may grow")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
