"""The batch clock as a Numba loop; needs the extra ``fast``."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from estimator.engine.tape import Tape

LANES = 128
"""Scenarios evaluated together: their rows stay in the first-level cache."""


def numba_makespans(tape: Tape, duration_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each scenario's makespan, shape (S,), from durations (classes, S).

    Parameters
    ----------
    tape : Tape
        Steps of the graph.
    duration_s : array
        Seconds, shape (classes, S).
    """
    longest_s: NDArray[np.float64] = _makespans(
        tape.kind,
        tape.target,
        tape.sources,
        tape.num_sources,
        np.zeros((tape.num_rows + 1, LANES)),
        tape.sinks,
        duration_s,
    )
    return longest_s


@numba.njit(error_model="numpy", fastmath={"nnan", "nsz"})
def _makespans(
    kind: NDArray[np.int32],
    target: NDArray[np.int32],
    sources: NDArray[np.int32],
    num_sources: NDArray[np.int32],
    end: NDArray[np.float64],
    sinks: NDArray[np.int32],
    duration_s: NDArray[np.float64],
) -> NDArray[np.float64]:
    num_scenarios = duration_s.shape[1]
    longest_s = np.zeros(num_scenarios)
    lasting = np.zeros((duration_s.shape[0], LANES))
    for low in range(0, num_scenarios, LANES):
        width = min(LANES, num_scenarios - low)
        for k in range(lasting.shape[0]):
            for lane in range(width):
                lasting[k, lane] = duration_s[k, low + lane]
        for step in range(kind.shape[0]):
            k, to = kind[step], target[step]
            a, b, c = sources[step, 0], sources[step, 1], sources[step, 2]
            if num_sources[step] < 2:
                for lane in range(LANES):
                    end[to, lane] = end[a, lane] + lasting[k, lane]
            elif num_sources[step] == 2:
                for lane in range(LANES):
                    begin = max(end[a, lane], end[b, lane])
                    end[to, lane] = begin + lasting[k, lane]
            else:
                for lane in range(LANES):
                    begin = max(max(end[a, lane], end[b, lane]), end[c, lane])
                    end[to, lane] = begin + lasting[k, lane]
        for row in sinks:
            for lane in range(width):
                longest_s[low + lane] = max(longest_s[low + lane], end[row, lane])
    return longest_s
