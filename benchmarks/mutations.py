"""Broken files and extreme numbers, drawn from a seed: what ``attack.py`` throws."""

from __future__ import annotations

import contextlib
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from estimator.catalog import kinds, loading

ROOT = Path(__file__).parent.parent

WHOLE = ("num_gpus", "pp", "num_layers", "seq_len", "global_batch_size", "gpus")
TINY = ("0", "-1", "1e-300", "5e-324", "-1e300", "-0.0")
HUGE = ("1e9", "1e18", "1e30", "1e300", "1e308", "1e400", "9" * 400, "1" * 5000)
ODD = ("nan", ".inf", "-.inf", "x", '""', "null", "true", "[]", "{}", "[1, 2]", "0.5")
UNITS = ("GB/s", "Gbit/s", "us", "TFLOP/s", "USD/h", "W", "GiB", "parsec", "µs", "1")
SIGNS = "\u0000\u202e\u00b5\ud83d\ufeff\x1b'\"{}[]&*!|>%@`#,:-?\t"


class Case(NamedTuple):
    """One input: the words of its command line, and what it is, in short."""

    words: tuple[str, ...]
    label: str


def sources(rng: random.Random) -> Mapping[str, list[Any]]:
    """Return the sound documents of every kind that are to be broken."""
    made: dict[str, list[Any]] = {}
    for kind in ("gpu", "node", "fabric", "price", "model", "scenario"):
        folder = kinds.folder(kind)
        made[kind] = [loaded(path) for path in sorted(folder.glob("*.yaml"))]
    made["scenario"] += [small(rng) for _ in range(9)]
    runs = sorted((ROOT / "validation" / "runs").glob("*.yaml"))
    records = [loaded(path) for path in runs]
    made["records"] = [[each] for found in records for each in found[:12]]
    made["config"] = list(loaded(ROOT / "tests" / "hf_configs.yaml").values())
    return made


def loaded(path: Path) -> Any:
    """Return what a YAML file holds, as PyYAML reads it."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506


def small(rng: random.Random) -> dict[str, Any]:
    """Return a scenario of few layers, written out more than the built-in ones are."""
    return {
        "name": "small",
        "model": rng.choice(["llama-3-8b", "mixtral-8x7b"]),
        "cluster": {"node": "hgx-h100", "fabric": FABRIC, "num_gpus": 64},
        "plan": {
            "tp": rng.choice([1, 2, 8]),
            "pp": rng.choice([1, 2, 4]),
            "zero": rng.choice([0, 1, 3]),
            "schedule": rng.choice(["1f1b", "interleaved-1f1b", "gpipe", "zb-h1"]),
        },
        "precision": rng.choice(["bf16", "fp8", {"recipe": "bf16", "moments": "bf16"}]),
        "recompute": rng.choice(["none", "full", ["core_attn"]]),
        "phases": [
            {
                "name": "one",
                "num_tokens": 1e12,
                "seq_len": 4096,
                "global_batch_size": rng.choice(
                    [512, {"ramp": {"from": 64, "to": 512, "over_tokens": 1e10}}]
                ),
            }
        ],
        "price": rng.choice(["deepseek-2usd", {"base": "deepseek-2usd"}]),
        "power": {"base": "world-average", "pue": "1.1"},
    }


FABRIC = "ib-ndr-rail-optimised"
HOLDERS: Mapping[str, tuple[str, ...]] = {
    "gpu": ("cluster", "node", "gpu"),
    "node": ("cluster", "node"),
    "fabric": ("cluster", "fabric"),
    "price": ("price",),
    "model": ("model",),
}
"""Where a scenario names a file of each kind."""


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything inside a document."""
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def mutated(rng: random.Random, document: Any) -> Any:
    """Return a deep copy of a document in which one thing is wrong."""
    made = json.loads(json.dumps(document, default=str))
    path = rng.choice(list(places(made)))
    holder = made
    for key in path[:-1]:
        holder = holder[key]
    MUTATIONS[rng.randrange(len(MUTATIONS))](rng, holder, path[-1])
    return made


def _drop(_rng: random.Random, holder: Any, key: Any) -> None:
    del holder[key]


def _rename(rng: random.Random, holder: Any, key: Any) -> None:
    value = holder[key]
    if isinstance(holder, dict):
        del holder[key]
        letters = list(str(key)) or ["x"]
        rng.shuffle(letters)
        holder[rng.choice(["".join(letters), str(key) + "s", "k" * 300])] = value


def _swap(rng: random.Random, holder: Any, key: Any) -> None:
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    other = rng.choice(keys)
    holder[key], holder[other] = holder[other], holder[key]


def _extreme(rng: random.Random, holder: Any, key: Any) -> None:
    number = rng.choice(TINY + HUGE)
    old = holder[key]
    unit = old.partition(" ")[2] if isinstance(old, str) and len(old) < 30 else ""
    holder[key] = Bare(f"{number} {unit}".strip())


def _scaled(rng: random.Random, holder: Any, key: Any) -> None:
    factor = 10.0 ** rng.choice([rng.uniform(-2, 2), rng.randint(-12, 12)])
    old = holder[key]
    match = re.match(r"[\d.]{1,15}", str(old))
    if match and not isinstance(old, dict | list):
        with contextlib.suppress(ValueError):
            number = float(match[0]) * factor
            whole = isinstance(old, int) and number >= 1
            text = f"{number:.0f}" if whole else f"{number:g}"
            holder[key] = Bare(text + str(old)[match.end() :])


def _whole(rng: random.Random, holder: Any, key: Any) -> None:
    value = rng.choice([1, 2, 3, 7, 2 ** rng.randrange(31), 10 ** rng.randrange(12)])
    for other in [key, *WHOLE]:
        if type(holder) is dict and type(holder.get(other)) is int:
            holder[other] = value
            return


def _typed(rng: random.Random, holder: Any, key: Any) -> None:
    holder[key] = Bare(rng.choice(ODD))


def _nested(rng: random.Random, holder: Any, key: Any) -> None:
    value = holder[key]
    for _ in range(rng.choice([1, 3, 60, 200])):
        value = [value] if rng.random() < 0.5 else {"value": value}
    holder[key] = value


def _unit(rng: random.Random, holder: Any, key: Any) -> None:
    holder[key] = f"{rng.randint(1, 999)} {rng.choice(UNITS)}"


def _text(rng: random.Random, holder: Any, key: Any) -> None:
    size = rng.choice([1, 12, 300, 20_000])
    holder[key] = "".join(rng.choice(SIGNS + "abc01") for _ in range(min(size, 300)))
    if size > 300:
        holder[key] = rng.choice(["a", "9", "[", " ", "1,", "t*9999", "(t)*9"]) * 4000


def _repeated(rng: random.Random, holder: Any, key: Any) -> None:
    if isinstance(holder, list):
        holder.extend([holder[key]] * rng.choice([1, 5, 2000]))


MUTATIONS: tuple[Callable[[random.Random, Any, Any], None], ...] = (
    _drop,
    _rename,
    _swap,
    _extreme,
    _extreme,
    _scaled,
    _scaled,
    _scaled,
    _whole,
    _whole,
    _typed,
    _nested,
    _unit,
    _text,
    _repeated,
)


class Bare(str):
    """A text that is written without quotes."""

    __slots__ = ()


def _plain(dumper: yaml.SafeDumper, text: Bare) -> yaml.ScalarNode:
    tag = dumper.resolve(yaml.ScalarNode, str(text), (True, False))
    return dumper.represent_scalar(tag, str(text))


yaml.SafeDumper.add_representer(Bare, _plain)


def written(rng: random.Random, kind: str, document: Any) -> bytes:
    """Return the text of a document, sometimes damaged as text."""
    if kind == "config":
        text = json.dumps(document, indent=1)
    else:
        text = yaml.safe_dump(document, sort_keys=False, width=10**9)
    data = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.15:
        data = TEXTUAL[rng.randrange(len(TEXTUAL))](rng, data)
    return data


def broken(rng: random.Random, kind: str, document: Any) -> bytes:
    """Return the text of a document after some mutations."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        document = mutated(rng, document) if any(places(document)) else document
    return written(rng, kind, document)


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _noise(rng: random.Random, data: bytes) -> bytes:
    noisy = bytearray(data)
    for _ in range(rng.choice([1, 3, 30])):
        noisy[rng.randrange(len(noisy))] = rng.randrange(256)
    return bytes(noisy)


def _line_twice(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    line = rng.choice(lines)
    lines.insert(rng.randrange(len(lines)), line)
    return b"\n".join(lines)


def _tagged(rng: random.Random, data: bytes) -> bytes:
    tags = (
        b"!!timestamp ",
        b"!!int ",
        b"!!bool ",
        b"!!binary ",
        b"!x ",
        b"&a ",
        b"*a ",
    )
    tags += (b"!!python/name:os.system ", b"!!set ", b"!!float ", b"<<: ")
    at = [match.end() for match in re.finditer(rb": ", data)] or [0]
    place = rng.choice(at)
    return data[:place] + rng.choice(tags) + data[place:]


def _digits(rng: random.Random, data: bytes) -> bytes:
    at = [match.start() for match in re.finditer(rb"\d", data)] or [0]
    place = rng.choice(at)
    return data[:place] + b"1" * rng.choice([30, 400, 5000, 20_000]) + data[place:]


def _anchors(rng: random.Random, data: bytes) -> bytes:
    bomb = "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]\n"
        for n in range(rng.choice([2, 9]))
    )
    return bomb.encode() + data


TEXTUAL: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _cut,
    _noise,
    _line_twice,
    _tagged,
    _digits,
    _anchors,
)


def file_cases(rng: random.Random, count: int, folder: Path) -> Iterator[Case]:
    """Yield command lines, each about a broken file that lies in a folder."""
    sound = sources(rng)
    kinds = ("scenario", "scenario", "scenario", *HOLDERS, "records", "config")
    for index in range(count):
        kind = rng.choice(kinds)
        try:
            data = broken(rng, kind, rng.choice(sound[kind]))
        except RecursionError:  # nested more than once
            data = b"a: " + b"[" * 10_000
        suffix = "json" if kind == "config" else "yaml"
        path = folder / f"{kind}-{index}.{suffix}"
        path.write_bytes(data)
        yield Case(_command(kind, path, folder), f"{path.name}")


def _command(kind: str, path: Path, folder: Path) -> tuple[str, ...]:
    if kind == "scenario":
        return ("run", str(path), "--json")
    if kind == "records":
        return ("validate", "--runs", str(path), "--json", "--quiet")
    if kind == "config":
        return ("import-hf", str(path))
    made = small(random.Random(kind))  # noqa: S311
    made["plan"] = {"schedule": "1f1b"}
    made["precision"], made["price"] = "bf16", "deepseek-2usd"
    holder: Any = made
    *parents, last = HOLDERS[kind]
    for parent in parents:
        old = holder.get(parent)
        holder[parent] = old if isinstance(old, dict) else {"base": old}
        holder = holder[parent]
    holder[last] = str(path)
    outer = folder / f"of-{path.name}"
    outer.write_text(yaml.safe_dump(made), encoding="utf-8")
    return ("run", str(outer), "--json")


RANGE = "power.pue=1:2:{count}"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("uncertainty", "gpt3-175b", "--samples", "{count}"),
    ("uncertainty", "gpt3-175b", "--samples", "8", "--seed", "{}"),
    ("schedule", "1f1b", "--ranks", "{}", "--microbatches", "8"),
    ("schedule", "interleaved-1f1b", "--ranks", "4", "--microbatches", "{}"),
    ("schedule", "zb-v", "--ranks", "4", "--microbatches", "8", "--f", "{}"),
    ("schedule", "1f1b", "--ranks", "4", "--microbatches", "8", "--send", "{}"),
    ("sweep", "gpt3-175b", "--vary", "power.pue=1,{}", "--out", "OUT", "--jobs", "1"),
    ("sweep", "gpt3-175b", "--vary", RANGE, "--out", "OUT", "--jobs", "1"),
    ("compare", "gpt3-175b", "--vary", "power.pue=1.1,{}", "--json"),
    ("run", "{}"),
    ("show", "gpu", "{}"),
    ("list", "{}"),
)
MOST_ASKED, MOST_ACCEPTED = 10_000, 20_000_000
"""Samples or points that are tried, and more than which no command accepts.

Work that is asked for by a count takes its time and is no attack; a count above the
documented limit is one, and is to be refused at once.
"""


def counted(value: str) -> str:
    """Return a count of little work, or one that is to be refused."""
    try:
        count = float(value)
    except ValueError:
        return value
    if not 1 <= count < 1e15:
        return value
    return str(int(count if count > MOST_ACCEPTED else min(count, MOST_ASKED)))


def override_cases(rng: random.Random, count: int, folder: Path) -> Iterator[Case]:
    """Yield command lines with an extreme number at a path, or behind an option."""
    names = ("deepseek-v3", "gpt3-175b", "llama-3.1-405b")
    paths = {
        name: [
            ".".join(map(str, path))
            for path in places(loading.scenario_document(name))
            if path[0] != "variants"
        ]
        for name in names
    }
    for index in range(count):
        value = rng.choice(TINY + HUGE + ODD)
        if rng.random() < 0.3:
            value = f"{10 ** rng.uniform(-12, 12):.6g}"
        if rng.random() < 0.05:
            out = str(folder / f"{index}.csv")
            words = rng.choice(COMMANDS)
            filled = (word.replace("{}", value).replace("OUT", out) for word in words)
            made = tuple(word.replace("{count}", counted(value)) for word in filled)
            yield Case(made, " ".join(words))
            continue
        name = rng.choice(names)
        patches = [f"{rng.choice(paths[name])}={value}"]
        if rng.random() < 0.3:
            whole = str(2 ** rng.randrange(24))
            patches.append(f"{rng.choice(paths[name])}={whole}")
        sets = tuple(word for patch in patches for word in ("--set", patch))
        yield Case(("run", name, *sets, "--json"), patches[0][:60])
