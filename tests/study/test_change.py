"""Two files beside each other: what the second changes, replication by replication."""

from __future__ import annotations

import numpy as np
import pytest
from builders import scenario

from rollout_sim import compare
from rollout_sim.errors import ScenarioError
from rollout_sim.run.batch import stopped
from rollout_sim.study.change import Change
from rollout_sim.views.sentences import changes
from rollout_sim.views.tables import change_table


def test_a_change_is_what_the_replications_differ_by() -> None:
    before, after = (compare(scenario(alarms__errors__threshold=f"> {least}"), 200, ["canary"]) for least in (0, 5))
    change = Change(before=before, after=after)
    assert change.paired
    told = change.differences("canary")
    for name, sides in (("stopped", (before, after)), ("good_version_stopped", (before.twin, after.twin))):
        was, now = (stopped(side.columns["canary"]).mean() for side in sides if side is not None)
        assert told[name] is not None
        assert told[name].mean == pytest.approx(now - was)
    bad = [side.columns["canary"]["bad_requests"] for side in (before, after)]
    assert told["bad_requests"] is not None
    assert told["bad_requests"].mean == pytest.approx(float(np.mean(bad[1] - bad[0])))
    rows = change_table(change, ("old", "new")).texts
    assert [row[1] for row in rows] == ["old", "new", "change"]
    (sentence,) = changes(change, ("old", "new"))
    assert "stops a good version less often by" in sentence


def test_the_same_file_changes_nothing_and_other_traffic_is_no_pair() -> None:
    first = compare(scenario(), 40, ["canary"])
    same = Change(before=first, after=first)
    assert changes(same, ("a", "b")) == ("canary: the replications show no difference between a and b.",)
    other = scenario(traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "6/s"}}])
    assert not Change(before=first, after=compare(other, 40, ["canary"])).paired


def test_files_without_a_strategy_in_common_are_refused() -> None:
    first, other = (compare(scenario(), 2, [name]) for name in ("canary", "linear"))
    with pytest.raises(ScenarioError, match="none is called as one of small; got linear; allowed canary"):
        Change(before=first, after=other)
