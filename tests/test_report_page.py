"""The page of all runs in a browser: every control does what it says, and nothing else."""

import re

import pytest
from page import DRAWN, does, drawing, families, state
from reported import CURVES, TASKS

from suites.statistics import estimate

DASH = "\N{EN DASH}"
UNKNOWN = (DASH, "too few seeds")
FAMILIES = ["mbpo", "mpc-cem", "mpc-icem", "sac"]


# ---- the frontier ----


def hover(tab, figure, family, which=-1):
    """Point at one of a family's marks; what the tooltip says."""
    index = FAMILIES.index(family)
    marks = tab.locator(f'#{figure} g.series[data-family="{index}"] .mark')
    marks.nth(which % marks.count()).scroll_into_view_if_needed()
    box = marks.nth(which % marks.count()).bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.wait_for_selector(f"#{figure} .tip:not([hidden])")
    return tab.inner_text(f"#{figure} .tip")


def test_hover_tells_a_known_run(visit):
    tab = visit("view=cheetah-run")
    said = hover(tab, "frontier", "sac")
    told = estimate([CURVES[:, -1]])
    assert said.startswith("sac\n")
    assert "5 seeds, after 4k steps" in said
    assert f"500.0 [{told.low:.1f}, {told.high:.1f}]" in said
    text = " ".join(said.split())
    for wanted in (
        *("normalised 0.500", "real steps 5k (1k an episode)", "sim steps 0", "model steps 0"),
        *("CPU s 8.11 (0.11 an episode)", "FLOPs 2.4T", "joules 243", "ms / decision 0.1"),
        "ratio 1",
    ):
        assert wanted in text
    said = " ".join(hover(tab, "frontier", "mpc-icem").split())
    assert "knows simulator" in said
    assert "planner.budget" not in said
    assert "budget 2000" in said or "budget 500" in said
    assert re.search(r"on the frontier yes, \d+%", said)
    assert tab.inner_text("#said").startswith("mpc-icem budget=")
    assert tab.locator("#frontier svg.focus g.series.lit").count() == 1
    tab.mouse.move(5, 5)
    tab.wait_for_selector("#frontier .tip", state="hidden")
    few = " ".join(hover(tab, "frontier", "mpc-cem").split())
    assert "2 seeds, too few for an interval" in few
    assert "550.5 normalised" in few  # no interval


def test_axes_scales_and_intervals(visit):
    tab = visit("view=cheetah-run")
    before = drawing(tab, "frontier")
    seen = {before}
    for cost in ("env_steps", "sim_steps", "model_steps", "flops", "joules", "act_ms"):
        does(tab, "#cost", "select_option", cost)
        assert f"cost={cost}" in state(tab)
        seen.add(drawing(tab, "frontier"))
        assert ("mbpo" in tab.inner_text("#frontier-note")) == (cost == "joules")
    assert len(seen) == 7
    does(tab, "#cost", "select_option", "cpu_seconds")
    assert drawing(tab, "frontier") == before
    labels = (
        "[...document.querySelectorAll('#frontier .axis text')].map((text) => text.textContent)"
    )
    logarithmic = tab.evaluate(labels)
    does(tab, "[data-state=log]", "uncheck")
    assert tab.evaluate(labels) != logarithmic
    assert (
        tab.locator("#frontier .bar").count() == 5
    )  # the first and the last of sac, mbpo, two budgets
    does(tab, "[data-state=bars]", "uncheck")
    assert tab.locator("#frontier .bar").count() == 0
    assert state(tab) == "view=cheetah-run&log=0&bars=0"


def test_task_and_statistic(visit):
    tab = visit()
    assert tab.input_value("#view") == "together-0"
    assert families(tab, "frontier") == FAMILIES
    together = drawing(tab, "frontier"), drawing(tab, "curves")
    assert "normalised score" in together[0]
    does(tab, "#view", "select_option", TASKS[1])
    alone = drawing(tab, "frontier"), drawing(tab, "curves")
    assert alone[0] != together[0]
    assert alone[1] != together[1]
    does(tab, "[data-state=stat]", "select_option", "mean")
    assert drawing(tab, "frontier") != alone[0]
    assert "mean over seeds" in drawing(tab, "curves")
    assert "520.0" in hover(tab, "curves", "sac")  # of 400, 1000, 500, 600, 100
    assert "500.0" not in hover(tab, "curves", "sac")


def test_marks_say_what_is_known(visit):
    tab = visit("view=cheetah-run")
    marks = "i => document.querySelector(`#frontier [data-family='${i}'] .mark`).getAttribute('d')"
    assert tab.evaluate(marks, FAMILIES.index("mpc-icem")).count("L") == 2  # a triangle
    assert "a" in tab.evaluate(marks, FAMILIES.index("sac"))  # a circle
    assert tab.locator("#shapes p").all_inner_texts() == [
        "circle: no privileged information",
        "triangle: knows simulator",
    ]
    assert "knows simulator" in tab.inner_text("[data-entry=mpc-icem]")
    assert tab.locator("#frontier .mark.few").count() == 1
    assert "100%" in tab.inner_html("#frontier svg")


def test_keyboard(visit):
    tab = visit("view=cheetah-run")
    tab.focus("#frontier svg")
    heard = []
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
        heard.append(tab.inner_text("#said"))
    assert len(set(heard)) == 3
    tab.keyboard.press("ArrowLeft")
    assert tab.inner_text("#said") == heard[1]
    tab.keyboard.press("Enter")
    assert tab.inner_text("#details h2") == heard[1].partition(":")[0]
    assert "method=" in state(tab)
    tab.keyboard.press("Escape")
    tab.wait_for_selector("#details", state="hidden")
    # A dialog is hidden at once, but tells the page that it closed in a task of its own.
    tab.wait_for_function("!location.hash.includes('method=')")
    assert "method=" not in state(tab)
    tab.focus("#frontier svg")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Escape")
    assert tab.locator("#frontier .tip").is_hidden()


# ---- methods ----


def test_legend_toggles_methods(visit):
    tab = visit("view=cheetah-run")
    assert [text.split()[0] for text in tab.locator("#legend button").all_inner_texts()] == FAMILIES
    does(tab, "[data-entry=mpc-icem]")
    assert families(tab, "frontier") == ["mbpo", "mpc-cem", "sac"]
    assert tab.get_attribute("[data-entry=mpc-icem]", "aria-pressed") == "false"
    assert state(tab) == "view=cheetah-run&hide=mpc-icem"
    assert tab.evaluate("document.activeElement.dataset.entry") == "mpc-icem"
    # The frontier is that of what is shown: nothing beats mpc-cem now for what it costs.
    shown = tab.locator('#frontier g.series[data-family="1"] .mark.on').count()
    does(tab, "[data-entry=mpc-icem]")
    assert shown == 1
    assert tab.locator('#frontier g.series[data-family="1"] .mark.on').count() == 0
    does(tab, "[data-entry=sac]")
    assert families(tab, "curves") == ["mbpo"]
    does(tab, "#none")
    assert families(tab, "frontier") == families(tab, "curves") == []
    assert tab.inner_text("#frontier .empty").startswith("Nothing to show")
    does(tab, "#all")
    assert families(tab, "frontier") == FAMILIES
    assert tab.locator(".figure .empty").count() == 0
    does(tab, "#unprivileged")
    assert families(tab, "frontier") == ["mbpo", "sac"]
    does(tab, "#only", "fill", "MPC")
    assert families(tab, "frontier") == ["mpc-cem", "mpc-icem"]
    does(tab, "#only", "fill", "")
    assert families(tab, "frontier") == FAMILIES
    tab.locator("[data-entry=sac]").hover()
    assert tab.locator("#frontier g.series.lit").count() == 1


def test_details_of_a_method(visit, place):
    tab = visit()
    tab.locator("#table button", has_text="mpc-cem").first.click()
    assert tab.inner_text("#details h2") == "mpc-cem"
    assert "planner: mpc, plans in: simulator, learner: none" in tab.inner_text("#details")
    assert "planner.horizon" not in tab.inner_text("#details")
    tab.click("#details summary:text('All settings')")
    assert re.search(r"planner.horizon\s+0.5", tab.inner_text("#details"))
    tab.click("#details summary:text('Its runs')")
    film = tab.locator("#details a", has_text=".mp4")
    assert film.inner_text() == "episode 000.mp4"
    assert film.evaluate("a => a.href").startswith((place / "runs/walker-walk/mpc-cem").as_uri())
    assert tab.locator("#videos a").get_attribute("href") == film.get_attribute("href")
    tab.click("#details .close")
    assert tab.locator("#details").is_hidden()


# ---- learning curves ----


def test_curves(visit):
    tab = visit("view=walker-walk")
    assert families(tab, "curves") == ["mbpo", "sac"]
    assert tab.locator("#curves .band").count() == 2
    assert tab.locator("#curves .seed").count() == 0
    does(tab, "[data-state=seeds]", "check")
    assert tab.locator("#curves .seed").count() == 8
    linear = drawing(tab, "curves")
    does(tab, "[data-state=stepslog]", "check")
    assert drawing(tab, "curves") != linear
    assert state(tab) == "view=walker-walk&stepslog=1&seeds=1"
    said = " ".join(hover(tab, "curves", "sac").split())
    assert "5 seeds, after 4k steps" in said
    assert "CPU s 8.11" in said
    does(tab, "#view", "select_option", "together-0")
    assert tab.locator("#curves .seed").count() == 0
    assert "single tasks only" in tab.inner_text("#curves-note")


# ---- tables ----


def column(tab, key):
    """The cells of a column of the table, as numbers or text."""
    heads = tab.evaluate(
        "[...document.querySelectorAll('#table th button')].map((b) => b.dataset.key)"
    )
    cells = tab.locator(f"#table tbody tr > :nth-child({heads.index(key) + 1})").all_inner_texts()
    factor = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}

    def value(text):
        found = re.match(rf"(-?[\d.]+)([kMGT]?)( {DASH}.*)?$", text)
        return float(found[1]) * factor.get(found[2], 1) if found else text

    return [value(text) for text in cells]


def test_table_sorts_by_each_column(visit):
    tab = visit()
    keys = tab.evaluate("COLUMNS.map((column) => column.key)")
    assert len(keys) == 16
    whole = sorted(tab.locator("#table tbody tr").all_inner_texts())
    for key in keys:
        orders, known = [], []
        for _ in range(2):
            tab.click(f'#table th button[data-key="{key}"]')
            known = [x for x in column(tab, key) if x not in UNKNOWN]
            unknown = column(tab, key)[len(known) :]
            assert all(x in UNKNOWN for x in unknown) or key == "knows"
            down = (
                tab.get_attribute(f'#table th:has([data-key="{key}"])', "aria-sort") == "descending"
            )
            if key not in ("method", "task"):
                assert known == sorted(known, reverse=down)
            orders.append(tab.locator("#table tbody tr").all_inner_texts())
            assert sorted(orders[-1]) == whole
        if len(set(known)) > 1:
            assert orders[0] != orders[1], key
        if key != "normalised":
            assert f"sort={key}" in state(tab)
        assert tab.evaluate("document.activeElement.dataset.key") == key


def test_table_and_its_filter(visit):
    tab = visit()
    assert tab.inner_text("#table-count") == "15 of 15 rows"
    tab.fill("[data-state=find]", "sac walk")
    (row,) = tab.locator("#table tbody tr").all_inner_texts()
    told = estimate([CURVES[:, -1]])
    assert row.split("\t")[:6] == [
        *("sac", DASH, "walker-walk", "5", "500.0", f"{told.low:.1f} {DASH} {told.high:.1f}"),
    ]
    assert tab.inner_text("#table-count") == "1 of 15 rows"
    assert state(tab) == "find=sac+walk"
    tab.fill("[data-state=find]", "mpc-cem cheetah")
    assert "too few seeds" in tab.inner_text("#table tbody")
    assert column(tab, "failed") == [1]
    tab.fill("[data-state=find]", "nothing like it")
    assert tab.inner_text("#table-count") == "0 of 15 rows"
    note = tab.inner_text("#table-note")
    assert "stratified bootstrap percentile 95%" in note
    assert "a task has 2 seeds" in note


def test_what_does_not_count_and_the_protocol(visit):
    tab = visit()
    text = tab.inner_text("#left-out-section")
    assert "give </script><b>more</b>" in text
    assert "it is running, or was stopped" in text
    assert "torn" in text
    text = tab.inner_text("#protocol-section")
    assert "synthetic processor" in text
    assert "evaluation.seed" in text
    assert tab.inner_text("#summary").endswith("4 methods, 2 tasks; 2 runs left out")


# ---- the page ----


def test_sections_are_gone_to(visit):
    tab = visit(viewport={"width": 1280, "height": 400})
    names = tab.locator("#nav button").all_inner_texts()
    assert names == ["Frontier", "Learning curves", "Table", "Videos", "Left out", "Protocol"]
    seen = set()
    for name in names:
        tab.click(f"#nav button:text-is('{name}')")
        seen.add(tab.evaluate("scrollY"))
        tab.evaluate("scrollTo(0, 0)")
    assert len(seen) >= 5  # the last two may both be at the end
    assert max(seen) > 1000


def colours(tab):
    found = "[getComputedStyle(document.documentElement).backgroundColor,"
    found += "getComputedStyle(document.querySelector('#frontier .mark')).stroke,"
    return tab.evaluate(found + "getComputedStyle(document.body).color]")


def test_themes(visit):
    tab = visit(color_scheme="light")
    light = colours(tab)
    assert light[0] == "rgb(255, 255, 255)"
    assert tab.inner_text("#theme") == "Dark"
    tab.click("#theme")
    dark = colours(tab)
    assert all(x != y for x, y in zip(light, dark, strict=True))
    assert state(tab) == "theme=dark"
    assert tab.inner_text("#theme") == "Light"
    tab.click("#theme")
    assert colours(tab) == light
    assert colours(visit(color_scheme="dark")) == dark
    assert colours(visit("theme=light", color_scheme="dark")) == light


def test_the_hash_restores_what_is_shown(visit):
    tab = visit()
    does(tab, "#view", "select_option", TASKS[0])
    does(tab, "#cost", "select_option", "env_steps")
    does(tab, "[data-entry=mbpo]")
    does(tab, "[data-state=seeds]", "check")
    does(tab, "[data-state=stat]", "select_option", "mean")
    tab.click('#table th button[data-key="cpu_seconds"]')
    tab.fill("[data-state=find]", "mpc")
    again = visit(tab.evaluate("location.hash.slice(1)"))
    for figure in ("frontier", "curves"):
        assert drawing(again, figure) == drawing(tab, figure)
    assert column(again, "method") == column(tab, "method")
    assert again.inner_text("#legend") == tab.inner_text("#legend")
    opened = visit("method=sac")
    assert opened.inner_text("#details h2") == "sac"
    odd = visit("view=nowhere&cost=gold&hide=nobody&sort=up&method=none&log=maybe&x=1")
    assert families(odd, "frontier") == FAMILIES
    odd.evaluate("location.hash = '#view=walker-walk'")
    odd.wait_for_selector(f"{DRAWN}:has(#view option[value='walker-walk']:checked)")
    assert odd.input_value("#view") == "walker-walk"


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows(visit, width):
    tab = visit("view=cheetah-run", viewport={"width": width, "height": 844}, has_touch=width < 500)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    figure = tab.locator("#frontier svg").bounding_box()
    assert figure["x"] >= 0
    assert figure["x"] + figure["width"] <= width
    said = hover(tab, "frontier", "sac")
    assert "sac" in said
    tip = tab.locator("#frontier .tip").bounding_box()
    assert tip["x"] >= 0
    assert tip["x"] + tip["width"] <= width
    tab.set_viewport_size({"width": 700, "height": 844})
    tab.wait_for_selector(f"{DRAWN} #frontier svg[width='672']")


def test_labels_cover_nothing(visit):
    tab = visit("view=cheetah-run")
    boxes = [label.bounding_box() for label in tab.locator("#frontier .label").all()]
    assert len(boxes) >= 2
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            apart = a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
            assert apart or a["y"] + a["height"] <= b["y"] or b["y"] + b["height"] <= a["y"]


def test_the_page_is_one_file(place):
    text = (place / "report.html").read_text()
    own = re.sub(r'id="data">.*?</script>', "", text, flags=re.DOTALL)
    assert not re.search(r"\ssrc=|@import|url\((?!#)|https?://(?!www.w3.org)", own)
    assert "default-src 'none'" in text
