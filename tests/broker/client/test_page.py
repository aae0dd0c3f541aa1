"""Pages of the manual on the demo they speak of: the client's as it stands, and a developer's walk of the tour."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from broker.serving import any_port
from tests.browser.conftest import ARGUMENTS, chromium_path

PAGE = Path("infra/docs/client.md")
THERE = "http://127.0.0.1:8000"
PATIENCE_SECONDS = 200


def blocks(kind: str) -> list[str]:
    """The page's fenced blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def address(told: tuple[Path, str]) -> Iterator[str]:
    """The demo that ran once, taken up again and serving; market hours pass slowly."""
    folder, port = told[0].parents[2], any_port("127.0.0.1")
    environment = os.environ | {"PYTHONPATH": str(Path.cwd()), "GRIDFARE_DATA_DIRECTORY": str(folder / "postgres"), "COLUMNS": "160"}
    with (folder / "served.txt").open("wb") as said:
        words = [sys.executable, "-m", "broker.cli", "demo", "--port", str(port), "--pace", "600"]
        demo = subprocess.Popen(words, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (served := re.search(r"Portal  (http://\S+)", (folder / "served.txt").read_text())) is None:
            assert demo.poll() is None, (folder / "served.txt").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield served[1]
    finally:
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0


def test_every_command_of_the_page_runs_as_written(address: str, tmp_path: Path):
    """One after another in one shell, which stops at the first that fails; `gridfare` is the program of this checkout."""
    program = tmp_path / "gridfare"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m broker.cli "$@"\n')
    program.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path.cwd()),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "COLUMNS": "140",
    }
    script = "set -e -o pipefail\n" + "\n".join(blocks("sh")).replace(THERE, address)
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert done.stderr == ""
    for words in (
        "Signed in",
        "offers answer",
        "Held for",
        "Yours: lse_",
        "Entered: bid_",
        "accelerator-hours delivered",
        "together",
        "payable",
    ):
        assert words in done.stdout, done.stdout


def test_the_program_of_the_page_runs_as_written(address: str):
    """Run again, as after a kill, it holds the same lease."""
    (program,) = blocks("python")
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", program.replace(THERE, address)]
    first, again = (subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False) for _ in range(2))
    assert (first.returncode, first.stdout[:4], first.stdout) == (0, "lse_", again.stdout), first.stderr + again.stderr


@pytest.mark.browser
def test_a_developer_s_walk_of_the_tour_ends_in_a_lease(address: str):
    """Find compute, quote what is free, take it; her list of quotes says what it became."""
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium here: install it (apt-get install chromium) or name it in CHROMIUM to run the browser tests")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        page = browser.new_page(base_url=address)
        page.goto("/sign-in")
        page.get_by_role("button", name="Use the key of").first.click()
        page.wait_for_url("**/bids")
        page.goto("/")
        page.get_by_role("link", name="Find compute").first.click()
        page.get_by_label("Hours", exact=True).fill("1")
        page.get_by_label("Hours", exact=True).blur()
        page.wait_for_url("**hours=1*")
        page.get_by_role("button", name=re.compile("^Quote the cheapest")).click()
        worst = page.locator(".most span").inner_text()
        page.locator("#accept").click()
        page.wait_for_url("**/leases/*")
        page.goto("/quotes")
        expect(page.locator("tbody tr").filter(has_text=worst).filter(has_text="accepted").first).to_be_visible()
        browser.close()
