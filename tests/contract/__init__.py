"""One suite for every implementation of `backdrop.v1`: the fake that callers test with, and the real cluster."""
