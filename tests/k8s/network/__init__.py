"""Hosts with addresses of their own, and a network between them that can be cut and lose packets."""
