"""Backdrop's SDK: put a product photo into a new scene, without touching the product; and other tasks of `tasks`.

```python
import backdrop

with backdrop.Client("127.0.0.1:50061") as client:
    result = client.generate(backdrop.Background("mug.png"), prompt="on a beach at dawn", variants=4).result()
    result.best.save("best.png")
```

`AsyncClient` is the same for asyncio. `backdrop.testing` has a server to test against.
"""

from __future__ import annotations

from backdrop._client import AsyncClient
from backdrop._credentials import Credentials
from backdrop._enums import (
    CompositingMode,
    HorizontalAlignment,
    MaskSource,
    OutputFormat,
    Priority,
    Scheduler,
    ShadowKind,
    Snap,
    Stage,
    VerticalAlignment,
)
from backdrop._events import (
    Accepted,
    BorderChanges,
    CacheReport,
    Event,
    Picture,
    ProductReceipt,
    Receipt,
    Result,
    Scores,
    Settings,
    StageStarted,
    StepProgress,
    Summary,
    Timing,
    Usage,
    VariantDropped,
    VariantFinished,
)
from backdrop._generation import Generation
from backdrop._info import AdapterInfo, Info, Limits, Model, Pipeline, TaskInfo
from backdrop._options import Options
from backdrop._sync import Client, SyncGeneration
from backdrop._types import Adapter, Box, EarlyDropping, Fit, Layout, Margins, Product, Sides, StyleImage
from backdrop.contract.request_warnings import RequestWarning, WarningReason
from backdrop.errors import (
    BackdropError,
    CancelledError,
    ConflictError,
    DeadlineExceededError,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    Reason,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from backdrop.tasks import Background, Erase, Expand, Fill, Relight, Shadow, Task, TextToImage, Upscale, Vary

__version__ = "0.1.0"

__all__ = [
    "Accepted",
    "Adapter",
    "AdapterInfo",
    "AsyncClient",
    "BackdropError",
    "Background",
    "BorderChanges",
    "Box",
    "CacheReport",
    "CancelledError",
    "Client",
    "CompositingMode",
    "ConflictError",
    "Credentials",
    "DeadlineExceededError",
    "EarlyDropping",
    "Erase",
    "Event",
    "Expand",
    "Fill",
    "Fit",
    "Generation",
    "HorizontalAlignment",
    "Info",
    "InternalError",
    "InvalidRequestError",
    "Layout",
    "Limits",
    "Margins",
    "MaskSource",
    "Model",
    "NotFoundError",
    "Options",
    "OutputFormat",
    "OverloadedError",
    "PermissionDeniedError",
    "Picture",
    "Pipeline",
    "Priority",
    "Product",
    "ProductReceipt",
    "Reason",
    "Receipt",
    "Relight",
    "RequestWarning",
    "Result",
    "Scheduler",
    "Scores",
    "Settings",
    "Shadow",
    "ShadowKind",
    "Sides",
    "Snap",
    "Stage",
    "StageStarted",
    "StepProgress",
    "StyleImage",
    "Summary",
    "SyncGeneration",
    "Task",
    "TaskInfo",
    "TextToImage",
    "Timing",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "Upscale",
    "Usage",
    "VariantDropped",
    "VariantFinished",
    "Vary",
    "VerticalAlignment",
    "WarningReason",
    "__version__",
]
