"""README and docs: every command runs, every figure is what the commands print, no link is broken, nothing is fetched."""

from __future__ import annotations

import doctest
import fcntl
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import matplotlib.image
import numpy as np
import pytest
from command import shell
from web import Page

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
            options = {name for parameter in command.params for name in parameter.opts + parameter.secondary_opts}
            assert {word for word in words if word.startswith("--")} <= options, f"{page.name}: `rollout-sim {line}`"


STEPS = {page: [line for line in commands(page) if not line.startswith("pip ")] for page in PAGES}
STEP_CASES = [
    pytest.param(page, number, id=f"{page.name}: {number + 1} {line}", marks=pytest.mark.long)
    for page, lines in STEPS.items()
    for number, line in enumerate(lines)
]
SHOWN = sorted(
    {
        Path(name).name
        for page in PAGES
        for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    }
)
BLOCK = 16
"""Pixels: another version of matplotlib may place things a little differently."""
APART = 0.3
"""The share of the ink that may lie elsewhere: a pixel's displacement moves a sixth, another picture of ours 0.4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a command of a page did."""

    status: int
    printed: str
    errors: str
    pictures: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tour:
    """The commands of each page, each run once after those before it, in a folder for the page, whoever asks first."""

    folder: Path

    def steps(self, page: Path, count: int) -> list[Step]:
        """The first `count` commands of a page."""
        home = self.folder / page.stem
        home.mkdir(exist_ok=True)
        with (home / "lock").open("w") as lock:  # the tests of a page may be in several processes
            fcntl.flock(lock, fcntl.LOCK_EX)
            return [self._step(page, home, number) for number in range(count)]

    def _step(self, page: Path, home: Path, number: int) -> Step:
        kept, folder = home / f"{number}.json", home / "work"
        if kept.exists():
            return Step(**json.loads(kept.read_text(encoding="utf-8")))
        if number == 0:
            shutil.copytree(ROOT / "scenarios", folder / "scenarios")
        line = STEPS[page][number]
        done = shell(line, folder, self.folder / "bin")
        taken = {}
        if done.returncode == 0:
            target = home / f"pictures-{number}"
            target.mkdir()
            taken = pictures.take(line.removeprefix("rollout-sim "), folder, target)
        step = Step(
            status=done.returncode,
            printed=done.stdout,
            errors=done.stderr,
            pictures={name: str(path) for name, path in taken.items()},
        )
        kept.write_text(json.dumps(asdict(step)), encoding="utf-8")
        return step


@pytest.fixture(scope="module")
def tour(tmp_path_factory, worker_id) -> Tour:
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "tour"
    folder.mkdir(exist_ok=True)
    return Tour(folder=folder)


@pytest.mark.parametrize(("page", "number"), STEP_CASES)
def test_a_command_runs(page, number, tour) -> None:
    step = tour.steps(page, number + 1)[-1]
    assert step.status == 0, step.errors


@pytest.mark.long
@pytest.mark.parametrize("page", [page for page in PAGES if figures(page)], ids=lambda page: page.name)
def test_every_figure_is_what_the_commands_of_its_page_print(page, tour) -> None:
    printed = " ".join(" ".join(step.printed for step in tour.steps(page, len(STEPS[page]))).split())
    assert {figure for figure in figures(page) if figure not in printed} == set()


def test_there_are_figures_to_check() -> None:
    assert len(figures(ROOT / "docs" / "canary-percentage.md")) > 15


def test_every_picture_is_shown_and_comes_from_a_command() -> None:
    made = {name for written in pictures.COMMANDS.values() for name in written.values()}
    assert set(SHOWN) == {path.name for path in (ROOT / "docs").glob("*.png")} == made


@pytest.mark.long
@pytest.mark.parametrize("name", SHOWN)
def test_a_picture_comes_out_as_it_is_shown(name, tour) -> None:
    command = next(command for command, written in pictures.COMMANDS.items() if name in written.values())
    page, number = next(
        (page, lines.index(f"rollout-sim {command}"))
        for page, lines in STEPS.items()
        if f"rollout-sim {command}" in lines
    )
    new = matplotlib.image.imread(tour.steps(page, number + 1)[-1].pictures[name])
    assert not differs(new, matplotlib.image.imread(ROOT / "docs" / name)), "run docs/pictures.py"


def differs(new, old) -> bool:
    """Whether a picture is not the one that is shown: of another size, or with more than `APART` of the ink elsewhere."""
    if not np.allclose(new.shape, old.shape, atol=12):
        return True
    height, width = (min(sizes) // BLOCK * BLOCK for sizes in zip(new.shape[:2], old.shape[:2], strict=True))
    drawn, shown = (
        (1 - image[:height, :width, :3].mean(axis=2))
        .reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
        .mean((1, 3))
        for image in (new, old)
    )
    return bool(np.abs(drawn - shown).sum() > APART * shown.sum())


@pytest.mark.parametrize("name", SHOWN)
def test_a_blank_or_another_picture_is_noticed(name) -> None:
    shown = matplotlib.image.imread(ROOT / "docs" / name)
    assert not differs(shown, shown)
    assert not differs(np.roll(shown, 1, axis=(0, 1)), shown)
    assert differs(np.ones_like(shown), shown)
    others = [matplotlib.image.imread(ROOT / "docs" / other) for other in SHOWN if other != name]
    assert all(differs(other, shown) for other in others)


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


WHOLE = [page for page in PAGES if any("horizon:" in block for block in blocks(page, "yaml"))]
"""Pages that show a whole scenario, in one piece or several; others show parts of one."""


@pytest.mark.parametrize("page", WHOLE, ids=lambda page: page.name)
def test_the_yaml_of_a_page_with_a_whole_scenario_loads(page, tmp_path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("\n".join(blocks(page, "yaml")))
    assert rollout_sim.Scenario.load(path).strategies


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> dict[Path, Page]:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-P", "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"},
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return {path: Page(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}


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
    words = set(pages["scenario.html"].texts)
    for name, part in {"Scenario": scenario, **scenario["$defs"]}.items():
        assert name.lower() in pages["scenario.html"].anchors
        assert set(part["properties"]) <= words, name
    for name in app.commands:
        assert f"rollout-sim-{name}" in pages["commands.html"].anchors


def test_field_tables_say_type_and_unit(site) -> None:
    text = " ".join(next(page.text for path, page in site.items() if path.name == "scenario.html").split())
    assert (
        "How long an idle environment lives. AWS does not document it; measured 5 to 15 min.default 10 min: duration"
        in text
    )
    assert "The rate on average.required: rate, more than 0/s" in text
