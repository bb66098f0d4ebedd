"""IP-Adapter files: ours, whose projector is a folder of its own, and published ones, which have theirs inside.

Published ones (Ye et al. 2023, `ip-adapter_sd15.safetensors` and the like) are known by their tensors: `image_proj.*`
is the projector, `ip_adapter.<n>.*` the image attention of the UNet's n-th attention processor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.errors import BadFolderError
from export.tensor_files import extents

FOLDER, FILE = "ip_adapter", "ip_adapter.safetensors"
PROJECTOR = "image_proj."
LINEAR, NORM = f"{PROJECTOR}proj.weight", f"{PROJECTOR}norm.weight"


@dataclass(frozen=True)
class PublishedProjector:
    """The projector inside a published file: it reads CLIP's embedding alone, not normalised."""

    clip_dim: int
    tokens: int
    cross_attention_dim: int

    @property
    def config(self) -> Mapping[str, Any]:
        """The projector's config, as if it had a folder."""
        return {
            "_class_name": "ImageProjector",
            "uve_dim": 0,
            "clip_dim": self.clip_dim,
            "tokens": self.tokens,
            "cross_attention_dim": self.cross_attention_dim,
        }


def find_file(folder: Path) -> Path:
    """The adapter in a pipeline's `ip_adapter/`: our name, or the only safetensors file there.

    Raises:
        BadFolderError: if it is not clear which.
    """
    if (folder / FILE).is_file():
        return folder / FILE
    paths = sorted(folder.glob("*.safetensors"))
    if len(paths) > 1:
        raise BadFolderError(f"{FOLDER}/ holds {paths[0].name} and {paths[1].name}: keep the one that is meant.")
    return paths[0] if paths else folder / FILE


def read_published(path: Path) -> PublishedProjector | None:
    """The projector inside a file; None where there is none.

    Raises:
        BadFolderError: if the file is damaged, or its projector is of another kind.
    """
    shapes = {extent.name: extent.shape for extent in extents(path)}
    if not any(name.startswith(PROJECTOR) for name in shapes):
        return None
    if LINEAR not in shapes or NORM not in shapes:
        raise BadFolderError(
            f"{FOLDER}/{path.name} is an IP-Adapter whose projector reads more than CLIP's embedding (Plus, FaceID); "
            f"only the plain one can be exported."
        )
    (states,), (rows, clip) = shapes[NORM], shapes[LINEAR]
    if rows % states:
        raise BadFolderError(
            f"{FOLDER}/{path.name}: {LINEAR} has {rows} rows, which are no tokens of {states} numbers."
        )
    return PublishedProjector(clip, rows // states, states)
