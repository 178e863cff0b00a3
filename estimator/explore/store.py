"""Where a sweep's rows go: parts in a folder beside the output, then one file.

A part is written under another name and renamed, so that whatever ends the process a
part is there whole or not at all, and ``--resume`` asks for what is missing only.
Beside each part lies its record: the sweep that its rows are of, how many, and a
checksum. What does not match is computed again. The output and its manifest are put in
place last and stay as they were until then.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from estimator.ground.errors import InputError, OutsideError
from estimator.ground.extras import require
from estimator.ground.files import check_target, refused, whole, write_text
from estimator.ground.locks import held
from estimator.ground.row_files import FORMATS, Columns, read_tables, write_table

DECIDES = (
    *("version", "scenario_sha256", "design", "seed"),
    *("axes", "num_points", "num_parts", "columns"),
)
"""What must be the same in a manifest for its parts to be of this sweep."""
SHOWN = 3
"""Names of parts in a message."""

Note = Callable[[str], None]
"""Told what a person may want to know, a line at a time."""


class UnfinishedError(OutsideError):
    """A sweep failed on its way; what is done is kept."""


def parts_folder(out: Path) -> Path:
    """Return the folder of an output file's parts."""
    return out.with_name(f"{out.name}.parts")


def num_kept(out: Path) -> int:
    """Return how many parts of an unfinished sweep there are."""
    return len(list(parts_folder(out).glob(f"part-*{out.suffix}")))


@dataclass(frozen=True)
class Store:
    """The output file of a sweep, and the folder of its parts until it is whole."""

    out: Path
    manifest: Mapping[str, Any]
    """What the rows are: version, command, seed, hash of the scenario."""

    @property
    def parts(self) -> Path:
        """The folder of parts, their records, their manifest and the lock."""
        return parts_folder(self.out)

    @property
    def manifest_path(self) -> Path:
        """The manifest of the output, once it is whole."""
        return self.out.with_name(f"{self.out.name}.manifest.json")

    @cached_property
    def sweep(self) -> str:
        """The hash by which rows are known to be of this sweep."""
        text = json.dumps({key: self.manifest[key] for key in DECIDES}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @contextmanager
    def opened(self, *, resume: bool, note: Note) -> Iterator[set[int]]:
        """Hold the output while the body runs; yield the parts that are there.

        Raises
        ------
        InputError
            If the place cannot be written, or holds parts of another sweep.
        OutsideError
            If another process writes there.
        """
        self._check_format()
        check_target(self.out)
        if resume and not self.parts.is_dir() and self._is_finished(note):
            yield set(range(self.manifest["num_parts"]))
            return
        with self._folder() as is_new:
            if not is_new and not resume:
                raise InputError(
                    f"{self.parts} holds the rows of a sweep that was interrupted",
                    fix="--resume to go on, or remove that folder",
                )
            begun = self.parts / "manifest.json"
            if found := _read_json(begun):
                self._check_same(found)  # else the records of the parts say it
            write_text(begun, [json.dumps(self.manifest, indent=1)])
            yield self._sound(note)

    def write(self, number: int, columns: Columns) -> None:
        """Write one part, whole or not at all.

        Raises
        ------
        OutsideError
            If it cannot be written, as on a full disk.
        """
        path = self._part(number)
        with whole(path) as beside:
            write_table(columns, beside, self.out.suffix)
            record = self._record(number, beside, len(columns["point"]))
            # first, so that a part without a record is one that was tampered with
            write_text(self._beside(number), [json.dumps(record)])

    def finish(self) -> None:
        """Put the parts together in the order of their points, and remove them.

        Raises
        ------
        OutsideError
            If the output cannot be written, or a part is no longer what it was.
        """
        numbers = range(self.manifest["num_parts"])
        lost = [self._part(n).name for n in numbers if not self._is_sound(n)]
        if lost:
            raise OutsideError(f"{_some(lost)} changed while the sweep ran")
        paths = [self._part(number) for number in numbers]
        rows = read_tables(paths, self.out.suffix)
        order = np.argsort(rows["point"], kind="stable")
        with whole(self.out, "whole") as beside:
            ordered = {name: values[order] for name, values in rows.items()}
            write_table(ordered, beside, self.out.suffix)
            made = {"num_rows": len(order), "sha256": _digest(beside)}
        text = json.dumps({**self.manifest, "rows": made}, indent=1)
        write_text(self.manifest_path, [text])
        self._remove()

    @contextmanager
    def _folder(self) -> Iterator[bool]:
        """Hold the folder of parts, made if need be; yield whether it was.

        One that was, and has no part in the end, is removed again.
        """
        is_new = not self.parts.is_dir()
        with ExitStack() as stack:
            try:
                self.parts.mkdir(exist_ok=True)
                lock = held(self.parts / "lock", str(self.out))
                is_there = stack.enter_context(lock)
            except OSError as error:
                raise refused(self.out, error) from None
            if not is_there:
                raise OutsideError(f"another process has just written {self.out}")
            try:
                yield is_new
            except BaseException:
                if is_new and not num_kept(self.out):
                    self._remove()
                raise

    def _remove(self) -> None:
        """Remove the folder of parts; it is out of the way at once."""
        aside = self.parts.with_name(f".{self.parts.name}.done")
        shutil.rmtree(aside, ignore_errors=True)
        with suppress(OSError):  # another folder, or none, harms nobody
            shutil.rmtree(self.parts.replace(aside))

    def _part(self, number: int) -> Path:
        return self.parts / f"part-{number:06d}{self.out.suffix}"

    def _beside(self, number: int) -> Path:
        """Return where the record of a part lies."""
        return self.parts / f"record-{number:06d}.json"

    def _record(self, number: int, path: Path, num_rows: Any) -> dict[str, Any]:
        """Return what is said beside a part of the rows in a file."""
        return {
            "sweep": self.sweep,
            "part": number,
            "num_rows": num_rows,
            "sha256": _digest(path),
        }

    def _is_sound(self, number: int) -> bool:
        """Whether a part holds the rows that this sweep wrote."""
        path = self._part(number)
        record = _read_json(self._beside(number))
        try:
            return record == self._record(number, path, record.get("num_rows"))
        except OSError:
            return False

    def _sound(self, note: Note) -> set[int]:
        """Return the parts that are sound, and say which other files there are."""
        number_of = {self._part(n).name: n for n in range(self.manifest["num_parts"])}
        found = {path.name for path in self.parts.glob("part-*")}
        sound = {
            name for name in found & {*number_of} if self._is_sound(number_of[name])
        }
        damaged = found & {*number_of} - sound
        foreign = found - {*number_of}
        said = [
            f"{_some(names)}: {what}"
            for names, what in (
                (damaged, "not as this sweep wrote it, computed again"),
                (foreign, "not of this sweep, left out"),
            )
            if names
        ]
        if said:
            note(f"{self.parts}: {'; '.join(said)}")
        return {number_of[name] for name in sound}

    def _is_finished(self, note: Note) -> bool:
        """Whether the output holds all rows of this sweep, as they were written."""
        if not self.out.exists():
            return False
        found = _read_json(self.manifest_path)
        if not found:
            raise InputError(
                f"whose rows {self.out} holds is not known",
                why=f"{self.manifest_path} is gone or damaged",
                fix="another --out, or no --resume to write it anew",
            )
        self._check_same(found)
        rows = found.get("rows")
        digest = rows.get("sha256") if isinstance(rows, dict) else ""
        is_whole = bool(digest == _digest(self.out))
        if not is_whole:
            note(f"{self.out}: not as this sweep wrote it, computed again")
        return is_whole

    def _check_format(self) -> None:
        if self.out.suffix not in FORMATS:
            raise InputError(
                f"--out {self.out}: a sweep is written as {' or '.join(FORMATS)}"
            )
        if self.out.suffix == ".parquet":
            require("Parquet", "export", "pyarrow")

    def _check_same(self, found: Mapping[str, Any]) -> None:
        different = [key for key in DECIDES if found.get(key) != self.manifest[key]]
        if different:
            raise InputError(
                f"{self.out} holds the rows of another sweep",
                why=f"not the same: {', '.join(different)}",
                fix="the command that began it, or another --out",
            )


def _read_json(path: Path) -> dict[str, Any]:
    """Return the mapping in a file; empty where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _some(names: Collection[str]) -> str:
    """Return names in words, the first few of many."""
    more = [f"and {len(names) - SHOWN} more"] * (len(names) > SHOWN)
    return ", ".join(sorted(names)[:SHOWN] + more)
