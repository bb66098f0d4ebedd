"""Planted secrets: put into every input, and searched for in everything that leaves the server."""
