"""How much memory the orchestrator needs, added up from its settings: the one place that says so.

usage: python -m orchestrator.footprint   prints the parts and their sum, for the BACKDROP_ variables that are set
"""

from __future__ import annotations

import sys

from pydantic import ValidationError

from backdrop.contract.geometry import Size
from backdrop.contract.tiling import largest_scene
from orchestrator import repository
from orchestrator.repository import RepositoryError
from orchestrator.settings import Settings, faults
from orchestrator.stages.frames import FRAME_BYTES

MIB = 1 << 20
PROCESS_BYTES = 288 * MIB
"""The interpreter, its libraries, tokenizers, connections, and the tensors of calls."""
DECODER_BYTES = 72 * MIB
"""A decoder without a picture; a test measures it."""
WORK_BYTES = 20
"""Most memory of decoding, placing or finishing a picture, for each pixel; a test measures it."""
ENCODED_BYTES = 1
"""Of a finished picture that is not read yet, for each pixel: scenes are enlarged, so PNG compresses them well."""
_COPIES_ON_ARRIVAL = 3
# A scene is kept as bytes [H, W, 3]; while it is scored it is in floats.
_SCENE_BYTES = 3
# What models see of a frame, in float32: three colours and the mask.
_VIEW_BYTES = 16


def parts(settings: Settings, scene: Size) -> dict[str, int]:
    """Bytes by purpose, when every limit of the settings is reached; `scene` is the largest scene."""
    return {
        "process": PROCESS_BYTES,
        "decoders": settings.decoders * DECODER_BYTES,
        "cache": settings.cache_memory_bytes,
        "shared memory": settings.shared_memory_bytes,
        "messages held": max(settings.max_held_bytes, settings.max_request_bytes),
        "message arriving": _COPIES_ON_ARRIVAL * settings.max_request_bytes,
        "pictures worked on": int(max(settings.work_megapixels * 1e6, settings.max_pixels)) * WORK_BYTES,
        "frames kept": int(settings.work_megapixels * 1e6) * FRAME_BYTES,
        "views": settings.max_running * scene.pixels * _VIEW_BYTES,
        "scenes": settings.max_running * settings.max_variants * scene.pixels * _SCENE_BYTES,
        "pictures unread": settings.max_running * settings.max_pixels * ENCODED_BYTES,
    }


def main() -> int:
    """Prints the parts and their sum in MiB."""
    try:
        settings = Settings()  # type: ignore[call-arg]  # required fields come from the environment
        served = repository.load(settings.repository, verify="nothing")
    except (ValidationError, RepositoryError) as problem:
        sentences = faults(problem) if isinstance(problem, ValidationError) else [str(problem)]
        sys.stderr.writelines(f"{sentence}\n" for sentence in sentences)
        return 1
    scenes = [largest_scene(spec.buckets) for spec in served.pipelines.values()]
    needed = parts(settings, max(scenes, key=lambda scene: scene.pixels))
    for purpose, size in needed.items():
        sys.stdout.write(f"{size / MIB:8.0f} MiB  {purpose}\n")
    sys.stdout.write(f"{sum(needed.values()) / MIB:8.0f} MiB  in all\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
