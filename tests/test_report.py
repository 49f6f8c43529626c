"""The report page: what stands in it, that it needs nothing else, and how it looks to a browser and to axe."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from browser import chromium
from builders import data
from click.testing import CliRunner

from rollout_sim.cli import app
from rollout_sim.comparison import compare
from rollout_sim.errors import ScenarioError
from rollout_sim.report import report
from rollout_sim.report_page import page
from rollout_sim.scenario import Scenario
from rollout_sim.scenario_file import read_yaml

SECTIONS = ("question", "answer", "comparison", "budget", "traffic", "sensitivity", "assumptions", "reproduce")


def file(folder: Path, **changes: Any) -> Path:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(data(**changes), sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return file(tmp_path_factory.mktemp("report"), description='Is <b>it</b> good & "well"?')


@pytest.fixture(scope="module")
def html(path: Path) -> str:
    return page(report(read_yaml(path), replications=400))


class Elements(HTMLParser):
    """Every element with its attributes, and the text of the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_every_section_is_there_the_answer_before_what_it_rests_on(html: str) -> None:
    assert [one["id"] for one in Elements(html).of("section")] == list(SECTIONS)


def test_the_page_needs_nothing_else(html: str) -> None:
    for tag, attributes in Elements(html).found:
        assert tag not in ("script", "iframe", "object"), tag
        for name in ("src", "href", "srcset"):
            assert (attributes.get(name) or "data:").startswith("data:"), f"{tag} {name}"
    assert "@import" not in html
    assert "url(" not in html


def test_every_picture_is_svg_with_a_text_that_holds_its_figures(html: str, path: Path) -> None:
    pictures = Elements(html).of("img")
    assert len(pictures) == 6
    for one in pictures:
        kind, _, content = str(one["src"]).partition(";base64,")
        assert kind == "data:image/svg+xml"
        assert b"<svg" in base64.b64decode(content)
        assert re.search(r"\d", str(one["alt"])), one["alt"]
    compared = compare(Scenario.load(path), 400)
    said = next(str(one["alt"]) for one in pictures if "How often each strategy stops" in str(one["alt"]))
    for name in compared.columns:
        found = compared.estimates(name)["stopped"]
        assert found is not None
        assert f"{name} {found.mean * 100:.3g}"[:9] in said


def test_the_answer_names_the_cheapest_strategy_with_its_interval(path: Path) -> None:
    found = report(read_yaml(path), replications=400)
    means = {name: found.comparison.estimates(name)["bad_requests"] for name in found.comparison.columns}
    best = min(means, key=lambda name: means[name].mean)  # type: ignore[union-attr]
    assert f"{best} costs the fewest bad requests" in found.answer[0]
    assert re.search(r"\d \[[\d,.]+, [\d,.]+\]", found.answer[0])


def test_what_the_file_says_is_escaped(html: str) -> None:
    assert "<b>it</b>" not in html
    assert 'Is <b>it</b> good & "well"?' in Elements(html).text


def test_the_same_seed_writes_the_same_bytes_and_the_command_says_how(html: str, path: Path) -> None:
    (command,) = re.findall(r"rollout-sim (report .*?)</code>", html)
    out = path.parent / "again.html"
    done = CliRunner().invoke(app, [*shlex.split(unescape(command)), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert out.read_text(encoding="utf-8") == html


def test_stateful_scenarios_say_what_is_left_out(tmp_path: Path) -> None:
    source = {"source": "http", "alias": "prod", "arrivals": {"poisson": "5/s"}, "retry": "standard"}
    slow = {"1": {"duration": "50 ms"}, "2": {"duration": "50 ms", "faults": [{"latency": "3x"}]}}
    found = report(read_yaml(file(tmp_path, traffic=[source], function__versions=slow)), replications=10)
    assert (found.swept, found.recommended) == (None, None)
    text = Elements(page(found)).text
    assert "No search for a better rollout, which takes minutes here" in text
    assert "has no fault of `errors`" in text


def test_without_a_rollout_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"small\.yaml: a report compares rollouts, and there is none"):
        report(read_yaml(file(tmp_path, rollout=None, strategies={})))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as driver:
        yield driver


def opened(browser: Any, path: Path, html: str, *, width: int, scheme: str) -> None:
    (path.parent / "report.html").write_text(html, encoding="utf-8")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get((path.parent / "report.html").as_uri())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_a_browser_shows_all_of_it_and_asks_for_nothing(
    browser: Any, path: Path, html: str, width: int, scheme: str
) -> None:
    opened(browser, path, html, width=width, scheme=scheme)
    assert browser.get_log("browser") == []
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    addresses = [one["params"]["request"]["url"] for one in asked if one["method"] == "Network.requestWillBeSent"]
    assert [one for one in addresses if one.startswith(("http", "ws", "ftp"))] == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    for section in SECTIONS:
        box = browser.execute_script(f"return document.getElementById('{section}').getBoundingClientRect().toJSON()")
        assert min(box["width"], box["height"]) > 30, section
    loaded = "return [...document.images].every(i => i.complete && i.naturalWidth > 0)"
    assert browser.execute_script(loaded)
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Any, path: Path, html: str, scheme: str) -> None:
    """Contrast, names, structure: every rule of axe-core, details opened."""
    from axe_core_python.base import AXE_SCRIPT

    opened(browser, path, html, width=1280, scheme=scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    browser.execute_script(AXE_SCRIPT)
    found = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found["violations"]] == []
    assert "color-contrast" in {one["id"] for one in found["passes"]}
