"""Examples: drawn ones are always the same; a folder's photos, masks and prompts belong together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.errors import ExportError
from export.rehearsal.examples import digest, drawn, read_folder


def write_photo(path: Path, mode: str, size: tuple[int, int] = (40, 20)) -> None:
    """A photo whose left half is the product, if it has an alpha channel to say so."""
    pixels = np.full((size[1], size[0], 4), 200, np.uint8)
    pixels[..., 3] = np.where(np.arange(size[0]) < size[0] // 2, 255, 0)
    Image.fromarray(pixels).convert(mode).save(path)


def test_drawn_examples_are_the_same_each_time_and_differ_from_each_other() -> None:
    first, second = drawn()
    assert digest(drawn()) == digest((first, second))
    assert digest((first,)) != digest((second,))
    assert 0 < first.mask.mean() < 0.5
    assert first.photo.std() > 10


def test_photos_and_prompts_of_a_folder(tmp_path: Path) -> None:
    write_photo(tmp_path / "b.png", "RGBA")
    write_photo(tmp_path / "a.jpg", "RGB")
    (tmp_path / "prompts.txt").write_text("a desert\na lake\n")
    (tmp_path / "notes.md").write_text("not a photo")
    first, second = read_folder(tmp_path)
    assert (first.prompt, second.prompt) == ("a desert", "a lake")
    assert first.photo.shape == second.photo.shape == (20, 40, 3)
    assert first.mask[10, 20] == 1, "a photo without alpha has its product in the middle"
    assert first.mask[0, 0] == 0
    assert (second.mask[:, :20] == 1).all()
    assert (second.mask[:, 20:] == 0).all()


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is not a folder"):
        read_folder(tmp_path / "none")
    with pytest.raises(ExportError, match="holds no PNG, JPEG or WebP"):
        read_folder(tmp_path)
    (tmp_path / "a.png").write_bytes(b"GIF89a")
    with pytest.raises(ExportError, match=r"a\.png cannot be read as a picture"):
        read_folder(tmp_path)
    write_photo(tmp_path / "a.png", "RGB")
    (tmp_path / "prompts.txt").write_text("")
    with pytest.raises(ExportError, match="has 0 lines for 1 photos"):
        read_folder(tmp_path)
