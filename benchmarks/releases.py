"""docs/software.md: what each release does that its base does not, as tables.

``python benchmarks/releases.py`` writes it again from ``software/*.yaml``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from estimator.catalog import kinds, loading
from estimator.specs.software import Software, switch_paths

PAGE = Path(__file__).parents[1] / "docs" / "software.md"
HEAD = """# What each release of a framework does

One file under `software/` for each framework and release. A file names its `base` and
states what changed; a switch that it does not state is its base's. Each switch has a
source, which begins with how it is known: `read` in code or a paper, `recalled`, or
`assumed`, with the reason. `estimator show software NAME` prints them, and
`estimator schema software` tells what each switch is. `with` turns features on that a
release offers; what it does not offer cannot be turned on. `docs/scenarios.md` tells
how a scenario names its software.

This page is written by `python benchmarks/releases.py`.

"""


def word(value: Any) -> str:
    """Return a value as it stands in a file."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return ", ".join(map(word, value)) or "none"
    return str(value)


def raw(name: str) -> dict[str, Any]:
    """Return what a release's own file states."""
    text = (kinds.data_folder() / "software" / f"{name}.yaml").read_text()
    made: dict[str, Any] = yaml.safe_load(text)
    return made


def releases() -> dict[str, Software]:
    """Return every release, the oldest of a line before those based on it."""
    known = {name: loading.load("software", name) for name in kinds.names("software")}
    bases = {name: raw(name).get("base", "") for name in known}

    def line(name: str) -> tuple[tuple[tuple[int, int], str], ...]:
        below = line(bases[name]) if bases[name] else ()
        return (*below, (known[name].date, name))

    return {name: known[name] for name in sorted(known, key=line)}


def roots(known: dict[str, Software]) -> Iterator[str]:
    """Yield a table of the releases that have no base, all of whose switches count."""
    names = [name for name in known if "base" not in raw(name)]
    yield "| switch | " + " | ".join(names) + " |"
    yield "|---|" + "---|" * len(names)
    for path in switch_paths():
        cells = (word(known[name].switches()[path]) for name in names)
        yield f"| `{path}` | " + " | ".join(cells) + " |"


def differences(known: dict[str, Software]) -> Iterator[str]:
    """Yield a table of all other releases, against their bases."""
    yield "| release | base | turns on | is different in | offers besides |"
    yield "|---|---|---|---|---|"
    for name, made in known.items():
        own = raw(name)
        if "base" not in own:
            continue
        old = known[own["base"]]
        below = old.switches()
        changed = "; ".join(
            f"`{path}` {word(below[path])} -> {word(value)}"
            for path, value in made.switches().items()
            if value != below[path]
        )
        more = ", ".join(sorted(set(made.offers) - set(old.offers)))
        on = ", ".join(own.get("with", ()))
        yield f"| {name} | {own['base']} | {on} | {changed or 'nothing'} | {more} |"


def features(known: dict[str, Software]) -> Iterator[str]:
    """Yield a table of what can be turned on, where it is told first."""
    yield "| feature | as | sets |"
    yield "|---|---|---|"
    told = set()
    for name, made in known.items():
        for feature, patch in raw(name).get("offers", {}).items():
            sets = "; ".join(f"`{path}` {word(patch[path])}" for path in patch)
            if (feature, sets) not in told:
                told.add((feature, sets))
                yield f"| {feature} | in {made.name} | {sets} |"


def page() -> str:
    """Return the page."""
    known = releases()
    parts = (
        ("Where lines begin", roots(known)),
        ("What changed", differences(known)),
        ("What can be turned on", features(known)),
    )
    return HEAD + "\n".join(
        f"## {title}\n\n" + "\n".join(lines) + "\n" for title, lines in parts
    )


def main() -> None:
    """Write the page."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
