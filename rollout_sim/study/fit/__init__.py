"""Fits: a scenario's parameters from what was measured, each with its interval and with how well it describes the data.

`error_rates` chooses between a constant rate, a scattered one and spells; `arrivals` has the daily or weekly profile and the
dispersion of the traffic; `durations` a distribution from percentiles or from single invocations; `releases` the risk from the
history of deployments. `goodness` says when a fit is poor. Nothing here knows where the figures come from.
"""
