"""The command line: one small file per verb. It translates; the flows decide."""
