"""The denoiser of `backdrop-dit`: a small diffusion transformer (MMDiT, Esser et al. 2024) trained by flow matching.

Its text input is the longer context of a T5 encoder. It trains on product masks and on text-to-image from the start.
"""

from __future__ import annotations

import torch
from diffusers import SD3Transformer2DModel
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from training.config import Config
from training.core import diffusion, loop, networks, workers
from training.encoded import samples
from training.encoders import t5, tokenizer

STAGE = "dit"


def shifted(sigma: Tensor, shift: float) -> Tensor:
    """Moves noise levels towards the noisy end (Esser et al. 2024, section 5.3.2)."""
    return shift * sigma / (1 + (shift - 1) * sigma)


def levels(count: int, rng: torch.Generator, shift: float) -> Tensor:
    """Noise levels [count] in (0, 1): logit-normal; an eighth of them uniform, so that both ends occur."""
    uniform = diffusion.stratified(count, rng)
    normal = torch.sigmoid(torch.erfinv((2 * uniform - 1).clamp(-0.999, 0.999)) * 2**0.5)
    pick = torch.rand(count, generator=rng).to(uniform.device) < 0.125
    return shifted(torch.where(pick, uniform.clamp(1e-3, 1.0), normal), shift)


def predict(
    transformer: SD3Transformer2DModel, noisy: Tensor, sigma: Tensor, sample: samples.Sample, states: Tensor
) -> Tensor:
    """The flow's velocity (noise - data) at noise levels [B]."""
    planes = torch.cat([noisy, sample.mask, sample.masked], dim=1)
    # The fused kernel's backward pass is slow on CPUs and fast on GPUs.
    kernel = SDPBackend.MATH if planes.device.type == "cpu" else SDPBackend.EFFICIENT_ATTENTION
    with sdpa_kernel(kernel):
        prediction = transformer(
            hidden_states=planes,
            timestep=sigma * 1000,
            encoder_hidden_states=states,
            pooled_projections=sample.text.pooled,
        )
    return torch.as_tensor(prediction.sample)


def train(config: Config) -> None:
    """Trains from random weights, on small pictures first."""
    worker = workers.join()
    torch.manual_seed(config.seed)
    transformer = networks.transformer(config).to(loop.device()).train()
    encoder, tok = t5.load(config).to(loop.device()), tokenizer.load(config)
    source = samples.Source(config, STAGE, config.diffusion.dit, worker.count)

    def loss_of(draw: int) -> tuple[Tensor, dict[str, float]]:
        sample = source.product_masks(draw, whole=0.3)
        # Captions are short, and padding costs as much as words: one step in ten reads all 128 tokens.
        length = config.t5.max_length if draw // worker.count % 10 == 9 else t5.SHORT
        with loop.half_precision(), torch.no_grad():
            states = t5.encode(encoder, tokenizer.token_ids(tok, sample.text.phrases, length).to(loop.device()))
        rng = torch.Generator().manual_seed(draw)
        sigma = levels(len(sample.picks), rng, config.schedule.shift)
        noise = diffusion.standard_normal(sample.latent.shape, rng)
        amount = sigma[:, None, None, None]
        with loop.half_precision():
            prediction = predict(
                transformer, (1 - amount) * sample.latent + amount * noise, sigma, sample, states.float()
            )
        error = diffusion.masked_error(prediction, noise - sample.latent, sample.mask)
        return error.mean(), {}

    trainable = diffusion.Trainable(transformer, list(transformer.parameters()))
    diffusion.fit(config, STAGE, config.diffusion.dit, trainable, loss_of, worker)


def load(config: Config) -> SD3Transformer2DModel:
    """The averaged weights of the last checkpoint."""
    return loop.load_average(config, STAGE, networks.transformer(config))


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
