"""Retrieval of pictures of the same scene and palette by an embedding, over held-out pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from training.config import HELD_OUT_SEED, Config
from training.data import shards

GALLERY_SEED = HELD_OUT_SEED + 1_000_000


def gallery(config: Config) -> shards.PictureSet:
    """Held-out pictures to search in, rendered if missing: three times as many as the held-out set.

    The held-out set has about five pictures for a pair of scene and palette, too few for ten right answers.
    """
    folder, size = config.paths.work / "shards", config.data.shard_count
    folder.mkdir(parents=True, exist_ok=True)
    total = 3 * config.data.held_out_count
    parts = [
        shards.Shard("gallery", GALLERY_SEED + start, min(size, total - start), config.data.size, folder)
        for start in range(0, total, size)
    ]
    for part in parts:
        shards.render_shard(part)
    return shards.read([part.stem for part in parts])


def kinds(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The kind of each picture: its scene and its palette."""
    return [f"{row['scene']} {row['palette']}" for row in rows]


def precision(
    queries: Tensor, candidates: Tensor, query_kinds: Sequence[str], candidate_kinds: Sequence[str], top: int = 10
) -> dict[str, float]:
    """Precision at `top` and hit at `top` of queries [Q, D] among candidates [N, D] by inner product, largest first.

    Where fewer than `top` pictures of a query's kind exist, precision counts against as many as there are; a query
    without any is left out.
    """
    names = sorted({*query_kinds, *candidate_kinds})
    query_ids = torch.tensor([names.index(kind) for kind in query_kinds])
    candidate_ids = torch.tensor([names.index(kind) for kind in candidate_kinds])
    same = query_ids[:, None] == candidate_ids[None]
    best = (queries @ candidates.T).topk(min(top, len(candidates)), dim=1).indices
    right = same.gather(1, best).float()
    possible = same.sum(1).clamp(max=best.shape[1])
    counted = possible > 0
    # Among the first R of the ranking, where R pictures could be right at all.
    within = torch.arange(best.shape[1])[None] < possible[:, None]
    share = (right * within).sum(1)[counted] / possible[counted]
    return {"precision": float(share.mean()), "hit": float(right.amax(1)[counted].mean())}
