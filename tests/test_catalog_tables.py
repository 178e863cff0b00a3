"""Lists and records on the terminal: units, marks and sources."""

import re

import pytest

from estimator.catalog import kinds
from estimator.show import listing


def test_a_gpu_has_its_peaks_in_tflops_and_what_the_rules_say(run):
    lines = run("list", "gpu").out.splitlines()
    (row,) = (line.split() for line in lines if line.startswith("h800-sxm"))
    assert {"989", "1,979", "400", "15.83K", "no", "3A090.a"} <= set(row)


def test_recalled_and_disputed_numbers_are_marked(run):
    out = run("list", "gpu").out
    (row,) = (line for line in out.splitlines() if line.startswith("ascend-910b"))
    assert "376 d" in row
    assert "392 r" in row
    assert "r: recalled, d: disputed" in out


def test_an_owned_price_says_what_the_server_costs(run):
    lines = run("list", "price").out.splitlines()
    (row,) = (line for line in lines if line.startswith("owned-h800"))
    assert "33.8K to buy" in row


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gpu", "node", "fabric", "price", "power", "model"])
def test_every_row_of_a_list_has_its_sources(run, kind):
    rows = run("list", kind, "--json").json
    assert len(rows) == len(kinds.names(kind))
    assert all(row.get("sources") or row.get("source") for row in rows)


def test_a_list_of_prices_has_what_owning_is_made_of():
    rows = {row["name"]: row for row in listing.rows("price")}
    assert rows["owned-h800"]["owned"]["server_usd"]["source"]
    assert rows["deepseek-2usd"]["owned"] is None


def test_a_record_shows_each_number_with_its_unit_and_source(run):
    lines = run("show", "gpu", "h800-sxm").out.splitlines()
    place = lines.index("hbm_bytes_per_s  3.35 TB/s")
    assert "Epoch AI" in " ".join(lines[place : place + 3])
    share = re.compile(r"\s+bf16  0\.\d+  0\.\d+ to 0\.\d+")
    assert any(share.fullmatch(line.rstrip()) for line in lines)
    assert any("October 2022 (TPP >= 4800" in line for line in lines)
    price = run("show", "price", "owned-h800").out
    assert "utilisation  1  0.8 to 1  [assumed]" in price


@pytest.mark.slow
def test_a_price_of_another_gpu_is_said(run):
    out = run("run", "deepseek-v3", "--set", "price=b200-3-years-2025-10").out
    assert "the price b200-3-years-2025-10 is one of b200-sxm, taken for" in out
