"""The classifier: it names every attribute, records its accuracy, and its published weights load again."""

from __future__ import annotations

import json

import torch

from tests.training.conftest import TinyTraining
from training.config import Config
from training.core import loop
from training.data import shards
from training.data.attributes import ATTRIBUTES, NOT_VISIBLE, accuracies, attribute_ids, naming_loss
from training.judges import classifier


def test_it_writes_what_evaluation_reads(training: TinyTraining) -> None:
    tiny = training.trained(classifier)
    trained = loop.load_average(tiny, classifier.STAGE, classifier.Classifier(tiny.small.classifier_channels))
    model = classifier.load(tiny)
    images = torch.rand(3, 3, 64, 96) * 2 - 1
    for key, logits in model(images).items():
        assert torch.allclose(logits, trained(images)[key], atol=0.02)
    predicted = classifier.name(model, images)
    assert {key: len(names) for key, names in predicted.items()} == dict.fromkeys(ATTRIBUTES, 3)
    shares = [classifier.probability(model, images, "palette", name) for name in ATTRIBUTES["palette"]]
    assert torch.allclose(torch.stack(shares).sum(0), torch.ones(3), atol=1e-4)
    record = json.loads((tiny.paths.classifier / "config.json").read_text())
    assert set(record["held_out_accuracy"]) == set(ATTRIBUTES)
    assert set(classifier.accuracy(model, shards.load(tiny, "held"))) == set(ATTRIBUTES)


def test_what_cannot_be_seen_is_not_asked_for(tiny: Config) -> None:
    row = dict(shards.load(tiny, "scene").rows[0], scene="studio", detail="plain")
    ids = attribute_ids([row])
    names = list(ATTRIBUTES)
    assert ids[0, names.index("time")] == NOT_VISIBLE
    assert ids[0, names.index("scene")] == ATTRIBUTES["scene"].index("studio")
    logits = [torch.zeros(1, len(options), requires_grad=True) for options in ATTRIBUTES.values()]
    loss = naming_loss(logits, ids, (1.0,) * len(ATTRIBUTES))
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert logits[names.index("time")].grad is None
    assert accuracies(logits, ids)["time"] != accuracies(logits, ids)["time"]  # nan: no picture shows the time
