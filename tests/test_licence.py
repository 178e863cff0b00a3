"""The licence travels with the package, and names whose data is in it."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOTICE = (ROOT / "NOTICE").read_text()


def test_the_whole_licence_is_there():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert all(f"{number}. " in text for number in range(1, 10))
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_metadata_and_the_wheel_carry_it():
    assert PROJECT["license"] == "Apache-2.0"
    for name in PROJECT["license-files"]:
        assert (ROOT / name).is_file()
    assert {"LICENSE", "NOTICE"} <= {*PROJECT["license-files"]}
    old = [each for each in PROJECT.get("classifiers", ()) if "License ::" in each]
    assert not old  # a build refuses them beside an expression


def test_the_notice_names_the_tables_that_constants_come_from():
    cited = " ".join(path.read_text() for path in ROOT.glob("hardware/*/*.yaml"))
    for work in ("ai-dynamo/aiconfigurator", "stas00/ml-engineering"):
        (commit,) = set(re.findall(rf"{work}[^;\"]*?\(commit (\w+)\)", cited))
        assert re.search(rf"{work} \(commit {commit}\)", NOTICE)


def test_the_notice_names_data_whose_licence_the_records_print():
    licence = re.compile(
        r"^  source: .*?\((MIT|Apache-2\.0|BSD\S*|CC \S+)\)", re.MULTILINE
    )
    runs = ROOT.glob("validation/runs/*.yaml")
    printed = {found for path in runs for found in licence.findall(path.read_text())}
    assert printed
    assert all(name in NOTICE for name in printed)
