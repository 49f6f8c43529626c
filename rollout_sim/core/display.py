"""Display: the one door through which a result shows itself, in pictures and in a notebook.

Everything else in the package leads downwards; what is drawn and written stands in `views`, above all results. The
import happens when somebody asks, so that a result costs no picture library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class Displayed:
    """Shows itself in a notebook as what `views.display.html` makes of it."""

    __slots__ = ()

    @property
    def table(self) -> pd.DataFrame:
        """The table that a notebook shows, as a DataFrame: a row for each of its rows, its names as the index.

        Shares are fractions, times seconds. An estimate has columns for its mean (under the table's own heading) and the
        ends of its 95% interval (`... low`, `... high`); a time to something has its quantiles (`... p50`, `... p95`).
        """
        from rollout_sim.views import display

        return display.table(self)

    def _repr_html_(self) -> str:
        from rollout_sim.views import display

        return display.html(self)


class Plotted(Displayed):
    """Draws itself, too, as `views.display.plot` says."""

    __slots__ = ()

    def plot(self, ax: Any = None, **choice: str) -> Any:
        """Draws the result's main picture on the matplotlib axes `ax`, by default on new ones; returns the axes.

        A sweep takes a value of each axis that is not drawn as a keyword (`choice`), and `strategy`. Raises ValueError where one is
        missing.
        """
        from rollout_sim.views import display

        return display.plot(self, ax=ax, **choice)


def text(result: object) -> str:
    """`result` in one line, for results whose line is one of `views.sentences`."""
    from rollout_sim.views import display

    return display.text(result)
