"""Function: AWS Lambda's function as the model sees it.

Versions, aliases and their history under the API's own names and errors (`lambda_api`), what a scenario says of a
function (`spec`), what may be wrong with a version (`faults`), and execution environments: cold starts, keep-alive,
concurrency (`environments`). Imports only `core`. Begin with `lambda_api`.
"""
