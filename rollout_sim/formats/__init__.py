"""Formats: the rollout as templates and settings of the tools that carry it out, and back.

Out: SAM and CloudFormation (`cloudformation`, `cloudwatch`), CodeDeploy (`codedeploy`), OpenSLO (`openslo`), Argo
Rollouts and Flagger (`kubernetes`), and the text that they write (`snippet`). In: a document with its parameters
(`template`), its functions (`intrinsics`), what it rolls out (`stack`), watched by what (`watching`), called by whom
(`events`, `schedules`), to one `deployed` function and its scenario (`sam`), or to subjects of `check` (`rollouts`);
`terraform` makes such a document of a plan, `manifests` reads Kubernetes' ones. Imports `scenario`, `theory` and what
is below them. Begin with `snippet`, and with `stack`.
"""
