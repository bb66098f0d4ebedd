"""A local kubelet: rendered manifests as processes of this machine, with their mounts, probes, signals and rollouts.

There is no container engine here, so paths are mapped instead of mounted. What is kept: the commands, arguments and
environment of every container, init containers and Jobs first, probes at the manifests' own periods and thresholds,
an address a pod (on loopback), endpoints that follow readiness, preStop and grace on the way out, rolling updates by
the strategy. What is not: users, capabilities, read-only roots, limits, network policies, schedulers and volumes'
access modes; a restart of a container that ends by itself (here it is a failure).
"""
