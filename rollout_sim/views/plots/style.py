"""What the pictures of a run have in common: colours, line styles, names, the time axis."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from matplotlib.transforms import Bbox

from rollout_sim.core.arrays import FloatArray
from rollout_sim.errors import escaped

if TYPE_CHECKING:
    from rollout_sim.run.result import RunResult
    from rollout_sim.scenario.scenario import Scenario


COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F00")
LINES: Final = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 1)), (0, (1, 2)))
GREY: Final = "#555555"
STYLE: Final[Any] = {
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E6E8",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "text.parse_math": False,  # names may hold dollar signs
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that a picture is the same everywhere
    "svg.hashsalt": "rollout_sim",
}
SLIDE: Final = (13.33, 7.5)
"""A slide (inches): no picture is larger unless it has more to show than fits. Smaller ones have the same letters, and
grow with the slide."""
HALF: Final = (10.0, 5.6)
"""A picture of one chart: of a slide's shape, at three quarters of its size."""
_UNDATED: Final[dict[str, dict[str, None]]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}
"""Metadata that is left out, so that the same picture is the same bytes."""
_NARROW: Final = 6.0
"""Inches below which a figure has no room beside its axes."""
DAY, HOUR, MINUTE = 86400.0, 3600.0, 60.0


_CHOSEN: ContextVar[Mapping[str, Any]] = ContextVar("_CHOSEN", default=STYLE)
"""The style of the contexts of `styled` that name none."""


@contextmanager
def styled(style: Mapping[str, Any] | None = None) -> Iterator[None]:
    """A context in which figures have a `style`, by default the surrounding context's or the package's own.

    Nothing that a `matplotlibrc` or the caller has set counts.

    The first figure of a session loads the backend, which says whether figures show themselves (in a notebook they
    do); that must not be forgotten with the style.
    """
    chosen = _CHOSEN.get() if style is None else style
    token = _CHOSEN.set(chosen)
    with mpl.rc_context():
        plt.style.use(["default", dict(chosen)])
        try:
            yield
        finally:
            shown = mpl.is_interactive()
            _CHOSEN.reset(token)
    mpl.interactive(shown)


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    """The characters that the pictures' font can draw."""
    font = font_manager.get_font(font_manager.findfont(STYLE["font.family"]))
    return frozenset(font.get_charmap())


def drawable(text: str) -> str:
    """`text` on one line with what the font cannot draw as Python writes it, so that two names stay two.

    An SVG whose letters are the reader's (`svg.fonttype` is `none`) keeps every character. A leading underscore would
    keep a name out of legends; it stands behind a hair space.
    """
    text = escaped(text)
    if mpl.rcParams["svg.fonttype"] != "none":
        text = "".join(letter if ord(letter) in _glyphs() else ascii(letter)[1:-1] for letter in text)
    return f"\u200a{text}" if text.startswith("_") else text


def wrapped(text: str, width: int, lines: int = 3) -> str:
    """`drawable` text in lines of at most `width` characters; of one that takes more `lines` the middle is left out."""
    text = drawable(text)
    parts = textwrap.wrap(text, width) or [text]
    if len(parts) > lines:
        half = (width * lines - 3 * lines) // 2
        parts = textwrap.wrap(f"{text[:half].rstrip()}\N{HORIZONTAL ELLIPSIS}{text[-half:].lstrip()}", width)
    return "\n".join(parts)


def legend_below(
    figure: Figure, handles: Sequence[Artist], labels: Sequence[str], width: float, title: str | None = None
) -> int:
    """A legend under all axes of a figure `width` inches wide, in as many columns as have room; returns its lines."""
    longest = max(max(map(len, label.split("\n"))) for label in labels)
    fitting = max(1, int((width - 0.4) / (0.8 + 0.085 * longest)))
    rows = -(-len(labels) // min(fitting, len(labels)))
    columns = -(-len(labels) // rows)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=3.2, title=title)
    return rows if columns > 1 else sum(label.count("\n") + 1 for label in labels)


def legend_of(
    figure: Figure, ax: Axes, width: float | None = None, *, letters: int | None = None, title: str | None = None
) -> int:
    """The legend of one of the axes under all axes of a figure `width` inches wide, by default as it is; returns its lines.

    Labels are broken after so many `letters`. Without labels there is none.
    """
    handles, labels = ax.get_legend_handles_labels()
    shown = labels if letters is None else [wrapped(label, letters) for label in labels]
    return legend_below(figure, handles, shown, width or figure.get_figwidth(), title) if labels else 0


def narrow(ax: Axes) -> bool:
    """Whether the figure is too narrow for texts beside its axes."""
    return ax.get_figure(root=True).get_figwidth() < _NARROW  # type: ignore[union-attr]


def legend_beside(ax: Axes) -> None:
    """A legend to the right of the axes; below them in a narrow figure."""
    if narrow(ax):
        ax.legend(loc="upper center", bbox_to_anchor=(0.4, -0.25), ncols=2, fontsize=9, columnspacing=1.0)
    else:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, handlelength=3.2)


def same(values: Mapping[str, Any]) -> dict[str, str]:
    """By name the first name whose array is equal, to the last digits: they are one line in a picture."""
    first: dict[str, str] = {}
    for name, array in values.items():
        alike = (other for other in first.values() if np.shape(values[other]) == np.shape(array))
        first[name] = next((other for other in alike if np.allclose(values[other], array, rtol=1e-9, atol=0.0)), name)
    return first


def subtitle(ax: Axes, title: str, text: str) -> None:
    """The title of axes and, below it in small letters, a line that may be empty."""
    inches = ax.get_window_extent().width / ax.figure.dpi
    text = wrapped(text, max(24, int(inches * 13)), 4) if text else ""
    ax.set_title(title, pad=6 + 13 * (text.count("\n") + 1 if text else 0))
    if text:
        ax.annotate(
            text, (0, 1), xytext=(0, 4), xycoords="axes fraction", textcoords="offset points",
            fontsize=9, color=GREY, va="bottom", annotation_clip=False,
        )  # fmt: skip


_OFFSETS: Final = tuple(
    (side * across, height)
    for across, above, below in (
        (10, 10, -18),
        (14, 30, -38),
        (30, 52, -60),
        (60, 10, -18),
        (60, 80, -88),
        (90, 110, -118),
    )
    for height in (above, below)
    for side in (1, -1)
)
"""Where a name may stand beside its point (in points), the best place first."""
_BESIDE: Final = 20
"""Points from which on a line leads from a name to its point."""


def place_names(ax: Axes, points: Iterable[tuple[str, tuple[float, float]]]) -> None:
    """Writes each name beside its point, inside the axes, over no other name and over as few drawn points as can be.

    Where a name must stand over points, they are drawn over the name: nothing that was measured is hidden. It covers what
    is drawn below 0.9 (`zorder`), such as lines that one can follow all the same.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # so that boxes are where they will be
    renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    pixels, marks = figure.dpi / 72, _marks(ax)
    placed: list[Bbox] = []
    for name, point in points:
        write = partial(
            ax.annotate, wrapped(name, 20 if narrow(ax) else 34), point, textcoords="offset points", fontsize=9, zorder=0.9,
            annotation_clip=False, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0},
        )  # fmt: skip
        measured = write(xytext=(0, 0), ha="left")
        measured.update_positions(renderer)
        at_point = Text.get_window_extent(measured, renderer).padded(2)
        measured.remove()
        boxes = [at_point.translated(x * pixels - (at_point.width if x < 0 else 0.0), y * pixels) for x, y in _OFFSETS]
        costs = [
            _covered(box, marks) + 100 * sum(map(box.overlaps, placed)) + 50 * _sticks_out(box, ax) for box in boxes
        ]
        best = int(np.argmin(costs))
        x, y = _OFFSETS[best]
        leads = {"arrowstyle": "-", "color": GREY, "linewidth": 0.6} if max(abs(x), abs(y)) > _BESIDE else None
        write(xytext=(x, y), ha="left" if x > 0 else "right", arrowprops=leads)
        placed.append(boxes[best])


def _marks(ax: Axes) -> FloatArray:
    """The drawn points of the axes, those of scatters and of lines with markers: pixels of shape (points, 2)."""
    drawn = [np.empty((0, 2))]
    for artist in ax.get_children():
        if isinstance(artist, PathCollection):
            drawn.append(ax.transData.transform(np.ma.filled(artist.get_offsets(), np.nan)))
        elif isinstance(artist, Line2D) and artist.get_marker() not in ("None", None, "", " "):
            drawn.append(artist.get_transform().transform(artist.get_xydata()))
    return np.concatenate(drawn)


_MARK: Final = 6.0
"""Pixels from the middle of a drawn point that a name keeps clear."""


def _covered(box: Bbox, marks: FloatArray) -> int:
    """How many of the `marks` (pixels of shape (points, 2)) a box is over."""
    inside = (marks > [box.x0 - _MARK, box.y0 - _MARK]) & (marks < [box.x1 + _MARK, box.y1 + _MARK])
    return int(inside.all(axis=1).sum())


def _sticks_out(box: Bbox, ax: Axes) -> bool:
    """Whether a box is not wholly inside the axes."""
    inside = Bbox.intersection(box, ax.bbox)
    return inside is None or inside.width < box.width or inside.height < box.height


def headline(figure: Figure, text: str) -> None:
    """The title of a whole figure, to the left, in lines that fit its width."""
    wide = max(30, int(figure.get_figwidth() * 10.5))
    figure.suptitle(wrapped(text, wide), x=0.01, ha="left", fontweight="bold")


def percent_ticks(value: float, _: object = None) -> str:
    """A share as a percentage, with as many digits as it needs."""
    return f"{round(value * 100, 9):.8g}%".replace("-", "\N{MINUS SIGN}")


def look(index: int) -> dict[str, Any]:
    """Colour and line style of the `index`-th strategy of a scenario: no two of the first 64 have both in common."""
    turn, position = divmod(index, len(COLOURS))
    return {"color": COLOURS[position], "linestyle": LINES[(position + turn) % len(LINES)]}


def strategy_index(scenario: Scenario, strategy: str) -> int:
    """The position of a strategy in the scenario, from which its `look` follows, whatever else is drawn.

    A strategy that is not in the scenario gets the position after the last.
    """
    names = list(scenario.strategies)
    return names.index(strategy) if strategy in names else len(names)


def axes_or_new(ax: Axes | None, size: tuple[float, float] = HALF) -> Axes:
    """`ax` itself; for None the axes of a new figure of that `size` (inches) in the package's style."""
    if ax is not None:
        return ax
    with styled():
        return plt.subplots(figsize=size, layout="constrained")[1]


def save(figure: Figure, path: Path) -> None:
    """Writes a figure in the format of the file's name, without a date, and forgets it."""
    with styled():
        figure.savefig(path, metadata=_UNDATED[path.suffix])
    plt.close(figure)
    if path.suffix == ".svg":
        path.write_text(valid_svg(path.read_text(encoding="utf-8")), encoding="utf-8")


def valid_svg(text: str) -> str:
    """The SVG that matplotlib wrote as XML: it copies names into comments with characters that no XML may hold."""
    return "\n".join(map(escaped, text.split("\n")))


def caption(result: RunResult) -> str:
    """The strategy and what became of it, as the table says it."""
    outcome = result.outcome_text
    return drawable(f"{result.strategy} ({outcome})" if outcome != result.strategy else result.strategy)


def time_unit(result: RunResult) -> tuple[float, str]:
    """The unit of the time axis: its seconds and its name."""
    horizon = result.scenario.horizon
    for scale, name, least in ((DAY, "days", 4 * DAY), (HOUR, "hours", 5 * HOUR), (MINUTE, "minutes", 3 * MINUTE)):
        if horizon > least:
            return scale, name
    return 1.0, "seconds"


def time_axis(ax: Axes, result: RunResult, ticks: int = 8) -> None:
    """Shows the whole horizon, in ticks that people count time in, with the rollout's start marked."""
    scale, unit = time_unit(result)
    start = result.scenario.start
    ax.set_xlim(-start / scale, (result.metrics.horizon - start) / scale)
    ax.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 3, 6, 10] if unit != "days" else [1, 2, 5, 10]))
    ax.set_xlabel(unit)
    if result.scenario.rollout is not None:
        ax.axvline(0, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)))
        ax.set_xlabel(f"{unit} from the rollout's start")


def probability_axis(ax: Axes) -> None:
    """The whole range of probabilities, upwards, with some room for marks at its ends."""
    ax.set_ylim(-0.03, 1.03)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))


def percent_axis(ax: Axes) -> None:
    """Labels shares as percentages, with as many digits as they need."""
    ax.yaxis.set_major_formatter(FuncFormatter(percent_ticks))


def period_edges(result: RunResult) -> Any:
    """Edges of the metrics' periods in seconds from the rollout's start: shape (periods + 1,)."""
    metrics = result.metrics
    return np.minimum(np.arange(metrics.periods + 1) * metrics.resolution, metrics.horizon) - result.scenario.start
