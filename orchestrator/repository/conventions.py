"""The conventions that a pipeline's models were trained with: "conventions" in `pipeline.json`."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import TypeVar


class LatentMask(enum.Enum):
    """How a mask of pixels becomes the mask of latents."""

    AREA = "area"
    """The mean over each latent's square of pixels; soft edges stay soft."""
    NEAREST = "nearest"
    """Cut at one half, then the first pixel of each square: diffusers' `VaeImageProcessor`, `prepare_mask_latents`."""


class EmptyNegative(enum.Enum):
    """What stands for a missing negative prompt; an empty one is a missing one."""

    ENCODE = "encode"
    """The text encoders' embeddings of the empty text."""
    ZEROS = "zeros"
    """Zeros, pooled embeddings included: diffusers' `force_zeros_for_empty_prompt`."""


class UnconditionalImage(enum.Enum):
    """What the row of the negative prompt attends to if there are style pictures."""

    OFF = "off"
    """Nothing: its image attention has scale 0."""
    ZEROS = "zeros"
    """The projection of an embedding of zeros, at the scale of the other row: diffusers' IP-Adapter."""


class HoleColours(enum.Enum):
    """What colours a part has that is made beside known pixels (`backdrop.contract.continuation`)."""

    CONTINUED = "continued"
    """Moved smoothly, so that they meet those of the known pixels at the border. Noise starts from them too."""
    DECODED = "decoded"
    """As the decoder makes them: diffusers' inpainting pipelines."""


@dataclasses.dataclass(frozen=True)
class ClipPicture:
    """CLIP's own preprocessing: the shorter side becomes `resize` pixels (bicubic), then the middle `crop` × `crop`."""

    resize: int
    crop: int

    @classmethod
    def from_json(cls, value: object) -> ClipPicture:
        """Reads `image_preprocess`.

        Raises:
            ValueError: it has other keys, or a value is out of range.
        """
        name = "conventions.image_preprocess"
        if not isinstance(value, Mapping) or set(value) != {"resize", "crop"}:
            raise ValueError(f"{name} must be an object of resize and crop, got {value!r}")
        for key, side in value.items():
            if not isinstance(side, int) or side < 1:
                raise ValueError(f"{name}.{key} must be a positive integer, got {side!r}")
        if value["crop"] > value["resize"]:
            raise ValueError(f"{name}: crop {value['crop']} is larger than resize {value['resize']}")
        return cls(value["resize"], value["crop"])


@dataclasses.dataclass(frozen=True)
class Conventions:
    """How models are fed. The defaults are those of the pipelines that come with Backdrop."""

    latent_mask: LatentMask = LatentMask.AREA
    empty_negative: EmptyNegative = EmptyNegative.ENCODE
    unconditional_image: UnconditionalImage = UnconditionalImage.OFF
    hole_colours: HoleColours = HoleColours.CONTINUED
    image_preprocess: ClipPicture | None = None
    """How style pictures become the CLIP encoder's input; None: the middle square, at a size that graphs resize."""

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Conventions:
        """Reads the object; keys that are missing have their defaults.

        Raises:
            ValueError: a key is unknown, or its value; the message names it.
        """
        # With an unknown key, pictures would be wrong and nothing would tell.
        for key in value:
            if key not in {field.name for field in dataclasses.fields(cls)}:
                raise ValueError(f"conventions.{key} is not known to this orchestrator")
        picture = value.get("image_preprocess")
        return cls(
            _choice(value, "latent_mask", LatentMask.AREA),
            _choice(value, "empty_negative", EmptyNegative.ENCODE),
            _choice(value, "unconditional_image", UnconditionalImage.OFF),
            _choice(value, "hole_colours", HoleColours.CONTINUED),
            None if picture is None else ClipPicture.from_json(picture),
        )


_E = TypeVar("_E", bound=enum.Enum)


def _choice(value: Mapping[str, object], key: str, default: _E) -> _E:
    choices = {choice.value: choice for choice in type(default)}
    chosen = value.get(key, default.value)
    if chosen not in choices:
        raise ValueError(f"conventions.{key} must be one of {', '.join(choices)}, got {chosen!r}")
    return choices[chosen]
