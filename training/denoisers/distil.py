"""Few-step distillation: a latent consistency model of four steps without guidance, as an adapter (LCM-LoRA).

Luo et al. 2023, "Latent Consistency Models" and "LCM-LoRA". The student is its teacher with low-rank updates. Half of
the batches are backgrounds, over stage 2's updates; half are the mixture of all tasks, over none. The new updates are
the same in both, so that they add to the tasks' own.
"""

from __future__ import annotations

import copy

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from training.config import Config
from training.core import diffusion, loop, lora, workers
from training.denoisers import image_adapter, inpaint
from training.encoded import samples, styles

STAGE = "distil"
Pair = tuple[UNet2DConditionModel, UNet2DConditionModel]
"""The denoiser of backgrounds, and the one of all tasks."""
GRID = 50
"""Number of DDIM steps of the teacher; diffusers' LCMScheduler assumes the same number."""
TIMESTEP_SCALING, SIGMA_DATA = 10.0, 0.5


def boundary(timestep: Tensor) -> tuple[Tensor, Tensor]:
    """c_skip and c_out [B, 1, 1, 1] of LCMScheduler: at t = 0 the model returns its input (Song et al. 2023)."""
    scaled = (timestep * TIMESTEP_SCALING).float()[:, None, None, None]
    total = scaled**2 + SIGMA_DATA**2
    return SIGMA_DATA**2 / total, scaled / total.sqrt()


def huber(prediction: Tensor, target: Tensor, mask: Tensor, delta: float = 0.02) -> Tensor:
    """Pseudo-Huber distance, mean over the batch; known cells weigh less."""
    place = 0.2 + 0.8 * mask
    return ((((prediction - target) ** 2 + delta**2).sqrt() - delta) * place).mean() / place.mean()


def students(config: Config, teachers: Pair) -> tuple[Pair, list[nn.Parameter]]:
    """The teachers with untrained updates, the same ones in both, and the parameters of the updates."""
    backgrounds, mixture = copy.deepcopy(teachers)
    parameters = lora.attach(mixture, config.diffusion.lora_rank)
    lora.share(backgrounds, lora.updates(mixture))
    return (backgrounds, mixture), parameters


def train(config: Config) -> None:
    """Trains the updates; teachers and projector do not change."""
    worker = workers.join()
    torch.manual_seed(config.seed)
    backgrounds, mixture = image_adapter.load(config), image_adapter.load(config, inpaint.load(config))
    teachers, projector = (backgrounds.unet, mixture.unet), backgrounds.projector
    trained, parameters = students(config, teachers)
    # Copied together, so that the updates are the same in both here too.
    targets = copy.deepcopy(trained)
    hyper = config.diffusion.distil
    source = samples.Source(config, STAGE, hyper, worker.count)
    embeddings, partners = styles.load(config), styles.Partners(source.specs)
    alpha_bar, empty = diffusion.alphas(config), source.text([""])
    stride = config.schedule.train_timesteps // GRID

    def loss_of(draw: int) -> tuple[Tensor, dict[str, float]]:
        of = draw % 2
        teacher, student, target = teachers[of], trained[of], targets[of]
        sample = (source.product_masks, source.task_masks)[of](draw, styleless=0.25)
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
            tokens = projector(style[0], style[1])
            scale = style[2]
            conditional = image_adapter.predict_tokens(teacher, noisy, now, sample, tokens, scale).float()
            unconditional = image_adapter.predict_tokens(
                teacher, noisy, now, samples.without_text(sample, empty), tokens, 0 * scale
            ).float()
            guided = unconditional + config.guidance_scale * (conditional - unconditional)
            earlier = diffusion.ddim(noisy, guided, alpha_bar, now, then)
            v = image_adapter.predict_tokens(target, earlier, then, sample, tokens, scale).float()
            skip, out = boundary(then)
            goal = skip * earlier + out * diffusion.clean(earlier, v, alpha_bar, then)
            # In the cell next to t = 0, the target is the teacher's own clean latents.
            goal = torch.where((cell == 0)[:, None, None, None], diffusion.clean(noisy, guided, alpha_bar, now), goal)
        with loop.half_precision():
            v = image_adapter.predict_tokens(student, noisy, now, sample, tokens, scale)
        skip, out = boundary(now)
        loss = huber(skip * noisy + out * diffusion.clean(noisy, v.float(), alpha_bar, now), goal, sample.mask)
        return loss, {}

    def update_targets() -> None:
        follow, lead = lora.updates(targets[1]), lora.updates(trained[1])
        with torch.no_grad():
            for name, update in follow.items():
                for one, other in zip(update.parameters(), lead[name].parameters(), strict=True):
                    one.lerp_(other, 0.05)

    trainable = diffusion.Trainable(trained[1], parameters)
    diffusion.fit(config, STAGE, hyper, trainable, loss_of, worker, update_targets)


def load_unfused(config: Config) -> UNet2DConditionModel:
    """Stage 1 with the averaged, unfused updates."""
    unet = image_adapter.load(config, inpaint.load(config)).unet
    lora.attach(unet, config.diffusion.lora_rank)
    return loop.load_average(config, STAGE, unet)


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
