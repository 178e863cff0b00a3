"""Plans that a source does not print beside its figures, but publishes as scripts.

NVIDIA's reports of mixtures of experts name model, GPUs and precision; what was run
stands in Megatron-MoE-ModelZoo (commit e865051): ``best_practice/*/run_*.sh`` and
``runtime_configs/benchmarking/runtime.conf``. A table by model, accelerator, precision
and length of sequence; no figure of a run is in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from estimator.catalog.records.models import Record

SOURCES = ("mcoremoe", "moezoo")
CONFIGURED = re.compile(r"config_\w+?_\d+x\d+x(\d+)xtp(\d+)pp(\d+)cp(\d+)")
"""Name of an MLPerf configuration: nodes, GPUs a node, micro-batch and plan."""
_OVERLAP = "interleaved 1F1B with 1F1B EP all-to-all overlap"


class ScriptedPlan(NamedTuple):
    """What a script sets, and which runs it is for."""

    words: str
    """Of model, accelerator and precision, a regular expression."""
    parallel: Mapping[str, int]
    batch: Mapping[str, int]
    schedule: str = "interleaved 1F1B"
    recompute: str = ""
    least_seq_len: int = 0


RECIPES = (
    ScriptedPlan(
        r"mixtral-8x22b h100 ",
        {"tp": 2, "pp": 8, "vp": 7, "ep": 8, "etp": 1},
        {"micro": 1, "global": 256},
    ),
    ScriptedPlan(
        r"deepseek-v3 gb200 ",
        {"tp": 1, "pp": 4, "vp": 4, "ep": 64},
        {"micro": 1, "global": 8192},
        recompute="selective: mlp",
    ),
    ScriptedPlan(
        r"deepseek-v3 gb300 ",
        {"tp": 1, "pp": 4, "vp": 4, "ep": 32},
        {"micro": 1, "global": 4096},
        recompute="selective: mlp",
    ),
    ScriptedPlan(
        r"qwen3-235b-a22b h100 bf16",
        {"tp": 2, "pp": 8, "vp": 4, "ep": 32, "etp": 1},
        {"micro": 1, "global": 2048},
        _OVERLAP,
        "selective: norm, moe_act",
    ),
    ScriptedPlan(
        r"qwen3-235b-a22b gb.00 mxfp8",
        {"tp": 4, "cp": 4, "pp": 4, "vp": 12, "ep": 32, "etp": 1},
        {"micro": 1, "global": 1024},
        recompute="selective: norm, moe_act",
        least_seq_len=131072,
    ),
    ScriptedPlan(
        r"qwen3-235b-a22b gb200 bf16",
        {"tp": 1, "pp": 8, "ep": 8},
        {"micro": 1, "global": 8192},
        "1F1B",
    ),
    ScriptedPlan(
        r"qwen3-235b-a22b gb200 mxfp8",
        {"tp": 1, "pp": 4, "vp": 6, "ep": 64},
        {"micro": 3, "global": 3072},
        _OVERLAP,
        "selective: norm, moe_act",
    ),
    ScriptedPlan(
        r"qwen3-235b-a22b gb300 mxfp8",
        {"tp": 1, "pp": 1, "ep": 64},
        {"micro": 1, "global": 8192},
        _OVERLAP,
    ),
)
"""The first that fits a record."""


def with_recipe(record: Record) -> tuple[Record, list[str]]:
    """Return a record with the plan of its source's script where it prints none.

    What the record prints stays. MLPerf's plan stands in the name of its configuration,
    where there is one.
    """
    named = set(CONFIGURED.findall(str(record.get("notes"))))
    if len(named) == 1 and not {"tp", "pp", "cp"} & set(record.get("parallel", {})):
        micro, tp, pp, cp = (int(number) for number in named.pop())
        plan = {"tp": tp, "pp": pp, "cp": cp, **record.get("parallel", {})}
        batch = {"micro": micro, **record["batch"]}
        note = "the plan is that of the configuration's name"
        return {**record, "parallel": plan, "batch": batch}, [note]
    source = re.split(r"[-_]", str(record["id"]), maxsplit=1)[0]
    if "parallel" in record or source not in SOURCES:
        return record, []
    parts = (record["model"]["name"], record["cluster"]["gpu"], record.get("precision"))
    said = " ".join(re.sub(r"-80gb", "", str(part).lower()) for part in parts)
    for recipe in RECIPES:
        if (
            re.search(recipe.words, said)
            and record["batch"]["seq_len"] >= recipe.least_seq_len
        ):
            filled: dict[str, Any] = {
                "parallel": recipe.parallel,
                "schedule": recipe.schedule,
                "recompute": recipe.recompute,
            }
            kept = {key: record[key] for key in filled if record.get(key)}
            batch = {**recipe.batch, **record["batch"]}
            note = "the plan is that of the source's script (Megatron-MoE-ModelZoo)"
            return {**record, **filled, **kept, "batch": batch}, [note]
    return record, []
