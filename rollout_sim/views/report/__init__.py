"""Report: one self-contained HTML page of all studies of a scenario.

What is computed (`build`), its pictures (`figures`), and the page (`page`, `templates`). Begin with `build`.
"""
