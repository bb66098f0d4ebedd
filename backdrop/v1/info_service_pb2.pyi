import datetime

from backdrop.v1 import generation_service_pb2 as _generation_service_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetInfoResponse(_message.Message):
    __slots__ = ("server_version", "pipelines", "default_pipeline", "limits", "ready_replicas", "tasks", "quotas")
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_PIPELINE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    READY_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    QUOTAS_FIELD_NUMBER: _ClassVar[int]
    server_version: str
    pipelines: _containers.RepeatedCompositeFieldContainer[Pipeline]
    default_pipeline: str
    limits: Limits
    ready_replicas: int
    tasks: _containers.RepeatedCompositeFieldContainer[Task]
    quotas: _containers.RepeatedCompositeFieldContainer[Quota]
    def __init__(self, server_version: _Optional[str] = ..., pipelines: _Optional[_Iterable[_Union[Pipeline, _Mapping]]] = ..., default_pipeline: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., ready_replicas: _Optional[int] = ..., tasks: _Optional[_Iterable[_Union[Task, _Mapping]]] = ..., quotas: _Optional[_Iterable[_Union[Quota, _Mapping]]] = ...) -> None: ...

class Quota(_message.Message):
    __slots__ = ("name", "limit", "used")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    name: str
    limit: float
    used: float
    def __init__(self, name: _Optional[str] = ..., limit: _Optional[float] = ..., used: _Optional[float] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("name", "description", "required_fields", "refused_fields")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELDS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    required_fields: _containers.RepeatedScalarFieldContainer[str]
    refused_fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., required_fields: _Optional[_Iterable[str]] = ..., refused_fields: _Optional[_Iterable[str]] = ...) -> None: ...

class Pipeline(_message.Message):
    __slots__ = ("name", "description", "scene_sizes", "schedulers", "default_scheduler", "default_steps", "default_guidance_scale", "max_prompt_tokens", "reward_heads", "models", "takes_style_images", "default_image_scale", "tasks", "has_segmenter", "adapters", "max_adapters", "upscale_factors")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SCENE_SIZES_FIELD_NUMBER: _ClassVar[int]
    SCHEDULERS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_STEPS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_GUIDANCE_SCALE_FIELD_NUMBER: _ClassVar[int]
    MAX_PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REWARD_HEADS_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    TAKES_STYLE_IMAGES_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_IMAGE_SCALE_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    HAS_SEGMENTER_FIELD_NUMBER: _ClassVar[int]
    ADAPTERS_FIELD_NUMBER: _ClassVar[int]
    MAX_ADAPTERS_FIELD_NUMBER: _ClassVar[int]
    UPSCALE_FACTORS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    scene_sizes: _containers.RepeatedCompositeFieldContainer[_generation_service_pb2.Size]
    schedulers: _containers.RepeatedScalarFieldContainer[_generation_service_pb2.Scheduler]
    default_scheduler: _generation_service_pb2.Scheduler
    default_steps: int
    default_guidance_scale: float
    max_prompt_tokens: int
    reward_heads: _containers.RepeatedScalarFieldContainer[str]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    takes_style_images: bool
    default_image_scale: float
    tasks: _containers.RepeatedScalarFieldContainer[str]
    has_segmenter: bool
    adapters: _containers.RepeatedCompositeFieldContainer[AdapterInfo]
    max_adapters: int
    upscale_factors: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., scene_sizes: _Optional[_Iterable[_Union[_generation_service_pb2.Size, _Mapping]]] = ..., schedulers: _Optional[_Iterable[_Union[_generation_service_pb2.Scheduler, str]]] = ..., default_scheduler: _Optional[_Union[_generation_service_pb2.Scheduler, str]] = ..., default_steps: _Optional[int] = ..., default_guidance_scale: _Optional[float] = ..., max_prompt_tokens: _Optional[int] = ..., reward_heads: _Optional[_Iterable[str]] = ..., models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., takes_style_images: bool = ..., default_image_scale: _Optional[float] = ..., tasks: _Optional[_Iterable[str]] = ..., has_segmenter: bool = ..., adapters: _Optional[_Iterable[_Union[AdapterInfo, _Mapping]]] = ..., max_adapters: _Optional[int] = ..., upscale_factors: _Optional[_Iterable[int]] = ...) -> None: ...

class AdapterInfo(_message.Message):
    __slots__ = ("name", "fingerprint")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    name: str
    fingerprint: str
    def __init__(self, name: _Optional[str] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("role", "name", "version", "fingerprint")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    role: str
    name: str
    version: str
    fingerprint: str
    def __init__(self, role: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[str] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_variants", "max_steps", "max_pixels", "max_request_bytes", "max_running", "max_queued", "idempotency_ttl", "max_style_images", "max_products", "max_palette_colours", "max_layouts")
    MAX_VARIANTS_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    MAX_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUED_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_TTL_FIELD_NUMBER: _ClassVar[int]
    MAX_STYLE_IMAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    MAX_PALETTE_COLOURS_FIELD_NUMBER: _ClassVar[int]
    MAX_LAYOUTS_FIELD_NUMBER: _ClassVar[int]
    max_variants: int
    max_steps: int
    max_pixels: int
    max_request_bytes: int
    max_running: int
    max_queued: int
    idempotency_ttl: _duration_pb2.Duration
    max_style_images: int
    max_products: int
    max_palette_colours: int
    max_layouts: int
    def __init__(self, max_variants: _Optional[int] = ..., max_steps: _Optional[int] = ..., max_pixels: _Optional[int] = ..., max_request_bytes: _Optional[int] = ..., max_running: _Optional[int] = ..., max_queued: _Optional[int] = ..., idempotency_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_style_images: _Optional[int] = ..., max_products: _Optional[int] = ..., max_palette_colours: _Optional[int] = ..., max_layouts: _Optional[int] = ...) -> None: ...
