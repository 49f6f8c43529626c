"""The command line: one module for each command or pair of commands.

The group and its exit statuses (`main`), shared options (`options`), progress and tables at a terminal (`console`).
May import everything; heavy libraries only inside the commands, so that `--help` answers at once. Begin with `main`.
"""
