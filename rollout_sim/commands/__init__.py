"""Commands: one file for each noun of the command line; heavy imports happen inside."""
