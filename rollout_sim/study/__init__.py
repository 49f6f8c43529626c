"""Study: many runs, and what they say together.

Strategies beside each other (`comparison`) and before and after a change (`change`), over a grid (`sweep`, `grid`),
against how bad the new version is (`sensitivity`), with closed forms where there are any (`analytic`), so many
replications (`replications`), on processes (`executor`) or a cluster (`cluster`), the search for the best rollout
(`recommend`), and what is wrong with one (`check`). Imports `run` and what is below it. Begin with `comparison`.
"""
