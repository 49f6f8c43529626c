"""Formats: the rollout as templates and settings of the tools that carry it out, and back.

SAM and CloudFormation (`sam`, `cloudformation`, with `intrinsics` and `cloudwatch`), CodeDeploy (`codedeploy`),
OpenSLO (`openslo`), Argo Rollouts and Flagger (`kubernetes`), and the text that they write (`snippet`). Imports
`scenario` and what is below it. Begin with `snippet`.
"""
