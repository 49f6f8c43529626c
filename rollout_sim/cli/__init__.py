"""The command line: one module for each command or pair of commands.

The entry point (`__main__`), the group and its exit statuses (`main`), shared options (`options`), progress and tables at a terminal
(`console`), Ctrl-C and its like (`interruption`).
May import everything; heavy libraries only inside the commands, so that `--help` answers at once. Begin with `main`.
"""
