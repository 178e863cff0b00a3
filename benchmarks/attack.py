"""Throw broken files and extreme numbers at the command line, and count what gives way.

``python benchmarks/attack.py`` mutates input files of every kind and hands each to the
command that reads it, in this process; every hundredth goes through a process of its
own. Whatever the input, a command ends with a right answer, or with one message and
exit status 2, within two seconds of processor time and a gigabyte. The same seed makes
the same inputs. It takes some minutes; ``--tenth`` a tenth of that.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import yaml

from estimator import catalog, cli
from estimator.errors import EstimatorError
from estimator.specs.hardware import PEAK_OF

ROOT = Path(__file__).parent.parent
MOST_CPU_S = 2.0
MOST_BYTES = 1e9
LIMIT_S = 20
"""Seconds of processor time after which a case is stopped."""
LIMIT_BYTES = 4_000_000_000
EVERY = 100
"""Every so many cases go through a process of their own."""
OPERANDS = {"bf16": "bf16", "mxfp8": "fp8", "nvfp4": "fp4"}
"""The widest rate that a recipe's products may run at; fp8 for those of that name."""

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


@dataclass(frozen=True)
class Ran:
    """What a command line did."""

    status: int
    out: str
    err: str
    cpu_s: float
    peak_bytes: float


# What is thrown


def sources(rng: random.Random) -> Mapping[str, list[Any]]:
    """Return the sound documents of every kind that are to be broken."""
    made: dict[str, list[Any]] = {}
    for kind in ("gpu", "node", "fabric", "price", "model", "scenario"):
        folder = catalog.data_folder() / catalog.KINDS[kind].folder
        made[kind] = [
            yaml.safe_load(path.read_text(encoding="utf-8"))
            for path in sorted(folder.glob("*.yaml"))
        ]
    made["scenario"] += [small(rng) for _ in range(9)]
    runs = sorted((ROOT / "validation" / "runs").glob("*.yaml"))
    records = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in runs]
    made["records"] = [[each] for found in records for each in found[:12]]
    configs = (ROOT / "tests" / "hf_configs.yaml").read_text(encoding="utf-8")
    made["config"] = list(yaml.safe_load(configs).values())
    return made


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
    last = path[-1]
    return made if MUTATIONS[rng.randrange(len(MUTATIONS))](rng, holder, last) else made


def _drop(_rng: random.Random, holder: Any, key: Any) -> bool:
    del holder[key]
    return True


def _rename(rng: random.Random, holder: Any, key: Any) -> bool:
    value = holder[key]
    if isinstance(holder, dict):
        del holder[key]
        letters = list(str(key)) or ["x"]
        rng.shuffle(letters)
        holder[rng.choice(["".join(letters), str(key) + "s", "k" * 300])] = value
    return True


def _swap(rng: random.Random, holder: Any, key: Any) -> bool:
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    other = rng.choice(keys)
    holder[key], holder[other] = holder[other], holder[key]
    return True


def _extreme(rng: random.Random, holder: Any, key: Any) -> bool:
    number = rng.choice(TINY + HUGE)
    old = holder[key]
    unit = old.partition(" ")[2] if isinstance(old, str) and len(old) < 30 else ""
    holder[key] = Bare(f"{number} {unit}".strip())
    return True


def _scaled(rng: random.Random, holder: Any, key: Any) -> bool:
    factor = 10.0 ** rng.choice([rng.uniform(-2, 2), rng.randint(-12, 12)])
    old = holder[key]
    match = re.match(r"[\d.]{1,15}", str(old))
    if match and not isinstance(old, dict | list):
        with contextlib.suppress(ValueError):
            number = float(match[0]) * factor
            whole = isinstance(old, int) and number >= 1
            text = f"{number:.0f}" if whole else f"{number:g}"
            holder[key] = Bare(text + str(old)[match.end() :])
    return True


def _whole(rng: random.Random, holder: Any, key: Any) -> bool:
    value = rng.choice([1, 2, 3, 7, 2 ** rng.randrange(31), 10 ** rng.randrange(12)])
    for other in [key, *WHOLE]:
        if type(holder) is dict and type(holder.get(other)) is int:
            holder[other] = value
            return True
    return True


def _typed(rng: random.Random, holder: Any, key: Any) -> bool:
    holder[key] = Bare(rng.choice(ODD))
    return True


def _nested(rng: random.Random, holder: Any, key: Any) -> bool:
    value = holder[key]
    for _ in range(rng.choice([1, 3, 60, 300])):
        value = [value] if rng.random() < 0.5 else {"value": value}
    holder[key] = value
    return True


def _unit(rng: random.Random, holder: Any, key: Any) -> bool:
    holder[key] = f"{rng.randint(1, 999)} {rng.choice(UNITS)}"
    return True


def _text(rng: random.Random, holder: Any, key: Any) -> bool:
    size = rng.choice([1, 12, 300, 20_000])
    holder[key] = "".join(rng.choice(SIGNS + "abc01") for _ in range(min(size, 300)))
    if size > 300:
        holder[key] = rng.choice(["a", "9", "[", " ", "1,", "t*9999", "(t)*9"]) * 4000
    return True


def _repeated(rng: random.Random, holder: Any, key: Any) -> bool:
    if isinstance(holder, list):
        holder.extend([holder[key]] * rng.choice([1, 5, 2000]))
    return True


MUTATIONS: tuple[Callable[[random.Random, Any, Any], bool], ...] = (
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


yaml.SafeDumper.add_representer(
    Bare, lambda dumper, data: dumper.represent_scalar("tag:yaml.org,2002:null", data)
)


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
        document = rng.choice(sound[kind])
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            document = mutated(rng, document) if any(places(document)) else document
        suffix = "json" if kind == "config" else "yaml"
        path = folder / f"{kind}-{index}.{suffix}"
        path.write_bytes(written(rng, kind, document))
        yield Case(_command(kind, path, folder), f"{path.name}")


def _command(kind: str, path: Path, folder: Path) -> tuple[str, ...]:
    if kind == "scenario":
        return ("run", str(path), "--json")
    if kind == "records":
        return ("validate", "--runs", str(path), "--json", "--quiet")
    if kind == "config":
        return ("import-hf", str(path))
    made = small(random.Random(kind))
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


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("uncertainty", "gpt3-175b", "--samples", "{}"),
    ("uncertainty", "gpt3-175b", "--samples", "8", "--seed", "{}"),
    ("schedule", "1f1b", "--ranks", "{}", "--microbatches", "8"),
    ("schedule", "interleaved-1f1b", "--ranks", "4", "--microbatches", "{}"),
    ("schedule", "zb-v", "--ranks", "4", "--microbatches", "8", "--f", "{}"),
    ("schedule", "1f1b", "--ranks", "4", "--microbatches", "8", "--send", "{}"),
    ("sweep", "gpt3-175b", "--vary", "power.pue=1,{}", "--out", "OUT", "--jobs", "1"),
    ("sweep", "gpt3-175b", "--vary", "power.pue=1:2:{}", "--out", "OUT", "--jobs", "1"),
    ("compare", "gpt3-175b", "--vary", "power.pue=1.1,{}", "--json"),
    ("run", "{}"),
    ("show", "gpu", "{}"),
    ("list", "{}"),
)


def override_cases(rng: random.Random, count: int, folder: Path) -> Iterator[Case]:
    """Yield command lines with an extreme number at a path, or behind an option."""
    names = ("deepseek-v3", "gpt3-175b", "llama-3.1-405b")
    paths = {
        name: [
            ".".join(map(str, path))
            for path in places(catalog.scenario_document(name))
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
            made = tuple(
                word.replace("{}", value).replace("OUT", out) for word in words
            )
            yield Case(made, " ".join(words))
            continue
        name = rng.choice(names)
        patches = [f"{rng.choice(paths[name])}={value}"]
        if rng.random() < 0.3:
            whole = str(2 ** rng.randrange(24))
            patches.append(f"{rng.choice(paths[name])}={whole}")
        sets = tuple(word for patch in patches for word in ("--set", patch))
        yield Case(("run", name, *sets, "--json"), patches[0][:60])


# What is looked at


def run_here(words: tuple[str, ...]) -> Ran:
    """Run a command line in this process, as the installed program would."""
    out, err = Stream(), Stream()
    _reset_peak()
    started, status = time.process_time(), 1
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        with (
            mock.patch.object(sys, "argv", ["estimator", *words]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            cli.main()
            status = 0
    except SystemExit as ended:
        status = (
            ended.code if isinstance(ended.code, int) else 0 if not ended.code else 1
        )
    except BaseException:  # noqa: BLE001 - what comes out of the command line is the finding
        err.write(traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    spent = time.process_time() - started
    return Ran(status, out.text(), err.text(), spent, _peak_bytes())


class Stream(io.TextIOWrapper):
    """Standard output as a pipe has it: UTF-8, strict."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self) -> str:
        """Return what was written."""
        self.seek(0)
        return self.read()


def run_apart(words: tuple[str, ...]) -> Ran:
    """Run a command line in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = "from estimator.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=10 * LIMIT_S,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(ran.returncode, ran.stdout, ran.stderr, spent, after.ru_maxrss * 1024.0)


def _reset_peak() -> None:
    with contextlib.suppress(OSError):  # Linux only
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_bytes() -> float:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return float(match[1]) * 1024 if match else 0.0


def findings(case: Case, ran: Ran) -> Iterator[str]:
    """Yield what is wrong with the end of a command line."""
    if "Traceback" in ran.err:
        lines = ran.err.strip().splitlines()
        at = [line.strip() for line in lines if line.strip().startswith("File ")]
        yield f"traceback: {lines[-1][:120]} {at[-1].partition('estimator/')[2] if at else ''}"
    elif ran.status not in (0, 2):
        yield f"status {ran.status}"
    if ran.cpu_s > MOST_CPU_S:
        yield f"took more than {MOST_CPU_S:g} s"
    if ran.peak_bytes > MOST_BYTES:
        yield "took more than 1 GB"
    if ran.status == 0 and "--json" in case.words:
        yield from _numbers(case, ran.out)


def _numbers(case: Case, out: str) -> Iterator[str]:
    try:
        answer = json.loads(out)
    except ValueError:
        yield "no JSON"
        return
    for path, number in numbers(answer):
        name = ".".join(each for each in path if not each.isdecimal())
        if not math.isfinite(number):
            yield f"not finite: {name}"
        elif number < 0 and case.words[0] == "run":
            yield f"negative: {name}"
    if case.words[0] == "run":
        yield from _rates(case, answer[0])


def _rates(case: Case, answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield a FLOP rate above the peak of the fastest format that it ran in."""
    sets = [case.words[at + 1] for at, word in enumerate(case.words) if word == "--set"]
    try:
        scenario = catalog.load_scenario(case.words[1], sets)
    except EstimatorError as error:
        yield f"an answer to what is refused: {error.what[:60]}"
        return
    peaks = scenario.cluster.node.gpu.peak_flop_per_s
    recipe = scenario.precision.recipe
    narrow = OPERANDS.get(recipe, "fp8")
    half = peaks.get("bf16", peaks.get("fp16", math.inf))
    peak = max(half, peaks.get(PEAK_OF.get(narrow, narrow), 0.0))
    step = answer["step"]
    if step["tflop_per_s_per_gpu"] * 1e12 > peak * (1 + 1e-9):
        yield "model FLOP rate above the peak"
    if step["hfu"] * half > peak * (1 + 1e-9):
        yield "executed FLOP rate above the peak"


def numbers(
    value: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield every number of a JSON document with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from numbers(item, (*path, str(index)))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def attack(seed: int, num_files: int, num_overrides: int, kept: Path | None) -> int:
    """Run every case of a seed, print what was found, and return how much it was."""
    rng, found, statuses = random.Random(seed), Counter[str](), Counter[int]()
    examples: dict[str, Case] = {}
    slowest = largest = 0.0
    started = time.process_time()
    with tempfile.TemporaryDirectory(prefix="attack-") as name:
        folder = kept or Path(name)
        folder.mkdir(exist_ok=True, parents=True)
        cases = [
            *file_cases(rng, num_files, folder),
            *override_cases(rng, num_overrides, folder),
        ]
        for index, case in enumerate(cases):
            ran = run_apart(case.words) if index % EVERY == 0 else run_here(case.words)
            slowest, largest = max(slowest, ran.cpu_s), max(largest, ran.peak_bytes)
            statuses[ran.status] += 1
            for finding in dict.fromkeys(findings(case, ran)):
                found[finding] += 1
                examples.setdefault(finding, case)
    spent = time.process_time() - started
    ended = ", ".join(
        f"{count:,} with {code}" for code, count in sorted(statuses.items())
    )
    print(  # noqa: T201
        f"seed {seed}: {num_files:,} files and {num_overrides:,} overrides in {spent:.0f} s "
        f"of processor time; ended {ended}; slowest {slowest:.2f} s, largest "
        f"{largest / 1e6:.0f} MB; {sum(found.values())} findings"
    )
    for finding, count in found.most_common():
        words = " ".join(examples[finding].words)
        print(f"  {count:4} {finding}\n       estimator {words[:300]}")  # noqa: T201
    return sum(found.values())


def _stop(_number: int, _frame: object) -> None:
    raise TimeoutError(f"stopped after {LIMIT_S} s")


def main() -> None:
    """Attack with one seed; exit status 1 if anything gave way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--overrides", type=int, default=2_000)
    parser.add_argument("--tenth", action="store_true", help="a tenth of the cases")
    parser.add_argument("--keep", type=Path, help="leave the files in this folder")
    asked = parser.parse_args()
    share = 10 if asked.tenth else 1
    signal.signal(signal.SIGPROF, _stop)
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    count = attack(
        asked.seed, asked.files // share, asked.overrides // share, asked.keep
    )
    sys.exit(1 if count else 0)


if __name__ == "__main__":
    main()
