"""Where tasks run: in this process, on all cores, or on an existing Dask cluster.

Work that is interrupted or fails ends at once: nobody waits for what others still do.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import (
    CancelledError,
    Future,
    ProcessPoolExecutor,
    as_completed,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from estimator.ground.errors import InputError, OutsideError
from estimator.ground.extras import require

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")
R = TypeVar("R")

WORTH_STARTING_S = 2.0
"""Seconds of work left from which on other processes pay for their start."""
DASK_TIMEOUT = "5s"

Run = Callable[
    [Callable[[Any], Any], Sequence[Any]], Generator[tuple[Any, Any], None, None]
]
"""Yields each task with what a function makes of it, as they are done."""


@contextmanager
def executor(jobs: int | None, dask: str | None) -> Iterator[Run]:
    """Yield what runs tasks: ``jobs`` cores, or the Dask cluster at an address."""
    if dask is None:
        yield partial(run_locally, jobs=jobs)
        return
    with connected(dask) as client:
        yield partial(run_on_dask, client)


def run_locally(
    work: Callable[[T], R], tasks: Sequence[T], jobs: int | None
) -> Generator[tuple[T, R], None, None]:
    """Yield each task with its result as they are done, on ``jobs`` cores.

    The first one runs here: if the rest is short, it stays here too.
    """
    left = list(tasks)
    jobs = jobs or os.cpu_count() or 1
    while left:
        task = left.pop(0)
        start_s = time.perf_counter()
        result = work(task)
        spent_s = time.perf_counter() - start_s
        yield task, result
        if min(jobs, len(left)) > 1 and spent_s * len(left) > WORTH_STARTING_S:
            break
    if not left:
        return
    with workers(min(jobs, len(left))) as pool:
        with starting():
            waiting = {pool.submit(work, task): task for task in left}
        for future in as_completed(waiting):
            yield waiting[future], future.result()


@contextmanager
def workers(number: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes; they end at once where the body is left early.

    Raises
    ------
    OutsideError
        If one of them is killed.
    """
    context = multiprocessing.get_context("spawn")
    wanted, hold = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(number, context, _end_with, (wanted,))
    try:
        yield pool
        pool.shutdown()
    except BrokenProcessPool:
        raise OutsideError(
            "a process that worked on this was ended from outside",
            why="it was killed, or there was not enough memory for all",
        ) from None
    finally:
        hold.close()
        pool.shutdown(cancel_futures=True)


@contextmanager
def starting() -> Iterator[None]:
    """Let processes start that Ctrl-C does not reach, and without the caller's script.

    A script need not guard its calls then, and a page of the dashboard may sweep.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    can_mask = hasattr(signal, "pthread_sigmask")
    before = (
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]) if can_mask else ()
    )
    try:
        yield
    finally:
        sys.modules["__main__"] = script
        if can_mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with(wanted: Connection) -> None:
    """End this worker when nobody holds the other end of a pipe any more."""

    def wait() -> None:
        with suppress(EOFError, OSError):
            wanted.recv()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """Yield a client of the Dask cluster at an address.

    Raises
    ------
    InputError
        If no cluster answers at the address, it has no worker, or a worker runs
        another version of this package.
    """
    if not address.strip():
        raise InputError("--dask has no address", fix="--dask tcp://127.0.0.1:8786")
    require("--dask", "scale", "distributed")
    from distributed import Client

    _check_answers(address)
    # what it logs of a lost scheduler is said here
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    client = Client(address, timeout=DASK_TIMEOUT, set_as_default=False)
    with client:
        _check_workers(client.run(own_version), address)
        yield client


def _check_answers(address: str) -> None:
    """Raise unless a scheduler answers; a client would leave threads behind."""
    from distributed import Security
    from distributed.core import connect

    async def ask() -> None:
        options = Security().get_connection_args("client")
        (await connect(address, timeout=DASK_TIMEOUT, **options)).abort()

    answer: Future[None] = Future()

    def wait() -> None:
        try:
            answer.set_result(asyncio.run(ask()))
        except Exception as error:
            answer.set_exception(error)

    # in a thread, because a notebook has a loop of its own
    threading.Thread(target=wait, daemon=True).start()
    try:
        answer.result()
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address}",
            why=str(error).split("\n")[0],
            fix="dask scheduler --host 127.0.0.1 --port 8786",
        ) from None


def run_on_dask(
    client: Client, work: Callable[[T], R], tasks: Sequence[T]
) -> Generator[tuple[T, R], None, None]:
    """Yield each task with its result as they are done on a Dask cluster.

    What a worker had that dies is run again by another one.

    Raises
    ------
    OutsideError
        If the scheduler ends, or workers die of a task again and again.
    """
    from distributed import KilledWorker
    from distributed import as_completed as as_done

    futures = client.map(work, tasks, pure=False)
    place = {future.key: task for future, task in zip(futures, tasks, strict=True)}
    try:
        for future in as_done(futures, loop=client.loop):
            yield place[future.key], future.result()
    except (CancelledError, TimeoutError, OSError, KilledWorker) as error:
        raise OutsideError(
            "the Dask cluster was lost", why=str(error).split("\n")[0]
        ) from None


def _check_workers(versions: dict[str, str], address: str) -> None:
    if not versions:
        raise InputError(f"the Dask cluster at {address} has no worker")
    ours = own_version()
    others = {at: found for at, found in versions.items() if found != ours}
    if others:
        raise InputError(
            f"workers at {address} run another version of estimator than {ours}",
            where=[f"{at}: {found}" for at, found in others.items()],
        )


def own_version() -> str:
    """Return the version of this package."""
    try:
        return version("estimator")
    except PackageNotFoundError:
        return "unknown"
