"""Write the tables of README.md and docs/ that commands print, or check them.

    python benchmarks/blocks.py [--check]

A block begins with ``<!-- estimator ... -->``, the command that prints it, and ends
with ``<!-- end -->``. A block whose runs file does not lie beside the checkout stays as
it is.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/validation.md")
BLOCK = re.compile(r"(<!-- estimator (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def blocks(text: str) -> dict[str, str]:
    """Return what stands in a page's blocks, by their commands."""
    return {match[2]: match[3] for match in BLOCK.finditer(text)}


def printed(command: str) -> str | None:
    """Return what a command prints; None without the runs file that it names."""
    words = shlex.split(command)
    if "--runs" in words and not (ROOT / words[words.index("--runs") + 1]).is_file():
        return None
    start = [sys.executable, "-c", "from estimator.faces.cli.main import main; main()"]
    done = subprocess.run(
        [*start, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def main() -> None:
    """Write the blocks, or name the pages that would change."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    is_check = parser.parse_args().check
    stale = []
    for page in (ROOT / name for name in PAGES):
        text = made = page.read_text()
        for command, old in blocks(text).items():
            new = printed(command)
            if new is not None:
                made = made.replace(
                    f"<!-- estimator {command} -->\n{old}",
                    f"<!-- estimator {command} -->\n{new}",
                )
        if made != text:
            stale.append(str(page.relative_to(ROOT)))
            if not is_check:
                page.write_text(made)
    for name in stale:
        print(name)
    sys.exit(is_check and bool(stale))


if __name__ == "__main__":
    main()
