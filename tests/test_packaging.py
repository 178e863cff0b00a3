"""What a wheel carries, and where what is built in is found."""

import tomllib
from pathlib import Path

import pytest

from estimator.catalog import kinds

ROOT = Path(__file__).parents[1]
WHEEL = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
CARRIED = WHEEL["targets"]["wheel"]["force-include"]


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder of installed packages, one of which brings a folder ``hardware``."""
    (tmp_path / "hardware").mkdir()
    (tmp_path / "estimator/catalog").mkdir(parents=True)
    monkeypatch.setattr(kinds, "__file__", str(tmp_path / "estimator/catalog/kinds.py"))
    return tmp_path


def test_every_kind_of_file_is_in_the_wheel():
    folders = {kind.folder.split("/")[0] for kind in kinds.KINDS.values()}
    wanted = folders | {"validation", "docs", "app.py", ".streamlit"}
    assert {name: f"estimator/_data/{name}" for name in wanted} == CARRIED


def test_what_another_package_installs_beside_it_is_not_taken_for_its_own(packages):
    find = kinds.data_folder.__wrapped__  # not what was found before
    assert find() == packages  # as in a checkout
    (packages / "estimator/_data").mkdir()
    assert find() == packages / "estimator/_data"
