"""The schema of audit records: one a call of either service, refused calls too. No prompts, no pixels, no secrets."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class AuditRecord(BaseModel):
    """One record. Fields that a call did not get to are absent: a call refused by its headers has no task yet."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time: str = Field(description="when the call ended: UTC, ISO 8601")
    request_id: str = Field(description="the server's name for the call, as in its errors and its summary")
    trace_id: str = Field("", description="of the call's trace, if spans are exported")
    method: str = Field(description="`GenerationService/Generate` or `InfoService/GetInfo`")
    identity: str = Field("", description='who called: "certificate:…", "key:…", "token:…" or "anonymous"')
    tenant: str = Field("", description="whom the work is counted for")
    status: str = Field(description="name of the gRPC status, such as `OK` or `INVALID_ARGUMENT`")
    outcome: Literal["ok", "replayed", "refused", "failed", "cancelled"] = Field(
        description="`replayed`: the result of an earlier call with the key; `refused`: nothing was begun"
    )
    reason: str = Field("", description="of a refusal or failure, as in docs/errors.md")
    field: str = Field("", description="path of the request's field at fault")
    seconds: float = Field(description="duration of the call")
    remaining_s: float = Field(0, description="how long the caller was going to wait; absent = without a deadline")
    queued_s: float = Field(0, description="from arrival to admission")
    task: str = Field("", description="such as `background`")
    pipeline: str = Field("", description="name of the pipeline")
    fingerprints: dict[str, str] = Field({}, description="digest of each model and adapter that makes the pictures")
    seed: int = Field(0, description="of the first variant")
    scheduler: str = Field("", description="the solver")
    steps: int = Field(0, description="solver steps of a variant")
    variants: int = Field(0, description="how many are made")
    top_k: int = Field(0, description="how many come back")
    priority: str = Field("", description="interactive, standard or bulk")
    size: str = Field("", description="of the delivered pictures, width x height")
    layouts: int = Field(0, description="number of layouts")
    style_images: int = Field(0, description="number of style pictures")
    adapters: list[str] = Field([], description="names of the LoRAs")
    message_bytes: int = Field(0, description="size of the request's message")
    input_sha256: dict[str, str] = Field({}, description="SHA-256 of each encoded picture and mask, by its field")
    row_steps: int = Field(0, description="denoiser rows that the request may take")
    work: float = Field(0, description="the same × megapixels of the scene")
    steps_done: int = Field(0, description="solver steps that were taken, over all variants")
    cost: float = Field(
        0, description="the part of `work` that was done: all of it once finished, else in proportion to the steps"
    )
    pictures: int = Field(0, description="pictures that were made")
    stages_s: dict[str, float] = Field({}, description="seconds of each stage, of finished requests")


Fields = dict[str, Any]
"""The fields of a record as they are collected."""
