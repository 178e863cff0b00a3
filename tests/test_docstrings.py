"""What is written beside the code says what the code takes, and names what is there."""

import ast
import re
from pathlib import Path

import estimator

PACKAGE = Path(estimator.__file__).parent
ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "ARCHITECTURE.md").read_text()


def physics():
    """Yield each public function of ``costs`` with what stands under its name."""
    for path in sorted((PACKAGE / "costs").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield node, ast.get_docstring(node)


def test_physics_says_each_parameter_and_shows_a_number():
    for node, said in physics():
        if re.fullmatch(r"Return .*:func:`\w+`.*", said):
            continue  # a shorter name of another function
        args = [*node.args.args, *node.args.kwonlyargs]
        listed = said.partition("Parameters\n----------\n")[2].partition("\n\n")[0]
        missing = {arg.arg for arg in args} - set(re.findall(r"\w+", listed))
        assert not missing, f"{node.name} says nothing of {missing}"
        assert ">>>" in said, f"{node.name} shows no number"


def test_the_page_about_the_rooms_is_short_and_names_what_is_there():
    assert len(PAGE.splitlines()) < 120
    named = re.findall(r"`([a-z_]+/[\w/]*(?:\.py)?)`", PAGE)
    rooms = [PACKAGE / room for room in ("catalog", "explore", "show", "faces")]
    tests = [f"tests/{name}.py" for name in re.findall(r"test_\w+", PAGE)]
    for name in (*tests, *(name for name in named if not name.endswith("/x.py"))):
        assert any((home / name).exists() for home in (ROOT, PACKAGE, *rooms)), name


def test_the_flow_names_functions_that_are_there():
    flow = PAGE.partition("## Flow")[2].partition("**Many")[0]
    for home, name in re.findall(r"([a-z_]+\.[a-z_]+)\.([A-Za-z_]+)[( ]", flow):
        text = (PACKAGE / f"{home.replace('.', '/')}.py").read_text()
        assert re.search(rf"^(def|class) {name}\b", text, re.MULTILINE), name
