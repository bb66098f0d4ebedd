"""Named settings of a training, for `--preset`; `published` has the architecture of the published weights."""

from __future__ import annotations

from dataclasses import replace

from training.config import Config, Diffusion, Stages

PUBLISHED = Config()

GPU = replace(
    PUBLISHED,
    vae=replace(PUBLISHED.vae, batch=96, crop=128, steps=20_000, decoder_steps=10_000),
    diffusion=Stages(
        base=Diffusion(steps=30_000, small_steps=6_000, batch=128, small_batch=384, learning_rate=1e-3, muon=True),
        inpaint=Diffusion(steps=18_000, batch=128, learning_rate=5e-4, muon=True),
        product=Diffusion(steps=5_000, batch=128, learning_rate=1e-3),
        surroundings=Diffusion(steps=5_000, batch=128, learning_rate=1e-3),
        image_adapter=Diffusion(steps=5_000, batch=128, learning_rate=8e-4),
        distil=Diffusion(steps=4_000, batch=96, learning_rate=5e-4, warmup=50, ema=0.99),
        dit=Diffusion(steps=20_000, small_steps=5_000, batch=128, small_batch=384, learning_rate=8e-4, muon=True),
    ),
)
"""The same with larger batches; the wall clock ends its stages, not their step counts."""

PRESETS: dict[str, Config] = {"published": PUBLISHED, "gpu": GPU}
