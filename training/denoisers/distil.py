"""Few-step distillation: a latent consistency model (Luo et al. 2023) of four steps without guidance.

One set of weights makes all tasks. Half of the batches are backgrounds, taught by the denoiser with stage 2's updates;
half are the mixture of all tasks, taught by the denoiser without.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from training.config import Config
from training.core import diffusion, loop, workers
from training.denoisers import image_adapter, inpaint
from training.encoded import samples, styles

STAGE = "distil"
GRID = 50
"""Number of DDIM steps of the teacher; diffusers' LCMScheduler assumes the same number."""
TIMESTEP_SCALING, SIGMA_DATA = 10.0, 0.5


def boundary(timestep: Tensor) -> tuple[Tensor, Tensor]:
    """c_skip and c_out [B, 1, 1, 1] of LCMScheduler: at t = 0 the model returns its input (Song et al. 2023)."""
    scaled = (timestep * TIMESTEP_SCALING).float()[:, None, None, None]
    total = scaled**2 + SIGMA_DATA**2
    return SIGMA_DATA**2 / total, scaled / total.sqrt()


def clean(sample: Tensor, v: Tensor, alpha_bar: Tensor, timestep: Tensor) -> Tensor:
    """The clean latents of a v-prediction."""
    return (
        diffusion.gather(alpha_bar.sqrt(), timestep) * sample - diffusion.gather((1 - alpha_bar).sqrt(), timestep) * v
    )


def ddim(sample: Tensor, v: Tensor, alpha_bar: Tensor, now: Tensor, then: Tensor) -> Tensor:
    """One deterministic DDIM step (Song et al. 2021) from timestep `now` to the earlier `then`."""
    x0 = clean(sample, v, alpha_bar, now)
    noise = diffusion.gather((1 - alpha_bar).sqrt(), now) * sample + diffusion.gather(alpha_bar.sqrt(), now) * v
    return diffusion.gather(alpha_bar.sqrt(), then) * x0 + diffusion.gather((1 - alpha_bar).sqrt(), then) * noise


def huber(prediction: Tensor, target: Tensor, mask: Tensor, delta: float = 0.02) -> Tensor:
    """Pseudo-Huber distance, mean over the batch; known cells weigh less."""
    place = 0.2 + 0.8 * mask
    return ((((prediction - target) ** 2 + delta**2).sqrt() - delta) * place).mean() / place.mean()


def train(config: Config) -> None:
    """Trains all weights of the student; teacher and projector do not change."""
    worker = workers.join()
    torch.manual_seed(config.seed)
    backgrounds, all_tasks = image_adapter.load(config), image_adapter.load(config, inpaint.load(config))
    student = copy.deepcopy(backgrounds.unet).train().requires_grad_(True)
    target = copy.deepcopy(backgrounds.unet)
    hyper = config.diffusion.distil
    source = samples.Source(config, STAGE, hyper, worker.count)
    embeddings, partners = styles.load(config), styles.Partners(source.specs)
    alpha_bar, empty = diffusion.alphas(config), source.text([""])
    stride = config.schedule.train_timesteps // GRID

    def loss_of(draw: int) -> tuple[Tensor, dict[str, float]]:
        teacher = all_tasks if draw % 2 else backgrounds
        sample = (source.task_masks if draw % 2 else source.product_masks)(draw, styleless=0.25)
        style = styles.conditions(embeddings, partners, sample.picks, source.generator(draw, "style"))
        rng = torch.Generator().manual_seed(draw)
        cell = (diffusion.stratified(len(sample.picks), rng) * GRID).long()
        now, then = (cell + 1) * stride - 1, (cell * stride - 1).clamp(min=0)
        noise = diffusion.standard_normal(sample.latent.shape, rng)
        noisy = (
            diffusion.gather(alpha_bar.sqrt(), now) * sample.latent
            + diffusion.gather((1 - alpha_bar).sqrt(), now) * noise
        )
        noisy = torch.where((cell == GRID - 1)[:, None, None, None], noise, noisy)
        with loop.half_precision(), torch.no_grad():
            tokens = teacher.projector(style[0], style[1])
            scale = style[2]
            conditional = image_adapter.predict_tokens(teacher.unet, noisy, now, sample, tokens, scale).float()
            unconditional = image_adapter.predict_tokens(
                teacher.unet, noisy, now, samples.without_text(sample, empty), tokens, 0 * scale
            ).float()
            guided = unconditional + config.guidance_scale * (conditional - unconditional)
            earlier = ddim(noisy, guided, alpha_bar, now, then)
            v = image_adapter.predict_tokens(target, earlier, then, sample, tokens, scale).float()
            skip, out = boundary(then)
            goal = skip * earlier + out * clean(earlier, v, alpha_bar, then)
            # In the cell next to t = 0, the target is the teacher's own clean latents.
            goal = torch.where((cell == 0)[:, None, None, None], clean(noisy, guided, alpha_bar, now), goal)
        with loop.half_precision():
            v = image_adapter.predict_tokens(student, noisy, now, sample, tokens, scale)
        skip, out = boundary(now)
        loss = huber(skip * noisy + out * clean(noisy, v.float(), alpha_bar, now), goal, sample.mask)
        return loss, {}

    def update_target() -> None:
        for one, other in zip(target.parameters(), student.parameters(), strict=True):
            one.data.lerp_(other.data, 0.05)

    parameters: list[nn.Parameter] = list(student.parameters())
    diffusion.fit(config, STAGE, hyper, diffusion.Trainable(student, parameters), loss_of, worker, update_target)


def load(config: Config) -> image_adapter.StyleDenoiser:
    """The averaged student with the teacher's projector."""
    denoiser = image_adapter.load(config)
    loop.load_average(config, STAGE, denoiser.unet)
    return denoiser


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
