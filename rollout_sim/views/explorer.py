"""Explorer: one canary of a scenario at any rate, severity, percentage, interval and alarm, drawn anew as a slider moves.

Every point of the picture is simulated, with its 95% interval; there are fewer of both where state links the invocations.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from rollout_sim.control.alarms import Alarm
from rollout_sim.control.strategies import Canary
from rollout_sim.core.formatting import number_with_interval, share, share_with_interval, show_duration
from rollout_sim.core.statistics import Estimate
from rollout_sim.errors import ScenarioError
from rollout_sim.function.faults import Fault
from rollout_sim.planes.selection import EngineChoice, choose_engine
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.comparison import compare
from rollout_sim.study.replications import nominally_affordable
from rollout_sim.views.plots.style import GREY, look, probability_axis, styled

if TYPE_CHECKING:
    from ipywidgets import VBox


REPLICATIONS: Final = 400
"""Of each point: intervals of at most ten percentage points, in a picture that follows a slider."""
FEWEST: Final = 10
"""Where they are simulated one by one."""
SEVERITIES: Final = tuple(np.geomspace(0.001, 0.5, 12).round(5).tolist())
PERCENTS: Final = (1, 2, 5, 10, 20, 50)
MINUTES: Final = (1, 2, 5, 10, 15, 30)
_NAME: Final = "canary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where the sliders are: requests per second, errors that the new version adds, the canary's share and interval (s).

    `threshold` and `datapoints` are the first alarm's, as a file has them; empty for those of the file.
    """

    rate: float
    severity: float = 0.01
    percent: float = 0.05
    interval: float = 300.0
    threshold: str = ""
    datapoints: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explorer:
    """A scenario whose alarms watch a canary that the sliders choose; they `start` at the rate of the file.

    The file's own strategies and the new version's faults are set aside. Raises ScenarioError for a scenario without a
    rollout, or with arrivals of one's own.
    """

    scenario: Scenario
    start: Setting = Setting(rate=0.0)

    def __post_init__(self) -> None:
        if self.scenario.rollout is None:
            raise ScenarioError([f"{self.scenario.name}: the explorer needs a rollout"])
        if self.start.rate == 0:
            object.__setattr__(self, "start", replace(self.start, rate=self.rate))
        self.at(self.start, 0.0)

    @property
    def rate(self) -> float:
        """Requests per second in the file, of all sources."""
        return math.fsum(self.scenario.rates.values())

    @property
    def alarm(self) -> str | None:
        """The alarm that sliders vary: the first of the rollout's with a threshold of its own."""
        watched = self.scenario.rollout.alarms if self.scenario.rollout is not None else ()
        return next((name for name in watched if _varied(self.scenario.alarms[name])), None)

    def at(self, setting: Setting, severity: float) -> Scenario:
        """The scenario at a setting, with another severity; 0 is a good version. Raises ScenarioError."""
        new, scenario = self.scenario.new, self.scenario
        assert new is not None
        alarms = dict(scenario.alarms)
        if self.alarm is not None:
            given: dict[str, Any] = {"threshold": setting.threshold, "datapoints": setting.datapoints}
            alarms[self.alarm] = replace(alarms[self.alarm], **{name: text for name, text in given.items() if text})
        factor = setting.rate / self.rate
        try:
            traffic = [
                source if factor == 1 else replace(source, arrivals=source.arrivals.scaled(factor))
                for source in scenario.traffic
            ]
        except ValueError as error:
            raise ScenarioError([f"{scenario.name}: {error}"]) from None
        return replace(
            scenario.with_faults(new, (Fault(errors=severity),) if severity else ()),
            engine="auto",
            traffic=tuple(traffic),
            alarms=alarms,
            strategies={_NAME: Canary(percent=setting.percent, interval=setting.interval)},
        )

    def effort(self, setting: Setting) -> tuple[EngineChoice, int, tuple[float, ...]]:
        """The plane, the replications of each point, and the severities of the curve: what answers while one waits."""
        varied = self.at(setting, setting.severity)
        plane = choose_engine(varied)
        if plane.engine == "aggregate":
            return plane, REPLICATIONS, SEVERITIES
        few = SEVERITIES[1::3]
        affordable = nominally_affordable(varied, plane, 1) // (5 * len(few))
        return plane, min(max(affordable, FEWEST), REPLICATIONS), few

    def estimates(self, setting: Setting, severity: float) -> dict[str, Estimate]:
        """`stopped` and `bad_requests` at a setting, by simulation."""
        plane, replications, _ = self.effort(setting)
        compared = compare(self.at(setting, severity), replications, twin=False, plane=plane, keep=False)
        estimates = compared.estimates(_NAME)
        return {name: estimate for name, estimate in estimates.items() if estimate is not None}

    def figure(self, setting: Setting | None = None) -> Figure:
        """How often a version is stopped, and what it costs, against how bad it is; the setting's own point is marked."""
        setting = setting or self.start
        good, here = self.estimates(setting, 0.0), self.estimates(setting, setting.severity)
        _, replications, severities = self.effort(setting)
        curve = [self.estimates(setting, severity) for severity in severities]
        with styled():
            figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.9), layout="constrained")
            self._panel(axes[0], "stopped", setting, dict(zip(severities, curve, strict=True)), here, good)
            self._panel(axes[1], "bad_requests", setting, dict(zip(severities, curve, strict=True)), here, good)
            probability_axis(axes[0])
            axes[0].set_title("How often is it stopped?")
            axes[1].set_ylim(0, 1.25 * max(point["bad_requests"].high or 0.0 for point in (*curve, here, good)) or 1)
            axes[1].set_title(f"Bad requests in {show_duration(self.scenario.horizon)}, mean")
            axes[0].legend(loc="center right", fontsize=9, frameon=True, framealpha=0.9, edgecolor="none")
            figure.suptitle(self.sentence(setting, here, good, replications), x=0.01, ha="left", fontsize=10)
        return figure

    @staticmethod
    def sentence(
        setting: Setting, here: dict[str, Estimate], good: dict[str, Estimate], replications: int = REPLICATIONS
    ) -> str:
        """A sentence about the point that the sliders choose, from its estimates (`here`) and those of a good version."""
        stopped, false, bad = here["stopped"], good["stopped"], here["bad_requests"]
        return (
            f"{setting.rate:.3g}/s, canary {share(setting.percent)} for {show_duration(setting.interval)}: "
            f"{share(setting.severity)} errors are stopped in {share_with_interval(stopped)} "
            f"of the rollouts\nand cost {number_with_interval(bad)} bad requests; a good version is "
            f"stopped in {share_with_interval(false)}  ({replications} replications, 95% intervals)"
        )

    def widget(self) -> VBox:
        """The sliders and the picture, for a notebook. Needs the extra `notebooks`."""
        import ipywidgets as w

        wide: dict[str, Any] = {"layout": w.Layout(width="460px"), "style": {"description_width": "170px"}}
        start = self.start
        middle = math.log10(start.rate)
        rate = w.FloatLogSlider(
            start.rate, min=middle - 1.5, max=middle + 1.5, step=0.1, readout_format=".3g",
            description="requests per second", **wide,
        )  # fmt: skip
        severity = w.FloatLogSlider(
            start.severity * 100, min=-1, max=1.7, step=0.1, description="errors added, %", **wide
        )
        percent = w.SelectionSlider(options=PERCENTS, value=round(start.percent * 100), description="canary, %", **wide)
        interval = w.SelectionSlider(
            options=MINUTES, value=round(start.interval / 60), description="for minutes", **wide
        )
        alarm = None if self.alarm is None else self.scenario.alarms[self.alarm]
        threshold = w.SelectionSlider(
            options=_thresholds(alarm), value=start.threshold or (alarm.threshold if alarm else ""),
            description="alarm's threshold", **wide,
        )  # fmt: skip
        datapoints = w.SelectionSlider(
            options=_datapoints(alarm), value=start.datapoints or (alarm.datapoints if alarm else ""),
            description="its datapoints", **wide,
        )  # fmt: skip
        picture = w.Image(format="png", layout=w.Layout(width="100%", max_width="960px"))

        def draw(_: object = None) -> None:
            setting = Setting(
                rate=rate.value,
                severity=severity.value / 100,
                percent=percent.value / 100,
                interval=interval.value * 60.0,
                threshold=threshold.value,
                datapoints=datapoints.value,
            )
            picture.value = _png(self.figure(setting))

        sliders = (rate, severity, percent, interval, *((threshold, datapoints) if alarm is not None else ()))
        for slider in sliders:
            slider.observe(draw, names="value")
        draw()
        return w.VBox([w.HBox([w.VBox(sliders[::2]), w.VBox(sliders[1::2])]), picture])

    def _panel(
        self, ax: Axes, name: str, setting: Setting, curve: dict[float, dict[str, Estimate]], here: dict[str, Estimate],
        good: dict[str, Estimate],
    ) -> None:  # fmt: skip
        means, lows, highs = (
            np.array([getattr(point[name], part) for point in curve.values()]) for part in ("mean", "low", "high")
        )
        style = look(0)
        ax.plot(list(curve), means, label="bad version, 95% band", **style)
        ax.fill_between(list(curve), lows, highs, color=style["color"], alpha=0.2, linewidth=0)
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


def _varied(alarm: Alarm) -> bool:
    """Whether an alarm has a threshold that is a number, and datapoints."""
    return alarm.composite is None and alarm.band is None and alarm.metric != "burn_rate"


def _thresholds(alarm: Alarm | None) -> list[str]:
    """Thresholds around an alarm's own, which is one of them: from a quarter to four times it, small counts from 0."""
    parts = None if alarm is None else re.fullmatch(r"(\s*[<>]=?\s*)([0-9.eE+-]+)(.*)", alarm.threshold)
    if alarm is None or parts is None:
        return [alarm.threshold if alarm is not None else ""]
    own = float(parts[2])
    values = {own * factor for factor in (0.25, 0.5, 1, 2, 4)} if own and parts[3] else {0, 1, 2, 5, 10, 20, 50}
    return [alarm.threshold if value == own else f"{parts[1]}{value:g}{parts[3]}" for value in sorted({own, *values})]


def _datapoints(alarm: Alarm | None) -> list[str]:
    """The usual datapoints, and an alarm's own."""
    own = [] if alarm is None else [alarm.datapoints]
    return list(dict.fromkeys([*own, "1 of 1", "2 of 2", "2 of 3", "3 of 3", "3 of 5", *([] if alarm else [""])]))
