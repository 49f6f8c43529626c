"""A slow twin of a queue's poller: messages in line, so many batches at once, and nothing else; it knows nothing of the package."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

import numpy as np


def bulk_queue(
    arrivals: list[float], service: Callable[[int], float], batches: int, size: int, window: float
) -> tuple[float, float]:
    """The mean time from arrival to the end of its batch (s), and the mean number of messages in a batch.

    `batches` run at once at most, each of up to `size` messages, for `service(n)` seconds where it has n. A batch is handed over
    when there is a place for it and it is full, or `window` seconds after it could have begun to gather.
    """
    line: list[float] = []
    running: list[tuple[float, list[float]]] = []
    ages: list[float] = []
    sizes: list[int] = []
    due, coming, t = np.inf, 0, 0.0
    while coming < len(arrivals) or line or running:
        t = min(arrivals[coming] if coming < len(arrivals) else np.inf, running[0][0] if running else np.inf, due)
        while running and running[0][0] <= t:
            ages += [t - arrived for arrived in heappop(running)[1]]
        while coming < len(arrivals) and arrivals[coming] <= t:
            line.append(arrivals[coming])
            coming += 1
        while line and len(running) < batches:
            if len(line) < size and t < due:
                due = min(due, t + window)
                if t < due:
                    break
            batch, line = line[:size], line[size:]
            heappush(running, (t + service(len(batch)), batch))
            sizes.append(len(batch))
            due = np.inf
        if not line or len(running) >= batches:
            due = np.inf
    return float(np.mean(ages)), float(np.mean(sizes))
