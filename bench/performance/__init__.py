"""Backdrop beside what a user would pick instead: the same weights, requests and seeds, in interleaved rounds."""
