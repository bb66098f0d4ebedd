"""The table of field reports. A test that shows a row carries `@pytest.mark.row(NAME)`; `bench.field rows` counts them.

A row is right if at least one test carries it, and all that do pass. The tests may stand in any folder of `tests/`.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One report."""

    table: str
    case: str
    """What breaks."""
    reports: str
    """Where it was reported: project and issue."""


_PICTURES, _CHECKPOINTS, _CLIENTS, _OURS = "pictures and masks", "checkpoints", "clients and servers", "this project"

ROWS: dict[str, Row] = {
    "mpo": Row(_PICTURES, "JPEG files with a second picture inside", "Pillow 4603, synapse 20024"),
    "zero-one-mask": Row(_PICTURES, "masks of class numbers", "opencv_contrib 2098, PAL4Inpaint 4"),
    "residue": Row(_PICTURES, "cut-outs with alpha 1 or 2 in far corners", "imgpush 49, A1111 10644"),
    "nearly-binary": Row(_PICTURES, "nearly binary mattes", "background-removal-js 117"),
    "odd-exif": Row(_PICTURES, "odd EXIF tags beside the orientation", "Pillow 4665, 3973"),
    "long-metadata": Row(_PICTURES, "long compressed text and ICC chunks", "Pillow 8363, 2445"),
    "png-transparency": Row(_PICTURES, "PNG: tRNS of grey and RGB, 16 bits", "Pillow 9281, 3379"),
    "turned-mask": Row(_PICTURES, "a mask made before EXIF turned the photo", "unsloth 10553"),
    "wide-gamut": Row(_PICTURES, "photos with a wide-gamut profile", "dino-park-issues 200"),
    "pil-modes": Row(_PICTURES, "rare modes and broken PIL pictures", "Pillow 2574, 5991, 544"),
    "lora-strength": Row(_CHECKPOINTS, "LoRA strength in metadata or config, patterns", "diffusers 6087, 11324"),
    "rslora": Row(_CHECKPOINTS, "rank-stabilised LoRA", "sglang 40835, vllm 6909"),
    "lora-alpha": Row(_CHECKPOINTS, "an alpha that is NaN or infinite", "none"),
    "lora-keys": Row(_CHECKPOINTS, "ComfyUI's and original key names", "diffusers 10954, ComfyUI 3701"),
    "scheduler-options": Row(_CHECKPOINTS, "scheduler classes and options", "diffusers 7214, 6477, 4167"),
    "scheduler-defaults": Row(_CHECKPOINTS, "scheduler configs without a key, unknown values", "diffusers 3929"),
    "variant": Row(_CHECKPOINTS, "only *.fp16.safetensors, sharded indexes", "diffusers 10928"),
    "pad-token": Row(_CHECKPOINTS, "pad token in special_tokens_map.json", "diffusers 2201, 4153"),
    "fork": Row(_CLIENTS, "a client made before fork()", "grpc 13464"),
    "gevent": Row(_CLIENTS, "gevent's monkey patches", "grpc 4629"),
    "proxy": Row(_CLIENTS, "http_proxy with a local server", "grpc 29718"),
    "silent-link": Row(_CLIENTS, "a link that drops packets", "bazel 11957"),
    "event-loops": Row(_CLIENTS, "one AsyncClient in two event loops, endless timeout", "grpc 32480"),
    "large-results": Row(_CLIENTS, "16 variants of 16 megapixels", "TGI 2018"),
    "redis-start": Row(_CLIENTS, "Redis wrong from the start", "redis-py 688, 935"),
    "redis-failover": Row(_CLIENTS, "READONLY, MOVED, CLUSTERDOWN", "redis-py 460, 435"),
    "scale-out": Row(_CLIENTS, "long-lived clients stay on old orchestrators", "posthog 92663, cilium 12551"),
    "cluster-network": Row(_CLIENTS, "NodeLocal DNS, IPv6-only clusters", "kubernetes 70555, kubeflow 5695"),
    "settings": Row(_CLIENTS, "wrong settings", "none"),
    "memory": Row(_OURS, "80 requests with pictures of 16 megapixels", "none"),
    "refusals-first": Row(_OURS, "200 requests at once", "none"),
    "local-restart": Row(_OURS, "a Triton of two dies", "none"),
    "old-figures": Row(_OURS, "figures that were measured on another project", "none"),
}
