"""The dashboard in a real browser, as a visitor uses it."""

import gzip
import io
import json
import re

import pytest

pytest.importorskip("playwright.sync_api", reason="needs playwright (extra dev)")
from playwright.sync_api import expect

from estimator.answer.api import estimate
from estimator.catalog.loading import load_scenario
from estimator.ground.words import short

pytestmark = pytest.mark.slow

SLOWEST_MS = 120_000
"""A page of a machine that has much else to do."""
OWN = "base: deepseek-v3\nname: mine\ncluster: {num_gpus: 1024}\n"


def number(page, label):
    metric = page.get_by_test_id("stMetric").filter(has_text=label)
    return metric.get_by_test_id("stMetricValue")


def settled(page):
    """Wait until the script has run."""
    expect(page.get_by_test_id("stApp")).to_have_attribute(
        "data-test-script-state", "notRunning", timeout=SLOWEST_MS
    )


def numbers(page):
    """Return the four of the first page, once all are drawn."""
    expect(number(page, "Cost")).to_be_visible()
    settled(page)
    values = page.get_by_test_id("stMetricValue")
    expect(values).to_have_count(4)
    return values.all_inner_texts()


def fill(page, label, value):
    box = page.locator(f'input[aria-label^="{label}"]')
    box.fill(str(value))
    box.press("Enter")


def changed(page, before, label, value):
    """Fill in a value, and return the numbers that follow from it."""
    fill(page, label, value)
    expect(number(page, "GPU-hours")).not_to_have_text(before[1])
    return numbers(page)


def turned(page, title):
    """Turn to a page of the navigation."""
    page.get_by_role("link", name=title, exact=True).click()
    page.wait_for_url(re.compile(f"/{title.lower()}"))
    settled(page)


def test_every_page_opens(visit):
    page = visit()
    expect(number(page, "Cost")).to_be_visible()
    links = page.get_by_test_id("stTopNavLink")
    titles = links.all_inner_texts()
    assert titles[:2] == ["Estimate", "Schedule"]
    for title in titles[1:]:
        links.filter(has_text=title).first.click()
        page.wait_for_url(re.compile(f"/{title.lower()}"))
        settled(page)
        expect(page.get_by_test_id("stException")).to_have_count(0)
        expect(page.get_by_test_id("stAlertContentError")).to_have_count(0)
        assert page.get_by_test_id("stMain").inner_text().strip(), title


def test_the_first_page_opens_under_its_own_name_too(visit):
    page = visit("/estimate?gpus=4096")
    expect(number(page, "Cost")).to_be_visible()
    expect(page.get_by_text("Page not found")).to_have_count(0)
    expect(page.get_by_test_id("stTopNavLink")).to_have_count(9)


def test_the_numbers_move_with_the_controls(visit):
    page = visit()
    before = numbers(page)
    for label, value in (("GPUs", 4096), ("Network, GB/s", 25)):
        before = changed(page, before, label, value)
    box = page.locator('input[aria-label*="Node"]')
    box.fill("hgx-b200")
    box.press("Enter")
    expect(number(page, "GPU-hours")).not_to_have_text(before[1])


def test_a_link_shows_the_same_to_somebody_else(visit):
    page = visit("/?gpus=4096")
    before = changed(page, numbers(page), "Network, GB/s", 25)
    turned(page, "Schedule")
    page.get_by_role("link", name="Estimate", exact=True).click()
    expect(number(page, "Cost")).to_be_visible()
    page.wait_for_url(re.compile("gpus=4096.*ib=25"))
    address = page.url
    page.reload()
    assert numbers(page) == before
    other = visit(address[address.index("/", 8) :])
    assert numbers(other) == before


def uploaded(page, name, text):
    page.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": "text/yaml", "buffer": text.encode()}
    )


def test_an_uploaded_scenario_is_shown_and_linked(visit):
    page = visit("/scenario")
    expect(page.get_by_test_id("stCode").last).to_contain_text("run deepseek-v3")
    uploaded(page, "mine.yaml", OWN)
    expect(page.get_by_test_id("stCode").last).to_contain_text("run mine.yaml")
    page.wait_for_url(re.compile("own="))
    page.get_by_role("link", name="Estimate", exact=True).click()
    before = numbers(page)
    scenario = load_scenario("deepseek-v3", ["cluster.num_gpus=1024"])
    assert before[1] == short(estimate(scenario).gpu_hours)
    page.wait_for_url(re.compile("own="))
    address = page.url
    other = visit(address[address.index("/", 8) :])
    assert numbers(other) == before
    page.reload()
    assert numbers(page) == before


def test_a_broken_upload_is_one_message(visit):
    page = visit("/scenario?gpus=4096")
    expect(page.get_by_test_id("stCode").last).to_contain_text("num_gpus=4096")
    uploaded(page, "<img src=x onerror=alert(1)>.yaml", "model: ../../etc/passwd\n")
    error = page.get_by_test_id("stAlertContentError")
    expect(error).to_have_count(1)
    expect(error).to_contain_text("is a path")
    expect(page.get_by_test_id("stCode").last).to_contain_text("num_gpus=4096")
    uploaded(page, "mine.yaml", OWN)
    expect(page.get_by_test_id("stCode").last).to_contain_text("run mine.yaml")
    expect(error).to_have_count(0)


def test_a_file_that_is_too_large_is_not_sent(visit):
    page = visit("/scenario")
    expect(page.get_by_test_id("stCode").last).to_contain_text("run deepseek-v3")
    uploaded(page, "big.yaml", "x" * 5_000_000)
    expect(page.get_by_test_id("stFileUploader")).to_contain_text("1.0MB or smaller")
    expect(page.get_by_test_id("stCode").last).to_contain_text("run deepseek-v3")


def test_a_value_is_set_by_its_path(visit):
    page = visit()
    before = numbers(page)
    page.get_by_text("Any other value").click()
    box = page.get_by_label("One PATH=VALUE a line", exact=False).last
    box.fill("phases.0.num_tokens=7.4e12")
    box.press("Control+Enter")
    expect(number(page, "GPU-hours")).not_to_have_text(before[1])
    expect(page.get_by_test_id("stCode").last).to_contain_text("--set")


@pytest.fixture
def downloads(visit, tmp_path):
    """Every file of the tab Export: its name and its content."""
    page = visit("/?view=Export")
    numbers(page)
    buttons = page.get_by_test_id("stDownloadButton").get_by_role("button")
    expect(buttons.first).to_be_visible()
    found = {}
    for button in buttons.all():
        with page.expect_download(timeout=60_000) as started:
            button.click()
        path = tmp_path / started.value.suggested_filename
        started.value.save_as(path)
        found[path.name] = path.read_bytes()
    return found


def test_every_export_opens(downloads, visit, browser, tmp_path):
    endings = {name.rpartition(".")[2] for name in downloads}
    assert {"xlsx", "csv", "html", "png", "svg", "pdf"} <= endings
    for name, data in downloads.items():
        OPENED.get(name.rpartition(".")[2], is_text)(data)
    report = next(name for name in downloads if name.endswith(".html"))
    offline(browser, downloads[report], tmp_path)


def offline(browser, data, folder):
    """Render a report without a network; nothing may fail."""
    path = folder / "report.html"
    path.write_bytes(data)
    context = browser.new_context(offline=True)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    assert page.locator("svg").count() > 3
    assert page.locator("table").count() > 1
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    context.close()


def is_text(data):
    assert data.decode().strip()


def has_pixels(data):
    from PIL import Image

    image = Image.open(io.BytesIO(data)).convert("L")
    assert min(image.size) > 200
    low, high = image.getextrema()
    assert high - low > 100


def has_a_page(data):
    assert data.startswith(b"%PDF")
    assert re.search(rb"/Type\s*/Page\b", data)


def has_sheets(data):
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(data))
    assert all(sheet.max_row > 1 for sheet in book)


def has_events(data):
    assert json.loads(gzip.decompress(data))["traceEvents"]


def has_columns(data):
    from pyarrow import BufferReader, parquet

    assert parquet.read_table(BufferReader(data)).num_rows


OPENED = {
    "gz": has_events,
    "json": json.loads,
    "parquet": has_columns,
    "pdf": has_a_page,
    "png": has_pixels,
    "xlsx": has_sheets,
}
