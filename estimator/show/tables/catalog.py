"""What is built in, on a terminal: lists by kind, and records with their sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from rich.padding import Padding
from rich.text import Text

from estimator.ground.words import quantity, short
from estimator.show.console import console
from estimator.show.tables import words
from estimator.specs.base import source_of, status_of
from estimator.specs.software import STATUSES

Row = Mapping[str, Any]
GB, TERA, GIGABIT = 1e9, 1e12, 1e9 / 8


class ListedColumn(NamedTuple):
    """One column of a list."""

    head: str
    key: str
    """Of the number that it shows, for its status; empty for words."""
    cell: Callable[[Row], Any]


def _over(key: str, unit: float) -> Callable[[Row], Any]:
    return lambda row: row[key] / unit if row[key] is not None else None


def _peak(*formats: str) -> Callable[[Row], Any]:
    def cell(row: Row) -> Any:
        peaks = row["peak_flop_per_s"]
        found = next((peaks[name] for name in formats if name in peaks), None)
        return found / TERA if found else None

    return cell


def _word(key: str) -> Callable[[Row], Any]:
    return lambda row: row[key]


def _hour(row: Row) -> Any:
    """Return a rental's price, or what an owned GPU cost with its server."""
    if row["owned"]:
        return f"{short(row['owned']['server_usd']['value'])} to buy"
    return f"{row['usd_per_gpu_hour']:.2f}"


def _known(status: str) -> Callable[[Row], Any]:
    """Return what counts a release's switches that are known in one way."""
    return lambda row: row["switches"][status]


COLUMNS: Mapping[str, tuple[ListedColumn, ...]] = {
    "gpu": (
        ListedColumn("GB", "hbm_bytes", _over("hbm_bytes", GB)),
        ListedColumn("TB/s", "hbm_bytes_per_s", _over("hbm_bytes_per_s", TERA)),
        ListedColumn("16-bit TFLOP/s", "peak_flop_per_s.bf16", _peak("bf16", "fp16")),
        ListedColumn("FP8", "peak_flop_per_s.fp8", _peak("fp8")),
        ListedColumn(
            "links GB/s",
            "scaleup_io_bytes_per_s",
            _over("scaleup_io_bytes_per_s", GB),
        ),
        ListedColumn("W", "tdp_watts", _word("tdp_watts")),
        ListedColumn("TPP", "", _word("tpp")),
        ListedColumn("PD", "", _word("performance_density")),
        ListedColumn("Oct 2022", "", _word("october_2022")),
        ListedColumn("Oct 2023", "", _word("october_2023")),
    ),
    "node": (
        ListedColumn("GPU", "", _word("gpu")),
        ListedColumn("GPUs", "", _word("gpus_per_node")),
        ListedColumn("scale-up GPUs", "scaleup_domain", _word("scaleup_domain")),
        ListedColumn("links", "", _word("topology")),
        ListedColumn("GB/s", "nvlink_bytes_per_s", _over("nvlink_bytes_per_s", GB)),
        ListedColumn("us", "nvlink_latency_s", _over("nvlink_latency_s", 1e-6)),
        ListedColumn("kW", "max_power_watts", _over("max_power_watts", 1e3)),
    ),
    "fabric": (
        ListedColumn("GB/s", "bytes_per_s", _over("bytes_per_s", GB)),
        ListedColumn("us", "latency_s", _over("latency_s", 1e-6)),
        ListedColumn("GPUs a NIC", "gpus_per_nic", _word("gpus_per_nic")),
        ListedColumn("squeezed", "oversubscription", _word("oversubscription")),
        ListedColumn("pod", "pod_gpus", _word("pod_gpus")),
        ListedColumn("planes", "num_planes", _word("num_planes")),
        ListedColumn("reduces", "", _word("has_switch_reduction")),
        ListedColumn("what it is", "", _word("title")),
    ),
    "price": (
        ListedColumn("basis", "", _word("basis")),
        ListedColumn("USD/h", "usd_per_gpu_hour", _hour),
        ListedColumn("date", "", _word("date")),
        ListedColumn("GPU", "", _word("gpu")),
        ListedColumn("provider", "", _word("provider")),
        ListedColumn("commitment", "", _word("commitment")),
    ),
    "model": (
        ListedColumn("G parameters", "num_params", _over("num_params", 1e9)),
        ListedColumn("active", "num_active_params", _over("num_active_params", 1e9)),
        ListedColumn("", "", _word("title")),
    ),
    "software": (
        ListedColumn("framework", "", _word("framework")),
        ListedColumn("release", "", _word("release")),
        ListedColumn("runs on", "", _word("accelerators")),
        *(ListedColumn(each, "", _known(each)) for each in STATUSES[:3]),
        ListedColumn("what it is", "", _word("title")),
    ),
    "power": (
        ListedColumn("g CO2/kWh", "g_co2_per_kwh", _word("g_co2_per_kwh")),
        ListedColumn("of", "", _word("date")),
        ListedColumn("USD/kWh", "usd_per_kwh", _word("usd_per_kwh")),
        ListedColumn("of", "", _word("electricity_date")),
        ListedColumn("place", "", _word("title")),
    ),
}
NOTES = {
    "gpu": "Dense peaks; links both ways added up, as export rules count them. TPP, "
    "PD: processing performance and its density; October 2022: stopped or not; "
    "October 2023: the paragraph that is met.",
    "node": "GB/s one way, per GPU, over the scale-up links.",
    "software": "Read, recalled, assumed: how many of its switches are known in which "
    "way. docs/software.md tells what changed from one release to the next.",
    "fabric": "GB/s one way, a GPU's share. Squeezed: oversubscription above a pod.",
}
MARKS = {"recalled": "r", "assumed": "a", "disputed": "d"}
"""How a number that was not read or derived is marked."""
REPEATED = ("sources", "recalled", "status")


def print_rows(kind: str, rows: Sequence[Row], *, has_notes: bool) -> None:
    """Print a list of built-in things."""
    columns = COLUMNS.get(kind) or _plain(rows)
    heads = (words.Column(each.head, _side(each)) for each in columns)
    table = words.Words("", (words.Column("name", is_folded=False), *heads))
    for row in rows:
        cells = (_marked(row, column) for column in columns)
        table.add_row(row["name"], *map(Text, cells))
    out = console()
    out.print(table)
    if not has_notes or not rows:
        return
    for said in (NOTES.get(kind), _legend(rows, columns)):
        if said:
            out.print(said)
    out.print(f"Sources: estimator show {kind} {rows[0]['name']}")


def _plain(rows: Sequence[Row]) -> tuple[ListedColumn, ...]:
    """Return the columns of a kind that needs no choice."""
    hidden = {"name", "source", "sources", "notes"}
    keys = [
        key
        for key, value in (rows[0] if rows else {}).items()
        if key not in hidden and not isinstance(value, Mapping)
    ]
    return tuple(ListedColumn(key.replace("_", " "), "", _word(key)) for key in keys)


def _side(column: ListedColumn) -> words.Side:
    return "right" if column.key else "left"


def _status(row: Row, key: str) -> str:
    status = row.get("status")
    if isinstance(status, str):  # one for the whole file, or one for electricity
        named = {"usd_per_kwh": row.get("electricity_status")}
        return named.get(key) or status
    recalled = row.get("recalled") or ()
    holder = SimpleNamespace(recalled=recalled, status=status or {})
    return status_of(holder, key)


def _marked(row: Row, column: ListedColumn) -> str:
    """Return a cell, marked where its number was recalled, assumed or disputed."""
    cell = _cell(column.cell(row))
    status = _status(row, column.key) if cell and column.key else ""
    return f"{cell} {MARKS[status]}" if status in MARKS else cell


def _legend(rows: Sequence[Row], columns: Sequence[ListedColumn]) -> str:
    found = {_status(row, c.key) for row in rows for c in columns if c.key}
    words = [f"{mark}: {status}" for status, mark in MARKS.items() if status in found]
    return f"{', '.join(words)}; all others read or derived." if words else ""


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else ("yes" if value else "no")
    if isinstance(value, int | float):
        return f"{value:,.4g}" if value < 1e4 else short(value, 4)
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return str(value)


SUFFIXES = {
    "_flop_per_s": "FLOP/s",
    "_bytes_per_s": "B/s",
    "_bytes": "B",
    "_watts": "W",
    "_s": "s",
    "_mm2": "mm2",
    "usd_per_gpu_hour": "USD/h",
    "usd_per_kwh": "USD/kWh",
    "g_co2_per_kwh": "g/kWh",
}
"""Endings of a field's name that say its unit."""


def print_record(record: Row) -> None:
    """Print one record, each number with its unit, its status and its source."""
    out = console()
    for line in _lines(record, record, "", 0):
        out.print(line)


def _lines(record: Row, part: Row, path: str, depth: int) -> Iterator[Text | Padding]:
    pad = "  " * depth
    for key, value in part.items():
        here = f"{path}.{key}" if path else key
        if not path and key in REPEATED and "sources" in record:
            continue
        if isinstance(value, Mapping) and {"value", "low", "high"} <= set(value):
            yield from _constant(key, value, depth)
        elif isinstance(value, Mapping) and value:
            yield Text(f"{pad}{key}")
            if source := record.get("sources", {}).get(here):
                yield _pale(source, depth)
            nested = value if "sources" in value else record
            inside = "" if "sources" in value else here
            yield from _lines(nested, value, inside, depth + 1)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield Text(f"{pad}{key}")
            for item in value:
                yield from _lines(record, item, here, depth + 1)
        elif value is False or value not in ("", None, [], {}):
            yield from _plain_value(record, here, value, depth)


def _constant(key: str, value: Row, depth: int) -> Iterator[Text | Padding]:
    ends = [quantity(value[name], value["unit"]) for name in ("value", "low", "high")]
    known = "" if value["status"] == "read" else f"  [{value['status']}]"
    yield Text(f"{'  ' * depth}{key}  {ends[0]}  {ends[1]} to {ends[2]}{known}")
    yield _pale(value["source"], depth)


def _plain_value(
    record: Row, path: str, value: Any, depth: int
) -> Iterator[Text | Padding]:
    key = path.rpartition(".")[2]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    shown = _with_unit(path, value) if is_number else _cell(value)
    sources = record.get("sources", {})
    if path not in sources and not (is_number and sources):
        yield Text(f"{'  ' * depth}{key}  {shown}")
        return
    holder = SimpleNamespace(**record)
    status = status_of(holder, path)
    known = "" if status == "read" else f"  [{status}]"
    yield Text(f"{'  ' * depth}{key}  {shown}{known}")
    if source := source_of(holder, path):
        yield _pale(source, depth)


def _with_unit(path: str, value: float) -> str:
    """Return a number with the unit that its field's name ends in.

    >>> _with_unit("hbm_bytes", 84.94e9), _with_unit("peak_flop_per_s.bf16", 989e12)
    ('84.94 GB', '989 TFLOP/s')
    >>> _with_unit("num_sms", 132)
    '132'
    """
    parts = path.split(".")
    for name in (parts[-1], parts[0]):
        for ending, unit in SUFFIXES.items():
            if name.endswith(ending):
                return quantity(float(value), unit)
    return f"{value:,}"


def _pale(text: str, depth: int) -> Padding:
    return Padding(Text(text, style="dim"), (0, 0, 0, 2 * depth + 4))
