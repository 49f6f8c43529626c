"""Scenario: one file as types, read, resolved, checked and written back.

The sections (`sections`), reading and writing (`scenario`), `like:` (`resolve`), what does not fit together (`checks`),
what is allowed and probably not meant (`warning_checks`), pydantic's findings as messages with lines (`messages`), risk
and goal of a recommendation (`goals`), the JSON Schema for editors (`json_schema`), every field in words (`reference`)
with an example (`examples`), and the commented file that `init` writes (`template`). Imports `control`, `function`,
`traffic` and `core`. Begin with `sections`.
"""
