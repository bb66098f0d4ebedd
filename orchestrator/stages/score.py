"""Score: the reward model's scores of one variant, with the known pixels composited on."""

from __future__ import annotations

from collections.abc import Collection

from orchestrator.arrays import Floats
from orchestrator.events import Scores
from orchestrator.imaging.view import ModelView, composite_view
from orchestrator.stages.models import Models, batch_of


async def score(
    decoded: Floats, view: ModelView, pooled: Floats | None, models: Models, judged_by: Collection[str] = ()
) -> Scores:
    """Scores a decoded scene [3, H, W]; the heads are those of pipeline.json, in its order.

    The reward model gets the inputs that it takes; `pooled` [P] is the prompt's embedding. `judged_by` names the heads
    that count for the total. Heads that the reward model lacks are ignored; if none remains, all heads count. A scene
    has the mean scores of its tiles.
    """
    tiling = view.tiling
    inputs = {"image": tiling.cut(composite_view(decoded, view)), "mask": tiling.cut(view.mask)}
    if pooled is not None:
        inputs["text_embeds"] = batch_of(*[pooled] * tiling.count)
    taken = {name: value for name, value in inputs.items() if models.takes("reward", name)}
    outputs = await models.run("reward", **taken)
    heads = models.pipeline.reward_heads
    values = {head: float(value) for head, value in zip(heads, outputs["scores"].mean(axis=0), strict=True)}
    return Scores(values, tuple(head for head in heads if head in judged_by))
