"""README and docs: every command runs, every figure is what the commands print, no link is broken, nothing is fetched."""

from __future__ import annotations

import doctest
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import matplotlib.image
import numpy as np
import pytest

import rollout_sim
from rollout_sim.cli.main import app
from rollout_sim.core.registry import ARRIVALS, FAULTS, STRATEGIES
from rollout_sim.scenario.json_schema import json_schema

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs" / "pictures.py")
assert _spec is not None
assert _spec.loader is not None
pictures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pictures)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    (\S.*)$", re.MULTILINE)
INTERVAL = re.compile(r"[\d.,]+%? \[[\d.,]+%?, [\d.,]+%?\]")


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def commands(page: Path) -> list[str]:
    """The shell commands of a page: in fences of their own, and indented."""
    text = page.read_text(encoding="utf-8")
    fenced = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    indented = INDENTED.findall(FENCE.sub("", text))
    return [" ".join(line.split()) for line in fenced + indented if line]


def figures(page: Path) -> set[str]:
    """Every figure with an interval, wherever the page says it."""
    text = re.sub(r"\n>? ?", " ", page.read_text(encoding="utf-8"))
    return set(INTERVAL.findall(" ".join(text.split())))


def test_what_looks_like_a_command_is_ours_or_an_installation() -> None:
    every = [line for page in PAGES for line in commands(page)]
    assert sum(line.startswith("rollout-sim ") for line in every) >= 15
    assert [line for line in every if not line.startswith(("rollout-sim ", "pip install "))] == []


def test_inline_commands_and_their_options_exist() -> None:
    for page in PAGES:
        for line in re.findall(r"`rollout-sim ([^`\n]+)`", page.read_text(encoding="utf-8")):
            command = app
            words = shlex.split(line)
            while words and words[0] in getattr(command, "commands", {}):
                command = command.commands[words.pop(0)]
            assert command is not app, f"{page.name}: `rollout-sim {line}`"
            options = {name for one in command.params for name in one.opts + one.secondary_opts}
            assert {word for word in words if word.startswith("--")} <= options, f"{page.name}: `rollout-sim {line}`"


@dataclass(slots=True)
class Tour:
    """What came of running the commands of each page, one after the other in a folder for each."""

    printed: dict[Path, str] = field(default_factory=dict)
    pictures: dict[str, Path] = field(default_factory=dict)


@pytest.fixture(scope="module")
def tour(tmp_path_factory) -> Tour:
    shims, kept = tmp_path_factory.mktemp("bin"), tmp_path_factory.mktemp("pictures")
    shim = shims / "rollout-sim"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rollout_sim.cli "$@"\n')
    shim.chmod(0o755)
    done = Tour()

    def follow(page: Path, folder: Path) -> None:
        shutil.copytree(ROOT / "scenarios", folder / "scenarios")
        printed = []
        for line in commands(page):
            if line.startswith("pip "):
                continue
            ran = subprocess.run(
                ["bash", "-c", line], cwd=folder, env=os.environ | {"PATH": f"{shims}:{os.environ['PATH']}"},
                capture_output=True, text=True, check=False, timeout=300, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            assert ran.returncode == 0, f"{page.name}: {line}: {ran.stderr}"
            printed.append(ran.stdout)
            done.pictures |= pictures.take(line.removeprefix("rollout-sim "), folder, kept)
        done.printed[page] = " ".join(" ".join(printed).split())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(follow, PAGES, [tmp_path_factory.mktemp(page.stem) for page in PAGES]))
    return done


@pytest.mark.long
def test_every_command_runs_and_every_figure_is_what_they_print(tour) -> None:
    for page in PAGES:
        missing = {one for one in figures(page) if one not in tour.printed[page]}
        assert not missing, f"{page.name}: {missing}"
    assert len(figures(ROOT / "docs" / "canary-percentage.md")) > 15


@pytest.mark.long
def test_every_picture_comes_out_as_it_is_shown(tour) -> None:
    shown = {
        Path(name).name
        for page in PAGES
        for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    }
    assert shown == {path.name for path in (ROOT / "docs").glob("*.png")} == set(tour.pictures)
    for name, path in tour.pictures.items():
        new, old = (matplotlib.image.imread(one)[..., :3] for one in (path, ROOT / "docs" / name))
        height, width = (min(a, b) for a, b in zip(new.shape[:2], old.shape[:2], strict=True))
        # Another version of matplotlib may place things a few pixels away.
        assert np.allclose(new.shape, old.shape, atol=12), f"{name}: {new.shape}, {old.shape}: run docs/pictures.py"
        difference = np.abs(new[:height, :width] - old[:height, :width]).mean()
        assert difference < 0.04, f"{name} differs by {difference:.3f}: run docs/pictures.py"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python", "pycon")], ids=lambda page: page.name
)
def test_python_blocks_run(page, tmp_path, monkeypatch) -> None:
    shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec", dont_inherit=True), scope)
    for registry in (STRATEGIES, ARRIVALS, FAULTS):  # other tests read which names there are
        for name in [*registry.classes()]:
            registry.forget(name)
    session = "\n".join(blocks(page, "pycon"))
    test = doctest.DocTestParser().get_doctest(session, {}, page.name, str(page), 0)
    assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")], ids=lambda page: page.name)
def test_the_first_yaml_block_of_a_page_is_a_scenario(page, tmp_path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("\n".join(blocks(page, "yaml")))
    assert rollout_sim.Scenario.load(path).strategies


class Page(HTMLParser):
    """The anchors of a page, and what it links to or loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.text: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.anchors |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(given["href"])
        elif "src" in given:
            self.loads.append(given["src"])

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> dict[Path, Page]:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-P", "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"},
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return {path: Page(path) for path in folder.rglob("*.html")}


def test_no_link_of_the_site_is_broken_and_nothing_is_fetched(site) -> None:
    assert len(site) >= 17
    broken = []
    for path, page in site.items():
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loads:
                    broken.append(f"{path.name} loads {link}")
                continue
            # 404.html is shown for any address, so its links begin at the root, where it lies itself.
            target = path if not parts.path else (path.parent / unquote(parts.path).removeprefix("/")).resolve()
            if not target.exists():
                broken.append(f"{path.name}: {link}")
            elif parts.fragment and target in site and unquote(parts.fragment) not in site[target].anchors:
                broken.append(f"{path.name}: {link}: no such place")
    assert broken == []


def test_the_references_are_complete(site) -> None:
    pages = {path.name: page for path, page in site.items()}
    for name in rollout_sim.__all__:
        assert f"{getattr(rollout_sim, name).__module__}.{name}" in pages["python.html"].anchors
    scenario = json_schema()
    words = set(pages["scenario.html"].text)
    for name, part in {"Scenario": scenario, **scenario["$defs"]}.items():
        assert name.lower() in pages["scenario.html"].anchors
        assert set(part["properties"]) <= words, name
    for name in app.commands:
        assert f"rollout-sim-{name}" in pages["commands.html"].anchors


def test_field_tables_say_type_and_unit(site) -> None:
    text = " ".join(
        " ".join(
            "".join(next(page for path, page in site.items() if path.name == "scenario.html").text).split()
        ).split()
    )
    assert (
        "How long an idle environment lives. AWS does not document it; measured 5 to 15 min.default 10 min: duration"
        in text
    )
    assert "The rate on average.required: rate, more than 0/s" in text
