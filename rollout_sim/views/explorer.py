"""Explorer: one canary of a scenario at any rate, severity, percentage and interval, drawn anew at every move of a slider.

Every point of the picture is simulated on the aggregate plane, with its 95% interval.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from rollout_sim.control.strategies import Canary
from rollout_sim.core.formatting import number_with_interval, share, share_with_interval, show_duration
from rollout_sim.core.statistics import Estimate
from rollout_sim.errors import ScenarioError
from rollout_sim.function.faults import Fault
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.comparison import compare
from rollout_sim.traffic.source import Arrivals
from rollout_sim.views.plots.style import GREY, look, styled

if TYPE_CHECKING:
    from ipywidgets import VBox


REPLICATIONS: Final = 400
"""Of each point: intervals of at most ten percentage points, in a picture that follows a slider."""
SEVERITIES: Final = tuple(np.geomspace(0.001, 0.5, 12).round(5).tolist())
PERCENTS: Final = (1, 2, 5, 10, 20, 50)
MINUTES: Final = (1, 2, 5, 10, 15, 30)
_NAME: Final = "canary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where the sliders are: requests per second, errors that the new version adds, the canary's share and interval (s)."""

    rate: float
    severity: float
    percent: float
    interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explorer:
    """A scenario with one Poisson source, whose alarms watch a canary that the sliders choose.

    The file's own strategies and the new version's faults are set aside. Raises ScenarioError for a scenario that has
    another source or no rollout, or that the aggregate plane does not take.
    """

    scenario: Scenario
    start: Setting = Setting(rate=50.0, severity=0.01, percent=0.05, interval=300.0)

    def __post_init__(self) -> None:
        traffic = self.scenario.traffic
        if self.scenario.rollout is None or len(traffic) != 1 or traffic[0].arrivals.poisson is None:
            raise ScenarioError(
                [f"{self.scenario.name}: the explorer needs a rollout and one source with poisson arrivals"]
            )

    def at(self, setting: Setting, severity: float) -> Scenario:
        """The scenario at a setting, with another severity; 0 is a good version."""
        new, scenario = self.scenario.new, self.scenario
        assert new is not None
        return replace(
            scenario.with_faults(new, (Fault(errors=severity),) if severity else ()),
            engine="aggregate",
            traffic=(replace(scenario.traffic[0], arrivals=Arrivals(poisson=setting.rate)),),
            strategies={_NAME: Canary(percent=setting.percent, interval=setting.interval)},
        )

    def estimates(self, setting: Setting, severity: float) -> dict[str, Estimate]:
        """`stopped` and `bad_requests` at a setting, by simulation."""
        estimates = compare(self.at(setting, severity), REPLICATIONS, twin=False).estimates(_NAME)
        return {name: estimate for name, estimate in estimates.items() if estimate is not None}

    def figure(self, setting: Setting | None = None) -> Figure:
        """How often a version is stopped, and what it costs, against how bad it is; the setting's own point is marked."""
        setting = setting or self.start
        good, here = self.estimates(setting, 0.0), self.estimates(setting, setting.severity)
        curve = [self.estimates(setting, severity) for severity in SEVERITIES]
        with styled():
            figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.9), layout="constrained")
            self._panel(axes[0], "stopped", setting, curve, here, good)
            self._panel(axes[1], "bad_requests", setting, curve, here, good)
            axes[0].set_ylim(-0.03, 1.03)
            axes[0].yaxis.set_major_formatter(PercentFormatter(1.0))
            axes[0].set_title("How often is it stopped?")
            axes[1].set_ylim(0, 1.25 * max(point["bad_requests"].high or 0.0 for point in (*curve, here, good)) or 1)
            axes[1].set_title(f"Bad requests in {show_duration(self.scenario.horizon)}, mean")
            axes[0].legend(loc="center right", fontsize=9, frameon=True, framealpha=0.9, edgecolor="none")
            figure.suptitle(self.sentence(setting, here, good), x=0.01, ha="left", fontsize=10)
        return figure

    @staticmethod
    def sentence(setting: Setting, here: dict[str, Estimate], good: dict[str, Estimate]) -> str:
        """A sentence about the point that the sliders choose, from its estimates (`here`) and those of a good version."""
        stopped, false, bad = here["stopped"], good["stopped"], here["bad_requests"]
        return (
            f"{setting.rate:.3g}/s, canary {share(setting.percent)} for {show_duration(setting.interval)}: "
            f"{share(setting.severity)} errors are stopped in {share_with_interval(stopped)} "
            f"of the rollouts\nand cost {number_with_interval(bad)} bad requests; a good version is "
            f"stopped in {share_with_interval(false)}  ({REPLICATIONS} replications, 95% intervals)"
        )

    def widget(self) -> VBox:
        """The sliders and the picture, for a notebook. Needs the extra `notebooks`."""
        import ipywidgets as w

        wide: dict[str, Any] = {"layout": w.Layout(width="460px"), "style": {"description_width": "170px"}}
        start = self.start
        rate = w.FloatLogSlider(start.rate, min=0, max=3, step=0.1, description="requests per second", **wide)
        severity = w.FloatLogSlider(
            start.severity * 100, min=-1, max=1.7, step=0.1, description="errors added, %", **wide
        )
        percent = w.SelectionSlider(options=PERCENTS, value=round(start.percent * 100), description="canary, %", **wide)
        interval = w.SelectionSlider(
            options=MINUTES, value=round(start.interval / 60), description="for minutes", **wide
        )
        picture = w.Image(format="png", layout=w.Layout(width="100%", max_width="960px"))

        def draw(_: object = None) -> None:
            setting = Setting(
                rate=rate.value,
                severity=severity.value / 100,
                percent=percent.value / 100,
                interval=interval.value * 60.0,
            )
            picture.value = _png(self.figure(setting))

        sliders = (rate, severity, percent, interval)
        for slider in sliders:
            slider.observe(draw, names="value")
        draw()
        return w.VBox([w.HBox([w.VBox(sliders[:2]), w.VBox(sliders[2:])]), picture])

    def _panel(
        self, ax: Axes, name: str, setting: Setting, curve: list[dict[str, Estimate]], here: dict[str, Estimate],
        good: dict[str, Estimate],
    ) -> None:  # fmt: skip
        means, lows, highs = (
            np.array([getattr(point[name], part) for point in curve]) for part in ("mean", "low", "high")
        )
        style = look(0)
        ax.plot(SEVERITIES, means, label="bad version, 95% band", **style)
        ax.fill_between(SEVERITIES, lows, highs, color=style["color"], alpha=0.2, linewidth=0)
        ax.axhline(good[name].mean, color=GREY, linestyle=(0, (1, 2)), linewidth=1.4, label="good version")
        ax.plot(
            setting.severity, here[name].mean, "o", color=look(1)["color"], markersize=9, label="the sliders' point"
        )
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:g}%"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel("errors that the new version adds")


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()
