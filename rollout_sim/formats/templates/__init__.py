"""Templates: CloudFormation documents, and Terraform's plans, as scenarios.

A document with its parameters (`template`, `loops`), its functions (`intrinsics`), what it rolls out (`stack`), watched by what
(`watching`, with `rules` and `own_metrics`), called by whom (`events`, `mappings`), to one `deployed` function and its scenario
(`sam`); `terraform` makes such a document of a plan. Imports `scenario`, `theory`, what is below them, and the names that
`formats` writes. Begin with `stack`.
"""
