"""Maps the one path that is a constant in a library: the folder where the Kubernetes client reads the pod's token.

The replay maps all other paths in arguments, environment and files. Every Python process that has this folder in
PYTHONPATH imports this module.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import os
import sys

_MODULE = "kubernetes.aio.config.incluster_config"


class _Mapped(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != _MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        run = spec.loader.exec_module
        mounts = json.loads(os.environ.get("REPLAY_MOUNTS", "{}"))

        def run_and_map(module):
            run(module)
            for constant in ("SERVICE_TOKEN_FILENAME", "SERVICE_CERT_FILENAME"):
                folder, _, file = getattr(module, constant).rpartition("/")
                # Without a mount the path stays unchanged and does not exist, as in a pod.
                setattr(module, constant, f"{mounts.get(folder, folder)}/{file}")

        spec.loader.exec_module = run_and_map
        return spec


sys.meta_path.insert(0, _Mapped())
