"""What is lost by `recommend`: how much more its winners cost than the best of them, over seeds, and than a wide search's.

The winners of the seeds are set beside one another on fresh replications of a seed of their own, as pairs. `--wide` also
searches about thirty times as many combinations once, which takes some minutes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from unittest.mock import patch

from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.recommend import search
from rollout_sim.study.recommend.candidates import Candidate

CHECKOUT = Path(__file__).parent.parent / "scenarios" / "checkout.yaml"
JUDGE = 1_000_000
"""The seed of the replications by which the winners are compared."""
WIDE = {
    "PROMISING": ((1500, 1500), (10, 16)), "CHOICES": 25, "CONTENDERS": ((60, 60), (4, 6)), "WORK": (600.0, 600.0),
}  # fmt: skip


def winner(given: Scenario, seed: int) -> Candidate | None:
    """What is recommended with that seed, and what it took."""
    began = time.process_time()
    found = search.recommend(given, seed=seed)
    label = "nothing" if found.winner is None else found.winner.label
    print(f"seed {seed}: {label}, decided: {found.decided}, {time.process_time() - began:.1f} CPU s", flush=True)
    return found.winner


def main() -> None:
    """Prints what each seed finds, and what that loses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="?", type=Path, default=CHECKOUT)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--wide", action="store_true", help="search far more combinations, too")
    options = parser.parse_args()
    given = Scenario.load(options.scenario)
    chosen = [winner(given, seed) for seed in range(1, options.seeds + 1)]
    if options.wide:
        with patch.multiple(search, **WIDE):
            chosen.append(winner(given, 1))
    different = {candidate.label: candidate for candidate in chosen if candidate is not None}
    judged = search.prepare(given, seed=JUDGE).evaluations(list(different.values()), 2)
    best = min(evaluation.objective.mean for evaluation in judged)
    for evaluation in judged:
        times = sum(candidate is not None and candidate.label == evaluation.candidate.label for candidate in chosen)
        loss = evaluation.objective.mean / best - 1
        print(
            f"{times} of {len(chosen)}: {evaluation.candidate.label}, {evaluation.objective.mean:.3g}, loss {loss:.1%}"
        )


if __name__ == "__main__":
    main()
