"""Draws the contact sheet: the sent picture at the left, the ranked pictures at the right, each with its scores."""

from __future__ import annotations

import dataclasses
import functools
import io
import math
import unicodedata
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from backdrop._events import Picture, Result

# A sheet is read on a screen: wide enough to judge edges, small enough to send round.
_CELL = 460
_MARGIN, _GAP, _CAPTION = 48, 28, 74
_PAPER, _INK, _FAINT, _ACCENT = (250, 249, 246), (32, 33, 36), (120, 122, 128), (24, 110, 86)
_LONGEST = 400  # characters of a prompt; more would not fit
_ALSO_DRAWABLE = "«»±–—‘’“”"
_CHECKS = ((238, 238, 236), (222, 222, 220))


@dataclasses.dataclass(frozen=True)
class _Grid:
    columns: int
    rows: int
    cell: tuple[int, int]


def draw_contact_sheet(sent: bytes | None, result: Result, prompt: str) -> Image.Image:
    """Returns the sheet as an RGB image; `sent` is the encoded picture that was sent, if any. Any aspect ratio fits."""
    pictures = [picture.image().convert("RGB") for picture in result.pictures]
    grid = _grid(len(pictures), pictures[0].size)
    left = _MARGIN + _CELL + 2 * _GAP
    width = left + grid.columns * (grid.cell[0] + _GAP) - _GAP + _MARGIN
    title = _wrap(_drawable(prompt[:_LONGEST]) or "(no prompt)", _font(34), width - 2 * _MARGIN - _GAP, 2)
    top = _MARGIN + 44 * len(title) + _GAP
    row_height = grid.cell[1] + _CAPTION
    height = top + max(grid.rows * (row_height + _GAP) - _GAP, _CELL // 2 + _CAPTION) + _MARGIN
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for line, text in enumerate(title):
        draw.text((_MARGIN, _MARGIN - 8 + 44 * line), text, _INK, _font(34))
    _draw_request(sheet, sent, top, grid.cell[1], result)
    draw.line((left - _GAP, top, left - _GAP, height - _MARGIN), _CHECKS[1], 2)
    for rank, (picture, image) in enumerate(zip(result.pictures, pictures, strict=True)):
        column, row = rank % grid.columns, rank // grid.columns
        x, y = left + column * (grid.cell[0] + _GAP), top + row * (row_height + _GAP)
        _paste(sheet, image, (x, y, *grid.cell))
        _caption(draw, (x, y + grid.cell[1] + 10), picture, grid.cell[0])
    return sheet


def _draw_request(sheet: Image.Image, sent: bytes | None, top: int, height: int, result: Result) -> None:
    draw, settings, y = ImageDraw.Draw(sheet), result.settings, top
    size = f"{settings.output_size[0]} x {settings.output_size[1]}"
    if sent is not None:
        photo = ImageOps.exif_transpose(Image.open(io.BytesIO(sent))).convert("RGBA")
        background = _checkerboard(photo.size) if photo.getchannel("A").getextrema() != (255, 255) else photo
        flat = Image.alpha_composite(background, photo).convert("RGB")
        fitted = ImageOps.contain(flat, (_CELL, max(height, _CELL // 2)))
        sheet.paste(fitted, (_MARGIN, top))
        y = top + fitted.height + 10
        size = f"{photo.width} x {photo.height} to {size}"
    draw.text((_MARGIN, y), settings.task.replace("_", " "), _INK, _font(22))
    facts = (size, f"{settings.steps} steps of {settings.scheduler}, guidance {settings.guidance_scale:g}")
    for line, text in enumerate(facts):
        draw.text((_MARGIN, y + 30 + 22 * line), _cut(text, _font(17), _CELL), _FAINT, _font(17))


def _grid(count: int, size: tuple[int, int]) -> _Grid:
    """Chooses columns for a sheet that is rather wide than tall; extreme pictures get a cell of at most 1:2."""
    aspect = min(max(size[0] / size[1], 0.5), 2.0)
    ideal = math.sqrt(count * 1.5 / aspect)
    choices = [count] if count <= 3 else [max(1, math.floor(ideal)), min(count, math.ceil(ideal))]
    columns = min(choices, key=lambda columns: (-count % columns, -columns))  # few empty cells, then few rows
    return _Grid(columns, math.ceil(count / columns), (_CELL, round(_CELL / aspect)))


def _paste(sheet: Image.Image, image: Image.Image, cell: tuple[int, int, int, int]) -> None:
    x, y, width, height = cell
    fitted = ImageOps.contain(image, (width, height), Image.Resampling.LANCZOS)
    ImageDraw.Draw(sheet).rectangle((x, y, x + width - 1, y + height - 1), _CHECKS[0])
    sheet.paste(fitted, (x + (width - fitted.width) // 2, y + (height - fitted.height) // 2))


def _caption(draw: ImageDraw.ImageDraw, at: tuple[int, int], picture: Picture, width: int) -> None:
    x, y = at
    score = f"{picture.scores.total:.3f}" if picture.scores else ""
    draw.text(at, f"#{picture.rank + 1}", _ACCENT, _font(24))
    draw.text((x + width - _font(24).getlength(score), y), score, _INK, _font(24))
    kept = ""
    if picture.receipt is not None:
        kept = "exact" if picture.receipt.exact else f"±{picture.receipt.max_difference}"
        if not (picture.receipt.exact or picture.receipt.max_difference):
            kept = f"exact in {picture.receipt.compared_fraction:.0%}"
    scored = picture.scores.heads.items() if picture.scores else ()
    heads = "   ".join(f"{name} {score:.2f}" for name, score in scored)
    for line, (text, size) in enumerate(((f"seed {picture.seed}   {kept}", 17), (heads, 15))):
        draw.text((x, y + 30 + 22 * line), _cut(text, _font(size), width), _FAINT, _font(size))


def _checkerboard(size: tuple[int, int], square: int = 16) -> Image.Image:
    board = Image.new("RGBA", size, _CHECKS[0])
    draw = ImageDraw.Draw(board)
    for y in range(0, size[1], square):
        for x in range((y // square % 2) * square, size[0], 2 * square):
            draw.rectangle((x, y, x + square - 1, y + square - 1), _CHECKS[1])
    return board


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int, most: int) -> list[str]:
    """Breaks `text` at spaces into at most `most` lines of `width` pixels; the last one is cut."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and len(lines) < most and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [_cut(line, font, width) for line in lines]


def _drawable(text: str) -> str:
    """Pillow brings a font for English alone: accents are removed, other letters become question marks."""
    letters = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return "".join(letter if letter.isascii() or letter in _ALSO_DRAWABLE else "?" for letter in letters)


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def save_contact_sheet(path: Path, sent: bytes | None, result: Result, prompt: str) -> None:
    """Writes the sheet as PNG. Raises OSError."""
    draw_contact_sheet(sent, result, prompt).save(path, "PNG")
