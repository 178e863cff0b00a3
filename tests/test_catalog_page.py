"""The Catalog page: everything that is listed, each number with its source."""

import pytest
from loops import each

from estimator.catalog import kinds, loading
from estimator.catalog.fields import fields_of
from estimator.faces.pages.catalog import KINDS
from estimator.show import listing

FILES = [
    (kind, name)
    for kind in kinds.KINDS
    if kind != "scenario"
    for name in kinds.names(kind)
]


def said(text):
    return str(text).replace("\\", "").replace("\N{ZERO WIDTH SPACE}", "")


@pytest.mark.slow
@pytest.mark.parametrize("title", KINDS)
def test_a_kind_lists_what_the_command_lists(open_page, title):
    app = open_page("catalog", kind=title)
    assert not app.warning
    frame = app.dataframe[0].value
    assert frame["name"].tolist() == [row["name"] for row in listing.rows(KINDS[title])]
    assert f"estimator list {KINDS[title]}" in app.code[-1].value


@each(("kind", "name"), FILES)
def test_every_number_has_a_source(kind, name):
    fields = fields_of(loading.load(kind, name))
    assert fields
    assert [field.path for field in fields if not field.source] == []
    paths = [field.path for field in fields]
    assert len(paths) == len(set(paths))


def test_a_gpu_is_shown_with_units_ranges_and_export_rules(open_page):
    app = open_page("catalog", filter="h800-sxm")
    (row,) = app.dataframe[0].value.to_dict("records")
    assert row["memory, GB/s"] == 3350
    assert row["bf16, dense TFLOP/s"] == 989
    table = app.table[0].value.map(said)
    (gemm,) = (row for _, row in table.iterrows() if row["Field"].endswith("gemm.fp8"))
    assert gemm["Value (range)"] == "0.75 (0.68 to 0.78)"
    assert "DeepGEMM" in gemm["Source"]
    notes = " ".join(said(note.value) for note in app.caption)
    assert "October 2023: 3A090" in notes


def test_what_is_not_read_in_a_source_is_marked(open_page):
    app = open_page("catalog", kind="Prices", filter="owned-h800")
    app.selectbox(key="one price").set_value("owned-h800").run()
    sources = app.table[0].value["Source"]
    assert any(":gray-badge[assumed]" in source for source in sources)
    assert "33.8 kUSD" in " ".join(map(said, app.table[0].value["Value (range)"]))


@pytest.mark.slow
def test_a_filter_finds_words_wherever_they_stand(open_page):
    shown = open_page("catalog", kind="Prices", filter="h100 lambda").dataframe[0].value
    assert 0 < len(shown) < len(listing.rows("price"))
    nothing = open_page("catalog", filter="no such thing")
    assert "Nothing here" in nothing.info[0].value


def test_the_sidebar_changes_nothing_here(open_page):
    shown = open_page("catalog", gpus="2000")  # no scenario takes these
    assert not shown.error
