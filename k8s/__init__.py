"""Manifests, and the few commands around them."""
