"""The dashboard in a real browser: first numbers, and what a control costs the server.

python benchmarks/browser.py [CHANGES]
"""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

from playwright.sync_api import Browser, expect, sync_playwright

PORT = 8977
ADDRESS = f"http://127.0.0.1:{PORT}"
VISITS = 5
SCRIPT = """
import time
from streamlit.runtime.scriptrunner import script_runner

run = script_runner.ScriptRunner._run_script

def timed(self, data):
    began = time.perf_counter()
    run(self, data)
    print(f"SCRIPT {time.perf_counter() - began:.4f}", flush=True)

script_runner.ScriptRunner._run_script = timed
from estimator.faces.cli.main import main
main()
"""


def main() -> None:
    """Start a server, visit it, turn its controls, print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("changes", type=int, nargs="?", default=20)
    changes = parser.parse_args().changes
    server = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "dashboard", "--port", str(PORT)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        wait()
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=shutil.which("chromium"))
            first = [visit(browser) for _ in range(VISITS + 1)]
            moved = turn(browser, changes)
            browser.close()
    finally:
        server.send_signal(signal.SIGINT)
        lines = server.communicate(timeout=30)[0].splitlines()
    spent = [float(line.split()[1]) for line in lines if line.startswith("SCRIPT")]
    scripts = spent[-changes:]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"first numbers, cold server: {first[0]:.2f} s")
    print(f"first numbers, warm server: {statistics.median(first[1:]):.2f} s (median)")
    print(
        f"a control, script run time: {1e3 * statistics.median(scripts):.0f} ms "
        f"(median of {len(scripts)}), {1e3 * max(scripts):.0f} ms at most"
    )
    print(f"a control, until the number moves: {1e3 * statistics.median(moved):.0f} ms")


def wait() -> None:
    """Wait until the server answers."""
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{ADDRESS}/_stcore/health")  # noqa: S310 - loopback
        except OSError:
            time.sleep(0.1)
        else:
            return


def visit(browser: Browser) -> float:
    """Return the seconds until somebody new sees the first number."""
    context = browser.new_context()
    page = context.new_page()
    began = time.perf_counter()
    page.goto(ADDRESS)
    page.get_by_test_id("stMetricValue").first.wait_for(timeout=60_000)
    spent = time.perf_counter() - began
    context.close()
    return spent


def turn(browser: Browser, changes: int) -> list[float]:
    """Change GPU count and bandwidth in turn; return seconds until a number moves."""
    page = browser.new_context().new_page()
    page.goto(ADDRESS)
    number = page.get_by_test_id("stMetricValue").nth(1)
    state = page.get_by_test_id("stApp")
    number.wait_for(timeout=60_000)
    spent = []
    for index in range(changes):
        expect(state).to_have_attribute(
            "data-test-script-state", "notRunning", timeout=60_000
        )
        label = ("GPUs", "Network, GB/s")[index % 2]
        value = (3072 + 1024 * index, 48.5 - index)[index % 2]
        before = number.inner_text()
        box = page.locator(f'input[aria-label^="{label}"]')
        box.fill(str(value))
        began = time.perf_counter()
        box.press("Enter")
        expect(number).not_to_have_text(before, timeout=60_000)
        spent.append(time.perf_counter() - began)
    expect(state).to_have_attribute(
        "data-test-script-state", "notRunning", timeout=60_000
    )
    return spent


if __name__ == "__main__":
    main()
