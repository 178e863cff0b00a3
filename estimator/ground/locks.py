"""A file that one process holds at a time, and that says which one.

The operating system gives the lock back when its holder ends, however it ends, so that
none is ever stale. What stands in the file is for people.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from estimator.ground.errors import OutsideError

try:
    import fcntl
except ImportError:  # a system without them: whoever comes second is not refused
    fcntl = None  # type: ignore[assignment]


@contextmanager
def held(path: Path, what: str) -> Iterator[bool]:
    """Hold a lock file while the body runs.

    Parameters
    ----------
    what : str
        What it guards, for the message.

    Yields
    ------
    bool
        Whether the file is still the one at ``path``: who held it before may have
        removed it, and another may hold a new one.

    Raises
    ------
    OutsideError
        If another process holds it: which one, where, and since when.
    """
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutsideError(
                f"{what} is being written by {_holder(file.read())}",
                fix="another --out, or wait until it has ended",
            ) from None
        except OSError:  # a file system without locks
            pass
        file.truncate()
        json.dump(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
            },
            file,
        )
        file.flush()
        yield _is_at(path, file.fileno())


def _holder(text: str) -> str:
    try:
        said = json.loads(text)
        return f"process {said['pid']} on {said['host']} since {said['since']}"
    except (ValueError, TypeError, KeyError):
        return "another process"


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False
