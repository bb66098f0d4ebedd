"""No reward model, no segmenter, no upscaler: unscored pictures in their own order, and refusals by name."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from backdrop import (
    AsyncClient,
    Background,
    EarlyDropping,
    InvalidRequestError,
    Picture,
    Reason,
    Stage,
    StageStarted,
    TextToImage,
    Upscale,
    VariantFinished,
)
from backdrop.contract.rules import TASKS
from backdrop.testing import FakeBackdrop
from local.cluster import Cluster, Options
from tests.contract.photos import HARD_MASK, PHOTO, PRODUCT, QUICK, TASK, receipt_of, rgba
from tests.pictures import encoded

NEEDED = ("text_encoder_l", "text_encoder_g", "vae_encoder", "denoiser", "vae_decoder")


def without_optional_roles(repository: Path, folder: Path) -> Path:
    """The default pipeline of a repository with nothing but the roles that it needs; models are linked."""
    document = json.loads((repository / "pipeline.json").read_text())
    name = document["default"]
    pipeline = document["pipelines"][name]
    pipeline["components"] = {role: model for role, model in pipeline["components"].items() if role in NEEDED}
    models = {model: document["models"][model] for model in pipeline["components"].values()}
    for model in models:
        (folder / model).symlink_to(repository / model)
    document |= {"pipelines": {name: pipeline}, "models": models}
    (folder / "pipeline.json").write_text(json.dumps(document))
    return folder


@pytest.fixture(scope="module", params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def endpoint(
    request: pytest.FixtureRequest, served_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """host:port of a service whose pipelines have none of the roles that they can do without."""
    if request.param == "fake":
        with FakeBackdrop(without=("reward", "segmenter", "upscaler")) as fake:
            yield fake.endpoint
        return
    repository = without_optional_roles(served_repository, tmp_path_factory.mktemp("bare"))
    logs = tmp_path_factory.mktemp("bare-logs")
    with Cluster(Options(repository=repository, log_folder=logs, port=0)) as running:
        yield running.endpoints.orchestrator


@pytest.fixture
async def client(endpoint: str) -> AsyncIterator[AsyncClient]:
    """A client that never tries again."""
    async with AsyncClient(endpoint, retries=0, timeout_s=60.0) as client:
        yield client


async def test_info_says_what_is_not_there(client: AsyncClient) -> None:
    for pipeline in (await client.info()).pipelines:
        assert pipeline.reward_heads == ()
        assert not pipeline.has_segmenter
        assert not {"reward", "segmenter", "upscaler"} & {model.role for model in pipeline.models}
        assert set(pipeline.tasks) == set(TASKS) - {"upscale"}
        assert pipeline.upscale_factors == ()


async def test_pictures_come_unscored_in_the_order_of_their_variants(client: AsyncClient) -> None:
    generation = client.generate(TASK, **QUICK, seed=4, variants=3)
    events = [event async for event in generation]
    pictures = (await generation).pictures
    assert [(picture.rank, picture.variant) for picture in pictures] == [(0, 0), (1, 1), (2, 2)]
    assert pictures[0].seed == 4
    assert [event.scores for event in events if isinstance(event, Picture | VariantFinished)] == [None] * 6
    assert StageStarted(Stage.SCORE) not in events
    assert all(receipt_of(picture).max_difference == 0 for picture in pictures)


async def test_all_variants_may_be_asked_for_by_number(client: AsyncClient) -> None:
    assert len((await client.generate(TASK, **QUICK, variants=2, top_k=2)).pictures) == 2


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("selection.top_k", {"variants": 3, "top_k": 2}),
        ("selection.early_dropping", {"variants": 3, "early_dropping": (EarlyDropping(3, 0.5),)}),
        ("selection.early_dropping", {"variants": 3, "early_dropping": (EarlyDropping(3, draft_steps=1),)}),
    ],
)
async def test_what_chooses_by_scores_is_refused(client: AsyncClient, field: str, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="has no reward model; leave it out") as caught:
        await client.generate(TASK, **QUICK, **options)
    assert (caught.value.reason, caught.value.field) == (Reason.NOT_SCORED, field)


async def test_a_product_needs_a_mask_or_an_alpha_channel(client: AsyncClient) -> None:
    with pytest.raises(InvalidRequestError, match=r"has no segmenter; send background\.mask, or a picture") as caught:
        await client.generate(Background(PRODUCT), **QUICK)
    assert (caught.value.reason, caught.value.field) == (Reason.MISSING_FIELD, "background.mask")
    for task in (Background(rgba(PHOTO, HARD_MASK)), Background(PRODUCT, encoded(HARD_MASK))):
        assert (await client.generate(task, **QUICK)).pictures


async def test_upscaling_is_refused_by_name(client: AsyncClient) -> None:
    with pytest.raises(InvalidRequestError, match="does not serve upscale") as caught:
        await client.generate(Upscale(PRODUCT))
    assert (caught.value.reason, caught.value.field) == (Reason.TASK_NOT_SERVED, "upscale")


async def test_words_alone_make_a_picture(client: AsyncClient) -> None:
    assert (await client.generate(TextToImage(), **QUICK)).best.scores is None
