"""Recommend: searches for the rollout and the alarm that keep the goal and cost the least.

What is tried (`candidates`), ranked by closed forms (`screening`) and by simulation (`search`), over the ways in which
a release may be bad (`hypotheses`), and what to do where nothing keeps the goal (`advice`). Begin with `search`.
"""
