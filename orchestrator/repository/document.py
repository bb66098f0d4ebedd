"""The types of `pipeline.json`: what is not of them is refused by its path, before anything is computed with it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_LARGEST = 1e38
Number = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]
Count = Annotated[int, Field(ge=1, le=65_536)]
Three = Annotated[list[Number], Field(min_length=3, max_length=3)]
Two = Annotated[list[Count], Field(min_length=2, max_length=2)]
Names = Annotated[list[str], Field(min_length=1)]


class _Part(BaseModel):
    # "7" is no number, and no value of another type is turned into what is needed.
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class Tensor(_Part):
    """An input or output of a model; −1 in its shape is a dimension that varies."""

    name: str
    dtype: str
    shape: Annotated[list[Annotated[int, Field(ge=-1, le=2**31)]], Field(min_length=1)]


class Adapter(_Part):
    """An adapter of a model's bank."""

    row: Count
    digest: str


class Bank(_Part):
    """A model's adapter bank."""

    names: dict[str, Adapter] = {}


class Model(_Part):
    """One model folder."""

    version: str | Count
    fingerprint: str
    files: dict[str, str]
    inputs: list[Tensor]
    outputs: list[Tensor]
    adapters: Bank = Bank()


class Defaults(_Part):
    """What a request gets that leaves a field out."""

    scheduler: str
    steps: Annotated[int, Field(ge=1, le=1000)]
    guidance_scale: Number
    image_scale: Number = 1.0


class Latents(_Part):
    """The size of latents."""

    channels: Count
    factor: Count


class Preview(_Part):
    """The colours of latents, for previews."""

    factors: list[Three]
    bias: Three


class Text(_Part):
    """The longest prompts, and what reads the encoders."""

    max_tokens: Count
    t5_max_tokens: Count | None = None
    states: list[str] | None = None
    pooled: list[str] | None = None


class Pipeline(_Part):
    """One pipeline. Its schedule and its conventions have checks of their own."""

    description: str
    components: dict[str, str]
    schedule: dict[str, Any]
    schedulers: Names
    defaults: Defaults
    latents: Latents
    preview: Preview
    text: Text
    buckets: Annotated[list[Two], Field(min_length=1)]
    reward_heads: list[str] = []
    conventions: dict[str, Any] = {}
    task_adapters: dict[str, dict[str, Number]] = {}


class Document(_Part):
    """The whole file."""

    default: str
    pipelines: dict[str, Pipeline]
    models: dict[str, Model]


def expect_types(content: object) -> None:
    """Checks the content of a pipeline.json.

    Raises:
        ValueError: with one sentence that names the path of the first value at fault.
    """
    try:
        Document.model_validate(content)
    except ValidationError as problem:
        fault = problem.errors(include_url=False)[0]
        # pydantic adds the branch of a union to the path; `version` is the only one.
        path = ".".join(str(part) for part in fault["loc"]).removesuffix(".str")
        what = "is missing" if fault["type"] == "missing" else f"is {str(fault['input'])[:60]!r}: {fault['msg']}"
        raise ValueError(f"{path} {what}") from None
