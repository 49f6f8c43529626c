"""What the pictures of a run have in common: colours, line styles, names, the time axis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

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
DAY, HOUR, MINUTE = 86400.0, 3600.0, 60.0


@contextmanager
def styled() -> Iterator[None]:
    """A context in which figures have the package's style.

    The first figure of a session loads the backend, which says whether figures show themselves (in a notebook they
    do); that must not be forgotten with the style.
    """
    with mpl.rc_context(STYLE):
        try:
            yield
        finally:
            shown = mpl.is_interactive()
    mpl.interactive(shown)


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
    return f"{result.strategy} ({outcome})" if outcome != result.strategy else result.strategy


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


def percent_axis(ax: Axes) -> None:
    """Labels shares as percentages, with as many digits as they need."""
    ax.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{round(value * 100, 9):.8g}%".replace("-", "\N{MINUS SIGN}"))
    )


def period_edges(result: RunResult) -> Any:
    """Edges of the metrics' periods in seconds from the rollout's start: shape (periods + 1,)."""
    metrics = result.metrics
    return np.minimum(np.arange(metrics.periods + 1) * metrics.resolution, metrics.horizon) - result.scenario.start
