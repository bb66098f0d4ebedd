"""What scheduler, kubelet, controllers and node autoscaler would do with rendered manifests, as a small model.

Modelled: requests and limits of pods, priorities and preemption, taints, node selectors, quotas, node pools that scale
from zero, Jobs, rolling updates, init containers in order, and what our own commands wait for or leave behind.

Not modelled: time, networks, probes and the programs themselves; `tests/k8s/replay/` runs these.
"""
