"""Imports point down only; the layers stand in ARCHITECTURE.md."""

import ast
from pathlib import Path

import pytest

import estimator

PACKAGE = Path(estimator.__file__).parent
LAYERS = [
    {"errors", "units", "lanes"},
    {
        "words",
        "registry",
        "documents",
        "record_files",
        "record_words",
        "attempts",
        "extras",
        "export",
        "locks",
        "row_files",
    },
    {"record_checks"},
    {"specs"},
    {"schedules", "costs", "derivation", "track_record"},
    {"catalog", "record_mixers"},
    {"records", "record_rules", "nearest"},
    {"record_recipes", "record_ablations"},
    {"workload"},
    {"engine"},
    {"report", "grid", "bill", "soundness"},
    {"wording", "ranges"},
    {"findings", "fields", "asked"},
    {"step_model", "published"},
    {"breakdown", "training", "attribution", "splits"},
    {"phases"},
    {
        "api",
        "listing",
        "huggingface",
        "batch",
        "record_plans",
        "record_clusters",
        "written",
    },
    {"axes", "executors", "store", "plan_space", "record_gaps", "uploads"},
    {"designs", "plan_elements"},
    {"points", "plan_shards", "plan_layout", "plan_rows"},
    {"plan_answer", "plan_guess", "plan_bound", "plan_standing", "record_scenarios"},
    {"comparison", "sweeps", "uncertainty", "plan_search", "record_figures"},
    {"scoring"},
    {"predictions", "peers"},
    {"provenance", "validation"},
    {
        "charts",
        "tables",
        "tables_many",
        "pipelines",
        "perfetto",
        "results",
    },
    {"tables_catalog", "tables_compare"},
    {"figures", "validation_tables", "frames", "sections"},
    {"report_html", "validation_page", "validation_markdown", "formats"},
    {"pictures"},
    {"pages", "cli_options", "endings"},
    {"cli_many"},
    {"cli"},
    {"__main__"},
]
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        if node.module.startswith("estimator."):
            yield node.module.split(".")[1]
        elif node.module == "estimator":
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    here = path.relative_to(PACKAGE).with_suffix("").parts[0]
    for there in set(imported(path)) - {here}:
        assert HEIGHT[there] < HEIGHT[here], f"{here} must not import {there}"


def test_only_the_engine_knows_simpy():
    users = [path for path in FILES if "import simpy" in path.read_text()]
    assert {path.relative_to(PACKAGE).parts[0] for path in users} == {"engine"}


@pytest.mark.parametrize(
    "folder", ["costs", "engine", "schedules", "specs", "workload"]
)
def test_the_core_draws_nothing_and_opens_nothing(folder):
    for path in (PACKAGE / folder).glob("*.py"):
        text = path.read_text()
        assert not any(
            word in text for word in ("plotly", "streamlit", "pandas", "open(")
        )


def test_only_figures_know_matplotlib_and_only_charts_plotly():
    for library, home in (("matplotlib", "figures"), ("plotly", "charts")):
        words = (f"import {library}", f"from {library}")
        users = [
            path
            for path in FILES
            if any(
                line.strip().startswith(words) for line in path.read_text().splitlines()
            )
        ]
        assert {path.relative_to(PACKAGE).parts[0] for path in users} == {home}
