"""Maps the one path that is a constant in a library: where the Kubernetes client looks for its pod's token.

Every other path is in arguments, environment or files, where the replay maps it. Read by any Python that is started
with this folder in PYTHONPATH.
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
                # Without a mount it stays what it is, and is not there: as in a pod.
                setattr(module, constant, f"{mounts.get(folder, folder)}/{file}")

        spec.loader.exec_module = run_and_map
        return spec


sys.meta_path.insert(0, _Mapped())
