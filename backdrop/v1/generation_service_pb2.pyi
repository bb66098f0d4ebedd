import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ShadowKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SHADOW_KIND_UNSPECIFIED: _ClassVar[ShadowKind]
    SHADOW_KIND_CONTACT: _ClassVar[ShadowKind]
    SHADOW_KIND_CAST: _ClassVar[ShadowKind]

class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_UNSPECIFIED: _ClassVar[Priority]
    PRIORITY_INTERACTIVE: _ClassVar[Priority]
    PRIORITY_STANDARD: _ClassVar[Priority]
    PRIORITY_BULK: _ClassVar[Priority]

class Snap(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SNAP_UNSPECIFIED: _ClassVar[Snap]
    SNAP_CUT: _ClassVar[Snap]
    SNAP_LEFT: _ClassVar[Snap]
    SNAP_TOP: _ClassVar[Snap]
    SNAP_RIGHT: _ClassVar[Snap]
    SNAP_BOTTOM: _ClassVar[Snap]

class HorizontalAlignment(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HORIZONTAL_ALIGNMENT_UNSPECIFIED: _ClassVar[HorizontalAlignment]
    HORIZONTAL_ALIGNMENT_LEFT: _ClassVar[HorizontalAlignment]
    HORIZONTAL_ALIGNMENT_CENTER: _ClassVar[HorizontalAlignment]
    HORIZONTAL_ALIGNMENT_RIGHT: _ClassVar[HorizontalAlignment]

class VerticalAlignment(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERTICAL_ALIGNMENT_UNSPECIFIED: _ClassVar[VerticalAlignment]
    VERTICAL_ALIGNMENT_TOP: _ClassVar[VerticalAlignment]
    VERTICAL_ALIGNMENT_CENTER: _ClassVar[VerticalAlignment]
    VERTICAL_ALIGNMENT_BOTTOM: _ClassVar[VerticalAlignment]

class Scheduler(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCHEDULER_UNSPECIFIED: _ClassVar[Scheduler]
    SCHEDULER_DDIM: _ClassVar[Scheduler]
    SCHEDULER_EULER: _ClassVar[Scheduler]
    SCHEDULER_DPMPP_2M: _ClassVar[Scheduler]
    SCHEDULER_DDPM: _ClassVar[Scheduler]
    SCHEDULER_LCM: _ClassVar[Scheduler]
    SCHEDULER_FLOW_EULER: _ClassVar[Scheduler]
    SCHEDULER_PNDM: _ClassVar[Scheduler]

class OutputFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTPUT_FORMAT_UNSPECIFIED: _ClassVar[OutputFormat]
    OUTPUT_FORMAT_PNG: _ClassVar[OutputFormat]
    OUTPUT_FORMAT_JPEG: _ClassVar[OutputFormat]
    OUTPUT_FORMAT_WEBP: _ClassVar[OutputFormat]

class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_UNSPECIFIED: _ClassVar[Stage]
    STAGE_ENCODE: _ClassVar[Stage]
    STAGE_PREPARE: _ClassVar[Stage]
    STAGE_DENOISE: _ClassVar[Stage]
    STAGE_DECODE: _ClassVar[Stage]
    STAGE_SCORE: _ClassVar[Stage]
    STAGE_SELECT: _ClassVar[Stage]

class CompositingMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPOSITING_MODE_UNSPECIFIED: _ClassVar[CompositingMode]
    COMPOSITING_MODE_HARD: _ClassVar[CompositingMode]
    COMPOSITING_MODE_SOFT: _ClassVar[CompositingMode]

class MaskSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MASK_SOURCE_UNSPECIFIED: _ClassVar[MaskSource]
    MASK_SOURCE_REQUEST: _ClassVar[MaskSource]
    MASK_SOURCE_ALPHA: _ClassVar[MaskSource]
    MASK_SOURCE_SEGMENTER: _ClassVar[MaskSource]
SHADOW_KIND_UNSPECIFIED: ShadowKind
SHADOW_KIND_CONTACT: ShadowKind
SHADOW_KIND_CAST: ShadowKind
PRIORITY_UNSPECIFIED: Priority
PRIORITY_INTERACTIVE: Priority
PRIORITY_STANDARD: Priority
PRIORITY_BULK: Priority
SNAP_UNSPECIFIED: Snap
SNAP_CUT: Snap
SNAP_LEFT: Snap
SNAP_TOP: Snap
SNAP_RIGHT: Snap
SNAP_BOTTOM: Snap
HORIZONTAL_ALIGNMENT_UNSPECIFIED: HorizontalAlignment
HORIZONTAL_ALIGNMENT_LEFT: HorizontalAlignment
HORIZONTAL_ALIGNMENT_CENTER: HorizontalAlignment
HORIZONTAL_ALIGNMENT_RIGHT: HorizontalAlignment
VERTICAL_ALIGNMENT_UNSPECIFIED: VerticalAlignment
VERTICAL_ALIGNMENT_TOP: VerticalAlignment
VERTICAL_ALIGNMENT_CENTER: VerticalAlignment
VERTICAL_ALIGNMENT_BOTTOM: VerticalAlignment
SCHEDULER_UNSPECIFIED: Scheduler
SCHEDULER_DDIM: Scheduler
SCHEDULER_EULER: Scheduler
SCHEDULER_DPMPP_2M: Scheduler
SCHEDULER_DDPM: Scheduler
SCHEDULER_LCM: Scheduler
SCHEDULER_FLOW_EULER: Scheduler
SCHEDULER_PNDM: Scheduler
OUTPUT_FORMAT_UNSPECIFIED: OutputFormat
OUTPUT_FORMAT_PNG: OutputFormat
OUTPUT_FORMAT_JPEG: OutputFormat
OUTPUT_FORMAT_WEBP: OutputFormat
STAGE_UNSPECIFIED: Stage
STAGE_ENCODE: Stage
STAGE_PREPARE: Stage
STAGE_DENOISE: Stage
STAGE_DECODE: Stage
STAGE_SCORE: Stage
STAGE_SELECT: Stage
COMPOSITING_MODE_UNSPECIFIED: CompositingMode
COMPOSITING_MODE_HARD: CompositingMode
COMPOSITING_MODE_SOFT: CompositingMode
MASK_SOURCE_UNSPECIFIED: MaskSource
MASK_SOURCE_REQUEST: MaskSource
MASK_SOURCE_ALPHA: MaskSource
MASK_SOURCE_SEGMENTER: MaskSource

class GenerateRequest(_message.Message):
    __slots__ = ("background", "text_to_image", "erase", "fill", "vary", "expand", "shadow", "upscale", "relight", "conditioning", "sampling", "selection", "delivery", "idempotency_key", "priority")
    BACKGROUND_FIELD_NUMBER: _ClassVar[int]
    TEXT_TO_IMAGE_FIELD_NUMBER: _ClassVar[int]
    ERASE_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    VARY_FIELD_NUMBER: _ClassVar[int]
    EXPAND_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    UPSCALE_FIELD_NUMBER: _ClassVar[int]
    RELIGHT_FIELD_NUMBER: _ClassVar[int]
    CONDITIONING_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    background: BackgroundTask
    text_to_image: TextToImageTask
    erase: EraseTask
    fill: FillTask
    vary: VaryTask
    expand: ExpandTask
    shadow: ShadowTask
    upscale: UpscaleTask
    relight: RelightTask
    conditioning: Conditioning
    sampling: Sampling
    selection: Selection
    delivery: Delivery
    idempotency_key: str
    priority: Priority
    def __init__(self, background: _Optional[_Union[BackgroundTask, _Mapping]] = ..., text_to_image: _Optional[_Union[TextToImageTask, _Mapping]] = ..., erase: _Optional[_Union[EraseTask, _Mapping]] = ..., fill: _Optional[_Union[FillTask, _Mapping]] = ..., vary: _Optional[_Union[VaryTask, _Mapping]] = ..., expand: _Optional[_Union[ExpandTask, _Mapping]] = ..., shadow: _Optional[_Union[ShadowTask, _Mapping]] = ..., upscale: _Optional[_Union[UpscaleTask, _Mapping]] = ..., relight: _Optional[_Union[RelightTask, _Mapping]] = ..., conditioning: _Optional[_Union[Conditioning, _Mapping]] = ..., sampling: _Optional[_Union[Sampling, _Mapping]] = ..., selection: _Optional[_Union[Selection, _Mapping]] = ..., delivery: _Optional[_Union[Delivery, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., priority: _Optional[_Union[Priority, str]] = ...) -> None: ...

class BackgroundTask(_message.Message):
    __slots__ = ("product", "mask", "placement", "more_products", "scene", "scene_strength", "layouts", "automatic_placements", "soft", "harmonise")
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    MORE_PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    SCENE_FIELD_NUMBER: _ClassVar[int]
    SCENE_STRENGTH_FIELD_NUMBER: _ClassVar[int]
    LAYOUTS_FIELD_NUMBER: _ClassVar[int]
    AUTOMATIC_PLACEMENTS_FIELD_NUMBER: _ClassVar[int]
    SOFT_FIELD_NUMBER: _ClassVar[int]
    HARMONISE_FIELD_NUMBER: _ClassVar[int]
    product: bytes
    mask: bytes
    placement: Placement
    more_products: _containers.RepeatedCompositeFieldContainer[Product]
    scene: bytes
    scene_strength: float
    layouts: _containers.RepeatedCompositeFieldContainer[Layout]
    automatic_placements: int
    soft: int
    harmonise: float
    def __init__(self, product: _Optional[bytes] = ..., mask: _Optional[bytes] = ..., placement: _Optional[_Union[Placement, _Mapping]] = ..., more_products: _Optional[_Iterable[_Union[Product, _Mapping]]] = ..., scene: _Optional[bytes] = ..., scene_strength: _Optional[float] = ..., layouts: _Optional[_Iterable[_Union[Layout, _Mapping]]] = ..., automatic_placements: _Optional[int] = ..., soft: _Optional[int] = ..., harmonise: _Optional[float] = ...) -> None: ...

class Layout(_message.Message):
    __slots__ = ("size", "aspect_ratio", "placement")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ASPECT_RATIO_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    size: Size
    aspect_ratio: AspectRatio
    placement: Placement
    def __init__(self, size: _Optional[_Union[Size, _Mapping]] = ..., aspect_ratio: _Optional[_Union[AspectRatio, _Mapping]] = ..., placement: _Optional[_Union[Placement, _Mapping]] = ...) -> None: ...

class Product(_message.Message):
    __slots__ = ("product", "mask", "placement")
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    product: bytes
    mask: bytes
    placement: Placement
    def __init__(self, product: _Optional[bytes] = ..., mask: _Optional[bytes] = ..., placement: _Optional[_Union[Placement, _Mapping]] = ...) -> None: ...

class TextToImageTask(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EraseTask(_message.Message):
    __slots__ = ("picture", "mask", "grow")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    GROW_FIELD_NUMBER: _ClassVar[int]
    picture: bytes
    mask: bytes
    grow: int
    def __init__(self, picture: _Optional[bytes] = ..., mask: _Optional[bytes] = ..., grow: _Optional[int] = ...) -> None: ...

class FillTask(_message.Message):
    __slots__ = ("picture", "mask")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    picture: bytes
    mask: bytes
    def __init__(self, picture: _Optional[bytes] = ..., mask: _Optional[bytes] = ...) -> None: ...

class VaryTask(_message.Message):
    __slots__ = ("picture", "strength")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    picture: bytes
    strength: float
    def __init__(self, picture: _Optional[bytes] = ..., strength: _Optional[float] = ...) -> None: ...

class ExpandTask(_message.Message):
    __slots__ = ("picture", "margins", "aspect_ratio", "box", "horizontal", "vertical")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    MARGINS_FIELD_NUMBER: _ClassVar[int]
    ASPECT_RATIO_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    HORIZONTAL_FIELD_NUMBER: _ClassVar[int]
    VERTICAL_FIELD_NUMBER: _ClassVar[int]
    picture: bytes
    margins: Margins
    aspect_ratio: AspectRatio
    box: Box
    horizontal: HorizontalAlignment
    vertical: VerticalAlignment
    def __init__(self, picture: _Optional[bytes] = ..., margins: _Optional[_Union[Margins, _Mapping]] = ..., aspect_ratio: _Optional[_Union[AspectRatio, _Mapping]] = ..., box: _Optional[_Union[Box, _Mapping]] = ..., horizontal: _Optional[_Union[HorizontalAlignment, str]] = ..., vertical: _Optional[_Union[VerticalAlignment, str]] = ...) -> None: ...

class Margins(_message.Message):
    __slots__ = ("left", "top", "right", "bottom")
    LEFT_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    BOTTOM_FIELD_NUMBER: _ClassVar[int]
    left: int
    top: int
    right: int
    bottom: int
    def __init__(self, left: _Optional[int] = ..., top: _Optional[int] = ..., right: _Optional[int] = ..., bottom: _Optional[int] = ...) -> None: ...

class AspectRatio(_message.Message):
    __slots__ = ("width", "height")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ShadowTask(_message.Message):
    __slots__ = ("picture", "mask", "kind", "direction", "softness", "intensity", "length")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    SOFTNESS_FIELD_NUMBER: _ClassVar[int]
    INTENSITY_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    picture: bytes
    mask: bytes
    kind: ShadowKind
    direction: float
    softness: float
    intensity: float
    length: float
    def __init__(self, picture: _Optional[bytes] = ..., mask: _Optional[bytes] = ..., kind: _Optional[_Union[ShadowKind, str]] = ..., direction: _Optional[float] = ..., softness: _Optional[float] = ..., intensity: _Optional[float] = ..., length: _Optional[float] = ...) -> None: ...

class RelightTask(_message.Message):
    __slots__ = ("picture", "mask", "band", "strength", "light")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    BAND_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    LIGHT_FIELD_NUMBER: _ClassVar[int]
    picture: bytes
    mask: bytes
    band: int
    strength: float
    light: float
    def __init__(self, picture: _Optional[bytes] = ..., mask: _Optional[bytes] = ..., band: _Optional[int] = ..., strength: _Optional[float] = ..., light: _Optional[float] = ...) -> None: ...

class UpscaleTask(_message.Message):
    __slots__ = ("picture", "factor")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    picture: bytes
    factor: int
    def __init__(self, picture: _Optional[bytes] = ..., factor: _Optional[int] = ...) -> None: ...

class Conditioning(_message.Message):
    __slots__ = ("prompt", "negative_prompt", "style_images", "image_scale", "adapters", "palette")
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_PROMPT_FIELD_NUMBER: _ClassVar[int]
    STYLE_IMAGES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SCALE_FIELD_NUMBER: _ClassVar[int]
    ADAPTERS_FIELD_NUMBER: _ClassVar[int]
    PALETTE_FIELD_NUMBER: _ClassVar[int]
    prompt: str
    negative_prompt: str
    style_images: _containers.RepeatedCompositeFieldContainer[StyleImage]
    image_scale: float
    adapters: _containers.RepeatedCompositeFieldContainer[Adapter]
    palette: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, prompt: _Optional[str] = ..., negative_prompt: _Optional[str] = ..., style_images: _Optional[_Iterable[_Union[StyleImage, _Mapping]]] = ..., image_scale: _Optional[float] = ..., adapters: _Optional[_Iterable[_Union[Adapter, _Mapping]]] = ..., palette: _Optional[_Iterable[str]] = ...) -> None: ...

class Sampling(_message.Message):
    __slots__ = ("pipeline", "seed", "scheduler", "steps", "guidance_scale", "guidance_window")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_SCALE_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_WINDOW_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    seed: int
    scheduler: Scheduler
    steps: int
    guidance_scale: float
    guidance_window: GuidanceWindow
    def __init__(self, pipeline: _Optional[str] = ..., seed: _Optional[int] = ..., scheduler: _Optional[_Union[Scheduler, str]] = ..., steps: _Optional[int] = ..., guidance_scale: _Optional[float] = ..., guidance_window: _Optional[_Union[GuidanceWindow, _Mapping]] = ...) -> None: ...

class Selection(_message.Message):
    __slots__ = ("variants", "top_k", "early_dropping")
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    EARLY_DROPPING_FIELD_NUMBER: _ClassVar[int]
    variants: int
    top_k: int
    early_dropping: _containers.RepeatedCompositeFieldContainer[EarlyDropping]
    def __init__(self, variants: _Optional[int] = ..., top_k: _Optional[int] = ..., early_dropping: _Optional[_Iterable[_Union[EarlyDropping, _Mapping]]] = ...) -> None: ...

class Delivery(_message.Message):
    __slots__ = ("size", "format", "preview_every")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_EVERY_FIELD_NUMBER: _ClassVar[int]
    size: Size
    format: OutputFormat
    preview_every: int
    def __init__(self, size: _Optional[_Union[Size, _Mapping]] = ..., format: _Optional[_Union[OutputFormat, str]] = ..., preview_every: _Optional[int] = ...) -> None: ...

class EarlyDropping(_message.Message):
    __slots__ = ("keep", "after", "draft_steps")
    KEEP_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    DRAFT_STEPS_FIELD_NUMBER: _ClassVar[int]
    keep: int
    after: float
    draft_steps: int
    def __init__(self, keep: _Optional[int] = ..., after: _Optional[float] = ..., draft_steps: _Optional[int] = ...) -> None: ...

class GuidanceWindow(_message.Message):
    __slots__ = ("start", "stop")
    START_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    start: float
    stop: float
    def __init__(self, start: _Optional[float] = ..., stop: _Optional[float] = ...) -> None: ...

class Adapter(_message.Message):
    __slots__ = ("name", "weight")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    name: str
    weight: float
    def __init__(self, name: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class StyleImage(_message.Message):
    __slots__ = ("image", "weight")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    weight: float
    def __init__(self, image: _Optional[bytes] = ..., weight: _Optional[float] = ...) -> None: ...

class Size(_message.Message):
    __slots__ = ("width", "height")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class Placement(_message.Message):
    __slots__ = ("fit", "box")
    FIT_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    fit: Fit
    box: Box
    def __init__(self, fit: _Optional[_Union[Fit, _Mapping]] = ..., box: _Optional[_Union[Box, _Mapping]] = ...) -> None: ...

class Fit(_message.Message):
    __slots__ = ("padding", "horizontal", "vertical", "padding_sides", "margin", "keep_size", "snap", "area")
    PADDING_FIELD_NUMBER: _ClassVar[int]
    HORIZONTAL_FIELD_NUMBER: _ClassVar[int]
    VERTICAL_FIELD_NUMBER: _ClassVar[int]
    PADDING_SIDES_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    KEEP_SIZE_FIELD_NUMBER: _ClassVar[int]
    SNAP_FIELD_NUMBER: _ClassVar[int]
    AREA_FIELD_NUMBER: _ClassVar[int]
    padding: float
    horizontal: HorizontalAlignment
    vertical: VerticalAlignment
    padding_sides: Sides
    margin: Sides
    keep_size: bool
    snap: _containers.RepeatedScalarFieldContainer[Snap]
    area: Box
    def __init__(self, padding: _Optional[float] = ..., horizontal: _Optional[_Union[HorizontalAlignment, str]] = ..., vertical: _Optional[_Union[VerticalAlignment, str]] = ..., padding_sides: _Optional[_Union[Sides, _Mapping]] = ..., margin: _Optional[_Union[Sides, _Mapping]] = ..., keep_size: bool = ..., snap: _Optional[_Iterable[_Union[Snap, str]]] = ..., area: _Optional[_Union[Box, _Mapping]] = ...) -> None: ...

class Sides(_message.Message):
    __slots__ = ("left", "top", "right", "bottom")
    LEFT_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    BOTTOM_FIELD_NUMBER: _ClassVar[int]
    left: float
    top: float
    right: float
    bottom: float
    def __init__(self, left: _Optional[float] = ..., top: _Optional[float] = ..., right: _Optional[float] = ..., bottom: _Optional[float] = ...) -> None: ...

class Box(_message.Message):
    __slots__ = ("x", "y", "width", "height")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    x: int
    y: int
    width: int
    height: int
    def __init__(self, x: _Optional[int] = ..., y: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("accepted", "stage", "step", "variant_finished", "variant_dropped", "picture", "summary")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FINISHED_FIELD_NUMBER: _ClassVar[int]
    VARIANT_DROPPED_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    accepted: Accepted
    stage: StageStarted
    step: StepProgress
    variant_finished: VariantFinished
    variant_dropped: VariantDropped
    picture: Picture
    summary: Summary
    def __init__(self, accepted: _Optional[_Union[Accepted, _Mapping]] = ..., stage: _Optional[_Union[StageStarted, _Mapping]] = ..., step: _Optional[_Union[StepProgress, _Mapping]] = ..., variant_finished: _Optional[_Union[VariantFinished, _Mapping]] = ..., variant_dropped: _Optional[_Union[VariantDropped, _Mapping]] = ..., picture: _Optional[_Union[Picture, _Mapping]] = ..., summary: _Optional[_Union[Summary, _Mapping]] = ...) -> None: ...

class Accepted(_message.Message):
    __slots__ = ("request_id", "queue_position", "row_steps", "expected_start")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_POSITION_FIELD_NUMBER: _ClassVar[int]
    ROW_STEPS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_START_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    queue_position: int
    row_steps: int
    expected_start: _duration_pb2.Duration
    def __init__(self, request_id: _Optional[str] = ..., queue_position: _Optional[int] = ..., row_steps: _Optional[int] = ..., expected_start: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class StageStarted(_message.Message):
    __slots__ = ("stage",)
    STAGE_FIELD_NUMBER: _ClassVar[int]
    stage: Stage
    def __init__(self, stage: _Optional[_Union[Stage, str]] = ...) -> None: ...

class StepProgress(_message.Message):
    __slots__ = ("variant", "step", "steps", "preview", "draft")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    variant: int
    step: int
    steps: int
    preview: bytes
    draft: bool
    def __init__(self, variant: _Optional[int] = ..., step: _Optional[int] = ..., steps: _Optional[int] = ..., preview: _Optional[bytes] = ..., draft: bool = ...) -> None: ...

class VariantFinished(_message.Message):
    __slots__ = ("variant", "seed", "scores")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    variant: int
    seed: int
    scores: Scores
    def __init__(self, variant: _Optional[int] = ..., seed: _Optional[int] = ..., scores: _Optional[_Union[Scores, _Mapping]] = ...) -> None: ...

class VariantDropped(_message.Message):
    __slots__ = ("variant", "seed", "scores")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    variant: int
    seed: int
    scores: Scores
    def __init__(self, variant: _Optional[int] = ..., seed: _Optional[int] = ..., scores: _Optional[_Union[Scores, _Mapping]] = ...) -> None: ...

class Summary(_message.Message):
    __slots__ = ("pictures", "model_fingerprints", "timings", "cache", "settings", "replayed", "request_id", "usage", "warnings")
    class ModelFingerprintsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    MODEL_FINGERPRINTS_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    pictures: int
    model_fingerprints: _containers.ScalarMap[str, str]
    timings: _containers.RepeatedCompositeFieldContainer[StageTiming]
    cache: CacheReport
    settings: EffectiveSettings
    replayed: bool
    request_id: str
    usage: Usage
    warnings: _containers.RepeatedCompositeFieldContainer[RequestWarning]
    def __init__(self, pictures: _Optional[int] = ..., model_fingerprints: _Optional[_Mapping[str, str]] = ..., timings: _Optional[_Iterable[_Union[StageTiming, _Mapping]]] = ..., cache: _Optional[_Union[CacheReport, _Mapping]] = ..., settings: _Optional[_Union[EffectiveSettings, _Mapping]] = ..., replayed: bool = ..., request_id: _Optional[str] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., warnings: _Optional[_Iterable[_Union[RequestWarning, _Mapping]]] = ...) -> None: ...

class RequestWarning(_message.Message):
    __slots__ = ("reason", "field", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    field: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("row_steps", "saved_row_steps", "row_step_megapixels")
    ROW_STEPS_FIELD_NUMBER: _ClassVar[int]
    SAVED_ROW_STEPS_FIELD_NUMBER: _ClassVar[int]
    ROW_STEP_MEGAPIXELS_FIELD_NUMBER: _ClassVar[int]
    row_steps: int
    saved_row_steps: int
    row_step_megapixels: float
    def __init__(self, row_steps: _Optional[int] = ..., saved_row_steps: _Optional[int] = ..., row_step_megapixels: _Optional[float] = ...) -> None: ...

class EffectiveSettings(_message.Message):
    __slots__ = ("task", "sampling", "selection", "delivery", "scene_size", "image_scale", "priority", "strength", "adapters", "palette")
    TASK_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    SCENE_SIZE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SCALE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    ADAPTERS_FIELD_NUMBER: _ClassVar[int]
    PALETTE_FIELD_NUMBER: _ClassVar[int]
    task: str
    sampling: Sampling
    selection: Selection
    delivery: Delivery
    scene_size: Size
    image_scale: float
    priority: Priority
    strength: float
    adapters: _containers.RepeatedCompositeFieldContainer[Adapter]
    palette: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, task: _Optional[str] = ..., sampling: _Optional[_Union[Sampling, _Mapping]] = ..., selection: _Optional[_Union[Selection, _Mapping]] = ..., delivery: _Optional[_Union[Delivery, _Mapping]] = ..., scene_size: _Optional[_Union[Size, _Mapping]] = ..., image_scale: _Optional[float] = ..., priority: _Optional[_Union[Priority, str]] = ..., strength: _Optional[float] = ..., adapters: _Optional[_Iterable[_Union[Adapter, _Mapping]]] = ..., palette: _Optional[_Iterable[str]] = ...) -> None: ...

class Picture(_message.Message):
    __slots__ = ("data", "media_type", "width", "height", "rank", "variant", "seed", "scores", "receipt", "layout")
    DATA_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    media_type: str
    width: int
    height: int
    rank: int
    variant: int
    seed: int
    scores: Scores
    receipt: PreservationReceipt
    layout: int
    def __init__(self, data: _Optional[bytes] = ..., media_type: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., rank: _Optional[int] = ..., variant: _Optional[int] = ..., seed: _Optional[int] = ..., scores: _Optional[_Union[Scores, _Mapping]] = ..., receipt: _Optional[_Union[PreservationReceipt, _Mapping]] = ..., layout: _Optional[int] = ...) -> None: ...

class Scores(_message.Message):
    __slots__ = ("total", "heads")
    class HeadsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    total: float
    heads: _containers.ScalarMap[str, float]
    def __init__(self, total: _Optional[float] = ..., heads: _Optional[_Mapping[str, float]] = ...) -> None: ...

class PreservationReceipt(_message.Message):
    __slots__ = ("max_difference", "compared_pixels", "mask_digest", "compositing", "mask_source", "known_box", "unscaled", "known_pixels", "compared_fraction", "exact", "products", "changes")
    MAX_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    COMPARED_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MASK_DIGEST_FIELD_NUMBER: _ClassVar[int]
    COMPOSITING_FIELD_NUMBER: _ClassVar[int]
    MASK_SOURCE_FIELD_NUMBER: _ClassVar[int]
    KNOWN_BOX_FIELD_NUMBER: _ClassVar[int]
    UNSCALED_FIELD_NUMBER: _ClassVar[int]
    KNOWN_PIXELS_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FRACTION_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    max_difference: int
    compared_pixels: int
    mask_digest: str
    compositing: CompositingMode
    mask_source: MaskSource
    known_box: Box
    unscaled: bool
    known_pixels: int
    compared_fraction: float
    exact: bool
    products: _containers.RepeatedCompositeFieldContainer[ProductReceipt]
    changes: BorderChanges
    def __init__(self, max_difference: _Optional[int] = ..., compared_pixels: _Optional[int] = ..., mask_digest: _Optional[str] = ..., compositing: _Optional[_Union[CompositingMode, str]] = ..., mask_source: _Optional[_Union[MaskSource, str]] = ..., known_box: _Optional[_Union[Box, _Mapping]] = ..., unscaled: bool = ..., known_pixels: _Optional[int] = ..., compared_fraction: _Optional[float] = ..., exact: bool = ..., products: _Optional[_Iterable[_Union[ProductReceipt, _Mapping]]] = ..., changes: _Optional[_Union[BorderChanges, _Mapping]] = ...) -> None: ...

class BorderChanges(_message.Message):
    __slots__ = ("band_pixels", "changed_pixels", "max_difference", "mean_difference", "map")
    BAND_PIXELS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MAX_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    MEAN_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    MAP_FIELD_NUMBER: _ClassVar[int]
    band_pixels: int
    changed_pixels: int
    max_difference: int
    mean_difference: float
    map: bytes
    def __init__(self, band_pixels: _Optional[int] = ..., changed_pixels: _Optional[int] = ..., max_difference: _Optional[int] = ..., mean_difference: _Optional[float] = ..., map: _Optional[bytes] = ...) -> None: ...

class ProductReceipt(_message.Message):
    __slots__ = ("box", "unscaled", "mask_source", "visible_pixels")
    BOX_FIELD_NUMBER: _ClassVar[int]
    UNSCALED_FIELD_NUMBER: _ClassVar[int]
    MASK_SOURCE_FIELD_NUMBER: _ClassVar[int]
    VISIBLE_PIXELS_FIELD_NUMBER: _ClassVar[int]
    box: Box
    unscaled: bool
    mask_source: MaskSource
    visible_pixels: int
    def __init__(self, box: _Optional[_Union[Box, _Mapping]] = ..., unscaled: bool = ..., mask_source: _Optional[_Union[MaskSource, str]] = ..., visible_pixels: _Optional[int] = ...) -> None: ...

class StageTiming(_message.Message):
    __slots__ = ("stage", "duration")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    stage: Stage
    duration: _duration_pb2.Duration
    def __init__(self, stage: _Optional[_Union[Stage, str]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CacheReport(_message.Message):
    __slots__ = ("memory_hits", "redis_hits", "misses")
    MEMORY_HITS_FIELD_NUMBER: _ClassVar[int]
    REDIS_HITS_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    memory_hits: int
    redis_hits: int
    misses: int
    def __init__(self, memory_hits: _Optional[int] = ..., redis_hits: _Optional[int] = ..., misses: _Optional[int] = ...) -> None: ...
