"""The page of all runs in a browser, for its tests."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRAWN = "body[data-drawn=all]"


def does(tab, selector, action="click", *words):
    """Operate a control, and wait until all is drawn."""
    getattr(tab.locator(selector), action)(*words)
    tab.wait_for_selector(DRAWN)


def families(tab, figure):
    """Which are drawn."""
    found = f"[...new Set([...document.querySelectorAll('#{figure} g.series')].map("
    return sorted(tab.evaluate(found + "(g) => FAMILIES[g.dataset.family]))]"))


def drawing(tab, figure):
    """All that is drawn of a figure."""
    return tab.evaluate(f"document.querySelector('#{figure} svg')?.innerHTML ?? ''")


def state(tab):
    """The hash."""
    return tab.evaluate("decodeURIComponent(location.hash.slice(1))")
