"""The pipeline folder that an export starts from, checked in seconds, before anything is loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from export import ip_adapters, preprocess
from export.conventions import KEY, conventions_of
from export.errors import BadFolderError
from export.judges import Judges, fitted, judge_folder, reward_heads
from export.keys.check import complete, expect_served
from export.layout import (
    IMAGE_ROLES,
    JUDGE_ROLES,
    KINDS,
    TEXT_HEAD,
    TEXT_ROLES,
    Adapter,
    Kind,
    Roots,
    Source,
    class_named,
)
from export.pipeline_classes import class_of, read_index
from export.pipeline_path import expect_pipeline
from export.reading import read_json
from export.schedule import read_schedule
from export.settings import HEADS, NAME, defaults_for, own_settings, read_settings
from export.tensor_files import extents
from export.weight_files import expect_files, weight_files
from export.widths import check_widths

NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LONGEST_T5, FLOW_TOKENS = 512, 256


@dataclass(frozen=True)
class PipelineFolder:
    """A diffusers folder whose files were checked, with its settings."""

    path: Path
    name: str
    sources: dict[str, Source]
    """Where each role's component comes from, in the order of `COMPONENTS`."""
    scheduler: Path
    """The folder with the scheduler's config."""
    schedule: dict[str, Any]
    schedulers: tuple[str, ...]
    schedule_notes: tuple[str, ...]
    """What a user should know of the schedule, a sentence each."""
    settings: dict[str, Any]
    """`backdrop.json`, with every setting present."""
    text: dict[str, int]
    """Tokens of the longest prompt: `max_tokens`, and `t5_max_tokens` where there is a T5."""
    states: tuple[str, ...]
    """The text encoders whose hidden states the denoiser reads, in their order in `encoder_hidden_states`."""
    conventions: dict[str, Any]
    """`conventions` in `pipeline.json`."""
    pooled: tuple[str, ...]
    """The text encoders whose pooled embeddings are joined to `text_embeds`, in their order."""

    @property
    def inpaints(self) -> bool:
        """Whether the denoiser reads the known pixels and the mask."""
        latents = self.sources["vae_encoder"].config["latent_channels"]
        return bool(self.sources["denoiser"].config["in_channels"] != latents)

    @property
    def reward_heads(self) -> tuple[str, ...]:
        """The names of the scores; empty without a reward model."""
        reward = self.sources.get("reward")
        if reward is None:
            return ()
        heads = enumerate(self.settings["reward_heads"])
        return tuple(name for place, name in heads if not (reward.without_text and place == TEXT_HEAD))

    @property
    def latent_factor(self) -> int:
        """How many pixels a latent stands for, along a side."""
        vae = self.sources["vae_encoder"].config
        return int(2 ** (len(vae.get("down_block_out_channels") or vae["block_out_channels"]) - 1))


def open_folder(
    path: Path, judges: Judges | None = None, variant: str | None = None, scheduler: str | None = None
) -> PipelineFolder:
    """Checks a pipeline folder without loading any weights.

    Args:
        path: The folder.
        judges: Where its reward model or its segmenter comes from, if not from the folder.
        variant: Which variant of weights is read where a component has it, such as fp16.
        scheduler: The solver of requests that name none, if not the folder's.

    Raises:
        BadFolderError: with one sentence on the first thing that is wrong.
    """
    expect_pipeline(path)
    name = path.resolve().name
    if not NAMES.fullmatch(name):
        raise BadFolderError(
            f"{name!r} cannot be a pipeline's name: rename the folder to letters, digits and -._ only."
        )
    own, judges = own_settings(path), judges or {}
    if scheduler is not None:
        own = {**own, "defaults": {**own.get("defaults", {}), "scheduler": scheduler}}
    roots = Roots((path, *shared_folder(path, own)), variant)
    expect_files(path, variant)
    sources = find_sources(roots, judges)
    check_widths(sources)
    expect_served(sources, path)
    schedule_folder = roots.first("scheduler") or path / "scheduler"
    sampled = read_schedule(schedule_folder, own.get("defaults", {}).get("scheduler"))
    shared, index = own_settings(roots.folders[-1]), read_index(path)
    cls = class_of(index, sources)
    defaults = defaults_for(cls, sampled.default, styled=sources["denoiser"].adapter is not None)
    # A folder that names no class of its own is a variant of the one that it shares with.
    stated = own.get(KEY) or ({} if "_class_name" in index else shared.get(KEY, {}))
    encoder = sources.get("image_encoder_clip")
    settings = read_settings(own, shared, sources, sampled.solvers, defaults)
    settings["reward_heads"] = reward_heads(judges, settings, HEADS)
    return PipelineFolder(
        path=path,
        name=name,
        sources=sources,
        scheduler=schedule_folder,
        schedule=sampled.schedule,
        schedulers=sampled.solvers,
        schedule_notes=sampled.notes,
        settings=settings,
        text=longest_prompts(sources),
        states=states_roles(sources),
        conventions=conventions_of(cls, index, None if encoder is None else encoder.preprocess, stated),
        pooled=pooled_roles(sources),
    )


def shared_folder(path: Path, own: dict[str, Any]) -> tuple[Path, ...]:
    """The folder that components come from which `path` lacks, if its settings name one."""
    if own.get("shares") is None:
        return ()
    # Not resolved: messages name the folder as the settings do.
    shared = path / str(own["shares"])
    if not shared.is_dir():
        raise BadFolderError(f"{path.name}/{NAME} shares {own['shares']}, which is not a folder.")
    if own_settings(shared).get("shares") is not None:
        raise BadFolderError(f"{path.name}/{NAME} shares {own['shares']}, which itself shares another folder's.")
    return (shared,)


def find_sources(roots: Roots, judges: Judges) -> dict[str, Source]:
    """Finds and checks the components of a pipeline, by role, in the order of `KINDS`."""
    denoiser = source_of("denoiser", roots)
    roles = needed_roles(denoiser, roots) | set(judges)
    sources = {}
    for role in dict.fromkeys(kind.role for kind in KINDS.values()):
        if role in judges:
            sources[role] = check_component(KINDS[role], judge_folder(role, judges[role]), roots)
        elif role in roles:
            sources[role] = denoiser if role == "denoiser" else source_of(role, roots)
    if "reward" in sources:
        pooled = sum(int(sources[role].config["projection_dim"]) for role in pooled_roles(sources))
        sources["reward"] = fitted(sources["reward"], pooled)
    if "image_encoder_clip" in sources and "image_encoder_uve" not in sources:
        encoder = sources["image_encoder_clip"]
        own = preprocess.read_preprocess(roots.first(preprocess.FOLDER), encoder.config)
        sources["image_encoder_clip"] = replace(encoder, unnormalised=True, preprocess=own)
    if "text_encoder_g" not in roles and "text_encoder_l" in sources:
        sources["text_encoder_l"] = replace(sources["text_encoder_l"], last_states=True)
    return sources


def needed_roles(denoiser: Source, roots: Roots) -> set[str]:
    """The roles of a pipeline, which its denoiser decides; reward model and segmenter may be missing.

    A UNet with pooled text (`addition_embed_type`) is SDXL's and reads two CLIP encoders, any other one reads one. A
    transformer reads T5 and the second CLIP encoder's pooled embedding, and the first one's too where it is wider.
    """
    roles = {"vae_encoder", "denoiser", "vae_decoder"}
    if denoiser.adapter is not None:
        published = ip_adapters.read_published(denoiser.adapter.path) is not None
        roles |= {role for role in IMAGE_ROLES if role != "image_encoder_uve" or not published}
    if denoiser.kind.name == "denoiser_dit":
        roles |= {"text_encoder_t5", "text_encoder_g"}
        pooled = source_of("text_encoder_g", roots).config["projection_dim"]
        if denoiser.config["pooled_projection_dim"] > pooled:
            roles.add("text_encoder_l")
    else:
        roles.add("text_encoder_l")
        if denoiser.config.get("addition_embed_type") is not None:
            roles.add("text_encoder_g")
    return roles | {role for role in JUDGE_ROLES if roots.first(KINDS[role].folder) is not None}


def source_of(role: str, roots: Roots) -> Source:
    """Finds and checks the component of one role.

    Raises:
        BadFolderError: if there is none, or its files are not what they should be.
    """
    if role == "image_projector" and (inside := published_projector(roots)) is not None:
        return inside
    candidates = [kind for kind in KINDS.values() if kind.role == role]
    for root in roots.folders:
        for kind in candidates:
            if (root / kind.folder).is_dir():
                return check_component(kind, root / kind.folder, roots)
    folders = " or ".join(f"{kind.folder}/" for kind in candidates)
    raise BadFolderError(f"{roots.name}/ has no {folders}, which {role} is made from.")


def check_component(kind: Kind, folder: Path, roots: Roots) -> Source:
    """Checks one component's folder, without loading its weights; `roots` may have its tokenizer or its adapter."""
    config = read_json(folder / "config.json")
    if (name := class_named(config)) not in kind.classes:
        expected = " or ".join(kind.classes)
        raise BadFolderError(f"{kind.folder}/config.json names the class {name}; expected {expected}.")
    config = complete(config, f"{kind.folder}/config.json")
    weights = weight_files(folder, kind.weights, roots.variant)
    for path in weights:
        extents(path)
    tokenizer = None
    if kind.tokenizer is not None:
        tokenizer = roots.first(kind.tokenizer)
        if tokenizer is None:
            raise BadFolderError(f"{roots.name}/ has no {kind.tokenizer}/, which {kind.name} needs.")
    adapter = find_adapter(roots) if kind.name == "denoiser" else None
    return Source(kind, folder, config, weights, tokenizer, adapter)


def find_adapter(roots: Roots) -> Adapter | None:
    """The IP-Adapter of a pipeline's UNet; its projector's config says how many image tokens it reads."""
    folder = roots.first(ip_adapters.FOLDER)
    if folder is None:
        return None
    path = ip_adapters.find_file(folder)
    extents(path)
    projector = source_of("image_projector", roots)
    return Adapter(path, int(projector.config["tokens"]))


def published_projector(roots: Roots) -> Source | None:
    """The projector inside a published IP-Adapter's file; None where the pipeline has no such file."""
    folder = roots.first(ip_adapters.FOLDER)
    path = None if folder is None else ip_adapters.find_file(folder)
    if path is None or not path.is_file() or (published := ip_adapters.read_published(path)) is None:
        return None
    return Source(KINDS["image_projector"], path.parent, published.config, (path,))


def states_roles(sources: dict[str, Source]) -> tuple[str, ...]:
    """The text encoders whose hidden states a pipeline's denoiser reads.

    UNets read every CLIP encoder that the pipeline has. Stable Diffusion 3 reads both CLIP encoders and T5. Backdrop's
    transformer was trained on T5 alone: its pooled embedding is the second encoder's, so the first one is not among
    its sources (`needed_roles`), and the second one's hidden states are not read.
    """
    if "text_encoder_t5" in sources and "text_encoder_l" not in sources:
        return ("text_encoder_t5",)
    return tuple(role for role in TEXT_ROLES if role in sources)


def pooled_roles(sources: dict[str, Source]) -> tuple[str, ...]:
    """The text encoders whose pooled embeddings are joined to `text_embeds`, in order.

    SDXL and Backdrop's transformer read the second CLIP encoder's, Stable Diffusion 3 reads both. Stable Diffusion 1
    reads none.
    """
    both = "text_encoder_t5" in sources and "text_encoder_l" in sources
    roles = ("text_encoder_l", "text_encoder_g") if both else ("text_encoder_g",)
    return tuple(role for role in roles if role in sources)


def longest_prompts(sources: dict[str, Source]) -> dict[str, int]:
    """The longest prompt of the text encoders in tokens. T5 has no limit of its own, so its tokenizer says."""
    clip = sources.get("text_encoder_g") or sources["text_encoder_l"]
    lengths = {"max_tokens": int(clip.config["max_position_embeddings"])}
    t5 = sources.get("text_encoder_t5")
    if t5 is not None and t5.tokenizer is not None:
        longest = read_json(t5.tokenizer / "tokenizer_config.json").get("model_max_length")
        if not isinstance(longest, int) or not 2 <= longest <= LONGEST_T5:
            raise BadFolderError(
                f"{t5.tokenizer.name}/tokenizer_config.json: model_max_length is {longest}, not 2…{LONGEST_T5}."
            )
        # diffusers' pipeline of Stable Diffusion 3 gives T5 256 tokens, whatever the tokenizer could take.
        lengths["t5_max_tokens"] = min(longest, FLOW_TOKENS) if "text_encoder_l" in sources else longest
    return lengths
