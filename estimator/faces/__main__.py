"""The command ``estimator``, which may be interrupted while it is still loading."""

from __future__ import annotations

import sys

from estimator.faces.endings import ended


def main() -> None:
    """Run the command line."""
    sys.exit(ended(_loaded))


def _loaded() -> None:
    from estimator.faces.cli.main import cli

    cli()


if __name__ == "__main__":
    main()
