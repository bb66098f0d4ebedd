"""A gateway before two orchestrators: nginx with the timeouts that the manifests give to every proxy."""
