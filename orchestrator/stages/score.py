"""Score: the reward model's judgment of one variant, with the real product composited on."""

from __future__ import annotations

from orchestrator.domain import Floats, Scores
from orchestrator.imaging.output import composite_at_bucket
from orchestrator.stages.models import Conditioning, Models
from orchestrator.stages.prepare import Prepared


async def score(decoded: Floats, prepared: Prepared, conditioning: Conditioning, models: Models) -> Scores:
    """Scores a decoded scene [3, H, W]; heads are those of pipeline.json, in its order."""
    outputs = await models.one(
        "reward",
        image=composite_at_bucket(decoded, prepared.scene_input),
        mask=prepared.scene_input.mask,
        text_embeds=conditioning.positive.pooled,
    )
    heads = models.pipeline.reward_heads
    return Scores({head: float(value) for head, value in zip(heads, outputs["scores"], strict=True)})
