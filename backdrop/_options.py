"""The options of a generation, each said once: keywords, fields, flags, errors and the docs follow from this page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, TypedDict

from backdrop import _text as text
from backdrop import _wire as wire
from backdrop._describe import Flag, Option
from backdrop._enums import OutputFormat, Priority, Scheduler
from backdrop._types import Adapter, EarlyDropping, ImageSource, Size, StyleImage


class RequestOptions(TypedDict, total=False):
    """What a request may say besides its task. An option that is not set has the server's default."""

    prompt: Annotated[
        str,
        Option(
            "conditioning.prompt",
            wire.text,
            "The scene, in words; up to `Pipeline.max_prompt_tokens` tokens. Default: empty (any scene).",
            (Flag("--prompt"),),
        ),
    ]
    negative_prompt: Annotated[
        str,
        Option(
            "conditioning.negative_prompt",
            wire.text,
            "What to keep out, in words; read only while guidance is on. Default: empty.",
            (Flag("--negative-prompt"),),
        ),
    ]
    style_images: Annotated[
        Sequence[ImageSource | StyleImage],
        Option(
            "conditioning.style_images",
            wire.style_images,
            "Pictures whose look the scene takes on, up to `Limits.max_style_images`, each with a weight (default 1)."
            " Only on pipelines that say `takes_style_images`. Default: none.",
            (
                Flag(
                    "--style",
                    list[str],
                    "PICTURE[:WEIGHT]",
                    "A picture whose look the scene takes on, with a weight (default 1). May be given several times."
                    " Only on pipelines that take style pictures, as `info` says. Default: none.",
                ),
            ),
            text.parse_styles,
        ),
    ]
    image_scale: Annotated[
        float | None,
        Option(
            "conditioning.image_scale",
            wire.number,
            "How strongly the scene follows the style pictures, 0.0 (not at all) to 2.0. Default: the pipeline's.",
            (Flag("--image-scale", float),),
        ),
    ]
    adapters: Annotated[
        Mapping[str, float] | Sequence[Adapter | str],
        Option(
            "conditioning.adapters",
            wire.adapters,
            "Adapters (LoRAs) of the pipeline by the names that `info` gives, up to `Pipeline.max_adapters` at once:"
            " `{name: weight}`, or a list of names and `Adapter(name, weight)`. Weights are factors from -5.0 to 5.0;"
            " 1.0, the default, is the adapter as it was trained. Default: none.",
            (
                Flag(
                    "--adapter",
                    list[str],
                    "NAME[:WEIGHT]",
                    "An adapter (LoRA) of the pipeline by the name that `info` gives, with a factor from -5.0 to 5.0"
                    " (default 1.0). May be given several times. Default: none.",
                ),
            ),
            text.parse_adapters,
        ),
    ]
    palette: Annotated[
        Sequence[str],
        Option(
            "conditioning.palette",
            wire.texts,
            'Colours that the made pixels follow, up to `Limits.max_palette_colours`: `["#1a2b3c", "#f4e9d8"]`. Known'
            " pixels stay as they are. Default: none.",
            (
                Flag(
                    "--palette",
                    metavar="HEX,HEX,…",
                    help="Colours that the made pixels follow, such as 1a2b3c,f4e9d8. Default: none.",
                ),
            ),
            text.parse_palette,
        ),
    ]
    pipeline: Annotated[
        str,
        Option(
            "sampling.pipeline",
            wire.text,
            "The pipeline, by the name that `info` gives. Default: the server's.",
            (Flag("--pipeline"),),
        ),
    ]
    seed: Annotated[
        int | None,
        Option(
            "sampling.seed",
            wire.seed,
            "Seed of the first variant, 0 to 2^63 - 1. Default: chosen by the server and reported.",
            (Flag("--seed", int),),
        ),
    ]
    scheduler: Annotated[
        Scheduler | str | None,
        Option(
            "sampling.scheduler",
            wire.scheduler,
            "The solver: ddim, euler, dpmpp_2m, ddpm, lcm, flow_euler or pndm, as the pipeline has. Default: the "
            "pipeline's.",
            (Flag("--scheduler"),),
        ),
    ]
    steps: Annotated[
        int | None,
        Option(
            "sampling.steps",
            wire.integer,
            "Denoising steps, 1 to `Limits.max_steps`. Default: the pipeline's.",
            (Flag("--steps", int),),
        ),
    ]
    guidance_scale: Annotated[
        float | None,
        Option(
            "sampling.guidance_scale",
            wire.number,
            "Classifier-free guidance, 1.0 (off) to 20.0. Default: the pipeline's, in expand 2.0 at most."
            " Without prompts and style pictures it is off, except in expand, where the picture guides.",
            (Flag("--guidance-scale", float),),
        ),
    ]
    guidance_window: Annotated[
        tuple[float, float] | None,
        Option(
            "sampling.guidance_window",
            wire.window,
            "The part of the steps in which guidance is applied, as fractions (start, stop); outside it a step costs"
            " one row instead of two. Default: all steps.",
            (Flag("--guidance-window", metavar="START-STOP"),),
            text.parse_window,
        ),
    ]
    variants: Annotated[
        int,
        Option(
            "selection.variants",
            wire.integer,
            "How many pictures to make, 1 to `Limits.max_variants`. Default: 1.",
            (Flag("--variants", int),),
        ),
    ]
    top_k: Annotated[
        int,
        Option(
            "selection.top_k",
            wire.integer,
            "How many of them to return, best first; 0 = all. Fewer than all only on pipelines that score"
            " (`reward_heads`). Default: all.",
            (Flag("--top-k", int),),
        ),
    ]
    early_dropping: Annotated[
        EarlyDropping | Sequence[EarlyDropping],
        Option(
            "selection.early_dropping",
            wire.early_dropping,
            "Gives up the weaker variants by drafts of few steps, or after some of the steps, in one round or in"
            " several, each later and keeping fewer than the one before. Default: every variant is finished.",
            (
                Flag(
                    "--keep",
                    metavar="N[@AFTER],…",
                    help="Give up the weaker variants early: 3@draft6 finishes the three with the best drafts of"
                    " 6 steps; 2 finishes two, chosen after half of the steps; 5@0.4,3@0.6 continues with five after"
                    " 0.4 of the steps, and with three after 0.6. Default: every variant is finished.",
                ),
            ),
            text.parse_keep,
        ),
    ]
    output_size: Annotated[
        Size | None,
        Option(
            "delivery.size",
            wire.size,
            "Width and height of the pictures in pixels, 64 to 4096 each. Default: the sent picture's; without one,"
            " the pipeline's first scene size.",
            (Flag("--size", metavar="WxH"),),
            text.parse_size,
        ),
    ]
    output_format: Annotated[
        OutputFormat | str,
        Option(
            "delivery.format",
            wire.output_format,
            "Encoding of the pictures: png (keeps known pixels exact), jpeg or webp. Default: png.",
            (Flag("--format"),),
        ),
    ]
    preview_every: Annotated[
        int,
        Option(
            "delivery.preview_every",
            wire.integer,
            "A preview after every N-th step of a variant, 0 to 1000; 0 = none. Default: 0.",
            (Flag("--preview", bool, help="Write preview-N.jpg after every second step of a variant."),),
            text.every_second_step,
        ),
    ]
    idempotency_key: Annotated[
        str,
        Option(
            "idempotency_key",
            wire.text,
            "Up to 128 printable ASCII characters. The same key and request again return the pictures of the first"
            " call. Default: a new key for each call while retries are on.",
            (Flag("--idempotency-key"),),
        ),
    ]
    priority: Annotated[
        Priority | str,
        Option(
            "priority",
            wire.priority,
            "How urgent the request is: interactive, standard or bulk. Default: standard.",
            (Flag("--priority"),),
        ),
    ]


class Options(RequestOptions, total=False):
    """The keywords of `Client.generate`: those of the request, and what belongs to the call alone."""

    timeout_s: Annotated[
        float | None,
        Option(
            "timeout_s",
            wire.seconds,
            "Longest time that the call may take, retries included, in seconds. Default: the client's, 600.",
            (Flag("--timeout", float),),
        ),
    ]
