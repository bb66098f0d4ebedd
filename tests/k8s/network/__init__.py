"""Hosts with their own addresses, and a network between them that can be cut and can lose packets."""
