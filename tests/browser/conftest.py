"""A dashboard and a real browser, once for all tests of a process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
SCRIPT = """
from functools import partial
from estimator.faces.cli.main import main
from estimator.faces.pages import validation
validation.validate = partial(validation.validate, source="korthikanti")
main()
"""
"""The command, but that Validation predicts the runs of one source, not hundreds."""
WIDE, NARROW = {"width": 1440, "height": 1000}, {"width": 390, "height": 844}


def chromium():
    """Return the path of the system's Chromium, or nothing."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The address of a dashboard that this process has started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "dashboard", "--port", str(port)],
        cwd=tmp_path_factory.mktemp("dashboard"),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/_stcore/health")
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)


def wait_for(address):
    for _ in range(300):
        try:
            with urllib.request.urlopen(address):  # noqa: S310 - loopback
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail("the dashboard does not answer")


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright (extra dev)"
    )
    path = chromium()
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    playwright.expect.set_options(timeout=30_000)  # milliseconds
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=path)
        yield launched
        launched.close()


@pytest.fixture
def visit(browser, server):
    """A function that opens an address as somebody new; no request may leave."""
    contexts, asked, broken = [], [], []

    def opened(address="/", viewport=WIDE, **options):
        context = browser.new_context(viewport=viewport, **options)
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: broken.append(str(error)))
        page.goto(server + address)
        return page

    yield opened
    for context in contexts:
        context.close()
    own = (server, server.replace("http", "ws", 1), "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []
    assert broken == []
