"""What a scenario keeps of the one below it, and whose price it takes."""

from dataclasses import replace

import pytest
from loops import each

from estimator.answer.api import estimate
from estimator.answer.bill import price_title
from estimator.catalog import kinds, loading
from estimator.catalog.derivation import own_price
from estimator.catalog.writing import scenario_yaml
from estimator.explore import comparison
from estimator.explore.plan.ranking import evaluated
from estimator.explore.plan.search import plan
from estimator.explore.sweeps import sweep
from estimator.explore.uncertainty import uncertainty
from estimator.ground.documents import parse_document
from estimator.ground.errors import InputError

LLAMA, V3 = "llama-3.1-405b", "deepseek-v3"
B200, H20, H100 = (
    "cluster.node=hgx-b200",
    "cluster.node=hgx-h20",
    "cluster.node=hgx-h100",
)
OWN = "b200-neocloud-index-2026-05, 2026-05, instead of h100-lambda-2024-09"
KEPT = "h100-lambda-2024-09, 2024-09, a price of h100-sxm"
STATED = "price=h100-lambda-2024-09"
SET = "price.usd_per_gpu_hour=3.42"
WORDS = "3.42 USD/h, set by the user"
SMALL_FILE = """
base: gpt3-175b
name: small
model: llama-3.2-1b
cluster: {num_gpus: 8}
plan: {tp: 1, pp: 1, schedule: 1f1b, stages_per_rank: null}
phases:
  - {name: a, num_tokens: 1e9, seq_len: 2048, global_batch_size: 64}
  - {name: b, basis: published, gpu_hours: 1000, source: us}
"""
SMALL = ("cluster.num_gpus=64", "plan.tp=8", "plan.pp=8", "plan.stage_layout=even")


def title(name, *overrides):
    return price_title(loading.load_scenario(name, overrides))


def told(scenario):
    report = estimate(scenario, has_range=False, is_played=False)
    return [row.value for row in report.assumptions if isinstance(row.value, str)]


def file(folder, text):
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([B200], OWN),
        ([H20], KEPT),
        ([B200, STATED], KEPT),
        ([STATED, B200], KEPT),
        ([B200, SET], WORDS),
        ([H100], "h100-lambda-2024-09, 2024-09"),
        (["cluster.node.gpu=b200-sxm"], OWN),
        (["cluster.node.gpu.num_sms=100"], "h100-lambda-2024-09, 2024-09"),
        (["price=owned-h100", B200], "owned-h100, 2024-02-21, a price of h100-sxm"),
    ],
)
def test_every_command_takes_the_same_price(overrides, words, monkeypatch, run):
    monkeypatch.setattr("estimator.explore.uncertainty.find_spec", lambda name: None)
    scenario = loading.load_scenario(LLAMA, overrides)
    if scenario.price.owned is not None:
        overrides = [*overrides, "power=china"]
        scenario = loading.load_scenario(LLAMA, overrides)
    assert price_title(scenario) == words
    report = estimate(scenario, has_range=False, is_played=False)
    last = overrides[-1]
    path, _, value = last.partition("=")
    if path != "power":
        swept = sweep(LLAMA, [f"{path}={value}"], overrides[:-1])
        expected = "as varied" if path == "price.usd_per_gpu_hour" else words
        assert list(swept.columns["price_title"]) == [expected]
        assert swept.columns["cost_usd"][0] == pytest.approx(report.cost_usd, rel=1e-9)
    made = comparison.compare([LLAMA, "gpt3-175b"], [], [last])
    assert price_title(made.scenarios[0]) == title(LLAMA, last)
    assert words in uncertainty(scenario, num_samples=2).cost_basis


@pytest.mark.slow
def test_plan_takes_the_same_price_and_the_same_published_hours(tmp_path):
    base = file(tmp_path, SMALL_FILE)
    made = plan(base, [B200], top=1, most_evaluated=1)
    words = "b200-neocloud-index-2026-05, 2026-05, instead of a100-80-oracle-2025-03"
    assert made.cost_basis == f"rented GPUs ({words})"
    whole = estimate(base, [B200], has_range=False)
    assert made.given.gpu_hours == pytest.approx(whole.gpu_hours, rel=1e-9)
    assert made.given.cost_usd == pytest.approx(whole.cost_usd, rel=1e-9)
    assert 0 < hours(whole)["b"] < 1000


@pytest.mark.slow
@each("node", kinds.names("node"))
@each("price", ["h100-lambda-2024-09", "owned-h100"])
def test_no_gpu_is_paid_by_another_s_price_where_it_has_its_own(node, price, tmp_path):
    base = file(tmp_path, f"base: {LLAMA}\nname: mine\nprice: {price}\n")
    made = loading.load_scenario(base, [f"cluster.node={node}"])
    gpu, basis = made.cluster.node.gpu.name, made.price.basis
    records = [loading.load("price", name) for name in kinds.names("price")]
    own = {each.name for each in records if (each.gpu, each.basis) == (gpu, basis)}
    if own:
        assert made.price.name in own
    else:
        assert made.price.name == price
        assert f"a price of {made.price.gpu}" in price_title(made)


PRICES = """
a: {name: a, gpu: x, basis: rental, commitment: on demand, date: "2024-01"}
b: {name: b, gpu: x, basis: rental, commitment: index, date: "2025-01"}
c: {name: c, gpu: x, basis: rental, commitment: 3 years, date: "2026-01"}
d: {name: d, gpu: x, basis: rental, commitment: spot, date: "2026-02"}
e: {name: e, gpu: x, basis: owned, commitment: purchase, date: "2023-01"}
f: {name: f, gpu: x, basis: rental, commitment: assumption, date: "2026-03", status: assumed}
g: {name: g, gpu: y, basis: rental, commitment: spot, date: "2026-01"}
"""


@pytest.mark.parametrize(
    ("basis", "commitment", "gpu", "name"),
    [
        ("rental", "on demand", "x", "b"),
        ("rental", "assumption", "x", "b"),
        ("rental", "3 years", "x", "c"),
        ("rental", "1 year", "x", "b"),
        ("rental", "spot", "x", "d"),
        ("owned", "purchase", "x", "e"),
        ("rental", "on demand", "y", "g"),
        ("owned", "purchase", "y", None),
    ],
)
def test_the_newest_price_of_the_same_kind_is_taken(basis, commitment, gpu, name):
    prices = list(parse_document(PRICES, "prices").values())
    other = parse_document(f"basis: {basis}\ncommitment: {commitment}\n", "other")
    found = own_price(other, gpu, prices)
    assert (found and found["name"]) == name


def test_a_sweep_has_the_price_of_each_row_and_says_so(run, tmp_path):
    out = tmp_path / "rows.csv"
    made = run(
        *("sweep", LLAMA, "--vary", "cluster.node=hgx-h100,hgx-b200,hgx-h20"),
        *("--out", str(out), "--quiet"),
    )
    assert "Dollars: as each point says." in made.out
    text = out.read_text()
    for words in ("h100-lambda-2024-09, 2024-09", OWN, KEPT):
        assert f'"{words}"' in text


def test_the_answer_says_why_a_price_is_not_the_scenario_s():
    own = "is b200-sxm's own; the scenario's h100-lambda-2024-09 is not of this GPU"
    assert any(own in text for text in told(loading.load_scenario(LLAMA, [B200])))
    kept = "the price h100-lambda-2024-09 is one of h100-sxm, taken for h20"
    assert kept in told(loading.load_scenario(LLAMA, [H20]))


@pytest.mark.slow
def test_an_overridden_price_is_named_as_overridden_everywhere(run, tmp_path):
    patch = ("--set", SET)
    (made,) = run("run", V3, *patch, "--json").json
    assert made["price_title"] == WORDS
    assert made["cost_basis_title"] == f"rented GPUs ({WORDS})"
    shown = run("run", V3, *patch, "--quiet").out
    assert WORDS in shown
    assert "deepseek-2usd" not in shown
    assert WORDS in run("compare", V3, "gpt3-175b", *patch, "--quiet").out
    page = tmp_path / "r.html"
    run("report", V3, *patch, "--out", str(page))
    assert f"({WORDS})" in page.read_text()


def test_a_price_that_a_file_writes_over_is_named_as_such(tmp_path):
    text = f"base: {V3}\nname: mine\nprice: {{base: deepseek-2usd, usd_per_gpu_hour: %s}}\n"
    made = loading.load_scenario(file(tmp_path, text % "3.42 USD/h"))
    assert price_title(made) == WORDS
    assert made.price.source.startswith("usd_per_gpu_hour set by the user; otherwise")
    part = title(V3, "price=owned-h800", "price.owned.utilisation=0.7")
    assert part.endswith("utilisation set by the user")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "is_asked"),
    [
        (("precision=bf16",), False),
        (("precision=fp8", "precision.recipe=fp8"), True),
        (("precision.recipe=fp8",), True),
        (("recompute=none",), False),
        (("price.usd_per_gpu_hour=3",), True),
        (("cluster.num_gpus=2048",), True),
        (("cluster.num_gpus=1024",), False),
        (("plan.micro_batch_size=2",), False),
        (("phases.0.num_tokens=1e12",), False),
        ((H100,), False),
        (("cluster.num_gpus=1024", "question=Mine?"), "Mine?"),
    ],
)
def test_a_question_stands_as_long_as_it_is_the_one_asked(overrides, is_asked):
    scenario = loading.load_scenario(V3, overrides)
    asked = "What did the pre-training of DeepSeek-V3 on 2,048 H800s take?"
    assert scenario.question == {True: asked, False: "", "Mine?": "Mine?"}[is_asked]
    report = estimate(scenario, has_range=False, is_played=False)
    words = report.question
    assert words == scenario.question or f"{scenario.cluster.num_gpus:,} x" in words
    assert scenario.model.title in words or words == "Mine?"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["base", "--set", "upload"])
def test_another_model_on_other_gpus_keeps_no_story(kind, tmp_path):
    if kind == "--set":
        made = loading.load_scenario(LLAMA, ["model=qwen3-32b", *SMALL])
    else:
        text = (
            f"base: {LLAMA}\nname: mine\nmodel: qwen3-32b\ncluster: {{num_gpus: 64}}\n"
            "plan: {tp: 8, pp: 8, stages_per_rank: 8, stage_layout: even}\n"
        )
        path = file(tmp_path, text)
        made = loading.load_scenario(path)
        if kind == "upload":
            from estimator.faces.uploads import Accepted, accepted

            chosen = Accepted(loading.load_scenario(LLAMA), LLAMA)
            made = accepted(text.encode(), "mine.yaml", chosen).scenario
    assert (made.question, made.assumptions) == ("", ())
    words = " ".join(told(made))
    assert "405B" not in words
    assert "2407.21783" not in words


def test_an_assumption_goes_with_what_it_speaks_of():
    def left(*overrides):
        said = loading.load_scenario(V3, overrides).assumptions
        return [each.text.split()[0] for each in said]

    recomputed = "Norms and SwiGLU outputs are recomputed"
    assert recomputed in " ".join(told(loading.load_scenario(LLAMA)))
    full = loading.load_scenario(LLAMA, ["recompute=full"])
    assert recomputed not in " ".join(told(full))
    assert (
        left()
        == left("precision=bf16", "price.usd_per_gpu_hour=3")
        == [
            "Stage",
            "Experts",
        ]
    )
    assert left("plan.expert_imbalance=1.2") == ["Stage"]
    assert left("plan.schedule=1f1b", "plan.stage_layout=even") == ["Experts"]
    assert left("cluster.num_gpus=4096") == ["Stage", "Experts"]
    assert left("model=mixtral-8x7b", "plan.ep=8", "plan.stage_layout=even") == ["What"]


def test_an_assumption_that_names_no_path_goes_with_the_cluster(tmp_path):
    base = file(
        tmp_path,
        f"base: {V3}\nname: mine\nassumptions: [a fact, {{about: [plan.pp], text: b}}]\n",
    )
    assert [each.text for each in loading.load_scenario(base).assumptions] == [
        "a fact",
        "b",
    ]
    other = loading.load_scenario(base, ["cluster.num_gpus=1024"])
    assert [each.text for each in other.assumptions] == ["b"]


def test_what_was_published_of_another_model_is_left_out_and_said():
    patches = ["model=mixtral-8x7b", "plan.stage_layout=even", "plan.ep=8"]
    made = loading.load_scenario(V3, patches)
    assert [phase.name for phase in made.phases] == ["pre-training"]
    said = "What was published of deepseek-v3 is left out: context-extension, post-training."
    assert said in told(made)


def hours(report):
    return {phase.name: phase.gpu_hours for phase in report.phases}


@pytest.mark.slow
def test_published_hours_follow_the_simulated_ones_to_another_gpu():
    there = estimate(V3, has_range=False, is_played=False)
    here = estimate(V3, [H20], is_played=False)
    ratio = hours(here)["pre-training"] / hours(there)["pre-training"]
    assert ratio > 2
    for name in ("context-extension", "post-training"):
        assert hours(here)[name] == pytest.approx(ratio * hours(there)[name], rel=1e-9)
    (phase,) = (each for each in here.phases if each.name == "context-extension")
    assert (phase.basis, phase.scaled_from) == ("published", "hgx-h800")
    assert here.published_gpu_hours == 0
    low, high = here.range["gpu_hours"]
    assert low < here.gpu_hours < high
    assert any(
        "published of hgx-h800 times" in str(row.value) for row in here.assumptions
    )


@pytest.mark.slow
def test_every_command_carries_published_hours_over_alike():
    whole = estimate(V3, [H20], has_range=False).gpu_hours
    rows = sweep(V3, ["cluster.node=hgx-h800,hgx-h20"]).columns["gpu_hours"]
    made = comparison.compare([V3], ["cluster.node=hgx-h800,hgx-h20"])
    for other in (rows[1], made.reports[1].gpu_hours):
        assert other == pytest.approx(whole, rel=1e-9)
    shares = sum(each.gpu_hours for each in made.shares)
    assert shares == pytest.approx(whole - made.reports[0].gpu_hours, rel=1e-9)


CHANGED = (
    "cluster.num_gpus=1024",
    "cluster.fabric=ib-hdr-rail-optimised",
    "cluster.node.nvlink_bytes_per_s=20e9",
    "precision=bf16",
    "plan.schedule=1f1b",
    "recompute=full",
)


@pytest.mark.slow
@pytest.mark.parametrize("patch", CHANGED)
def test_published_hours_follow_whatever_moves_the_step(patch):
    there = hours(estimate(V3, has_range=False, is_played=False))
    made = estimate(V3, [patch], has_range=False, is_played=False)
    here = hours(made)
    ratio = here["pre-training"] / there["pre-training"]
    assert abs(ratio - 1) > 0.005
    assert here["context-extension"] == pytest.approx(119e3 * ratio, rel=1e-9)
    titles = {phase.basis_title for phase in made.phases}
    assert titles == {"simulated", "published, scaled from the scenario as written"}
    assert any(
        "the scenario as written times" in str(r.value) for r in made.assumptions
    )
    path, _, value = patch.partition("=")
    for values in (value, f"{value},{value}"):
        rows = sweep(V3, [f"{path}={values}"]).columns["gpu_hours"]
        assert rows[0] == pytest.approx(made.gpu_hours, rel=1e-9)


@pytest.mark.parametrize(
    "patch",
    [
        "phases.0.num_tokens=1e12",
        "price.usd_per_gpu_hour=3",
        "power=world-average",
        "memory_headroom=0.1",
        "model.title=Mine",
        "cluster.node.name=mine",
    ],
)
def test_published_hours_stay_where_the_step_does(patch):
    made = estimate(V3, [patch], has_range=False, is_played=False)
    assert hours(made)["context-extension"] == 119e3
    assert made.published_gpu_hours == 124e3


def test_what_was_published_is_of_the_model_not_of_its_name():
    made = loading.load_scenario(
        V3, ["model.hidden_size=3584", "phases.0.seq_len=2048"]
    )
    assert [phase.name for phase in made.phases] == ["pre-training"]
    assert "What was published of deepseek-v3 is left out" in " ".join(told(made))


@pytest.mark.slow
def test_a_comparison_and_a_plan_carry_published_hours_over_alike():
    patch = "cluster.fabric=ib-hdr-rail-optimised"
    whole = estimate(V3, [patch], has_range=False)
    made = comparison.compare([V3, f"{V3}@ib-200g"])
    assert made.reports[1].gpu_hours == pytest.approx(whole.gpu_hours, rel=1e-9)
    assert [each.input for each in made.shares] == [
        "cluster.fabric: ib-ndr-rail-optimised -> ib-hdr-rail-optimised"
    ]
    own = loading.load_scenario(V3)
    other = evaluated(replace(own, plan=replace(own.plan, schedule="1f1b")))
    told = estimate(V3, ["plan.schedule=1f1b"], has_range=False).gpu_hours
    assert other.gpu_hours == pytest.approx(told, rel=1e-9)


@pytest.mark.parametrize(
    ("node", "why"), [("tpu-v5p-pod", "fp8"), ("../x.yaml", "no built-in node")]
)
def test_published_hours_that_cannot_be_carried_over_are_left_out(node, why):
    made = estimate(V3, [f"phases.1.node={node}"], has_range=False, is_played=False)
    assert "context-extension" not in hours(made)
    assert made.gpu_hours == pytest.approx(sum(hours(made).values()))
    (said,) = (
        t for t in map(str, (row.value for row in made.assumptions)) if "left out" in t
    )
    assert said.startswith("context-extension is left out: its hours are those of")
    assert why in said


def test_hours_that_name_no_node_are_of_the_one_they_were_given_for(tmp_path):
    phases = (
        "[{name: a, num_tokens: 1e12, seq_len: 4096, global_batch_size: 15360},"
        " {name: b, basis: published, gpu_hours: 1000, source: us}]"
    )
    base = file(tmp_path, f"base: {V3}\nname: mine\nphases: {phases}\n")
    assert loading.load_scenario(base).phases[1].node == ""
    made = estimate(base, [H20], has_range=False, is_played=False)
    assert made.phases[1].scaled_from == "hgx-h800"
    assert made.phases[1].gpu_hours > 1000


def test_a_simulated_phase_was_not_published_of_a_node():
    with pytest.raises(InputError, match="phases"):
        loading.load_scenario(V3, ["phases.0.node=hgx-h800"])


@pytest.mark.parametrize(
    "overrides",
    [[H20], [B200, STATED], ["model=qwen3-32b", *SMALL], ["cluster.num_gpus=8192"]],
    ids=str,
)
def test_a_derived_scenario_is_written_so_that_it_is_read_again(overrides, tmp_path):
    scenario = loading.load_scenario(LLAMA, overrides)
    again = loading.load_scenario(file(tmp_path, scenario_yaml(scenario, LLAMA)))
    for part in ("question", "assumptions", "price", "phases", "cluster"):
        assert getattr(again, part) == getattr(scenario, part)


def test_a_variant_is_laid_over_its_scenario_as_a_file_over_its_base(tmp_path):
    patch = "cluster: {node: hgx-a100}\nplan: {zero: 2}\nsoftware: {communication: {context: false}}\n"
    below, above = tmp_path / "below.yaml", tmp_path / "above.yaml"
    nested = "\n".join(f"    {line}" for line in patch.splitlines())
    below.write_text(f"base: llama-3.1-405b\nvariants:\n  x:\n{nested}\n")
    above.write_text(f"base: {below}\n{patch}")
    made, wanted = loading.load_scenario(f"{below}@x"), loading.load_scenario(above)
    assert made.cluster == wanted.cluster
    assert made.plan == wanted.plan
    assert made.plan.tp == loading.load_scenario("llama-3.1-405b").plan.tp
    assert not made.software.communication.context


def test_a_variant_that_names_a_base_stands_for_itself(tmp_path):
    text = "cluster.node: {base: hgx-a100, nvlink_bytes_per_s: 100 GB/s}"
    path = tmp_path / "x.yaml"
    path.write_text(f"base: deepseek-v3\nvariants: {{x: {{{text}}}}}")
    node = loading.load_scenario(f"{path}@x", ["precision=bf16"]).cluster.node
    assert node.gpu.name == "a100-sxm-80"
    assert node.nvlink_bytes_per_s == 100e9


def test_a_variant_has_no_variants(tmp_path):
    text = "base: deepseek-v3\nvariants: {a: {variants: {b: {plan.tp: 8}}}}"
    for name in (file(tmp_path, text), file(tmp_path, text) + "@a"):
        with pytest.raises(InputError, match="cannot have variants of its own"):
            loading.load_scenario(name)


@pytest.mark.parametrize("base", [V3, ""])
def test_a_written_scenario_keeps_what_its_hours_were_spent_on(base, tmp_path):
    scenario = loading.load_scenario(f"{V3}@ib-200g", ["plan.schedule=1f1b"])
    text = scenario_yaml(scenario, base)
    again = loading.load_scenario(file(tmp_path, text))
    assert again.published_on == scenario.published_on
    assert "num_sms" not in text
    assert "published_on" not in scenario_yaml(loading.load_scenario(V3), base)
