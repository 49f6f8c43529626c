"""A real browser for tests: headless Chromium, which the machine has to bring."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1800",
)


@contextmanager
def chromium() -> Iterator[Any]:
    """A Selenium driver of a Chromium with a profile of its own.

    Skips where there is none, unless ROLLOUT_SIM_BROWSER is `required`.
    """
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        message = "no chromium and chromedriver here"
        if os.environ.get("ROLLOUT_SIM_BROWSER") == "required":
            pytest.fail(message)
        pytest.skip(message)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        with webdriver.Chrome(options=options, service=Service(driver)) as found:
            yield found


def resize(browser: Any, width: int, height: int) -> None:
    """Makes the page so large, in CSS pixels: smaller too than a window may be."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def scheme(browser: Any, *, dark: bool) -> None:
    """What the page is told of the reader's preference."""
    value = "dark" if dark else "light"
    features = {"features": [{"name": "prefers-color-scheme", "value": value}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)


def errors(browser: Any) -> list[str]:
    """What the console says that is worse than a note, since it was last asked."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def requests(browser: Any) -> list[str]:
    """The addresses that pages asked for since this was last asked, those of data in the page itself left out."""
    found = []
    for entry in browser.get_log("performance"):
        message: dict[str, Any] = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            found += [] if url.startswith("data:") else [url]
    return found
