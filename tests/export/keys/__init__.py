"""The tables of config keys, and the checks that read them."""
