"""Plots: pictures of results, each a function that takes the axes to draw on.

Colours and axes (`style`), error budgets (`budget`), one run from the inside (`traffic`), and the pictures of a
comparison, a sweep and a recommendation. Begin with `budget`.
"""
