"""Rental, owned, full programme: three bases, always labelled."""

import pytest

from estimator.answer.api import estimate
from estimator.answer.bill import NOT_COUNTED, bill
from estimator.answer.report import AROUND
from estimator.catalog.kinds import names
from estimator.catalog.loading import load_scenario
from estimator.explore.uncertainty import uncertainty
from estimator.ground.errors import InputError

NAME = "deepseek-v3"
OWNED = "price=owned-h800"
PROGRAMME = "programme=deepseek-team"
PUBLISHED_USD = 5.576e6  # arXiv 2412.19437, table 1
MONEY = {
    *("cost_usd", "cost", "cost_basis", "cost_basis_title", "price_title"),
    "not_counted",
}


@pytest.fixture(scope="module")
def bases():
    overrides = {"rental": [], "owned": [OWNED], "programme": [PROGRAMME]}
    return {
        name: estimate(load_scenario(NAME, changed))
        for name, changed in overrides.items()
    }


def test_owned_and_rental_differ_only_in_cost(bases):
    rental, owned = (bases[name].to_dict() for name in ("rental", "owned"))
    assert {key for key in rental if rental[key] != owned[key]} == MONEY | {
        "phases",
        "range",
        "assumptions",
    }
    for mine, theirs in zip(rental["phases"], owned["phases"], strict=True):
        assert mine | {"cost_usd": 0} == theirs | {"cost_usd": 0}
    for key in ("gpu_hours", "energy_joules", "co2_kg"):
        assert rental["range"][key] == owned["range"][key]
    assert {
        row["name"].partition(".")[0]
        for row in owned["assumptions"]
        if row not in rental["assumptions"]
    } == {"price", "power"}


@pytest.mark.parametrize("name", ["rental", "owned", "programme"])
def test_parts_add_up_to_the_cost_and_are_labelled(bases, name):
    report = bases[name]
    assert sum(report.cost.values()) == report.cost_usd
    assert min(report.cost.values()) >= 0
    assert report.cost_basis == name
    assert report.not_counted == NOT_COUNTED[name]
    assert ("owned" if name == "owned" else "rented") in report.cost_basis_title
    assert ("full programme" in report.cost_basis_title) == (name == "programme")
    assert report.energy_joules > 0
    assert report.co2_kg > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [
        [],
        [OWNED],
        [PROGRAMME],
        [OWNED, PROGRAMME],
        [PROGRAMME, "phases.1.gpu_hours=1e6"],
    ],
)
def test_phases_and_parts_add_up_to_the_headline(changed, run):
    patches = [word for patch in changed for word in ("--set", patch)]
    (told,) = run("run", NAME, *patches, "--json").json
    phases = sum(phase["cost_usd"] for phase in told["phases"])
    assert phases == pytest.approx(told["cost_usd"], rel=1e-12)
    assert sum(told["cost"].values()) == pytest.approx(told["cost_usd"], rel=1e-12)
    hours = sum(phase["gpu_hours"] for phase in told["phases"])
    assert hours == pytest.approx(told["gpu_hours"], rel=1e-12)


def test_what_a_programme_adds_is_named_once(bases):
    added = bases["programme"].cost.keys() - bases["rental"].cost.keys()
    assert added == set(AROUND)
    assert bases["rental"].around_usd == 0
    assert bases["programme"].around_usd > bases["rental"].cost_usd


@pytest.mark.parametrize("name", ["rental", "owned"])
def test_the_range_is_wide_and_holds_the_published_cost(bases, name):
    low, high = bases[name].range["cost_usd"]
    assert low < 0.97 * bases[name].cost_usd
    assert high > 1.03 * bases[name].cost_usd
    assert low < PUBLISHED_USD < high


@pytest.mark.slow
def test_an_h800_by_its_servers_price_is_1_6_to_2_2_dollars_an_hour(bases):
    assert 1.6 < bases["owned"].usd_per_gpu_hour < 2.2
    bare = ["price.owned.colocation=0", "price.owned.server_usd=33810"]
    report = estimate(load_scenario(NAME, [OWNED, *bare]), has_range=False)
    assert report.usd_per_gpu_hour == pytest.approx(1.63, abs=0.02)
    dgx = ["price.owned.colocation=0", "price.owned.server_usd=44750"]
    report = estimate(load_scenario(NAME, [OWNED, *dgx]), has_range=False)
    assert report.usd_per_gpu_hour == pytest.approx(2.12, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in names("price") if n.startswith("owned")])
def test_an_owned_hour_is_below_the_list_prices_of_clouds(name):
    report = estimate(load_scenario(NAME, [f"price={name}"]), has_range=False)
    assert 0.8 < report.usd_per_gpu_hour < 3


def test_a_programme_pays_for_the_run_and_for_what_surrounds_it(bases):
    rental, whole = bases["rental"], bases["programme"]
    assert whole.cost["experiments_usd"] == pytest.approx(1.2 * rental.cost_usd)
    assert whole.cost_usd > 2.2 * rental.cost_usd
    assert whole.gpu_hours == rental.gpu_hours
    assert whole.usd_per_gpu_hour == rental.usd_per_gpu_hour
    low, high = whole.range["cost_usd"]
    assert low < 0.7 * whole.cost_usd
    assert high > 1.4 * whole.cost_usd


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "factor"),
    [
        (["price.owned.utilisation=0.5"], (1.85, 2.0)),
        (["power=germany"], (1.05, 1.2)),
        (["power.pue=2.5"], (1.01, 1.1)),
        (["price.owned.years_before=1"], (0.7, 0.9)),
        (["price.owned.network_share=0.1"], (0.9, 0.97)),
    ],
)
def test_each_part_of_owning_moves_the_cost_its_way(bases, changed, factor):
    made = estimate(load_scenario(NAME, [OWNED, *changed]), has_range=False)
    low, high = factor
    assert low < made.cost_usd / bases["owned"].cost_usd < high


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [[], [OWNED], [OWNED, PROGRAMME]])
def test_more_than_nine_in_ten_draws_lie_in_the_range_of_run(overrides, monkeypatch):
    monkeypatch.setattr("estimator.explore.uncertainty.find_spec", lambda name: None)
    scenario = load_scenario(NAME, overrides)
    made = uncertainty(scenario, num_samples=4000, seed=7)
    for name, shown in estimate(scenario).range.items():
        if name not in made.draws:
            continue
        draws = sorted(made.draws[name])
        inside = sum(shown[0] <= draw <= shown[1] for draw in draws) / len(draws)
        assert 0.9 < inside <= 1, name


def test_the_tornado_has_what_owning_is_made_of(monkeypatch):
    monkeypatch.setattr("estimator.explore.uncertainty.find_spec", lambda name: None)
    made = uncertainty(load_scenario(NAME, [OWNED]), num_samples=10)
    first = made.tornado[0]
    assert first.input == "price.owned.amortised_per_year"
    assert first.gpu_hours[0] == first.gpu_hours[1]
    assert first.cost_usd[0] < first.cost_usd[1]


def test_an_owner_without_a_price_of_electricity_is_told(run):
    made = run("run", NAME, "--set", OWNED, "--set", "power=world-average")
    assert made.status == 2
    assert "no electricity price" in made.err
    assert "power.usd_per_kwh=" in made.err
    assert "Traceback" not in made.err


def test_an_owned_hour_cannot_be_set_as_a_whole():
    with pytest.raises(InputError, match=r"price\.owned\.server_usd"):
        load_scenario(NAME, [OWNED, "price.usd_per_gpu_hour=3"])


@pytest.mark.slow
def test_the_terminal_and_the_page_name_the_basis(run, tmp_path):
    shown = run("run", NAME, "--set", OWNED, "--set", PROGRAMME, "--quiet").out
    assert "full programme (deepseek-team) on owned GPUs (owned-h800" in shown
    assert "Not counted: what data and licences" in shown
    assert "staff" in shown
    page = tmp_path / "r.html"
    run("report", NAME, "--set", OWNED, "--out", str(page))
    text = page.read_text()
    assert "owned GPUs (owned-h800" in text
    assert "What it costs" in text
    assert "repairs, spares" in text


def test_data_and_checkpoints_are_kept_for_every_month_of_a_programme():
    scenario = load_scenario("deepseek-v3", [PROGRAMME])
    made, parts = scenario.programme, bill(scenario, 1e6)
    kept_gb = parts["egress_usd"] / made.egress.value
    each_month = kept_gb * made.storage.value
    assert parts["storage_usd"] == pytest.approx(12 * made.years.value * each_month)
