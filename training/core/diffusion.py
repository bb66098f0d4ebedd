"""What every diffusion stage shares: the schedule, noisy latents and their targets, the loss, and the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from training.config import Config, Diffusion
from training.core import loop, workers


def alphas(config: Config) -> Tensor:
    """Cumulative product of 1 - beta, on the "scaled linear" schedule: float [T]."""
    s = config.schedule
    betas = torch.linspace(s.beta_start**0.5, s.beta_end**0.5, s.train_timesteps, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0).float().to(loop.device())


def time_ids(height: int, width: int, count: int) -> Tensor:
    """SDXL's size conditioning: original size, crop corner, target size, in pixels."""
    ids = torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32, device=loop.device())
    return ids.expand(count, -1)


@dataclass(frozen=True)
class Noisy:
    """One batch on its way: `sample` and `target` [B, 4, h, w], `timestep` int [B], `weight` [B]."""

    sample: Tensor
    target: Tensor
    timestep: Tensor
    weight: Tensor


def stratified(count: int, rng: torch.Generator) -> Tensor:
    """`count` numbers in [0, 1), one in each of `count` equal parts: every batch covers the whole schedule."""
    return ((torch.arange(count) + torch.rand(count, generator=rng)) / count).to(loop.device())


def standard_normal(shape: Iterable[int], rng: torch.Generator) -> Tensor:
    """Noise drawn on the CPU, so that a run sees the same numbers on every kind of machine."""
    return torch.randn(tuple(shape), generator=rng).to(loop.device())


def at(values: Tensor, timestep: Tensor) -> Tensor:
    """`values[timestep]` as [B, 1, 1, 1]."""
    return values[timestep][:, None, None, None]


def diffuse(config: Config, latent: Tensor, alpha_bar: Tensor, rng: torch.Generator) -> Noisy:
    """Noisy latents and their v-targets (Salimans & Ho 2022), weighted by min-SNR (Hang et al. 2023)."""
    d, count = config.diffusion, len(latent)
    t = (stratified(count, rng) * config.schedule.train_timesteps).long()
    a, s = at(alpha_bar.sqrt(), t), at((1 - alpha_bar).sqrt(), t)
    noise = standard_normal(latent.shape, rng)
    noisy, target = a * latent + s * noise, a * noise - s * latent
    # Sampling starts from pure noise, which this schedule never reaches: its last steps are shown both.
    pure = ((t >= 980) & (torch.rand(count, generator=rng).to(t.device) < 0.5))[:, None, None, None]
    snr = alpha_bar[t] / (1 - alpha_bar[t])
    weight = snr.clamp(max=d.min_snr_gamma) / (snr + 1)
    # Where noise prevails, min-SNR alone would hardly weigh at all; but that is where the layout of a scene is decided.
    return Noisy(torch.where(pure, noise, noisy), target, t, weight.clamp(min=d.weight_floor))


def made_error(made: Tensor, target: Tensor, mask: Tensor, kept_weight: float = 0.2) -> Tensor:
    """Squared error of each sample [B]; kept cells count less: the condition nearly gives them away."""
    place = kept_weight + (1 - kept_weight) * mask
    return ((made.float() - target) ** 2 * place).mean(dim=(1, 2, 3)) / place.mean(dim=(1, 2, 3))


Predict = Callable[[Tensor, Tensor], Tensor]
"""A denoiser under a sample's conditions: noisy latents [B, 4, h, w] and timesteps [B] to a prediction."""


def v_loss(
    config: Config, predict: Predict, latent: Tensor, mask: Tensor, alpha_bar: Tensor, draw: int
) -> tuple[Tensor, dict[str, float]]:
    """The weighted loss of a v-prediction of `latent`, made where `mask` is 1, and the plain error for the log.

    `draw` seeds timesteps and noise.
    """
    noisy = diffuse(config, latent, alpha_bar, torch.Generator().manual_seed(draw))
    with loop.half_precision():
        made = predict(noisy.sample, noisy.timestep)
    error = made_error(made, noisy.target, mask)
    return (error * noisy.weight).mean(), {"v": error.mean().item()}


@dataclass
class Trained:
    """What a stage trains: the network that holds everything, and the parameters that move."""

    network: torch.nn.Module
    parameters: list[torch.nn.Parameter]


def fit(
    config: Config,
    stage: str,
    hyper: Diffusion,
    trained: Trained,
    loss_of: Callable[[int], tuple[Tensor, dict[str, float]]],
    share: workers.Workers,
    after: Callable[[], None] = lambda: None,
) -> loop.Run:
    """Trains for `hyper.steps` steps, from the last checkpoint if there is one.

    `loss_of(draw)` gives the loss of this worker's share of a step, and what to log; `draw` numbers the shares, so
    that no two see the same samples. `after` is called after every update.
    """
    parameters = trained.parameters
    optimiser = torch.optim.AdamW(parameters, lr=hyper.learning_rate, weight_decay=0.01, betas=(0.9, 0.99), fused=True)
    average = loop.Average(trained.network, hyper.ema)
    run = loop.Run(config, stage, network=trained.network, optimiser=optimiser, average=average)
    run.resume()

    def body(step: int) -> dict[str, float]:
        loss, logged = loss_of(step * share.count + share.rank)
        optimiser.param_groups[0]["lr"] = loop.learning_rate(step, hyper.steps, hyper.learning_rate, hyper.warmup)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        share.average_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if share.leads:
            average.update(trained.network)
        after()
        return {"loss": loss.item(), **logged}

    run.loop(hyper.steps, body, writes=share.leads)
    return run
