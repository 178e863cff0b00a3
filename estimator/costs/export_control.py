"""Export control as arithmetic: which United States rule an accelerator meets.

Notation: TPP is total processing performance, the largest over number formats of dense
TOPS or TFLOPS times the format's bits; PD is TPP over the die's area in square
millimetres. Nothing here is legal advice: the rules name more than numbers (marketing
for data centres, licences, licence exceptions), and they were read second-hand where a
docstring says so.

Sources: TPP and PD, the Bureau of Industry and Security's wording as quoted at
stage1st.com/2b/thread-2161081-2-1.html; ECCN 3A090.a, lenzo.ai/eccn/3a090; the October
2023 rule, 88 FR 73458.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from estimator.specs.hardware import Gpu

BITS: Mapping[str, int] = {
    "fp64": 64,
    "tf32": 19,
    "bf16": 16,
    "fp16": 16,
    "fp8": 8,
    "int8": 8,
    "fp6": 6,
    "fp4": 4,
}
"""Bits of a format; FP32 vector units are not counted."""
OCTOBER_2022_TPP = 4800.0
OCTOBER_2022_IO = 600e9
"""B/s, both directions."""
A_TPP, A_LOW_TPP, A_DENSITY = 4800.0, 1600.0, 5.92
B_TPP, B_LOW_DENSITY, B_DENSITY = 2400.0, 1.6, 3.2


@dataclass(frozen=True)
class Performance:
    """Total processing performance, and the format that sets it."""

    tpp: float
    dtype: str


@dataclass(frozen=True)
class Control:
    """What each rule says of one accelerator."""

    tpp: float
    dtype: str
    density: float | None
    """None where the die's area is not published."""
    october_2022: bool
    october_2023: str
    """``3A090.a``, ``3A090.b``, ``none``, or ``needs the die area``."""
    why: str


def total_processing_performance(peak_flop_per_s: Mapping[str, float]) -> Performance:
    """Return the largest dense rate in TFLOPS times bits.

    Parameters
    ----------
    peak_flop_per_s : mapping of str to float
        Dense peaks in FLOP/s by number format; formats outside :data:`BITS` count not.

    Returns
    -------
    Performance
        TPP, and its format; 0 and no format where none counts.

    Notes
    -----
    ``max(peak / 1e12 * bits)``; two operations for each multiply-accumulate, as
    datasheets count (read, as above).

    Examples
    --------
    >>> total_processing_performance({"bf16": 989e12, "fp8": 1979e12})
    Performance(tpp=15832.0, dtype='fp8')
    >>> total_processing_performance({"fp32": 18e12})
    Performance(tpp=0.0, dtype='')
    """
    known = (
        Performance(peak / 1e12 * BITS[dtype], dtype)
        for dtype, peak in peak_flop_per_s.items()
        if dtype in BITS
    )
    return max(known, key=lambda made: made.tpp, default=Performance(0.0, ""))


def performance_density(tpp: float, die_area_mm2: float) -> float:
    """Return TPP for each square millimetre of die (read, as above).

    Parameters
    ----------
    tpp : float
        Total processing performance, TFLOPS times bits.
    die_area_mm2 : float
        Of all dies that compute, square millimetres, positive.

    Raises
    ------
    ValueError
        If the area is not positive.

    Examples
    --------
    >>> round(performance_density(2368, 814), 2)  # H20
    2.91
    """
    if die_area_mm2 <= 0:
        raise ValueError(f"a die has an area, got {die_area_mm2}")
    return tpp / die_area_mm2


def meets_october_2022(tpp: float, io_bytes_per_s: float | None) -> bool:
    """Return whether the rule of 7 October 2022 stops the part.

    Both must hold: links to other chips of 600 GB/s and more, in both directions, and a
    TPP of 4800 and more. This is why the A800 and H800 have 400 GB/s. The rule's name
    and the 600 GB/s were read in the press and in 88 FR 73458; its wording is recalled.

    Parameters
    ----------
    tpp : float
        Total processing performance, TFLOPS times bits.
    io_bytes_per_s : float or None
        Links to other chips, both directions together, B/s; None for none.

    Examples
    --------
    >>> meets_october_2022(15832, 900e9), meets_october_2022(15832, 400e9)  # H100, H800
    (True, False)
    """
    io = io_bytes_per_s or 0.0
    return tpp >= OCTOBER_2022_TPP and io >= OCTOBER_2022_IO


def october_2023(tpp: float, density: float | None) -> str:
    """Return the paragraph of ECCN 3A090 that the rule of October 2023 puts a part in.

    3A090.a: a TPP of 4800 and more, or of 1600 and more with a PD of 5.92 and more
    (read). 3A090.b: a TPP from 2400 to below 4800 with a PD from 1.6 to below 5.92, or
    of 1600 and more with a PD from 3.2 to below 5.92 (recalled). Links no longer count.

    Parameters
    ----------
    tpp : float
        Total processing performance, TFLOPS times bits.
    density : float or None
        TPP for each square millimetre; None where the die's area is not published.

    Returns
    -------
    str
        ``3A090.a``, ``3A090.b``, ``none``, or ``needs the die area``.

    Examples
    --------
    >>> october_2023(15832, 19.4), october_2023(2368, 2.91), october_2023(4400, None)
    ('3A090.a', 'none', 'needs the die area')
    """
    if tpp >= A_TPP:
        return "3A090.a"
    if tpp < A_LOW_TPP:
        return "none"
    if density is None:
        return "needs the die area"
    if density >= A_DENSITY:
        return "3A090.a"
    is_b = density >= B_DENSITY or (tpp >= B_TPP and density >= B_LOW_DENSITY)
    return "3A090.b" if is_b else "none"


def control(gpu: Gpu) -> Control:
    """Return what both rules say of an accelerator, and why.

    Parameters
    ----------
    gpu : Gpu
        Its dense peaks, the area of its die and its links to other chips.

    Notes
    -----
    :func:`total_processing_performance` and :func:`performance_density` under
    :func:`meets_october_2022` and :func:`october_2023`. Range: chips for data centres.

    Examples
    --------
    >>> from estimator.catalog.loading import load
    >>> made = control(load("gpu", "h20"))
    >>> made.tpp, made.october_2022, made.october_2023
    (2368.0, False, 'none')
    """
    made = total_processing_performance(gpu.peak_flop_per_s)
    area, io = gpu.die_area_mm2, gpu.scaleup_io_bytes_per_s
    density = performance_density(made.tpp, area) if area else None
    is_stopped = meets_october_2022(made.tpp, io)
    paragraph = october_2023(made.tpp, density)
    links = f"{io / 1e9:.0f} GB/s of links" if io else "no links to other chips"
    dense = (
        "a die area that is not published" if density is None else f"PD {density:.2f}"
    )
    return Control(
        tpp=made.tpp,
        dtype=made.dtype,
        density=density,
        october_2022=is_stopped,
        october_2023=paragraph,
        why=(
            f"TPP {made.tpp:.0f} ({made.dtype or 'none counted'}), {dense}, {links}: "
            f"October 2022 (TPP >= 4800 and links >= 600 GB/s) "
            f"{'met' if is_stopped else 'not met'}; October 2023: {paragraph}"
        ),
    )
