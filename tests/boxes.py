"""What is wrong with a drawn picture, by the boxes that the renderer gives each text: overlaps, cuts, raw markup."""

from __future__ import annotations

from itertools import combinations
from typing import Any
from unittest import mock

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from rollout_sim.views.plots.style import STYLE

TOUCHING = 1.0
"""Pixels by which two boxes may overlap: a box is a little larger than its letters."""
GAP = 3.0
"""Pixels that two texts on one line must be apart, or they read as one."""


def drawn_texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every text that is really drawn, and its box in pixels; tick labels outside the axes are not drawn."""
    figure.set_dpi(STYLE["savefig.dpi"])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # a first time for the layout
    renderer: Any = canvas.get_renderer()
    texts: dict[int, Text] = {}
    plain = Text.draw

    def noted(self: Text, renderer: Any) -> None:
        if self.get_visible() and self.get_text().strip():
            texts[id(self)] = self
        plain(self, renderer)

    with mock.patch.object(Text, "draw", noted):
        figure.draw(renderer)
    return [(text.get_text(), Text.get_window_extent(text, renderer)) for text in texts.values()]


def faults(figure: Figure) -> list[str]:
    """What a reader would complain of: texts over one another, texts cut by the picture's edge, raw markup."""
    texts = drawn_texts(figure)
    whole = figure.bbox
    told = []
    for text, box in texts:
        if (
            box.x0 < whole.x0 - TOUCHING
            or box.y0 < whole.y0 - TOUCHING
            or box.x1 > whole.x1 + TOUCHING
            or box.y1 > whole.y1 + TOUCHING
        ):
            told.append(f"cut: {text!r}")
        if "mathdefault" in text or "\\times" in text:
            told.append(f"raw: {text!r}")
    for (one, first), (other, second) in combinations(texts, 2):
        width = min(first.x1, second.x1) - max(first.x0, second.x0)
        height = min(first.y1, second.y1) - max(first.y0, second.y0)
        if (width > -GAP and height > 4 * TOUCHING) or (width > TOUCHING and height > TOUCHING):
            told.append(f"overlap: {one!r} and {other!r}")
    return told
