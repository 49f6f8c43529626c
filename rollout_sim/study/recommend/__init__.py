"""Recommend: searches for the rollout and the alarm that keep the goal and cost the least.

Begin with `search`, which says what the stages are. What is tried stands in `candidates`, the ways in which a release may be bad
in `hypotheses`, what to do where nothing keeps the goal in `advice`, and the answer in `recommendation`.
"""
