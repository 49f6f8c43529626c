"""The public door to CloudWatch's alarm evaluation: the state of an alarm after some datapoints."""

from __future__ import annotations

from rollout_sim.control.alarms import alarm_state

__all__ = ["alarm_state"]
