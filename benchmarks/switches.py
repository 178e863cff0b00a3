"""Which switches of software/*.yaml could be wrong without a prediction that moves.

    python benchmarks/switches.py [NAME...]

Each switch that a file states is set to each other value that it may have, one at a
time, and ``PROBES``, small runs of all kinds, are predicted under that release. What is
printed at the end are the switches that move none of them: neither step nor memory.
``EXPLAINED`` are those that may, each with its reason.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from unittest.mock import patch

import yaml

from estimator.answer.walk import Walk
from estimator.catalog import kinds, loading
from estimator.catalog.records import scenarios
from estimator.catalog.records.checks import checked
from estimator.ground.errors import EstimatorError, InputError
from estimator.specs.hints import field_hints, inner
from estimator.specs.scenario import Scenario
from estimator.specs.software import Software, switch_paths

ROOT = Path(__file__).parents[1]
PROBES: Mapping[str, Mapping[str, Any]] = {
    "dense": {"plan": {"tp": 2, "pp": 2}, "recompute": "full"},
    "whole": {"plan": {"tp": 2}, "model": {"base": "llama-3-8b", "vocab_size": 50257}},
    "zero-0": {"plan": {"zero": 0, "pp": 2}},
    "zero-1": {"plan": {"zero": 1, "tp": 2}},
    "zero-3": {"plan": {"zero": 3}},
    "zero-3-pipelined": {"plan": {"zero": 3, "pp": 2}},
    "split": {"plan": {"tp": 2, "pp": 2, "sequence_parallel": True}},
    "unsplit": {"plan": {"tp": 2, "pp": 2, "sequence_parallel": False}},
    "many": {"plan": {"zero": 1}, "num_gpus": 1024, "batch": 1024},
    "fp16": {"plan": {"zero": 1}, "precision": "fp16"},
    "fp4": {"plan": {"zero": 3}, "precision": "nvfp4", "node": "gb200-nvl72"},
    "fp4-whole": {"plan": {"zero": 1}, "precision": "nvfp4", "node": "gb200-nvl72"},
    "overlapped": {
        "plan": {"zero": 1},
        "num_gpus": 1024,
        "batch": 1024,
        "switches": {
            "gradients.overlaps_reduction": True,
            "gradients.bucket_size": 1_000_000,
        },
    },
    "filled-up": {"plan": {"tp": 4}, "switches": {"defaults.vocab_multiple": 128}},
    "fused-ring": {
        "plan": {"cp": 8},
        "seq_len": 4096,
        "switches": {"kernels.attention": "fused"},
    },
    "ring": {"plan": {"cp": 8}, "seq_len": 4096},
    "long": {"plan": {"cp": 4, "tp": 2}, "seq_len": 32768},
    "gelu": {"model": "gpt-neox-20b", "plan": {"tp": 4, "pp": 2}},
    "fp8": {"plan": {"tp": 2}, "precision": "fp8"},
    "fp8-zero-3": {"plan": {"zero": 3}, "precision": "fp8-tensor"},
    "experts": {
        "model": "qwen3-30b-a3b",
        "plan": {
            "ep": 8,
            "pp": 2,
            "schedule": "interleaved-1f1b-overlap",
            "stages_per_rank": 2,
        },
        "num_gpus": 32,
    },
    "experts-tp": {
        "model": "mixtral-8x7b",
        "plan": {"tp": 2, "ep": 4},
        "precision": "fp8",
        "num_gpus": 32,
    },
}
"""What each changes in Llama 3 8B on 16 GPUs of the release's first vendor, and which
other switches are thrown meanwhile: one that asks for no overlap has no buckets."""
RECORDS: Mapping[str, Mapping[str, Any]] = {
    "dense": {"parallel": {"pp": 2, "tp": 2}, "batch": {"local_batch": 8}},
    "experts": {
        "model": {"type": "moe", "experts": 8, "top_k": 2, "moe_ffn": 14336},
        "parallel": {"tp": 2, "ep": 2},
        "precision": "FP8",
    },
    "half": {"precision": "FP16", "parallel": {"dp": 16}},
}
"""Published runs that leave open what a framework's defaults fill."""
RECORD: Mapping[str, Mapping[str, Any]] = {
    "model": {
        "name": "a-model",
        "layers": 16,
        "hidden": 4096,
        "heads": 32,
        "ffn": 14336,
        "gated_mlp": True,
        "vocab": 200_000,
    },
    "cluster": {"gpus": 16},
    "batch": {"seq_len": 4096, "global": 64},
    "measured": {"step_s": 1.0},
}
GPUS = {"nvidia": "H100-80GB", "amd": "MI300X", "google": "TPU v5p"}
NODES = {"nvidia": "hgx-h100", "amd": "mi300x-x8", "google": "tpu-ironwood-pod"}
FABRIC = "ib-ndr-rail-optimised"
EXPLAINED: Mapping[str, str] = {
    "experts.num_comm_sms": "TPUs have engines of their own for communication",
    "kernels.early_stop": "XLA compiles the whole step: nothing unread is computed",
    "kernels.launch": "XLA compiles the whole step: TPUs' kernels are not launched",
    "storage.gathers_4_bits": "no TPU has a rate of FP4",
    "storage.keeps_16_bit_weights": "Unsloth's are in 16 bits in any case",
}
"""Switches that may move none, by path, with the reason."""


@cache
def asked(probe: str, name: str) -> Scenario | None:
    """Return a probe under a release; None where the two do not fit together."""
    given = dict(PROBES[probe])
    length, count = given.pop("seq_len", 4096), given.pop("num_gpus", 16)
    batch, own = given.pop("batch", 64), given.pop("node", "")
    given.pop("switches", None)
    vendor = loading.load("software", name).accelerators[0]
    node = own if own and vendor == "nvidia" else NODES[vendor]
    phase = {"name": "run", "num_tokens": 1e9, "seq_len": length}
    document = {
        "name": probe,
        "model": "llama-3-8b",
        "cluster": {"node": node, "fabric": FABRIC, "num_gpus": count},
        "software": name,
        "precision": "bf16",
        "phases": [{**phase, "global_batch_size": batch}],
        "price": "h100-lambda-2024-09",
        **given,
    }
    try:
        return loading.load_scenario(document)
    except InputError:
        return None


def answer(scenario: Scenario) -> tuple[float, float] | str:
    """Return step and peak memory, or why there are none."""
    try:
        walk = Walk(scenario)
        return walk.step_s(walk.scenario.main_phase), walk.answer().peak_bytes
    except EstimatorError as error:
        return str(error)


def others(path: str, value: Any) -> Iterator[Any]:
    """Yield other values that a switch may have."""
    group, _, key = path.partition(".")
    hint = inner(field_hints(field_hints(Software)[group])[key])
    if isinstance(value, bool):
        yield not value
    elif get_origin(hint) is Literal:
        yield from (each for each in get_args(hint) if each != value)
    elif isinstance(value, tuple):
        wanted = "average", "check", "bucket"
        yield from ((*value, each) for each in wanted if each not in value)
        yield from (tuple(set(value) - {each}) for each in value)
    elif path == "kernels.maturity":
        yield value / 2
    else:
        yield from (each for each in (0, 1, 2, 64, 1_000_000) if each != value)


def stated(name: str) -> Iterator[str]:
    """Yield the switches that a file states itself."""
    raw = yaml.safe_load((ROOT / "software" / f"{name}.yaml").read_text())
    known = set(switch_paths())
    for group, value in raw.items():
        if isinstance(value, dict):
            yield from (f"{group}.{key}" for key in value if f"{group}.{key}" in known)


def moved(name: str, path: str) -> str:
    """Return the first probe that a switch of a release moves, ``""`` if none."""
    software: Software = loading.load("software", name)
    for other in others(path, software.switches()[path]):
        try:
            changed = software.having({path: other})
        except ValueError:  # not a value that it may have
            continue
        for probe in PROBES:
            scenario = asked(probe, name)
            if scenario and before(probe, name, path) != answer(
                replace(scenario, software=thrown(probe, changed, path))
            ):
                return probe
        for probe in RECORDS:
            if mapping(probe, software) != mapping(probe, changed):
                return f"record {probe}"
    return ""


def mapping(probe: str, software: Software) -> Any:
    """Return the scenario, but for its software, of a record that runs on it."""
    given = {key: dict(value) for key, value in RECORD.items()}
    made: dict[str, Any] = {"id": probe, "precision": "bf16", "recompute": "none"}
    for key, value in {**given, **RECORDS[probe]}.items():
        is_part = isinstance(value, Mapping)
        made[key] = given.get(key, {}) | dict(value) if is_part else value
    made["cluster"]["gpu"] = GPUS[software.accelerators[0]]
    with patch.object(scenarios, "software_of", lambda *_: (software, False)):
        found = scenarios.mapped(checked(made)).scenario
    return replace(found, software=loading.load("software", "pytorch-fsdp2"))


def before(probe: str, name: str, but: str) -> tuple[float, float] | str:
    """Return the answer to a probe under a release as it is."""
    is_thrown = but in PROBES[probe].get("switches", {})
    return _before(probe, name, but if is_thrown else "")


@cache
def _before(probe: str, name: str, but: str) -> tuple[float, float] | str:
    scenario = asked(probe, name)
    if scenario is None:
        return ""
    return answer(replace(scenario, software=thrown(probe, scenario.software, but)))


def thrown(probe: str, software: Software, but: str = "") -> Software:
    """Return a release with a probe's own switches, but for the one in question."""
    own = PROBES[probe].get("switches", {})
    return software.having({path: own[path] for path in own if path != but})


def main() -> int:
    """Print each switch that moves no probe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=kinds.names("software"))
    still: dict[str, list[str]] = {}
    num_flipped = 0

    for name in parser.parse_args().names:
        for path in stated(name):
            num_flipped += 1
            if not moved(name, path):
                still.setdefault(path, []).append(name)
                print(f"{name}: {path} moves nothing", file=sys.stderr)
    for path, names in sorted(still.items()):
        reason = EXPLAINED.get(path, "NOT EXPLAINED")
        print(f"{path} ({len(names)} files): {reason}")
    print(f"{num_flipped} switches flipped, {len(still)} paths move nothing somewhere")
    return int(bool(set(still) - set(EXPLAINED)))


if __name__ == "__main__":
    sys.exit(main())
