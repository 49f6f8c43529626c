"""Check: what is wrong with a rollout as it is configured, each finding confirmed by simulation.

A rule (`rules`) looks at what is known of a scenario (`evidence`) and makes findings (`finding`), each with the smallest
change that mends it (`remedies`). The rules stand by what they are about: `alarm_rules`, `deployment_rules`,
`traffic_rules`, `goal_rules`. Begin with `checking`.
"""
