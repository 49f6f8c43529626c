"""`python -m rollout_sim.cli`: the command line without its script."""

from __future__ import annotations

from rollout_sim.cli.main import main

main()
