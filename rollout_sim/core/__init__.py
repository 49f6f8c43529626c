"""Core: what every other sub-package stands on, and what knows nothing of functions, traffic or rollouts.

Quantities with units, the fields of dataclasses that are read from files, probability distributions, named random
streams, estimates with their intervals, YAML, registries of user-defined classes, numbers as people read them, and
folders that are written all or nothing, how often Python looks for garbage. Imports only `rollout_sim.errors`. Begin
with `units`, then `streams`.
"""
