"""Makes the recorded minutes of `05-your-own-data.ipynb`: a week of a function that nobody has, whose truth is known.

`python sample_data.py` writes `orders/minutes.csv` beside itself, always the same bytes. What is planted: 8 requests per second on
average, twice as many at 14:00 UTC as at 02:00 at night; 0.1% errors; spells of ten minutes with 4% errors, one in five hours on
average; and a batch job that fails 3% of the requests every night from 02:00 to 02:30.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

DAYS = 7
START = datetime(2026, 11, 16, tzinfo=UTC)
RATE, SWING, PEAK = 8.0, 1 / 3, 14
CALM, SPELL, BATCH = 0.001, 0.04, 0.03
LASTS, EVERY = 10, 300


def minutes(seed: int = 5) -> str:
    """The file, as `rollout-sim import cloudwatch` writes it of an alias."""
    rng = np.random.default_rng(seed)
    k = np.arange(DAYS * 1440)
    invocations = rng.poisson(60 * RATE * (1 + SWING * np.cos(2 * np.pi * (k / 1440 - PEAK / 24))))
    share = np.full(k.size, CALM)
    inside = False
    for minute in k:
        inside = rng.random() < (1 - 1 / LASTS if inside else 1 / EVERY)
        if inside:
            share[minute] = SPELL
    share[(k % 1440 >= 120) & (k % 1440 < 150)] = BATCH
    errors = rng.binomial(invocations, share)
    p50 = rng.normal(80, 3, k.size).round()
    rows = [
        "time,of,invocations,errors,throttles,duration_p50_ms,duration_p90_ms,duration_p99_ms,duration_max_ms,period_s"
    ]
    for minute in k.tolist():
        time = (START + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")
        durations = ",".join(f"{p50[minute] * factor:.0f}" for factor in (1, 2.4, 7, 15))
        rows.append(f"{time},alias:prod,{invocations[minute]},{errors[minute]},0,{durations},60")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "orders" / "minutes.csv").write_text(minutes(), encoding="utf-8")
