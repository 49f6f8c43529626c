"""Formats: the rollout as templates and settings of the tools that carry it out, and back.

Out: SAM and CloudFormation (`cloudformation`, `cloudwatch`), CodeDeploy (`codedeploy`), OpenSLO (`openslo`), Argo
Rollouts and Flagger (`kubernetes`), and the text that they write (`snippet`). In: `templates` of CloudFormation and
Terraform's plans, Kubernetes' `manifests`, OpenSLO, and all rollouts of a file as subjects of `check` (`rollouts`).
Imports `scenario`, `theory` and what is below them. Begin with `snippet`, and with `templates.stack`.
"""
