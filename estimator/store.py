"""Where a sweep's rows go: part files beside a manifest, then one file.

A part is written under another name and renamed, so that whatever ends the process a
part is there whole or not at all, and ``--resume`` asks for what is missing only.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from estimator.errors import InputError

Columns = Mapping[str, Any]
FORMATS = (".parquet", ".csv")
DECIDES = (
    *("version", "scenario_sha256", "design", "seed"),
    *("axes", "num_points", "num_parts", "columns"),
)
"""What must be the same in a manifest for its parts to be of this sweep."""


@dataclass(frozen=True)
class Store:
    """The output file of a sweep, and the folder of its parts until it is whole."""

    out: Path

    @property
    def parts(self) -> Path:
        """The folder of part files."""
        return self.out.with_name(f"{self.out.name}.parts")

    @property
    def manifest_path(self) -> Path:
        """What the rows are: version, command, seed, hash of the scenario."""
        return self.out.with_name(f"{self.out.name}.manifest.json")

    def open(self, manifest: Mapping[str, Any], *, resume: bool) -> set[int]:
        """Make ready to write; return the numbers of the parts that are there.

        Raises
        ------
        InputError
            If the place cannot be written, or holds parts of another sweep.
        """
        self._check_format()
        done: set[int] = set()
        if self.parts.is_dir():
            if not resume:
                raise InputError(
                    f"{self.parts} holds the rows of a sweep that was interrupted",
                    fix="--resume to go on, or remove that folder",
                )
            self._check_same(manifest)
            done = {int(path.stem.split("-")[1]) for path in self._part_paths()}
        elif resume and self.out.exists():
            self._check_same(manifest)
            return set(range(manifest["num_parts"]))
        try:
            self.parts.mkdir(exist_ok=True)
            self._replace(self.manifest_path, json.dumps(manifest, indent=1))
        except OSError as error:
            raise InputError(
                f"{self.out} cannot be written", why=str(error.strerror)
            ) from None
        return done

    def write(self, number: int, columns: Columns) -> None:
        """Write one part, whole or not at all."""
        path = self.parts / f"part-{number:06d}{self.out.suffix}"
        temporary = path.with_suffix(".unfinished")
        write_table(columns, temporary, self.out.suffix)
        temporary.replace(path)

    def finish(self) -> None:
        """Put the parts together in the order of their points, and remove them."""
        if not self.parts.is_dir():
            return
        temporary = self.out.with_name(f"{self.out.name}.unfinished")
        whole = read_tables(sorted(self._part_paths()), self.out.suffix)
        order = np.argsort(whole["point"], kind="stable")
        rows = {name: values[order] for name, values in whole.items()}
        write_table(rows, temporary, self.out.suffix)
        temporary.replace(self.out)
        shutil.rmtree(self.parts)

    def _part_paths(self) -> list[Path]:
        return list(self.parts.glob(f"part-*{self.out.suffix}"))

    def _check_format(self) -> None:
        if self.out.suffix not in FORMATS:
            raise InputError(
                f"--out {self.out}: a sweep is written as {' or '.join(FORMATS)}"
            )
        if self.out.suffix == ".parquet" and find_spec("pyarrow") is None:
            raise InputError(
                "Parquet needs pyarrow: install the extra 'export'",
                fix=f"--out {self.out.with_suffix('.csv')}",
            )
        if self.out.is_dir():
            raise InputError(f"--out {self.out} is a folder, not a file")

    def _check_same(self, manifest: Mapping[str, Any]) -> None:
        try:
            found = json.loads(self.manifest_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = {}
        different = [key for key in DECIDES if found.get(key) != manifest[key]]
        if different:
            raise InputError(
                f"{self.out} holds the rows of another sweep",
                why=f"not the same: {', '.join(different)}",
                fix="the command that began it, or another --out",
            )

    def _replace(self, path: Path, text: str) -> None:
        temporary = path.with_name(f"{path.name}.unfinished")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)  # noqa: PTH105 - one rename, as for the parts


def write_table(columns: Columns, path: Path, suffix: str) -> None:
    """Write columns as Parquet or CSV."""
    if suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.table({name: pa.array(values) for name, values in columns.items()})
        parquet.write_table(table, path, compression="zstd")
        return
    import pandas as pd

    pd.DataFrame(dict(columns)).to_csv(path, index=False)


def read_tables(paths: Iterable[Path], suffix: str) -> dict[str, Any]:
    """Return the columns of files of the same kind, one behind the other."""
    if suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.concat_tables(parquet.read_table(path) for path in paths)
        return {
            name: column.to_numpy()
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    import pandas as pd

    frames = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in paths]
    whole = pd.concat(frames, ignore_index=True)
    return {str(name): _parsed(str(name), list(whole[name])) for name in whole}


def _parsed(name: str, texts: list[str]) -> Any:
    """Return a CSV column as it was written, to the last digit."""
    if name in ("reason", "adjusted"):
        return np.array(texts, dtype=object)
    if texts and set(texts) <= {"True", "False"}:
        return np.array([text == "True" for text in texts])
    for kind in (np.int64, np.float64):
        try:
            return np.array([text or "nan" for text in texts]).astype(kind)
        except ValueError:
            continue
    return np.array(texts, dtype=object)
