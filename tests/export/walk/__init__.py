"""Tests of the walk of a request over a pipeline's components."""
