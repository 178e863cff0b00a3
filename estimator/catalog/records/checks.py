"""The door for records: what is there has the right type and lies within bounds.

A record that passes holds whole numbers where counts are wanted, and every number is
finite and positive. What is absent stays absent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, get_args

from estimator.ground.documents import scalar
from estimator.ground.errors import InputError
from estimator.specs.software import switch_paths
from estimator.specs.training import Module

MOST_LAYERS = 4096
LEAST = 1e-9
"""What a measured number is above: less is no step, rate or size of a run."""


class RecordField(NamedTuple):
    """What a value in a record must be."""

    kind: str
    """``count``, ``number``, ``text`` or ``truth``."""
    high: float = 1e9
    low: float = 1


_FIELDS: Mapping[str, Mapping[str, RecordField]] = {
    "model": {
        "name": RecordField("text"),
        "type": RecordField("text"),
        "layers": RecordField("count", MOST_LAYERS),
        "hidden": RecordField("count", 1e7),
        "heads": RecordField("count", 1e5),
        "kv_heads": RecordField("count", 1e5),
        "head_dim": RecordField("count", 1e5),
        "ffn": RecordField("count", 1e7),
        "gated_mlp": RecordField("truth"),
        "vocab": RecordField("count", 1e8),
        "tied_embeddings": RecordField("truth"),
        "experts": RecordField("count", 1e5),
        "top_k": RecordField("count", 1e5),
        "moe_ffn": RecordField("count", 1e7),
        "shared_experts": RecordField("count", 1e4, 0),
        "shared_ffn": RecordField("count", 1e7, 0),
        "dense_layers": RecordField("count", 1e4, 0),
        "dense_ffn": RecordField("count", 1e7, 0),
        "moe_layer_step": RecordField("count", 1e4),
        "attention": RecordField("text"),
        "q_lora_rank": RecordField("count", 1e6, 0),
        "kv_lora_rank": RecordField("count", 1e6),
        "qk_nope_head_dim": RecordField("count", 1e5),
        "qk_rope_head_dim": RecordField("count", 1e5),
        "v_head_dim": RecordField("count", 1e5),
        "mtp_depth": RecordField("count", 64, 0),
        "max_nodes_per_token": RecordField("count", 1e4),
        "parallel_block": RecordField("truth"),
    },
    "cluster": {
        "gpu": RecordField("text"),
        "gpus": RecordField("count", 1e6),
        "gpus_per_node": RecordField("count", 1e5),
        "nodes": RecordField("count", 1e6),
        "nvlink_domain": RecordField("count", 1e5),
    },
    "framework": {"name": RecordField("text")},
    "flop": {
        "attention": RecordField("text"),
        "executed": RecordField("truth"),
        "per_parameter": RecordField("number", 100, LEAST),
        "per_layer_and_width": RecordField("number", 1000, LEAST),
    },
    "parallel": {
        name: RecordField("count", 1e6)
        for name in ("tp", "pp", "cp", "dp", "vp", "ep", "etp")
    },
    "batch": {
        "seq_len": RecordField("count", 1e8),
        "global": RecordField("count", 1e8),
        "micro": RecordField("count", 1e6),
        "grad_accum": RecordField("count", 1e6),
        "local_batch": RecordField("count", 1e6),
    },
    "measured": {
        "oom": RecordField("truth"),
        **{
            name: RecordField("number", 1e15, LEAST)
            for name in (
                "step_time_s",
                "tokens_per_s",
                "tokens_per_s_per_gpu",
                "samples_per_s",
                "samples_per_s_per_gpu",
                "tflops_per_gpu",
                "tflops_per_gpu_causal",
                "mfu",
                "hfu",
                "peak_mem_gb",
                "peak_mem_gib",
                "mem_alloc_gb",
                "mem_reserved_gb",
                "gpu_hours_per_T_tokens",
            )
        },
    },
}
_NEEDED = (
    ("model", "name"),
    ("cluster", "gpu"),
    ("batch", "seq_len"),
)
_SECTIONS = (*_FIELDS, "derived")
_MAY_LACK = ("parallel", "framework", "flop")
_MODULES = frozenset(get_args(Module))
_TEXTS = (
    "source",
    "where",
    "split",
    "trust",
    "flop_convention",
    "precision",
    "schedule",
    "notes",
)
"""Fields beside the sections that are read as text; a number is one, too."""
_NESTED = (Mapping, list, tuple, set)
_SHOWN = 60
MOST_DERIVED = 1e30
MOST_LETTERS = 2_000
"""Of a text in a record, which patterns are looked for in."""


def checked(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record whose known fields can be relied on.

    Raises
    ------
    InputError
        One line that names every mistake.
    """
    made = dict(record)
    for section, known in _FIELDS.items():
        if isinstance(record.get(section), Mapping):
            made[section] = _numbered(record[section], known)
    problems = list(_problems(made))
    if problems:
        raise InputError("; ".join(problems[:8])[:MOST_LETTERS])
    for section, known in _FIELDS.items():
        made[section] = {
            key: int(value) if key in known and known[key].kind == "count" else value
            for key, value in (made.get(section) or {}).items()
            if not isinstance(value, _NESTED)
        }
    for section in _MAY_LACK:
        if not record.get(section):
            del made[section]
    made["derived"] = _numbers(record.get("derived") or {})
    return made


def _numbered(
    given: Mapping[str, Any], known: Mapping[str, RecordField]
) -> dict[str, Any]:
    """Return a section without empty fields, and with texts such as 1e9 as numbers."""
    made = {key: value for key, value in given.items() if value is not None}
    for key, field in known.items():
        text = made.get(key)
        if field.kind in ("count", "number") and isinstance(text, str):
            number = scalar(text)
            made[key] = number if isinstance(number, int | float) else text
    return made


def _problems(record: Mapping[str, Any]) -> Iterator[str]:
    for section in _SECTIONS:
        given = record.get(section)
        if given is not None and not isinstance(given, Mapping):
            yield f"{section}: a mapping is needed, not {shown(given)}"
            continue
        for key, field in _FIELDS.get(section, {}).items():
            value = (given or {}).get(key)
            if value is not None and (problem := _problem(value, field)):
                yield f"{section}.{key} {problem}"
    yield from _long_texts(record)
    yield from _facts(record)
    for key in _TEXTS:
        if isinstance(record.get(key), _NESTED):
            yield f"{key} is text, not {shown(record[key])}"
    for section, key in _NEEDED:
        given = record.get(section)
        if given is None or (isinstance(given, Mapping) and given.get(key) is None):
            yield f"{section}.{key} is missing"


def _facts(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong in what is known of a run beside its source's tables."""
    for section in ("software", "flop"):
        if record.get(section) and not record.get("facts"):
            yield f"{section}: say under facts where that is from"
    told = record.get("facts", ())
    if isinstance(told, Mapping):
        yield "facts is a text or a list of texts, not a mapping"
    modules = record.get("recompute")
    if isinstance(modules, Mapping):
        yield "recompute is a text or a list of modules, not a mapping"
    elif isinstance(modules, list) and not {*map(str, modules)} <= _MODULES:
        yield f"recompute: the modules are {', '.join(sorted(_MODULES))}"
    software = record.get("software")
    if software is None:
        return
    if not isinstance(software, Mapping) or set(software) - {"with", "switches"}:
        yield "software: features (with) and switches are told, nothing else"
        return
    if not isinstance(software.get("with", []), list):
        yield "software.with is a list of features"
    switches = software.get("switches", {})
    if not isinstance(switches, Mapping):
        yield "software.switches maps paths to values"
    elif strange := {*map(str, switches)} - set(switch_paths()):
        yield f"software.switches: there is no {', '.join(sorted(strange))[:_SHOWN]}"


def _long_texts(record: Mapping[str, Any]) -> Iterator[str]:
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from (f"{str(key)[:_SHOWN]}.{each}" for each in _long_texts(value))
        elif isinstance(value, str) and len(value) > MOST_LETTERS:
            yield (
                f"{str(key)[:_SHOWN]} has {len(value):,} letters, of which a text has "
                f"at most {MOST_LETTERS:,}"
            )


def _problem(value: object, field: RecordField) -> str:
    if field.kind == "text":
        return "" if isinstance(value, str) else f"is text, not {shown(value)}"
    if field.kind == "truth":
        return "" if isinstance(value, bool) else f"is yes or no, not {shown(value)}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"is a number, not {shown(value)}"
    if value != value or abs(value) == math.inf:
        return f"is a finite number, not {value}"
    if field.kind == "number" and value <= field.low:
        bound = f"above {field.low:g}" if value > 0 else "positive"
        return f"is {bound}, not {shown(value)}"
    if not field.low <= value <= field.high:
        bounds = f"{field.low:,.0f} and {field.high:,.0f}"
        return f"lies between {bounds}, not at {shown(value)}"
    if field.kind == "count" and value != int(value):
        return f"is a whole number, not {value}"
    return ""


def shown(value: object) -> str:
    """Return a value as a message shows it: its start, or its kind.

    >>> shown("eight"), shown([1, 2]), shown(None)
    ("'eight'", 'a list', 'nothing')
    """
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple | set):
        return "a list"
    if value is None:
        return "nothing"
    return repr(value)[:_SHOWN]


def _numbers(given: Mapping[str, Any]) -> dict[str, float]:
    """Return the positive numbers of a mapping, within bounds."""
    return {
        str(key): float(value)
        for key, value in given.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and LEAST < value < MOST_DERIVED
    }
