"""What all denoisers' training shares: the noise schedule, noisy latents with their targets, the loss, the loop."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.config import Config, Diffusion
from training.core import averages, loop, muon, workers


def alphas(config: Config) -> Tensor:
    """Cumulative product of 1 - beta on the "scaled linear" schedule: float [T]."""
    s = config.schedule
    betas = torch.linspace(s.beta_start**0.5, s.beta_end**0.5, s.train_timesteps, dtype=torch.float64) ** 2
    signal = torch.cumprod(1 - betas, dim=0).sqrt()
    if s.zero_terminal:
        # Shifted to 0 at the end and scaled back at the start (Lin et al. 2024), as diffusers rescales betas.
        signal = (signal - signal[-1]) * signal[0] / (signal[0] - signal[-1])
    return (signal**2).float().to(loop.device())


def time_ids(height: int, width: int, count: int) -> Tensor:
    """SDXL's size conditioning: original size, crop corner, target size, in pixels."""
    ids = torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32, device=loop.device())
    return ids.expand(count, -1)


Predict = Callable[[Tensor, Tensor], Tensor]
"""A denoiser with its conditioning bound: noisy latents [B, 4, h, w] and timesteps [B] to a prediction."""


@dataclass(frozen=True)
class NoisyBatch:
    """Noisy latents `sample` and their `target` [B, 4, h, w], `timestep` int [B], loss `weight` [B]."""

    sample: Tensor
    target: Tensor
    timestep: Tensor
    weight: Tensor


def stratified(count: int, rng: torch.Generator) -> Tensor:
    """`count` random numbers, one in each of `count` equal parts of [0, 1): every batch covers the schedule."""
    return ((torch.arange(count) + torch.rand(count, generator=rng)) / count).to(loop.device())


def standard_normal(shape: Iterable[int], rng: torch.Generator) -> Tensor:
    """Gaussian noise. A GPU draws its own from a seed of `rng`: the CPU would take longer than the network."""
    if loop.device().type == "cpu":
        return torch.randn(tuple(shape), generator=rng)
    seed = int(torch.randint(2**62, (1,), generator=rng))
    return torch.randn(tuple(shape), generator=torch.Generator(loop.device()).manual_seed(seed), device=loop.device())


def gather(values: Tensor, timestep: Tensor) -> Tensor:
    """`values[timestep]` as [B, 1, 1, 1]."""
    return values[timestep][:, None, None, None]


def diffuse(config: Config, latent: Tensor, alpha_bar: Tensor, rng: torch.Generator) -> NoisyBatch:
    """Noisy latents and their v-targets (Salimans & Ho 2022), weighted by min-SNR (Hang et al. 2023)."""
    d, count = config.diffusion, len(latent)
    t = (stratified(count, rng) * config.schedule.train_timesteps).long()
    a, s = gather(alpha_bar.sqrt(), t), gather((1 - alpha_bar).sqrt(), t)
    noise = standard_normal(latent.shape, rng)
    noisy, target = a * latent + s * noise, a * noise - s * latent
    # Sampling starts from pure noise. A schedule that never reaches it gets it in half of its last timesteps.
    last = (t >= 980) & (not config.schedule.zero_terminal)
    pure = (last & (torch.rand(count, generator=rng).to(t.device) < 0.5))[:, None, None, None]
    snr = alpha_bar[t] / (1 - alpha_bar[t])
    weight = snr.clamp(max=d.min_snr_gamma) / (snr + 1)
    # min-SNR alone gives noisy timesteps almost no weight, but they decide the layout of a scene.
    return NoisyBatch(torch.where(pure, noise, noisy), target, t, weight.clamp(min=d.weight_floor))


def clean(sample: Tensor, v: Tensor, alpha_bar: Tensor, timestep: Tensor) -> Tensor:
    """The clean latents of a v-prediction."""
    return gather(alpha_bar.sqrt(), timestep) * sample - gather((1 - alpha_bar).sqrt(), timestep) * v


def ddim(sample: Tensor, v: Tensor, alpha_bar: Tensor, now: Tensor, then: Tensor) -> Tensor:
    """One deterministic DDIM step (Song et al. 2021) from timestep `now` to the earlier `then`."""
    x0 = clean(sample, v, alpha_bar, now)
    noise = gather((1 - alpha_bar).sqrt(), now) * sample + gather(alpha_bar.sqrt(), now) * v
    return gather(alpha_bar.sqrt(), then) * x0 + gather((1 - alpha_bar).sqrt(), then) * noise


@torch.no_grad()
def walk(predict: Predict, sample: Tensor, alpha_bar: Tensor, timesteps: Sequence[int]) -> Tensor:
    """Clean latents of noisy ones [B, C, h, w] at `timesteps[0]`, by one DDIM step for each of the timesteps."""

    def at(timestep: int) -> Tensor:
        return torch.full((len(sample),), timestep, device=sample.device)

    def predicted(timestep: int) -> Tensor:
        with loop.half_precision():
            return predict(sample, at(timestep)).float()

    for now, then in itertools.pairwise(timesteps):
        sample = ddim(sample, predicted(now), alpha_bar, at(now), at(then))
    return clean(sample, predicted(timesteps[-1]), alpha_bar, at(timesteps[-1]))


def masked_error(prediction: Tensor, target: Tensor, mask: Tensor, known_weight: float = 0.2) -> Tensor:
    """Squared error per sample [B]; known cells weigh less, because the conditioning almost contains them."""
    place = known_weight + (1 - known_weight) * mask
    return ((prediction.float() - target) ** 2 * place).mean(dim=(1, 2, 3)) / place.mean(dim=(1, 2, 3))


def v_loss(
    config: Config, predict: Predict, latent: Tensor, mask: Tensor, alpha_bar: Tensor, draw: int
) -> tuple[Tensor, dict[str, float]]:
    """The weighted v-prediction loss of `latent`, and the unweighted error for the log.

    `mask` is 1 where the denoiser has to make the picture. `draw` seeds timesteps and noise.
    """
    noisy = diffuse(config, latent, alpha_bar, torch.Generator().manual_seed(draw))
    with loop.half_precision():
        prediction = predict(noisy.sample, noisy.timestep)
    error = masked_error(prediction, noisy.target, mask)
    return (error * noisy.weight).mean(), {"v": error.mean().item()}


EARLY = 0.1
"""The share of a training after which its weights are kept."""


@dataclass
class Trainable:
    """What a stage trains: the network that goes into the checkpoint, and the parameters to optimise."""

    network: torch.nn.Module
    parameters: list[torch.nn.Parameter]


def _optimiser(trainable: Trainable, hyper: Diffusion) -> torch.optim.Optimizer | muon.Muon:
    if not hyper.muon:
        return torch.optim.AdamW(
            trainable.parameters, lr=hyper.learning_rate, weight_decay=0.01, betas=(0.9, 0.99), fused=True
        )
    return muon.optimiser(trainable.network, hyper.learning_rate)


def fit(
    config: Config,
    stage: str,
    hyper: Diffusion,
    trainable: Trainable,
    loss_of: Callable[[int], tuple[Tensor, dict[str, float]]],
    worker: workers.Worker,
    after: Callable[[], None] = lambda: None,
) -> loop.Run:
    """Trains up to step `hyper.steps`, from the last checkpoint if there is one.

    `loss_of(draw)` returns the loss of this worker's part of a step, and what to log. Every part has its own `draw`
    number, so no two workers see the same samples. `after` is called after every update. The averaged
    weights at a tenth of a training from its start stay in `early.pt`. A stage that trains a whole network leaves
    snapshots, from which `training.denoisers.averaged` chooses the length of its average.
    """
    parameters = trainable.parameters
    optimiser = _optimiser(trainable, hyper)
    average = loop.Average(trainable.network, hyper.ema)
    run = loop.Run(config, stage, network=trainable.network, optimiser=optimiser, average=average)
    lengths: averages.PowerAverages | None = None
    if worker.leads and len(parameters) == sum(1 for _ in trainable.network.parameters()):
        run.parts["lengths"] = lengths = averages.PowerAverages(trainable.network, run.folder / averages.FOLDER)
    run.resume()
    early = run.folder / "early.pt"
    keeps_early = worker.leads and run.progress(hyper.steps) < EARLY

    def body(step: int) -> dict[str, float]:
        loss, logged = loss_of(step * worker.count + worker.rank)
        optimiser.param_groups[0]["lr"] = run.learning_rate(hyper.steps, hyper.learning_rate, hyper.warmup)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        worker.average_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if worker.leads:
            average.update(trainable.network)
        if lengths is not None:
            lengths.update(trainable.network)
        if keeps_early and run.progress(hyper.steps) >= EARLY and not early.exists():
            torch.save(average.weights, early)
        after()
        return {"loss": loss.item(), **logged}

    run.loop(hyper.steps, body, writes=worker.leads)
    return run
