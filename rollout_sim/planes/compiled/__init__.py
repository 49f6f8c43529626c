"""The compiled plane: the model of `simpy_plane` as one loop compiled by Numba, equal to it in every bit.

The plane (`plane`), the loop (`kernel`), its state in arrays (`state`), environments, queue of events and requests
(`environments`, `queue`, `requests`), what draws the random variates ahead (`feed`), and Numba (`jit`).
Begin with `kernel`.
"""
