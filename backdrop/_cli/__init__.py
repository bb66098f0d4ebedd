"""The pieces of the command line; `backdrop.cli` puts them together."""
