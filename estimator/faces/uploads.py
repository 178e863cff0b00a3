"""What strangers hand in: a scenario or a ``config.json``, taken with care.

Nothing here reads a file but the built-in ones, whatever the text names; what comes
back has been estimated once, so that later pages show numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from estimator.answer import api
from estimator.answer.step_model import MOST_ROUNDS, MOST_SIMULATED
from estimator.catalog import building, kinds, reading
from estimator.catalog.foreign import huggingface
from estimator.catalog.moved import brought_up
from estimator.ground.documents import Map, check_bytes, parse_document
from estimator.ground.errors import EstimatorError, InfeasibleError, InputError
from estimator.ground.words import duration
from estimator.specs.layout import EVEN
from estimator.specs.model import Transformer
from estimator.specs.scenario import Scenario

MOST_LETTERS = 80
"""Of a file's or a scenario's name."""
MOST_HOURS = 1e15
MOST_S = 2.0
"""Seconds that a page may work on one answer."""
LAYER_S, CHUNK_S = 1.7e-3, 1.6e-4
"""What a layer of a model, and a chunk of a step as it is simulated, add to an answer
with its range: 512 to 4,096 layers and 2,000 to 66,000 chunks on one core."""
POINT_SHARE = 0.1
"""What one more combination takes without a range, over an answer with it."""
MOST_DIGITS = 64
"""In a row: more than any number needs."""
MOST_PATCHES, MOST_IN_PATCH = 32, 400
"""Values that are set, and letters of each."""
_DIGITS = re.compile(rf"[\d_]{{{MOST_DIGITS + 1}}}")


@dataclass(frozen=True)
class Accepted:
    """A scenario that was handed in, and the built-in one that it starts from."""

    scenario: Scenario
    base: str = ""


def accepted(data: bytes, name: str, chosen: Accepted) -> Accepted:
    """Return the scenario that a file describes.

    Parameters
    ----------
    data : bytes
        YAML of a scenario, or a Hugging Face ``config.json``.
    name : str
        What messages call it.
    chosen : Accepted
        The scenario whose model a ``config.json`` replaces.

    Raises
    ------
    EstimatorError
        With one message, if it is no scenario, names other files, or cannot run.
    """
    origin = _short(name)
    text = _text(data, origin)
    try:
        if text.lstrip().startswith("{") and '"model_type"' in text:
            made = _with_model(huggingface.import_config(text, origin), chosen)
        else:
            made = _scenario(text, origin)
        _check_words(made.scenario, origin)
        check_size(made.scenario)
        if api.estimate(made.scenario, has_range=False).gpu_hours > MOST_HOURS:
            raise OverflowError
    except EstimatorError:
        raise
    except (ArithmeticError, MemoryError, RecursionError, ValueError):
        raise InputError(f"the numbers of {origin} are out of proportion") from None
    return made


def check_size(scenario: Scenario) -> None:
    """Raise where a page would work for longer than :data:`MOST_S`."""
    needed_s, plan = expected_s(scenario), scenario.plan
    if needed_s > MOST_S:
        raise InfeasibleError(
            f"{scenario.model.num_layers:,} layers on {plan.pp:,} pipeline ranks of "
            f"{plan.stages_per_rank or 1:,} stages, with these batches, are more than "
            "a page works out",
            why=f"it would take some {duration(needed_s, 1)}; a page takes "
            f"{duration(MOST_S)} at most",
            fix="the command line: estimator run FILE",
        )


def expected_s(scenario: Scenario) -> float:
    """Return about how long an answer takes to work out, in seconds of one core.

    Each sequence length is a step of its own, and a long step is followed from two
    shorter ones.
    """
    plan = scenario.plan
    most = max(MOST_SIMULATED, MOST_ROUNDS * plan.pp)
    steps: dict[int, float] = {}
    for phase in scenario.phases:
        if phase.seq_len and phase.global_batch_size:
            per_replica = phase.global_batch_size.final / scenario.dp
            count = min(per_replica / plan.micro_batch_size, most)
            steps[phase.seq_len] = max(count, steps.get(phase.seq_len, 0.0))
    stages = plan.pp * (plan.stages_per_rank or 1)
    layers = len(steps) * scenario.model.num_layers
    return LAYER_S * layers + CHUNK_S * stages * sum(steps.values())


def check_patches(patches: Sequence[str]) -> None:
    """Raise where values that are set are more, or longer, than a page takes."""
    if len(patches) > MOST_PATCHES:
        raise InputError(
            f"{len(patches):,} values are set",
            why=f"a page takes {MOST_PATCHES} at most",
            fix="a scenario file",
        )
    for patch in patches:
        path = patch.partition("=")[0]
        if len(patch) > MOST_IN_PATCH:
            raise InputError(
                f"{path[:MOST_LETTERS]!r} is set to {len(patch):,} letters",
                why=f"a page takes {MOST_IN_PATCH} at most",
            )
        check_digits(patch, path[:MOST_LETTERS])


def has_few_digits(text: str) -> bool:
    """Return whether no number of a text has more digits than any number needs."""
    return _DIGITS.search(text) is None


def check_digits(text: str, origin: str) -> None:
    """Raise where a number has more digits than any number needs."""
    found = _DIGITS.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise InputError(
            f"{origin} has a number of more than {MOST_DIGITS} digits",
            where=[f"line {line}"] if "\n" in text else [],
            fix="1.5e12, or 1.5 TB",
        )


def _short(name: str) -> str:
    """Return a file's name without folders and without what is not printed.

    >>> _short("../../etc/passwd")
    'passwd'
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(filter(str.isprintable, last))[:MOST_LETTERS] or "the file"


def _text(data: bytes, origin: str) -> str:
    check_bytes(len(data), origin, what="uploads")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{origin} is not text in UTF-8") from None
    if "\0" in text:
        raise InputError(f"{origin} is not text: it holds null bytes")
    check_digits(text, origin)
    return text


def _scenario(text: str, origin: str) -> Accepted:
    document = brought_up(parse_document(text, origin))
    document.pop("variants", None)
    base = document.pop("base", "")
    with reading.built_in_only():
        if base:
            document = reading.derived(_read_base(base, document, origin), document)
        for key, default in kinds.DEFAULTS.items():
            if key not in document:
                document.put(key, default, document.place)
        document = reading.inlined("scenario", document)
    return Accepted(building.build("scenario", document, origin), base)


def _read_base(base: object, document: Map, origin: str) -> Map:
    place = document.places.get("base", origin)
    if not isinstance(base, str):
        raise InputError(
            f"the base of {origin} is a name, not {str(base)[:60]!r}", where=[place]
        )
    return reading.read("scenario", base, place)


def _with_model(model: Transformer, chosen: Accepted) -> Accepted:
    """Return the chosen scenario with another model, its plan cut to fit.

    Stages are even, no more ranks share the experts than divide them, and phases that
    were published for the other model are left out.
    """
    old = chosen.scenario
    experts = model.moe.num_experts if model.moe else 1
    try:
        made = replace(
            old,
            name=f"{model.name} as {old.name}"[:MOST_LETTERS],
            question=f"What would {model.title} take, trained like {old.model.title}?",
            model=model,
            plan=replace(
                old.plan, stage_layout=EVEN, ep=math.gcd(old.plan.ep, experts)
            ),
            phases=tuple(each for each in old.phases if each.basis == "simulated"),
            assumptions=(),
        )
    except ValueError as error:
        raise InputError(
            f"{model.title} does not fit the plan of {old.name}",
            where=[str(error)],
            fix="another scenario, or its plan in the editor",
        ) from None
    return replace(chosen, scenario=made)


def _check_words(scenario: Scenario, origin: str) -> None:
    name = scenario.name
    if not name.strip() or len(name) > MOST_LETTERS or not name.isprintable():
        raise InputError(
            f"{origin}: name: write 1 to {MOST_LETTERS} letters on one line",
            fix="name: mine",
        )
