"""Which layers each pipeline stage holds, in Megatron-LM's notation.

``E`` is the embedding, ``t`` a transformer layer, ``m`` a multi-token-prediction
module with its head, ``L`` the head and loss; ``|`` ends a stage; ``t*4`` and
``(t*4|)*14`` repeat.
"""

from __future__ import annotations

import re
from functools import lru_cache

EVEN = "even"
"""Layers spread evenly over the stages, early stages taking the remainder."""

_GROUP = re.compile(r"\(([^()]*)\)\*(\d{1,4})")
_REPEAT = re.compile(r"([EtmL])\*(\d{1,4})")
MAX_SYMBOLS = 20_000
"""Of a layout, as it is written and as it is meant."""


@lru_cache(maxsize=256)
def parse_layout(text: str) -> tuple[str, ...]:
    """Return the stages, each a string of symbols.

    Raises
    ------
    ValueError
        If the text is not in the notation.

    Examples
    --------
    >>> parse_layout("Et*2|(tt|)*2tmL")
    ('Ett', 'tt', 'tt', 'tmL')
    """
    if len(text) > MAX_SYMBOLS:
        raise ValueError(f"it has {len(text):,} letters, of at most {MAX_SYMBOLS:,}")
    expanded = "".join(text.split()).replace(",", "")
    while match := _GROUP.search(expanded):
        expanded = (
            expanded[: match.start()]
            + match[1] * int(match[2])
            + expanded[match.end() :]
        )
        _check_length(text, expanded)
    expanded = _REPEAT.sub(lambda match: match[1] * int(match[2]), expanded)
    _check_length(text, expanded)
    strange = sorted(set(expanded) - set("EtmL|"))
    if strange:
        raise ValueError(
            f"{text[:60]!r} has {strange[0]!r}; a layout is made of E, t, m, L, | "
            "and repeats such as t*4 or (t*4|)*14"
        )
    return tuple(expanded.split("|"))


def _check_length(text: str, expanded: str) -> None:
    if len(expanded) > MAX_SYMBOLS:
        raise ValueError(f"{text[:60]!r} grows beyond {MAX_SYMBOLS:,} layers")


def even_layout(
    num_layers: int, num_mtp_modules: int, num_stages: int
) -> tuple[str, ...]:
    """Return layers spread evenly, ends included.

    >>> even_layout(7, 0, 3)
    ('Ettt', 'tt', 'ttL')
    """
    each, more = divmod(num_layers, num_stages)
    stages = ["t" * (each + (index < more)) for index in range(num_stages)]
    stages[0] = "E" + stages[0]
    stages[-1] += "m" * num_mtp_modules + "L"
    return tuple(stages)


def check_layout(
    stages: tuple[str, ...], num_layers: int, num_mtp_modules: int
) -> None:
    """Raise ValueError unless the stages hold the model once, in order."""
    order = "".join(stages)
    wanted = "E" + "t" * num_layers + "m" * num_mtp_modules + "L"
    if order == wanted:
        return
    for symbol, name in (("t", "transformer layers"), ("m", "MTP modules")):
        if order.count(symbol) != wanted.count(symbol):
            raise ValueError(
                f"it has {order.count(symbol)} {name} ({symbol}), the model has "
                f"{wanted.count(symbol)}"
            )
    raise ValueError("its order is not embedding (E), layers (t), MTP (m), head (L)")
