"""The report page: what it says, that it needs nothing else, and that people can read it in a real browser."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from axe_core_python.selenium import Axe
from browser import chromium, errors, requests, resize, scheme, written
from builders import data
from command import call
from lab import until
from selenium.webdriver.chrome.webdriver import WebDriver
from web import Page

from rollout_sim.control.controller import OUTCOMES
from rollout_sim.core.formatting import share_with_interval
from rollout_sim.errors import ScenarioError
from rollout_sim.study.comparison import best_strategy
from rollout_sim.study.executor import starting
from rollout_sim.study.judgement import limits_of
from rollout_sim.views.report.build import Report, make_report
from rollout_sim.views.report.page import _answer as page_of
from rollout_sim.views.report.page import html, write_report

SECTIONS = (
    "question", "answer", "comparison", "recommendation", "error-budget", "traffic", "sensitivity", "assumptions",
    "reproduce",
)  # fmt: skip
HOSTILE = "<script>alert('x')</script> & \"q\""


def write(folder: Path, **changes: Any) -> Path:
    path = folder / f"{len(list(folder.iterdir()))}.yaml"
    path.write_text(yaml.safe_dump(data(**changes), sort_keys=False))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def made(folder: Path) -> Report:
    """Of a scenario with everything: two SLOs, a recommendation, a sensitivity; two of its three strategies."""
    path = write(
        folder,
        horizon="1 h",
        function__versions__1__error_rate="0.1%",
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "20/s"}}],
        slos=[{"name": "availability", "objective": "99.9%"}, {"name": "week", "objective": "99.5%", "window": "7 d"}],
    )
    return make_report(path, replications=400, strategies=["instant", "canary"])


@pytest.fixture(scope="module")
def file(folder: Path, made: Report) -> Path:
    return write_report(made, folder / "report.html")


@pytest.fixture(scope="module")
def page(file: Path) -> Page:
    return Page(file.read_text(encoding="utf-8"))


def test_it_needs_nothing_but_itself(file: Path, page: Page) -> None:
    for tag, attributes in page.elements:
        assert tag not in {"script", "iframe", "object", "embed", "base"}
        for name in ("src", "href", "xlink:href", "data", "action", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    text = file.read_text(encoding="utf-8")
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) <= {"#"}


def test_the_sections_come_in_order(page: Page) -> None:
    assert tuple(one["id"] for one in page.all("section")) == SECTIONS


def test_ids_are_unique_and_every_reference_finds_its_own(file: Path, page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    text = file.read_text(encoding="utf-8")
    wanted = {one["href"] for one in page.all("use")} | set(re.findall(r"url\((#[^)]+)\)", text))
    assert wanted
    assert {one.removeprefix("#") for one in wanted} <= set(ids)


def test_every_figure_says_in_words_what_it_shows(page: Page) -> None:
    figures = [one for one in page.all("svg") if one.get("aria-hidden") != "true"]
    assert (
        len(figures) == 20
    )  # stopping, cost x 2, candidates, (budget and burn rate) x 2, traffic, sensitivity, wide and narrow
    assert 2 * len(page.all("figure")) == len(figures)
    for one in figures:
        assert one["role"] == "img"
        assert "canary" in one["aria-label"]
        assert "instant" in one["aria-label"] or "AllAtOnce" in one["aria-label"]
        assert re.search(r"\d", one["aria-label"]), "its main figures"


def test_colours_can_be_replaced_where_it_is_dark(page: Page) -> None:
    for _, attributes in page.elements:
        if "xmlns" not in attributes:
            for colour in re.findall(r"(?<!, )#[0-9a-f]{6}", attributes.get("style", "")):
                pytest.fail(f"{colour} is not behind a variable: {attributes}")


def test_the_answer_has_the_comparisons_figures(made: Report, page: Page) -> None:
    text = " ".join(page.text.split())
    stopped = made.compared.estimates(best_strategy(made.compared))["stopped"]
    assert f"stops version 2 in {share_with_interval(stopped)} of the rollouts" in text
    assert "linear, percent 25%" not in text.split("Why the search")[0]  # the file's third strategy was not asked for
    assert "--strategy instant --strategy canary --replications 400" in text
    assert "Seed 1." in text
    for package in ("rollout-sim", "numpy", "matplotlib", "Python"):
        assert package in text
    assert made.recommendation is not None
    assert made.recommendation.winner is not None
    assert made.recommendation.winner.name in text
    first = text[text.index("The answer") : text.index("The strategies compared")]
    assert first.count("Do this") == 1
    assert f"Use {made.recommendation.winner.name}" in first
    for note in made.compared.approximations:
        assert note[1:] in text


def test_the_recommended_strategy_is_in_every_picture(made: Report, page: Page) -> None:
    assert made.chosen is not None
    assert list(made.shown.columns) == [*made.compared.columns, made.chosen]
    assert [run.strategy for run in made.runs] == list(made.shown.columns)
    for picture in page.all("svg"):
        if picture.get("aria-hidden") != "true":
            assert made.chosen in picture["aria-label"] or "recommended" in picture["aria-label"]


def test_each_strategy_is_held_against_the_goal(made: Report, page: Page) -> None:
    text = " ".join(page.text.split())
    assert "limits of the goal" in text
    for name in made.shown.columns:
        assert made.recommendation is not None
        kept = {limit.kept for limit in limits_of(made.shown, name, made.recommendation.goal)}
        for verdict, word in (("no", "broken:"), ("open", "open:")):
            assert verdict not in kept or word in text
        judged = any(limit.name == "catch" for limit in limits_of(made.shown, name, made.recommendation.goal))
        assert ("catch: not judged" in text) is not judged


@pytest.mark.parametrize(("saved", "told"), [(5.0, True), (0.0, False), (-5.0, False)])
def test_what_is_better_elsewhere_is_said_where_it_is_known(made: Report, saved: float, told: bool) -> None:
    """A strategy of the file that CodeDeploy cannot carry out: it keeps the goal, and adds fewer bad requests or not."""
    assert made.chosen is not None
    twin = made.shown.twin
    assert twin is not None
    assert not any("elsewhere" in line for line in page_of(made)["more"])  # it breaks a limit of the goal
    always, never = (OUTCOMES.index(outcome) for outcome in ("rolled_back", "promoted"))
    chosen = made.shown.columns[made.chosen]
    caught = {**chosen, "outcome": np.full_like(chosen["outcome"], always)}
    caught["bad_requests_added"] = chosen["bad_requests_added"] - saved
    kept = {**twin.columns[made.chosen], "outcome": np.full_like(chosen["outcome"], never)}
    good = replace(twin, columns={**twin.columns, "instant": kept})
    shown = replace(made.shown, columns={**made.shown.columns, "instant": caught}, twin=good)
    lines = [line for line in page_of(replace(made, shown=shown))["more"] if "elsewhere" in line]
    assert [line.startswith("Better elsewhere: instant adds ") for line in lines] == [True] * told
    assert all("but CodeDeploy has no bake" in line for line in lines)


def test_with_state_too_there_is_one_answer(folder: Path) -> None:
    """Where a search would take minutes, the file's strategies are held against the goal, and ties are said."""
    twins = {name: {"type": "canary", "percent": 10, "interval": "5 min"} for name in ("one", "other")}
    path = write(folder, function__reserved_concurrency=2, strategies=twins | {"blind": {"type": "all_at_once"}})
    text = " ".join(Page(html(make_report(path, replications=20))).text.split())
    assert text.count("Do this") == 1
    assert "As good, as far as the replications can tell: other." in text


def test_the_same_scenario_and_seed_make_the_same_bytes(folder: Path) -> None:
    path = write(folder, slos=None)
    first, second, other = (html(make_report(path, replications=40, seed=seed)) for seed in (None, None, 2))
    assert first == second
    assert first != other


@pytest.mark.slow
def test_pictures_that_several_processes_draw_are_the_same(file: Path, made: Report) -> None:
    with starting(2):
        pass
    assert html(replace(made, jobs=2)) == file.read_text(encoding="utf-8")


def test_the_command_on_the_page_writes_the_page(folder: Path) -> None:
    path = write(folder, slos=None)
    call("report", path.name, "--seed", "3", "--replications", "30", "--out", "a/b.html", cwd=folder)
    text = (folder / "a/b.html").read_text(encoding="utf-8")
    (again,) = re.findall(r'<pre class="command" tabindex="0">rollout-sim (.*)</pre>', text)
    call(*again.split(), cwd=folder)
    assert (folder / "results" / path.stem / "report.html").read_text(encoding="utf-8") == text


def test_what_a_file_says_is_text_and_never_markup(folder: Path) -> None:
    path = write(
        folder,
        name=HOSTILE,
        description=HOSTILE,
        strategies={HOSTILE: {"type": "all_at_once"}, "b": {"type": "canary", "percent": 10, "interval": "5 min"}},
        slos=[{"name": HOSTILE, "objective": "99%"}],
        alarms={HOSTILE: {"metric": "errors", "of": "new_version", "threshold": "> 2", "datapoints": "1 of 1"}},
        rollout__alarms=[],
    )
    text = html(make_report(path, replications=20))
    page = Page(text)
    assert not page.all("script")
    assert page.text.count("<script>alert('x')</script>") >= 4
    svg = text[text.index("<figure") :]
    assert "<script" not in svg


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rollout": None, "strategies": None, "alarms": None}, "No recommendation: nothing is rolled out."),
        ({"slos": None}, "No recommendation: the scenario has no SLO"),
        ({"rollout__alarms": []}, "No recommendation: no alarm watches the rollout"),
        ({"function__versions__2": {"like": "1"}, "slos": None}, "Nothing is wrong with version 2."),
        ({"function__reserved_concurrency": 2}, "a search takes half a minute here"),
        ({"engine": "aggregate", "slos": None}, "Comparison: aggregate plane"),
        ({"function__versions__2": {"like": "1"}, "function__reserved_concurrency": 2}, "catch: not judged"),
    ],
)
def test_what_a_scenario_lacks_is_said(changes: dict[str, Any], said: str, folder: Path) -> None:
    page = Page(html(make_report(write(folder, **changes), replications=20)))
    assert said in " ".join(page.text.split())
    assert tuple(one["id"] for one in page.all("section")) == SECTIONS


def test_a_mistake_is_one_message_and_writes_nothing(folder: Path) -> None:
    with pytest.raises(ScenarioError, match="did you mean 'canary'"):
        make_report(write(folder), strategies=["canry"])
    path = write(folder, horizon="0 s")
    done = call("report", path, "--out", folder / "no" / "r.html", cwd=folder)
    assert done.returncode == 2
    assert "horizon" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "no").exists()


@pytest.fixture(scope="module")
def shown(file: Path) -> Iterator[WebDriver]:
    """The page in a browser."""
    with chromium() as browser:
        browser.get(file.as_uri())
        yield browser


VIEWS = [
    pytest.param(width, dark, id=f"{width} {'dark' if dark else 'light'}")
    for width in (1280, 375)
    for dark in (False, True)
]


def look(browser: WebDriver, file: Path, width: int, *, dark: bool) -> None:
    """Loads the page anew; from a blank one, as a page that is there already counts as loaded."""
    browser.get("about:blank")
    errors(browser)
    requests(browser)
    resize(browser, width, 800)
    scheme(browser, dark=dark)
    browser.get(file.as_uri())
    until(lambda: browser.execute_script("return document.readyState") == "complete", "the page")


@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_it_loads_without_an_error_and_asks_for_nothing(shown: WebDriver, file: Path, width: int, dark: bool) -> None:
    look(shown, file, width, dark=dark)
    assert errors(shown) == []
    assert requests(shown) == [file.as_uri()]


@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_everything_is_visible_and_nothing_sticks_out(shown: WebDriver, file: Path, width: int, dark: bool) -> None:
    look(shown, file, width, dark=dark)
    figures = ".large" if width > 800 else ".small-screen"
    sizes = shown.execute_script(
        f"return [...document.querySelectorAll('section, {figures} svg[role=img], table')].map(one => "
        "[one.id || one.tagName, one.getBoundingClientRect().width, one.getBoundingClientRect().height, "
        "one.checkVisibility({opacityProperty: true, visibilityProperty: true})])"
    )
    assert [one[0] for one in sizes if one[0] in SECTIONS] == list(SECTIONS)
    for name, wide, high, visible in sizes:
        assert visible, name
        assert min(wide, high) > 50, name
    page, room, window = shown.execute_script(
        "const one = document.documentElement; return [one.scrollWidth, one.clientWidth, window.innerWidth]"
    )
    assert window == width
    assert page == room, "scrolls sideways"
    outside = shown.execute_script(
        "return [...document.querySelectorAll('main *')].filter(one => !one.closest('.wide *, pre *, details:not([open]) *') "
        "&& one.getBoundingClientRect().right > window.innerWidth + 0.5).map(one => one.outerHTML.slice(0, 80))"
    )
    assert outside == []
    hidden = "return [...document.querySelectorAll('.wide')].map(one => one.scrollWidth - one.clientWidth)"
    assert shown.execute_script(hidden) == [0], "columns of the table are out of sight"


@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_nothing_keeps_people_from_reading_it(shown: WebDriver, file: Path, width: int, dark: bool) -> None:
    """axe-core finds nothing serious, with all of its rules, contrast among them."""
    look(shown, file, width, dark=dark)
    shown.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    result = Axe().run(shown)
    assert "color-contrast" in {rule["id"] for rule in result["passes"]}
    found = [
        (rule["id"], rule["impact"], [node["html"][:90] for node in rule["nodes"]]) for rule in result["violations"]
    ]
    assert found == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_letters_of_the_figures_stand_out(shown: WebDriver, file: Path, dark: bool) -> None:
    """axe does not look into figures: every letter in them has the contrast that text needs, and none is drawn in
    the page's own colour."""
    look(shown, file, 1280, dark=dark)
    paper, letters = shown.execute_script(
        "return [getComputedStyle(document.body).backgroundColor, [...document.querySelectorAll('figure svg text')]"
        ".map(one => [one.textContent, getComputedStyle(one).fill])]"
    )
    assert (luminance(paper) < 0.1) is dark
    assert len(letters) > 100
    for text, colour in letters:
        assert contrast(colour, paper) >= 4.5, (text, colour, paper)


def test_a_telephone_shows_figures_that_are_drawn_for_it(shown: WebDriver, file: Path) -> None:
    """Nothing has to be scrolled sideways to be seen, and letters keep their size."""
    for width, large in ((1280, True), (375, False)):
        look(shown, file, width, dark=False)
        sizes = shown.execute_script(
            "return [...document.querySelectorAll('figure svg[role=img]')].filter(one => one.checkVisibility())"
            ".map(one => [one.closest('.large') !== null, one.getBoundingClientRect().right, "
            "Math.min(...[...one.querySelectorAll('text')].map(text => text.getBoundingClientRect().height))])"
        )
        assert len(sizes) == 10
        for is_large, right, letters in sizes:
            assert is_large is large
            assert right <= width
            assert letters >= 8


def test_on_paper_it_has_few_pages_and_none_is_half_empty(shown: WebDriver, file: Path) -> None:
    look(shown, file, 1280, dark=False)
    blank = blanks(shown)
    assert len(blank) <= 5  # four, and one for the second SLO's pictures
    assert max(blank) < 0.5
    shown.execute_script("document.querySelector('#recommendation').style.breakBefore = 'page'")
    assert max(blanks(shown)) > 0.5  # which is seen


def blanks(browser: WebDriver) -> list[float]:
    """For each printed page how much of its height no text stands on, at a stretch."""
    done = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    pages = [sorted(heights) for heights in written(base64.b64decode(done["data"]))]
    margin = 0.04  # of A4
    return [max(np.diff([margin, *heights, 1 - margin])) for heights in pages]


def test_paper_is_always_light(shown: WebDriver, file: Path) -> None:
    look(shown, file, 1280, dark=True)
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    colours = shown.execute_script(
        "const text = getComputedStyle(document.querySelector('figure svg text'));"
        "return [getComputedStyle(document.documentElement).getPropertyValue('--paper'), text.fill]"
    )
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
    assert colours[0].strip() == "#ffffff"
    assert contrast(colours[1], "rgb(255, 255, 255)") > 7


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two CSS colours."""
    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [float(part) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
