"""The page of all tasks: examples of the command line, run on a local cluster and drawn as they came out."""
