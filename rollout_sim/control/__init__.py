"""Control: the one control plane, the same in front of every data plane.

Strategies as schedules of weights (`strategies`), what CodeDeploy can carry out (`codedeploy`), metrics as CloudWatch
shows them (`metrics`), SLOs and their budgets (`slo`), alarms (`alarms`), what they read of the metrics (`readings`),
their metric maths and composite rules (`expressions`), their evaluation for a batch of replications
(`alarm_evaluator`), and the controller that turns datapoints into weights (`controller`). Knows no data plane. Imports
only `core`. Begin with `controller`.
"""
