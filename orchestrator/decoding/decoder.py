"""What decodes pictures and masks, and the decoder of this process."""

from __future__ import annotations

from typing import Protocol

from backdrop.contract.masks import Matte, read_mask
from backdrop.contract.pictures import Photo, decode_photo


class CannotDecodeError(Exception):
    """A process that decodes cannot be started: a fault of the server, not of a picture."""


class Decoder(Protocol):
    """Turns encoded pictures into arrays. Blocks; raises InvalidRequestError for a faulty one."""

    def wait_ready(self) -> None:
        """Returns once it can decode; raises CannotDecodeError if it never will."""

    def photo(self, data: bytes, *, max_pixels: int, field: str) -> Photo:
        """As `decode_photo` of the contract."""

    def mask(self, data: bytes, photo: Photo, *, max_pixels: int, task: str, picture: str) -> Matte:
        """As `read_mask` of the contract."""


class InProcess:
    """Decodes here: for tests, and for the workers themselves."""

    def wait_ready(self) -> None:
        """Returns at once."""

    def photo(self, data: bytes, *, max_pixels: int, field: str) -> Photo:
        """As `decode_photo` of the contract."""
        return decode_photo(data, max_pixels=max_pixels, field=field)

    def mask(self, data: bytes, photo: Photo, *, max_pixels: int, task: str, picture: str) -> Matte:
        """As `read_mask` of the contract."""
        return read_mask(data, photo, max_pixels=max_pixels, task=task, picture=picture)


HERE = InProcess()
