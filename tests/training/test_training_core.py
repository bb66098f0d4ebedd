"""What all stages share: limits of time, the schedule that ends in noise, the packed training."""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

from tests.training.conftest import tiny_config
from training.config import Config, Schedule, Vae
from training.core import diffusion, loop, muon, networks
from training.encoders import vae
from training.presets import PRESETS
from training.publish import pack


def run_of(config: Config, **parts: loop.Stateful) -> loop.Run:
    return loop.Run(config, "stage", **parts)


def test_a_stage_ends_at_its_limit_of_time_and_stays_finished(tmp_path: Path) -> None:
    config = replace(tiny_config(tmp_path), seconds=0.3)
    rates: list[float] = []

    def body(step: int) -> dict[str, float]:
        time.sleep(0.02)
        rates.append(run.learning_rate(10_000, 1.0, warmup=1))
        return {}

    run = run_of(config)
    run.loop(10_000, body)
    assert 5 <= run.step <= 20
    assert rates[1] > 0.9
    assert rates[-1] < 0.15, "the learning rate decays to the end of the time, not to the end of the steps"
    again = run_of(config)
    assert again.resume() == run.step
    again.loop(10_000, body)
    assert again.step == run.step
    longer = run_of(replace(config, seconds=0.6))
    longer.resume()
    longer.loop(10_000, body)
    assert longer.step > run.step, "with more time it goes on"


def test_steps_alone_end_a_stage_without_a_limit(tmp_path: Path) -> None:
    run = run_of(tiny_config(tmp_path))
    run.loop(7, lambda step: {})
    assert run.step == 7
    assert run.progress(7) == 1


def test_the_last_timestep_is_pure_noise_where_the_schedule_says_so() -> None:
    config = replace(Config(), schedule=Schedule(zero_terminal=True))
    s = config.schedule
    betas = torch.linspace(s.beta_start**0.5, s.beta_end**0.5, s.train_timesteps, dtype=torch.float64) ** 2
    theirs = torch.cumprod(1 - rescale_zero_terminal_snr(betas), 0).float()
    assert torch.allclose(diffusion.alphas(config), theirs, atol=1e-6)
    assert diffusion.alphas(config)[-1] == 0
    assert diffusion.alphas(Config(schedule=Schedule(zero_terminal=False)))[-1] > 0
    assert networks.scheduler(config).config["rescale_betas_zero_snr"]
    latent, rng = torch.ones(64, 4, 2, 2), torch.Generator().manual_seed(0)
    noisy = diffusion.diffuse(config, latent, diffusion.alphas(config), rng)
    assert torch.isfinite(noisy.weight).all()
    assert (noisy.weight >= config.diffusion.weight_floor).all()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_makes_networks_that_fit_each_other(name: str) -> None:
    config = PRESETS[name]
    unet = networks.unet(config)
    assert unet.config["in_channels"] == 2 * config.vae.latent_channels + 1
    assert unet.config["out_channels"] == config.vae.latent_channels
    assert networks.vae(config).config["latent_channels"] == config.vae.latent_channels


def test_an_autoencoder_starts_from_the_published_layers_that_fit() -> None:
    published = vae.from_published(Config()).state_dict()
    wider = vae.from_published(Config(vae=Vae(latent_channels=24))).state_dict()
    same = [name for name in wider if wider[name].shape == published[name].shape]
    assert len(same) > 0.9 * len(wider)
    assert all(torch.equal(wider[name], published[name]) for name in same)


def test_block_patterns_cost_more_than_the_same_error_elsewhere() -> None:
    real = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(5)).mul(0.1)
    columns = torch.arange(64)
    grid, scattered, sharper = real + 0.1 * (columns // 8 % 2), real + 0.1 * (columns // 7 % 2), 2 * real
    assert vae.block_loss(grid, real) > 10 * vae.block_loss(scattered, real)
    torch.testing.assert_close(vae.block_loss(sharper, real), torch.tensor(0.0), atol=1e-5, rtol=0)


def test_a_packed_training_goes_on_elsewhere(tmp_path: Path) -> None:
    network = torch.nn.Linear(3, 3)
    optimiser, average = torch.optim.AdamW(network.parameters()), loop.Average(network, 0.9)
    run = run_of(tiny_config(tmp_path / "one"), network=network, optimiser=optimiser, average=average)
    run.step = 5
    run.save()
    (run.folder / "scale.json").write_text("{}")
    paths = pack.pack(run.folder.parent, tmp_path / "parts", part_bytes=500)
    assert len(paths) > 1
    other = tiny_config(tmp_path / "two")
    pack.unpack(tmp_path / "parts", other.paths.work)
    fresh = torch.nn.Linear(3, 3)
    resumed = run_of(
        other, network=fresh, optimiser=torch.optim.AdamW(fresh.parameters()), average=loop.Average(fresh, 0.9)
    )
    assert resumed.resume() == 5
    assert torch.allclose(fresh.weight, network.weight, atol=1e-3)
    assert (resumed.folder / "scale.json").exists()


def test_a_step_of_muon_turns_all_directions_alike() -> None:
    matrix = torch.randn(24, 40, generator=torch.Generator().manual_seed(1)) @ torch.diag(torch.logspace(-1, 1, 40))
    before, after = (torch.linalg.svdvals(each.float()) for each in (matrix / matrix.norm(), muon.orthogonal(matrix)))
    assert before.max() / before.min() > 5
    assert after.max() < 1.3
    assert after.min() > 0.5
    tall = muon.orthogonal(matrix.T).float()
    assert tall.shape == (40, 24)


def test_muon_takes_hidden_matrices_and_convolutions() -> None:
    network = torch.nn.ModuleDict(
        {"conv_in": torch.nn.Conv2d(3, 4, 3), "middle": torch.nn.Conv2d(4, 4, 3), "norm": torch.nn.GroupNorm(2, 4)}
    )
    assert [tuple(p.shape) for p in muon.hidden(network)] == [(4, 4, 3, 3)]
    halves = torch.nn.ModuleDict({"encoder": network, "decoder": network, "quant_conv": torch.nn.Conv2d(4, 4, 1)})
    assert [tuple(p.shape) for p in muon.hidden(halves)] == [(4, 4, 3, 3)]


def test_muon_learns_and_resumes() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    x = torch.randn(256, 8)
    y = (x[:, :1] * x[:, 1:2]).detach()

    def optimiser() -> muon.Muon:
        matrices = muon.hidden(network)
        return muon.Muon(matrices, [p for p in network.parameters() if p.ndim < 2], lr=0.02)

    def steps(run: muon.Muon, count: int) -> float:
        loss = torch.zeros(())
        for _ in range(count):
            loss = ((network(x) - y) ** 2).mean()
            run.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            run.step()
        return loss.item()

    first = optimiser()
    began = steps(first, 1)
    assert steps(first, 200) < 0.3 * began
    state = copy.deepcopy(first.state_dict())
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    one = steps(first, 3)
    network.load_state_dict(weights)
    second = optimiser()
    second.load_state_dict(state)
    assert steps(second, 3) == pytest.approx(one, rel=1e-5)
