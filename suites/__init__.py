"""Tasks, the command line, evaluation and records: the only package that knows all three axes."""
