"""The notebooks: they run from top to bottom, say what their outputs say, and move when a slider is moved."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import nbformat
import pytest
from browser import chromium
from lab import first, jupyter_lab, kernel_environment, run_all, until
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
assert NOTEBOOKS
NAMES = [path.stem for path in NOTEBOOKS]
PICTURES = 3
"""At least so many figures in each."""
LARGEST = 1 << 20


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the notebooks and what they read, so that a run leaves no trace."""
    for folder in ("notebooks", "scenarios"):
        shutil.copytree(ROOT / folder, tmp_path / "work" / folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    return tmp_path / "work"


def shown(cell: Any) -> str:
    """All text that a cell's outputs show."""
    parts = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        html = re.sub(r"<[^>]+>", " ", "".join(data.get("text/html", "")))
        parts += [unescape(html), "".join(data.get("text/plain", "")), "".join(output.get("text", ""))]
    return "\n".join(parts)


def claims(notebook: Any) -> Iterator[tuple[str, str]]:
    """Each number in bold, and what the cells above it in its section show."""
    seen = ""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            seen += shown(cell)
            continue
        if re.search(r"^##? ", cell.source, re.MULTILINE):
            seen = ""
        for number in re.findall(r"\*\*([\d][^*]*)\*\*", cell.source):
            yield number, seen


def check(notebook: Any, name: str) -> None:
    """Every cell ran, in order and without an error; there are figures; what the text says is what they show."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= PICTURES
    for number, seen in claims(notebook):
        assert re.search(rf"(?<![\d.,]){re.escape(number)}(?![\d%]|[.,]\d)", seen), f"{name} says {number}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_committed_outputs_are_there_and_say_what_the_text_says(path: Path) -> None:
    assert path.stat().st_size < LARGEST
    notebook = nbformat.read(path, as_version=4)
    check(notebook, path.stem)
    assert len(list(claims(notebook))) >= 4
    assert "/tmp" not in path.read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_from_top_to_bottom(name: str, copied: Path) -> None:
    notebook = nbformat.read(copied / "notebooks" / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(copied / "notebooks")}}
    )
    client.execute(env=kernel_environment())
    check(notebook, name)


@pytest.mark.long
def test_a_slider_moves_the_figure_in_a_real_jupyterlab(copied: Path, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    path = copied / "notebooks" / "02-choose-a-canary.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:  # what is seen below was made below
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, path)
    with chromium() as driver, jupyter_lab(copied, tmp_path / "home") as address:
        driver.get(address.format("notebooks/02-choose-a-canary.ipynb"))
        run_all(driver)
        figure = until(lambda: first(driver, "img.widget-image"), "the explorer's figure")
        before = figure.screenshot_as_png
        address_before = figure.get_attribute("src")
        until(lambda: len(driver.find_elements("css selector", ".widget-slider .noUi-handle")) == 6, "six sliders")
        handles = driver.find_elements("css selector", ".widget-slider .noUi-handle")
        rate = driver.find_element("css selector", ".widget-readout").text
        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", handles[0])
        handles[0].send_keys(Keys.ARROW_RIGHT)
        until(lambda: figure.get_attribute("src") != address_before, "another figure")
        until(lambda: figure.screenshot_as_png != before, "another picture")
        assert driver.find_element("css selector", ".widget-readout").text != rate
        assert not driver.find_elements("css selector", ".jp-RenderedText[data-mime-type*=error]")
