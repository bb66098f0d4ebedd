"""The marks of the upscaler: gain over Lanczos on held-out renders, seams, and published weights on photographs."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from diffusers import AsymmetricAutoencoderKL
from PIL import Image
from scipy import ndimage

from backdrop.contract.geometry import Rect, Size
from bench.figures import ROOT, Figure, at_least, at_most
from export.networks.upscaler import Upscaler
from orchestrator import repository
from orchestrator.arrays import Bytes
from orchestrator.imaging.finish import resample
from orchestrator.repository import UPSCALER
from orchestrator.stages import upscale as stage
from orchestrator.stages.models import Models
from training.config import HELD_OUT_SEED
from training.encoders.upscaler import enlarged, psnr, shrunk
from training.publish.weights_folder import WeightsFolder
from training.world.picture import render

_RENDERS, _SIZE = 48, 512
_AGAIN = 12
"""Renders whose halves the autoencoder makes again, as it makes every scene."""
_WEIGHTS = ROOT / "training" / "weights" / "backdrop"
_PHOTOGRAPHIC = ROOT / ".backdrop" / "photographic"
_PHOTOGRAPHS = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
_PHOTO_SIDE, _PHOTO_FACTOR = 512, 4


class GraphModels:
    """Answers calls of a repository's upscaler by its graph, in this process."""

    def __init__(self, folder: Path) -> None:
        served = repository.load(folder, verify="nothing")
        self._pipeline = served.pipelines[served.default]
        model = self._pipeline.models[UPSCALER]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(folder / model.name / model.version / "model.onnx", options)

    async def __call__(
        self, model: str, inputs: Mapping[str, npt.NDArray[Any]], *, request_id: str, again: bool = False
    ) -> dict[str, npt.NDArray[Any]]:
        """The outputs of one call."""
        return {"upscaled": self._session.run(["upscaled"], dict(inputs))[0]}

    def upscaled(self, picture: Bytes, factor: int) -> Bytes:
        """The picture [H, W, 3] by the orchestrator's own stage."""
        return asyncio.run(stage.upscale(picture, factor, Models(self._pipeline, self, "bench")))


def upscale() -> list[Figure]:
    """Renders from their halves; the same after the autoencoder; and tiles compared with the whole picture in torch."""
    models, folder = GraphModels(ROOT / "triton_repo"), WeightsFolder(_WEIGHTS)
    network, vae = folder.read(Upscaler, "upscaler"), folder.read(AsymmetricAutoencoderKL, "vae")
    gains, again, seam = [], [], 0
    for index in range(_RENDERS):
        picture = render(HELD_OUT_SEED + index, _SIZE).image
        half = shrunk(picture)
        ours = models.upscaled(half, 2)
        gains.append(_gain(ours, half, picture))
        if index < _AGAIN:
            seam = max(seam, int(np.abs(ours.astype(int) - enlarged(network, half)).max()))
            scene = _reconstructed(vae, half)
            again.append(_gain(models.upscaled(scene, 2), scene, picture))
    command = "python -m bench.tasks upscale"
    name = "upscale 2×: PSNR over Lanczos, dB"
    return [
        Figure(f"{name}, held-out renders", _mean(gains), at_least(1.5), command, _spread(gains)),
        Figure(f"{name}, the same after the autoencoder", _mean(again), at_least(0.0), command, _spread(again)),
        Figure(
            "upscale: largest difference of tiles from the whole, of 255",
            seam,
            at_most(1),
            command,
            f"{_AGAIN} renders",
        ),
    ]


def photographic() -> list[Figure]:
    """Photographs from their quarters, by the weights of `make photographic-upscaler`."""
    models = GraphModels(_PHOTOGRAPHIC / "triton_repo")
    ratios, kept = {}, []
    for name, picture in photographs(next(_PHOTOGRAPHIC.glob("scikit_image-*.whl"))).items():
        small = shrunk(picture, _PHOTO_FACTOR)
        ours, lanczos = models.upscaled(small, _PHOTO_FACTOR), _lanczos(small, picture)
        ratios[name] = local_sharpness_error(ours, picture) / local_sharpness_error(lanczos, picture)
        kept.append(psnr(shrunk(ours, _PHOTO_FACTOR), small))
    command = "make photographic-upscaler && python -m bench.tasks photographic"
    spread = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    label = "photographic upscaler 4×"
    return [
        Figure(
            f"{label}: error of local sharpness ÷ Lanczos's, worst photograph",
            round(max(ratios.values()), 3), at_most(0.95), command, spread,
        ),
        Figure(
            f"{label}: PSNR of the result, made small again, to the small picture, worst photograph, dB",
            round(min(kept), 1), at_least(25), command, f"{len(kept)} photographs, mean {np.mean(kept):.1f}",
        ),
    ]  # fmt: skip


def local_sharpness_error(picture: Bytes, truth: Bytes, sigma: float = 4.0) -> float:
    """How far a picture's local sharpness is from the true picture's, relative to that.

    Local sharpness is the root mean square of the grey gradient in Gaussian windows, as wide as a pixel of the small
    picture (`sigma`). It says whether there is as much detail as there should be, in the places where it should be. It
    does not ask for each pixel of that detail, which the small picture does not determine: measures that do (PSNR,
    SSIM, GMSD) prefer the mean of all possible details, which is blurred (Blau & Michaeli 2018).
    """
    ours, real = _sharpness(picture, sigma), _sharpness(truth, sigma)
    return float(np.abs(ours - real).mean() / real.mean())


def _sharpness(picture: Bytes, sigma: float) -> npt.NDArray[np.float64]:
    grey = picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    down, across = (ndimage.convolve1d(grey, [0.5, 0.0, -0.5], axis=axis) for axis in (0, 1))
    energy: npt.NDArray[np.float64] = ndimage.gaussian_filter(down**2 + across**2, sigma)
    return np.sqrt(energy)


def photographs(wheel: Path) -> dict[str, Bytes]:
    """The middle squares of scikit-image's photographs, at most 512 pixels a side, by name."""
    pictures = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in _PHOTOGRAPHS:
            image = Image.open(io.BytesIO(archive.read(f"skimage/data/{name}"))).convert("RGB")
            side = min(*image.size, _PHOTO_SIDE) // _PHOTO_FACTOR * _PHOTO_FACTOR
            left, top = (image.width - side) // 2, (image.height - side) // 2
            pictures[Path(name).stem] = np.asarray(image.crop((left, top, left + side, top + side)))
    return pictures


def _lanczos(small: Bytes, like: Bytes) -> Bytes:
    height, width = small.shape[:2]
    return resample(small, Rect(0, 0, width, height), Size(like.shape[1], like.shape[0]))


def _gain(ours: Bytes, small: Bytes, truth: Bytes) -> float:
    return psnr(ours, truth) - psnr(_lanczos(small, truth), truth)


@torch.inference_mode()
def _reconstructed(vae: AsymmetricAutoencoderKL, picture: Bytes) -> Bytes:
    """The picture as the autoencoder makes it again, with nothing known to the decoder."""
    image = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float().div(127.5).sub(1)
    latents = vae.encode(image).latent_dist.mean
    scene = vae.decode(latents, image=torch.zeros_like(image), mask=torch.ones_like(image[:, :1])).sample[0]
    pixels = scene.clamp(-1, 1).add(1).mul(127.5).round().permute(1, 2, 0)
    return np.ascontiguousarray(pixels.numpy().astype(np.uint8))


def _mean(values: list[float]) -> float:
    return round(float(np.mean(values)), 2)


def _spread(values: list[float]) -> str:
    low, high = np.percentile(values, [25, 75])
    return f"quartiles {low:.2f}–{high:.2f} of {len(values)}"
