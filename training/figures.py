"""Measured figures as rows of a JSON file: one place, so that every quoted number can be made again."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from training.generate import Pipeline


@dataclass(frozen=True)
class Figure:
    """One measured value and the mark it is held to."""

    name: str
    value: float
    mark: float
    better: str
    """"higher" or "lower"."""
    spread: float
    why: str = ""
    """Why the mark may be missed; written only where it is."""

    def met(self) -> bool:
        """Whether the value reaches its mark."""
        return self.value >= self.mark if self.better == "higher" else self.value <= self.mark

    def __str__(self) -> str:
        return f"{self.name}: {self.value:.4g} (mark {self.mark:g}, {self.better} is better, spread {self.spread:.3g})"


def machine() -> str:
    """The machine in words: its processor and how many cores it has."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{os.cpu_count()} CPU cores, {model}"


def commit() -> str:
    """The commit that is checked out, or "unknown" outside a checkout."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout.strip() or "unknown"


def update(path: Path, figures: list[Figure], command: str) -> None:
    """Adds rows to the file; a row of the same name is replaced in place."""
    rows = json.loads(path.read_text()) if path.exists() else []
    here = {"command": command, "commit": commit(), "machine": machine()}
    for figure in figures:
        row = {**asdict(figure), "value": round(figure.value, 4), "spread": round(figure.spread, 4), **here}
        if figure.met() or not figure.why:
            del row["why"]
        at = next((n for n, old in enumerate(rows) if old["name"] == figure.name), None)
        if at is None:
            rows.append(row)
        else:
            rows[at] = row
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n")


@torch.no_grad()
def row_time_ms(pipeline: Pipeline, rounds: int = 12) -> list[tuple[str, float, list[float]]]:
    """(name, mark, times) of one denoiser row and one decode at 256x256, in eager torch on the threads in use."""
    added = {
        "text_embeds": torch.zeros(1, pipeline.unet.config["projection_class_embeddings_input_dim"] - 6 * 32),
        "time_ids": torch.zeros(1, 6),
    }
    states = torch.zeros(1, 77, pipeline.unet.config["cross_attention_dim"])
    rows, latent = torch.randn(1, 9, 32, 32), torch.randn(1, 4, 32, 32)
    image, mask = torch.zeros(1, 3, 256, 256), torch.ones(1, 1, 256, 256)

    def timed(call: object) -> list[float]:
        times = []
        for _ in range(rounds + 2):
            start = time.perf_counter()
            call()  # type: ignore[operator]
            times.append(1000 * (time.perf_counter() - start))
        return times[2:]

    threads = torch.get_num_threads()
    unet = timed(lambda: pipeline.unet(rows, 500, encoder_hidden_states=states, added_cond_kwargs=added))
    vae = timed(lambda: pipeline.vae.decode(latent, image=image, mask=mask))
    return [
        (f"denoiser row at 32x32 latents, eager torch on {threads} threads, ms", 60.0, unet),
        (f"VAE decode of 256x256, eager torch on {threads} threads, ms", 120.0, vae),
    ]
