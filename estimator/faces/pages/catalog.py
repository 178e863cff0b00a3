"""The Catalog page: everything that is built in, each number with its source."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from estimator.catalog import loading
from estimator.catalog.fields import fields_of
from estimator.costs.export_control import control
from estimator.faces.pages.question import Question
from estimator.faces.pages.text import breakable, plain
from estimator.show import listing
from estimator.specs.hardware import Gpu

KINDS: Mapping[str, str] = {
    "GPUs": "gpu",
    "Nodes": "node",
    "Fabrics": "fabric",
    "Prices": "price",
    "Power": "power",
    "Programmes": "programme",
    "Software": "software",
    "Models": "model",
    "Scenarios": "scenario",
    "Schedules": "schedule",
    "Collectives": "collective",
}
LEFT_OUT = {"sources", "source", "recalled", "status", "notes"}
"""Columns that say how a number is known: they stand beside each one below."""
UNITS = {
    "hbm_bytes": ("memory, GB", 1e9),
    "hbm_bytes_per_s": ("memory, GB/s", 1e9),
    "scaleup_io_bytes_per_s": ("links, both ways, GB/s", 1e9),
    "nvlink_bytes_per_s": ("NVLink, one way, GB/s", 1e9),
    "nvlink_latency_s": ("NVLink latency, us", 1e-6),
    "host_bytes_per_s": ("host, GB/s", 1e9),
    "offload_bytes_per_s": ("offload, GB/s", 1e9),
    "max_power_watts": ("power, kW", 1e3),
    "bytes_per_s": ("one way per GPU, GB/s", 1e9),
    "latency_s": ("latency, us", 1e-6),
    "tdp_watts": ("power, W", 1.0),
    "num_sms": ("SMs", 1.0),
    "tpp": ("TPP", 1.0),
    "performance_density": ("PD", 1.0),
    "usd_per_gpu_hour": ("USD per GPU-hour", 1.0),
    "usd_per_kwh": ("USD per kWh", 1.0),
    "g_co2_per_kwh": ("g CO2 per kWh", 1.0),
    "num_params": ("parameters, billions", 1e9),
    "num_active_params": ("active, billions", 1e9),
}
"""Field -> its column, and what one unit of it stands for."""
FORMATS = ("bf16", "fp8", "fp4")


def page(question: Question) -> None:
    """Show what is built in; it is the same whatever the sidebar asks."""
    del question
    st.subheader("What is built in, and where each number comes from", anchor=False)
    title = st.segmented_control(
        "Kind",
        list(KINDS),
        default=next(iter(KINDS)),
        required=True,
        key="kind",
        bind="query-params",
    )
    kind = KINDS[str(title)]
    words = st.text_input(
        "Filter",
        key="filter",
        bind="query-params",
        placeholder="h800, InfiniBand, 2024",
    )
    rows = [row for row in _rows(kind) if _has(row, str(words or ""))]
    if not rows:
        st.info("Nothing here has these words.")
        return
    st.caption(f"{len(rows)} of {len(_rows(kind))}")
    st.dataframe(_frame(rows), hide_index=True, placeholder="")
    if kind == "gpu":
        st.caption(
            "TPP and PD: total processing performance and performance density of the "
            "United States' export rules; what each rule says stands with each GPU. "
            "Not legal advice."
        )
    names = [str(row["name"]) for row in rows]
    name = str(st.selectbox("Show one with its sources", names, key=f"one {kind}"))
    if kind in listing.PLUG_INS:
        st.code(listing.show(kind, name)["description"], language=None)
    else:
        _record(kind, name)
    command = shlex.join(["estimator", "show", kind, name])
    st.code(f"estimator list {kind}\n{command}", language="bash", wrap_lines=True)


@st.cache_data(show_spinner=False)
def _rows(kind: str) -> list[dict[str, Any]]:
    return listing.rows(kind)


def _has(row: Mapping[str, Any], words: str) -> bool:
    """Whether a row has every word, wherever it stands."""
    text = str(row).lower()
    return all(word in text for word in words.lower().split())


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a table with units in its head."""
    return pd.DataFrame([dict(_cells(row)) for row in rows]).dropna(axis=1, how="all")


def _cells(row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    made: list[tuple[str, Any]] = []
    for key, value in row.items():
        if key in LEFT_OUT:
            continue
        if key == "peak_flop_per_s":
            made += [
                (f"{name}, dense TFLOP/s", value[name] / 1e12)
                for name in FORMATS
                if name in value
            ]
        elif key in UNITS:
            head, one = UNITS[key]
            made.append((head, None if value is None else float(f"{value / one:.5g}")))
        elif isinstance(value, list):
            made.append((key.replace("_", " "), ", ".join(map(str, value)) or None))
        elif not isinstance(value, dict):
            made.append((key.replace("_", " "), None if value == "" else value))
    return made


def _record(kind: str, name: str) -> None:
    """Show one record, each number with its range, source and status."""
    record = loading.load(kind, name)
    title = getattr(record, "title", "") or getattr(record, "question", "")
    st.markdown(f"**{plain(title)}**")
    if isinstance(record, Gpu):
        _export(record)
    fields = [
        each for each in fields_of(record) if not each.path.startswith("variants")
    ]
    st.table(
        pd.DataFrame(
            [
                {
                    "Field": breakable(plain(each.path)),
                    "Value (range)": breakable(
                        plain(f"{each.value} ({each.range})")
                        if each.range
                        else plain(each.value)
                    ),
                    "Source": breakable(plain(each.source))
                    + ("" if each.status == "read" else f" :gray-badge[{each.status}]"),
                }
                for each in fields
            ]
        ),
        border="horizontal",
        hide_index=True,
    )


def _export(gpu: Gpu) -> None:
    """Say what export rules make of a GPU, and why."""
    st.caption(plain(f"Export control: {control(gpu).why}."))
