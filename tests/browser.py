"""A real browser for tests: headless Chromium, which the machine has to bring."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import zlib
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


NUMBER = rb"-?[\d.]+"
OPERATION = re.compile(rb"(?:((?:" + NUMBER + rb"\s+)*)(cm|Tm|Td|Tj)\b)|\b([qQ])\b")
"""What moves the place where a page of a PDF of Chromium is drawn on, or writes there; with its numbers."""


def written(pdf: bytes) -> list[list[float]]:
    """For each page of a PDF that Chromium prints, where texts stand: shares of the page's height, from its top."""
    objects = {int(number): body for number, body in re.findall(rb"(\d+) 0 obj\s(.*?)endobj", pdf, re.DOTALL)}
    pages = []
    for body in objects.values():
        if not re.search(rb"/Type\s*/Page\b", body):
            continue
        contents, box = re.search(rb"/Contents (\d+)", body), re.search(rb"/MediaBox \[(.*?)\]", body)
        assert contents is not None
        assert box is not None
        stream = objects[int(contents[1])].partition(b"stream")[2].lstrip(b"\r\n").rpartition(b"endstream")[0]
        pages.append(_heights(zlib.decompressobj().decompress(stream), float(box[1].split()[3])))
    return pages


def _heights(stream: bytes, height: float) -> list[float]:
    """Where the texts of a page stand, by the vertical parts of the matrices: what is drawn at (x, y) is at b x + d y + f."""
    place, line, kept, heights = (0.0, 1.0, 0.0), (0.0, 0.0), [], list[float]()
    for numbers, name, bracket in OPERATION.findall(re.sub(rb"<[0-9A-Fa-f]*>|\(.*?\)", b"", stream)):
        values = [float(number) for number in numbers.split()]
        if bracket == b"q":
            kept.append(place)
        elif bracket == b"Q":
            place = kept.pop()
        elif name == b"cm":
            a, b, c, d, e, f = values[-6:]
            place = (a * place[0] + b * place[1], c * place[0] + d * place[1], e * place[0] + f * place[1] + place[2])
        elif name == b"Tm":
            line = (values[-2], values[-1])
        elif name == b"Tj":
            heights.append(1 - (line[0] * place[0] + line[1] * place[1] + place[2]) / height)
    return heights
