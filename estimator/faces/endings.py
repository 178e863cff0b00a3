"""How a command ends: done, refused, failed, stopped, or with nobody who reads it."""

from __future__ import annotations

import errno
import io
import os
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress

from estimator.ground.errors import EstimatorError, StoppedError


def stopped(remedy: str, *more: str) -> StoppedError:
    """Return that Ctrl-C was pressed, and the command line that goes on."""
    return StoppedError(f"interrupted; {remedy}: {line(*more)}")


def line(*more: str) -> str:
    """Return the command line that runs now, with options behind it."""
    return shlex.join(["estimator", *sys.argv[1:], *more])


def ended(command: Callable[[], object]) -> int:
    """Run a command and return its exit status; what went wrong is one message."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # signs that a terminal cannot show
    try:
        status = _status(command)
        if sys.stdout is not None:
            sys.stdout.flush()
    except EstimatorError as error:
        return _said(str(error), error.status)
    except BrokenPipeError:
        return _deaf(1)
    except MemoryError:
        return _said("there is not enough memory for this", 1)
    except OSError as error:
        what = error.filename
        if not what and error.errno == errno.ENOENT:
            what = "the current folder"  # it was removed; no stream fails like this
        status = 1 if what else _deaf(1)
        return _said(
            f"{what or 'standard output'} failed: {error.strerror or error}", status
        )
    return status


def _status(command: Callable[[], object]) -> int:
    status: object = 0
    try:
        command()
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:
        status = StoppedError.status
    if status == StoppedError.status:  # so ends typer what is interrupted
        raise stopped("to begin again")
    return status if isinstance(status, int) else int(status is not None)


def _said(text: str, status: int) -> int:
    with suppress(OSError, AttributeError):  # full, or closed
        sys.stderr.write(f"{text}\n")
    return status


def _deaf(status: int) -> int:
    """Let nothing more be written where nobody reads, at the exit either."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status
