"""Run: one run, or one batch of replications, of one strategy on a data plane.

What a scenario asks for as metrics, alarms and controller (`wiring`), the loop between controller and plane (`driver`), a
single run (`simulate`), a batch of replications (`batch`), and what came out (`result`). Imports `planes` and what is
below it. Begin with `driver`.
"""
