"""The house: rooms whose imports point down, without a circle in any of them."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import estimator

PACKAGE = Path(estimator.__file__).parent
ROOMS = (
    *("ground", "specs", "schedules", "costs", "catalog", "engine", "workload"),
    *("answer", "validation", "explore", "show", "faces"),
)
"""From the ground up; they stand in ARCHITECTURE.md with what each holds."""
SEES = {"engine": {"ground", "schedules"}, "schedules": {"ground"}}
"""Rooms that see less than what lies below them."""
MOST_FILES, MOST_LINES, LONGEST_FUNCTION, MOST_PARAMETERS = 60, 400, 60, 8


def dotted(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}
NAMES = {dotted(path) for path in FILES} - {""}
INSIDE = [path for path in FILES if path != PACKAGE / "__init__.py"]


def imported(path):
    """Yield each module that a file imports, wherever in it: also for types alone."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports by their whole names"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("estimator."):
                name = name.removeprefix("estimator.")
                yield name if name in NAMES else name.rpartition(".")[0]


def test_the_rooms_are_these():
    found = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert found == {"__init__.py", *ROOMS}


def test_the_page_lists_the_rooms_from_the_ground_up():
    page = (PACKAGE.parent / "ARCHITECTURE.md").read_text()
    table = page.partition("## Rooms")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)/` \|", table, re.MULTILINE)) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_is_in_it_and_what_it_may_import(room):
    said = ast.get_docstring(TREES[PACKAGE / room / "__init__.py"])
    assert len(said.splitlines()) == 3
    assert "mport" in said.splitlines()[2]


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_down(room):
    below = SEES.get(room, set(ROOMS[: ROOMS.index(room)])) | {room}
    for path in (PACKAGE / room).rglob("*.py"):
        for there in imported(path):
            assert there.split(".")[0] in below, f"{path} must not import {there}"


def test_no_circle_stands_at_any_level():
    modules = {dotted(path): set(imported(path)) for path in INSIDE}
    for depth in (1, 2, 3, 4):
        arrows = {}
        for here, others in modules.items():
            home = ".".join(here.split(".")[:depth])
            heads = {".".join(there.split(".")[:depth]) for there in others}
            arrows.setdefault(home, set()).update(heads - {home})
        try:
            TopologicalSorter(arrows).prepare()
        except CycleError as error:
            pytest.fail(" -> ".join(error.args[1]))


def test_no_room_is_crowded():
    for room in ROOMS:
        assert len(list((PACKAGE / room).rglob("*.py"))) <= MOST_FILES, room


def test_files_and_functions_are_short():
    for path in FILES:
        assert len(path.read_text().splitlines()) <= MOST_LINES, path
    for path, function in functions():
        body = function.body
        if ast.get_docstring(function):
            body = body[1:]
        lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
        assert lines <= LONGEST_FUNCTION, f"{path}: {function.name}"


def test_functions_take_few_parameters():
    for path, function in functions():
        if PACKAGE / "faces" / "cli" in path.parents:
            continue
        args = function.args
        taken = [*args.posonlyargs, *args.args, *args.kwonlyargs]
        names = [each.arg for each in taken if each.arg not in ("self", "cls")]
        assert len(names) <= MOST_PARAMETERS, f"{path}: {function.name}"


def functions():
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield path, node


def test_doors_only_open():
    for path in FILES:
        nodes = [
            node
            for node in TREES[path].body
            if not isinstance(node, ast.Import | ast.ImportFrom)
        ]
        if path.name == "__init__.py" and path.parent != PACKAGE:
            assert len(nodes) == 1, f"{path} says what is in it, and nothing else"
            assert len(TREES[path].body) == 1, f"{path} re-exports"


def users(*words):
    """Return the folders of files that have a line which starts with one of these."""
    return {
        dotted(path).rpartition(".")[0]
        for path in INSIDE
        if any(line.strip().startswith(words) for line in path.read_text().splitlines())
    }


def test_only_the_engine_knows_simpy():
    assert users("import simpy", "from simpy") == {"engine"}


@pytest.mark.parametrize("room", ["specs", "schedules", "costs", "engine", "workload"])
def test_the_core_draws_nothing_and_opens_nothing(room):
    for path in (PACKAGE / room).rglob("*.py"):
        text = path.read_text()
        assert not any(
            word in text for word in ("plotly", "streamlit", "pandas", "open(")
        )


def test_only_figures_know_matplotlib_and_only_charts_plotly():
    assert users("import matplotlib", "from matplotlib") == {"show.figures"}
    assert users("import plotly", "from plotly") == {"show.charts"}
