"""A real JupyterLab on a free loopback port, and what a person does in it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 90.0
"""Seconds that anything may take: a kernel that loads everything on a busy machine, say."""


def kernel_environment(**more: str) -> dict[str, str]:
    """What a kernel needs to show its figures: no other backend."""
    return {name: value for name, value in os.environ.items() if name != "MPLBACKEND"} | more


@contextmanager
def jupyter_lab(root: Path, home: Path) -> Iterator[str]:
    """The address of a server for the notebooks under `root`, its token in it; all that it writes is under `home`."""
    folders = {name: home / name.lower() for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    folders |= {name: home / name.lower() for name in ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "HOME")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    token = secrets.token_hex(16)
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root",
        f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={token}", "--LabApp.news_url=",
    ]  # fmt: skip
    env = kernel_environment(**{name: str(folder) for name, folder in folders.items()})
    with (home / "lab.log").open("wb") as log, subprocess.Popen(command, env=env, stdout=log, stderr=log) as server:
        try:
            port = until(lambda: _port(folders["JUPYTER_RUNTIME_DIR"]), f"the server; see {log.name}")
            yield f"http://127.0.0.1:{port}/lab/tree/{{}}?token={token}"
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def until(found: Callable[[], Any], what: str) -> Any:
    """What `found` returns as soon as it is something. Fails after `PATIENCE` seconds."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.2)
    raise AssertionError(f"waited {PATIENCE:g} s for {what}")


def _port(runtime: Path) -> int | None:
    """The port that the server has written down, if it has yet."""
    for path in runtime.glob("jpserver-*.json"):
        try:
            return int(json.loads(path.read_text(encoding="utf-8"))["port"])
        except (ValueError, KeyError):  # half written
            return None
    return None


def first(driver: Any, css: str, text: str = "") -> Any:
    """The first visible element that matches, with a text in it."""
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.common.by import By

    for element in driver.find_elements(By.CSS_SELECTOR, css):
        try:
            if element.is_displayed() and text in element.text:
                return element
        except StaleElementReferenceException:  # JupyterLab draws its parts anew at any time
            continue
    return None


def run_all(driver: Any) -> None:
    """Waits for the kernel, then takes Run > Run All Cells from the menu.

    The indicator says idle before there is a kernel, too, and running without one asks for one in a dialogue.
    """
    until(lambda: first(driver, ".jp-Notebook"), "the notebook")
    until(lambda: first(driver, ".jp-KernelName", "Python 3"), "a kernel")
    until(lambda: first(driver, '.jp-Notebook-ExecutionIndicator[data-status="idle"]'), "an idle kernel")
    until(lambda: first(driver, ".lm-MenuBar-itemLabel", "Run"), "the menu").click()
    until(lambda: first(driver, '.lm-Menu-item[data-command="runmenu:run-all"]'), "Run All Cells").click()
