"""A scenario written by docs/scenarios.md gives the number that ``validate`` gives."""

from functools import cache
from pathlib import Path

import pytest
import yaml

from estimator.answer.api import estimate
from estimator.catalog.loading import load_scenario
from estimator.catalog.records.scenarios import mapped

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples" / "published"
COLLECTED = ROOT.parent / "shared" / "reference" / "published_runs.yaml"
RECORDS = {
    "torchtitan-8b": ("torchtitan", "torchtitan-8b-8g-eager"),
    "nanotron-1b": (None, "hfnanotron-h2048-8g-dp8tp1pp1-mb2x16-z0"),
    "llm-foundry-7b": (
        "llmfoundry",
        "llmfoundry-7b-h100_80gb-8g-s8192-mb8x2-full_shard-ac",
    ),
    "megatron-bridge-qwen3-30b": (
        "mbridge",
        "mbridge-26.04-qwen3_30b_a3b-b200-8g-fp8mx-pretrain-gbs512",
    ),
    "nemo-405b": (None, "dgxc-v25.04.02-llama3.1-405b-BF16-512g"),
}
"""Example -> the file of its record, none if it lies outside, and its id."""


@cache
def text(source):
    path = ROOT / "validation" / "runs" / f"{source}.yaml" if source else COLLECTED
    if not path.exists():
        pytest.skip("the collected records lie outside")
    return path.read_text()


def record(source, name):
    """Return a record by its id, read on its own: the file is long."""
    _, _, behind = text(source).partition(f"- id: {name}\n")
    own = behind.partition("\n- id: ")[0]
    (made,) = yaml.safe_load(f"- id: {name}\n{own}\n")
    return made


@pytest.mark.parametrize("example", RECORDS)
def test_an_example_is_its_record_to_one_percent(example):
    asked = load_scenario(EXAMPLES / f"{example}.yaml")
    published = mapped(record(*RECORDS[example])).scenario
    assert asked.software.name == published.software.name
    steps = [
        estimate(each, has_range=False, is_played=False).step.step_s
        for each in (asked, published)
    ]
    assert steps[0] == pytest.approx(steps[1], rel=0.01)


def test_each_example_names_model_cluster_plan_and_software_only():
    for path in EXAMPLES.glob("*.yaml"):
        written = yaml.safe_load(path.read_text())
        assert isinstance(written["software"], str)
        assert path.stem in RECORDS
        assert set(written) == {
            *("name", "model", "cluster", "software", "plan", "precision"),
            *("recompute", "phases", "price"),
        }


def test_the_page_shows_an_example_as_it_stands():
    page = (ROOT / "docs" / "scenarios.md").read_text()
    (shown,) = page.partition("```yaml\n")[2].partition("```")[:1]
    stands = yaml.safe_load((EXAMPLES / "torchtitan-8b.yaml").read_text())
    assert yaml.safe_load(shown) == stands
