"""Shared by all tests."""

import os
import shutil

import pytest

os.environ.setdefault("MUJOCO_GL", "disable")  # no test of physics needs a screen


@pytest.fixture
def call(monkeypatch, capsys):
    """Calls the `main` of a command."""
    from commandline import Commands

    return Commands(monkeypatch, capsys)


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Calls `suites.run`."""
    from commandline import CommandLine

    return CommandLine(monkeypatch, capsys, tmp_path)


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A folder with runs/ and report.html, to be read only."""
    from reported import make

    place = tmp_path_factory.mktemp("page")
    make(place)
    return place


@pytest.fixture(scope="module")
def browser():
    """A Chromium without a head."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, of extra dev")
    from page import BROWSERS

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"needs a Chromium: none of {', '.join(BROWSERS)} is installed")
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, place):
    """Opens the page with a hash and options of the tab; all must be silent and off the network."""
    from page import DRAWN

    tabs, said = [], []

    def listen(tab):
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: requested.append(request.url))

    requested = []

    def visit(said_hash="", **options):
        tab = browser.new_page(**{"viewport": {"width": 1280, "height": 900}} | options)
        tab.set_default_timeout(60_000)
        tabs.append(tab)
        listen(tab)
        address = (place / "report.html").as_uri()
        tab.goto(f"{address}#{said_hash}" if said_hash else address)
        tab.wait_for_selector(DRAWN)
        return tab

    yield visit
    for tab in tabs:
        tab.close()
    assert said == []
    assert requested
    assert all(url.startswith(("file:", "data:")) for url in requested)
