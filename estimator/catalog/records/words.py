"""What the free text of a record says, and what it denies."""

from __future__ import annotations

import re

_DENIED_BEFORE = re.compile(
    r"\b(no|not|non|never|without|w/o|minus|except)(\W+[\w.]+){0,2}\W*$"
)
_DENIED_BEHIND = re.compile(
    r"^[\w.]*\s*([:=(]\s*)?(is |was )?(off|no|not|none|false|disabled)\b"
)
_REACH = 32
"""Letters on either side in which a word is denied."""


def says(text: object, words: str) -> bool:
    """Whether ``words``, a pattern, stand in a text that does not deny them.

    >>> says("torch.compile + Float8", "compile"), says("compile; no AC", "compile")
    (True, True)
    >>> says("without torch.compile", "compile"), says("async TP: off", "async ?tp")
    (False, False)
    """
    lower = str(text or "").lower()
    return any(
        not _DENIED_BEFORE.search(
            _clause(lower[max(0, at.start() - _REACH) : at.start()])
        )
        and not _DENIED_BEHIND.search(lower[at.end() : at.end() + _REACH])
        for at in re.finditer(words, lower)
    )


def _clause(before: str) -> str:
    """Return what belongs to the same clause."""
    return re.split(r"[;,+(]|\. | and | but ", before)[-1]
