"""Where tasks run: in this process, on all cores, or on an existing Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import ModuleType
from typing import TypeVar

from estimator.errors import EstimatorError, InputError

T = TypeVar("T")
R = TypeVar("R")

WORTH_STARTING_S = 2.0
"""Seconds of work left from which on other processes pay for their start."""
DASK_TIMEOUT = "5s"


def run_locally(
    work: Callable[[T], R], tasks: Sequence[T], jobs: int | None
) -> Iterator[tuple[T, R]]:
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
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(left)), context, _watch_parent) as pool:
        with without_script():
            waiting = {pool.submit(work, task): task for task in left}
        for future in as_completed(waiting):
            yield waiting[future], future.result()


@contextmanager
def without_script() -> Iterator[None]:
    """Let processes start without the caller's script, which they would run again.

    A script need not guard its calls then, and a page of the dashboard may sweep.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _watch_parent() -> None:
    """End this worker when its parent has ended, however that happened."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def run_on_dask(
    address: str, work: Callable[[T], R], tasks: Sequence[T]
) -> Iterator[tuple[T, R]]:
    """Yield each task with its result as they are done on a Dask cluster.

    What a worker had that dies is run again by another one.

    Raises
    ------
    InputError
        If no cluster answers at the address, it has no worker, or a worker runs
        another version of this package.
    """
    if find_spec("distributed") is None:
        raise EstimatorError("--dask needs distributed: install the extra 'scale'")
    from distributed import Client
    from distributed import as_completed as as_done

    try:
        client = Client(address, timeout=DASK_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address}",
            why=str(error).split("\n")[0],
            fix="dask scheduler --host 127.0.0.1 --port 8786",
        ) from None
    with client:
        _check_workers(client.run(own_version), address)
        futures = client.map(work, tasks, pure=False)
        place = {future.key: task for future, task in zip(futures, tasks, strict=True)}
        for future in as_done(futures, loop=client.loop):
            yield place[future.key], future.result()


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
