"""Text from files and errors, made safe for Markdown."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-!|$~:])")
_LONG = re.compile(r"\S{14,}")
_JOINT = re.compile(r"([._/])")


def plain(text: str) -> str:
    r"""Return Markdown that shows ``text`` as it is, line by line.

    >>> plain("$2 * $3")
    '\\$2 \\* \\$3'
    """
    return "  \n".join(_SPECIAL.sub(r"\\\1", line) for line in text.split("\n"))


def breakable(text: str) -> str:
    """Return text whose long words a narrow column may break after ``.``, ``_``, ``/``.

    >>> breakable("weight_gradient.fp8").split("\N{ZERO WIDTH SPACE}")
    ['weight_', 'gradient.', 'fp8']
    """
    return _LONG.sub(lambda word: _JOINT.sub("\\1\N{ZERO WIDTH SPACE}", word[0]), text)
