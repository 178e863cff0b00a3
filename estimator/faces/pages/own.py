"""A scenario of the visitor's own: kept in the session, on disk, and in links."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from estimator.catalog import writing
from estimator.faces.uploads import Accepted, accepted, has_few_digits
from estimator.ground.documents import MAX_BYTES
from estimator.ground.errors import EstimatorError

KEY = "own"
"""Of the packed scenario, in the session and in links."""
NAME = "your own"
"""What the list of scenarios calls it."""
MOST_IN_LINK = 2_000
"""Letters of a packed scenario that links carry."""
MOST_UNPACKED = 40_000
"""Bytes of a scenario that a link brings."""
MOST_FILES = 256
"""Scenarios kept on disk at a time."""


def packed(text: str) -> str:
    """Return a text in few letters, all of which an address may hold."""
    return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode()


def unpacked(letters: str) -> bytes:
    """Return what was packed, or nothing if it is damaged or too large."""
    try:
        data = base64.urlsafe_b64decode(letters.encode())
        made = zlib.decompressobj()
        text = made.decompress(data, MAX_BYTES)
    except (binascii.Error, ValueError, zlib.error):
        return b""
    return b"" if made.unconsumed_tail else text


def is_small(letters: str) -> bool:
    """Return whether a link may bring this packed scenario."""
    if len(letters) > MOST_IN_LINK:
        return False
    text = unpacked(letters)
    return 0 < len(text) <= MOST_UNPACKED and has_few_digits(text.decode("latin-1"))


def keep(made: Accepted) -> None:
    """Make a scenario the one that all pages show."""
    st.session_state[KEY] = packed(writing.scenario_yaml(made.scenario, made.base))


def take_from_link(letters: str, chosen: Accepted) -> None:
    """Keep the scenario of a link, unless it is damaged."""
    if not is_small(letters):
        return  # the link's parameter is then named as ignored, as below
    try:
        keep(accepted(unpacked(letters), "the link", chosen))
    except EstimatorError:
        return


def path() -> str:
    """Return where the session's own scenario lies; empty if there is none."""
    letters = st.session_state.get(KEY)
    return _path(letters) if letters else ""


def show_in_link(*, is_shown: bool) -> None:
    """Put the scenario into the address, or take it out."""
    letters = st.session_state.get(KEY, "")
    wanted = letters if is_shown and len(letters) <= MOST_IN_LINK else ""
    if wanted and st.query_params.get(KEY) != wanted:
        st.query_params[KEY] = wanted
    elif not wanted and KEY in st.query_params:
        del st.query_params[KEY]


def is_too_long() -> bool:
    """Whether links cannot carry the session's own scenario."""
    return len(st.session_state.get(KEY, "")) > MOST_IN_LINK


@st.cache_resource
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="estimator-")


def _path(letters: str) -> str:
    """Return the file of a packed scenario, written if it is not there."""
    folder = Path(_folder().name)
    digest = hashlib.sha256(letters.encode()).hexdigest()[:16]
    file = folder / f"{digest}.yaml"
    if not file.exists():
        oldest = sorted(folder.iterdir(), key=lambda each: each.stat().st_mtime)
        for each in oldest[:-MOST_FILES]:
            each.unlink(missing_ok=True)
        file.write_bytes(unpacked(letters))
    return str(file)
