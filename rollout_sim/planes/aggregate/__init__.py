"""The aggregate plane: draws the counts of whole periods, for all replications of a batch at once.

The plane (`plane`), how many requests arrive (`arrivals`), and how likely each outcome of an invocation is
(`probabilities`). Exact in distribution where no state links the invocations. Begin with `plane`.
"""
