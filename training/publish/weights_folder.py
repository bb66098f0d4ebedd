"""Reads the components and settings of a published weights folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch


class WeightsFolder:
    """A weights folder. A missing component or setting is taken from the folder that it shares with."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings: dict[str, Any] = json.loads((path / "backdrop.json").read_text())
        self._shared = WeightsFolder((path / self.settings["shares"]).resolve()) if "shares" in self.settings else None

    def setting(self, name: str) -> Any:
        """A setting of `backdrop.json`, of this folder or else of the shared one."""
        if name in self.settings or self._shared is None:
            return self.settings[name]
        return self._shared.setting(name)

    def find(self, name: str) -> Path | None:
        """The path of a component, in this folder or else in the shared one."""
        if (self.path / name).is_dir():
            return self.path / name
        return self._shared.find(name) if self._shared else None

    def read(self, kind: Any, name: str) -> Any:
        """A component in fp32, frozen, in evaluation mode.

        Raises:
            FileNotFoundError: neither folder has the component.
        """
        component = self.find(name)
        if component is None:
            raise FileNotFoundError(f"{self.path} has no {name}/, and it shares none with another folder")
        key = "dtype" if kind.__module__.startswith("transformers") else "torch_dtype"
        model = kind.from_pretrained(component, use_safetensors=True, **{key: torch.float32})
        return model.eval().requires_grad_(False)
