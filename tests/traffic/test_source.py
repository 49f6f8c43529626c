"""Sources: who retries what and when, and how uneven users are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from rollout_sim.traffic.source import PRESETS, ClientRetry, Source, Users, async_error_delay, async_throttle_delay


def test_lambda_retries_an_error_after_one_and_two_minutes() -> None:
    assert [async_error_delay(k) for k in (1, 2)] == [60, 120]


def test_a_throttled_event_backs_off_from_a_second_to_five_minutes() -> None:
    assert [async_throttle_delay(k) for k in (1, 2, 3, 9, 10, 5000)] == [1, 2, 4, 256, 300, 300]


def test_a_client_backs_off_with_full_jitter_up_to_a_cap() -> None:
    retry = ClientRetry(base=0.1, factor=2, cap=20)
    assert [retry.delay(k, 0.5) for k in (1, 2, 3, 50)] == pytest.approx([0.05, 0.1, 0.2, 10])
    assert ClientRetry(jitter="none").delay(1, 0.5) == 0.1


def test_presets_are_botocores() -> None:
    assert {name: retry.attempts for name, retry in PRESETS.items()} == {"standard": 3, "legacy": 5}
    for retry in PRESETS.values():
        assert retry.on == ("throttle",), "Invoke answers the errors of a function with 200"
        assert [retry.delay(k, 1.0) for k in range(1, retry.attempts)] == [1.0, 2.0, 4.0, 8.0][: retry.attempts - 1]


def test_presets_wait_as_long_as_botocore() -> None:
    pytest.importorskip("botocore")
    from botocore.retries.standard import ExponentialBackoff, RetryContext
    from botocore.retryhandler import delay_exponential

    class Throttled:
        def is_throttling_error_from_context(self, _: Any) -> bool:
            return True

    standard = ExponentialBackoff(random=lambda: 0.7, service_name="lambda", throttling_detector=Throttled())
    for attempt in (1, 2, 3, 9):
        waits = standard.delay_amount(RetryContext(attempt_number=attempt))
        assert PRESETS["standard"].delay(attempt, 0.7) == pytest.approx(waits)
    for attempt in (1, 2, 3, 4):  # a base of its own instead of its random one, from 0 to 1 s
        assert PRESETS["legacy"].delay(attempt, 0.7) == pytest.approx(delay_exponential(0.7, 2, attempt))


def test_users_follow_zipf() -> None:
    shares = np.diff(Users(count=1000, zipf=1.1).shares(), prepend=0)
    assert shares.sum() == pytest.approx(1)
    assert shares[0] / shares[9] == pytest.approx(10**1.1)
    np.testing.assert_allclose(np.diff(Users(count=4).shares(), prepend=0), 0.25)


BASE = {"source": "http", "alias": "prod", "arrivals": {"poisson": "1/s"}}


@pytest.mark.parametrize(
    "more", [{"retry": "standard"}, {"retry": {"attempts": 4, "on": ["error"]}}, {"users": {"count": 3}}]
)
def test_sources_round_trip(more: dict[str, Any]) -> None:
    adapter = TypeAdapter(Source)
    source = adapter.validate_python({**BASE, **more})
    assert adapter.validate_python(adapter.dump_python(source, exclude_defaults=True)) == source


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"retry": "fast"}, "needs standard or legacy"),
        ({"retry": {"attempts": 0}}, "1 to 100"),
        ({"retry": {"factor": "0.5x"}}, "at least 1x"),
        ({"source": "data", "retry": "standard"}, "a synchronous client's"),
        ({"source": "data", "async_retries": 3}, "0 to 2"),
        ({"users": {"count": 0}}, "1 to 50000000"),
        ({"users": {"count": 5, "zipf": -1}}, "0 \\(all alike\\) to 10"),
    ],
)
def test_refusals(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Source).validate_python({**BASE, **more})
