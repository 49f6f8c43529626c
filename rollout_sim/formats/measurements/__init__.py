"""Measurements: what other tools recorded of a function, read into one table and written as the folder of a scenario.

`recording` is the table. Each foreign form has a module of its own (`cloudwatch_json`, `insights`, `prometheus`, `tables`), and
`reading` finds out which one a file has. `naming` tells which metric a series is, `commands` prints the `aws` commands whose
output is wanted, `live` asks AWS itself, and `folder` writes `scenario.yaml`, `traffic.csv` and `minutes.csv`. Begin with
`recording`.
"""
