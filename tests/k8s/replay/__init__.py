"""A local kubelet: rendered manifests as processes of this machine, with their mounts, probes, signals and rollouts.

No container engine is needed, since paths are mapped instead of mounted.

Imitated: the commands, arguments and environment of every container; init containers and Jobs first; probes at the
manifests' own periods and thresholds; one address for each pod (on loopback); endpoints that follow readiness; preStop
and grace period; rolling updates by the strategy.

Not imitated: users, capabilities, read-only roots, limits, network policies, the Kubernetes scheduler, access modes of
volumes, and the restart of a container that ends by itself (here it is a failure).
"""
