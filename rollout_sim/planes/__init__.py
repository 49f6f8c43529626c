"""Planes: the data planes, which simulate what the invocations did.

The reference, one SimPy process for each request (`simpy_plane`); the same, compiled (`compiled`); counts of whole
periods for a batch of replications (`aggregate`); which of them is exact for a scenario (`selection`), and what they
share: what a plane must do, and the order of an instant (`base`), where the aliases point (`routing`), random variates
(`draws`), counts (`counts`), the users exposed (`exposure`). They do not import one another. Imports `scenario` and what
is below it. Begin with `simpy_plane`, the model itself.
"""
