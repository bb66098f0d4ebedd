"""The work behind `backdrop smoke`: one small picture of every pipeline, looked at as a caller would."""

from __future__ import annotations

import asyncio
import io
import time

import numpy as np
import typer
from PIL import Image, ImageDraw

from backdrop._background import Background
from backdrop._cli.connection import Connection
from backdrop._cli.failures import OTHER, Refusal, sentence
from backdrop._client import AsyncClient
from backdrop._events import Picture
from backdrop._info import Pipeline
from backdrop._task import Task
from backdrop.errors import BackdropError
from backdrop.tasks import TextToImage

_STEPS = 4
_SEED = 1
_FLAT = 2.0
"""Levels of 255. The least standard deviation of what models make of a scene; a broken decoder returns one colour."""


def run(connection: Connection, *, wait_s: float, timeout_s: float) -> None:
    """Prints a line for each pipeline.

    Raises:
        Refusal: a pipeline makes no picture, or a wrong one; the message says which, and why.
        BackdropError: the server is not ready after `wait_s`.
    """
    wrong = asyncio.run(_every_pipeline(connection, wait_s, timeout_s))
    if wrong:
        raise Refusal(" ".join(wrong), OTHER)


async def _every_pipeline(connection: Connection, wait_s: float, timeout_s: float) -> list[str]:
    wrong = []
    async with AsyncClient(connection.endpoint, credentials=connection.credentials, timeout_s=timeout_s) as client:
        info = await client.wait_ready(wait_s)
        if not info.pipelines:
            return ["The server has no pipeline."]
        for pipeline in info.pipelines:
            began = time.monotonic()
            try:
                task = product_task(pipeline)
                result = await client.generate(
                    task, prompt="a beach at sunset", pipeline=pipeline.name, steps=_STEPS, variants=1, seed=_SEED
                )
                fault = fault_of(result.best)
            except BackdropError as error:
                fault = sentence(error)
            if fault:
                wrong.append(f"Pipeline {pipeline.name}: {fault}")
            else:
                size = f"{result.best.width}x{result.best.height}"
                typer.echo(f"{pipeline.name}: {task.name}, {size}, in {time.monotonic() - began:.1f} s")
    return wrong


def product_task(pipeline: Pipeline) -> Task:
    """A red disc in a scene, where the pipeline can, else a picture from words."""
    if Background.name not in pipeline.tasks:
        return TextToImage()
    disc = Image.new("RGBA", (96, 96), (0, 0, 0, 0))
    ImageDraw.Draw(disc).ellipse((8, 8, 88, 88), fill=(200, 30, 40, 255))
    out = io.BytesIO()
    disc.save(out, "PNG")
    return Background(out.getvalue())


def fault_of(picture: Picture) -> str:
    """What is wrong with a picture, in one sentence; empty if nothing is."""
    pixels = np.asarray(picture.image().convert("RGB"), np.float32)
    height, width, _ = pixels.shape
    if (width, height) != (picture.width, picture.height):
        return f"the picture is {width}x{height}, and was announced as {picture.width}x{picture.height}."
    scene = np.ones((height, width), bool)
    if picture.receipt is not None:
        if picture.receipt.max_difference:
            return f"known pixels differ by up to {picture.receipt.max_difference} levels from those that were sent."
        box = picture.receipt.known_box
        scene[box.y : box.y + box.height, box.x : box.x + box.width] = False
    if scene.any() and pixels[scene].std(axis=0).max() < _FLAT:
        return "what the models made is one flat colour: the denoiser or the VAE decoder returns constants."
    return ""
