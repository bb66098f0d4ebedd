"""Expand, fill and erase, through the cluster: what is kept, and what the new parts look like."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

import backdrop
from backdrop.contract.erasing import hole_around
from bench.autoencoder import Autoencoder
from bench.field_load import running_cluster
from bench.figures import Figure, at_least, at_most, reported
from bench.scene_products import png
from bench.task_judges import SHORT_TRAINING, SIDE, Bytes, Judges, held
from training.evaluation.statistics import bootstrap, wilson
from training.world.captions import product_prompt

COUNT = 60
_HALF = SIDE // 2
_SEAMS = (3, 8, 16)
"""Widths, in pixels, of the bands beyond the border that are compared."""
_FOUND = 0.2
"""Share of a product's pixels that the segmenter must still see for the product to count as found."""
_MARGIN = 0.08
_TELEA_RADIUS = 3
_OPTIONS: dict[str, Any] = {"pipeline": "backdrop"}
_COARSE = "{why}; the autoencoder alone, given the right picture, is at {floor:.2f}"
"""Why a mark of error is missed."""


def expand(command: str) -> list[Figure]:
    """The right half of each picture, made from its left half, and the other way round in turn; without a prompt."""
    changed, same, halves, judges, autoencoder = 0, [], [], Judges(), Autoencoder()
    errors: dict[int, tuple[list[float], list[float], list[float]]] = {width: ([], [], []) for width in _SEAMS}
    make = np.zeros((SIDE, SIDE), np.uint8)
    make[:, _HALF:] = 255
    with running_cluster() as (endpoint, _, _), backdrop.Client(endpoint, timeout_s=600.0) as client:
        for turn, each in enumerate(held(COUNT)):
            # Mirrored, a picture whose right half is known is one whose left half is known.
            flip = np.s_[:, ::-1] if turn % 2 else np.s_[:, :]
            truth = each.picture[flip]
            known = np.ascontiguousarray(truth[:, :_HALF])
            margins = backdrop.Margins(left=_HALF) if turn % 2 else backdrop.Margins(right=_HALF)
            task = backdrop.Expand(png(np.ascontiguousarray(each.picture[:, _HALF:] if turn % 2 else known)), margins)
            picture = np.asarray(client.generate(task, **_OPTIONS, seed=each.seed).result().best.image())[flip]
            changed += int((picture[:, :_HALF] != known).any(axis=-1).sum())
            mirrored = np.concatenate([known, known[:, ::-1]], axis=1)
            best = autoencoder.in_hole(np.ascontiguousarray(truth), np.ascontiguousarray(truth), make)
            for width, lists in errors.items():
                band = np.s_[:, _HALF : _HALF + width]
                for values, other in zip(lists, (picture, mirrored, best), strict=True):
                    values.append(_error(other[band], truth[band]))
            same.append(judges.scenes([_doubled(picture[:, _HALF:])])[0] == each.spec.scene)
            halves.append(judges.scenes([_doubled(truth[:, _HALF:])])[0] == each.spec.scene)
    share, count = float(np.mean(same)), f"{len(same)} pictures"
    seams = [
        Figure(
            f"expand: error within {width} pixels of the border ÷ mirrored padding's",
            round(float(np.sum(own) / np.sum(padded)), 3),
            at_most(0.7, _COARSE.format(why=SHORT_TRAINING, floor=np.sum(best) / np.sum(padded)))
            if width == _SEAMS[0]
            else reported("lower"),
            command,
            f"± {_ratio_spread(own, padded):.3f}, {count}; the autoencoder alone {np.sum(best) / np.sum(padded):.2f}",
        )
        for width, (own, padded, best) in errors.items()
    ]
    judged = (
        f"± {wilson(share, len(same)):.3f}, {count}; the new half alone is judged, beside its mirror image;"
        f" of rendered halves {np.mean(halves):.3f}"
    )
    return [
        Figure("expand: known pixels that changed", changed, at_most(0), command, count),
        *seams,
        Figure(
            "expand: continuations that show the same scene",
            round(share, 3),
            at_least(0.9, SHORT_TRAINING),
            command,
            judged,
        ),
    ]


def fill(command: str) -> list[Figure]:
    """Named products in boxes, in scenes without one."""
    changed, right, rendered, judges = 0, [], [], Judges()
    with running_cluster() as (endpoint, _, _), backdrop.Client(endpoint, timeout_s=600.0) as client:
        for each in held(COUNT):
            place = box_around(each.product)
            prompt = product_prompt(each.spec, np.random.default_rng(each.seed))
            task = backdrop.Fill(png(each.scene), png(np.where(place, 255, 0).astype(np.uint8)))
            result = client.generate(task, **_OPTIONS, prompt=prompt, seed=each.seed).result()
            picture = np.asarray(result.best.image())
            changed += int(((picture != each.scene).any(axis=-1) & ~place).sum())
            right.append(judges.kind(picture, place) == each.spec.product)
            rendered.append(judges.kind(each.picture, place) == each.spec.product)
    share = float(np.mean(right))
    spread = f"± {wilson(share, len(right)):.3f}, {len(right)} pictures; of rendered products {np.mean(rendered):.3f}"
    return [
        Figure("fill: pixels outside the mask that changed", changed, at_most(0), command, f"{len(right)} pictures"),
        Figure(
            "fill: asked-for products recognised inside the mask",
            round(share, 3),
            at_least(0.8, SHORT_TRAINING),
            command,
            spread,
        ),
    ]


def erase(command: str) -> list[Figure]:
    """Products erased by their own masks, at the default of growth."""
    seen, before, errors, telea, floors, judges, autoencoder = [], [], [], [], [], Judges(), Autoencoder()
    with running_cluster() as (endpoint, _, _), backdrop.Client(endpoint, timeout_s=600.0) as client:
        for each in held(COUNT):
            mask = np.where(each.product > 0, 255, 0).astype(np.uint8)
            task = backdrop.Erase(png(each.picture), png(mask))
            picture = np.asarray(client.generate(task, **_OPTIONS, seed=each.seed).result().best.image())
            hole = hole_around(mask)
            smeared = cv2.inpaint(np.ascontiguousarray(each.picture), hole, _TELEA_RADIUS, cv2.INPAINT_TELEA)
            inside = hole > 0
            errors.append(_error(picture[inside], each.scene[inside]))
            telea.append(_error(np.asarray(smeared)[inside], each.scene[inside]))
            floors.append(_error(autoencoder.in_hole(each.scene, each.picture, hole)[inside], each.scene[inside]))
            seen.append(_still_seen(judges, picture, mask))
            before.append(_still_seen(judges, each.picture, mask))
    share, count = float(np.mean(seen)), f"{len(seen)} pictures"
    detail = f"± {wilson(share, len(seen)):.3f}, {count}; before {np.mean(before):.3f}"
    ratio = round(float(np.sum(errors) / np.sum(telea)), 3)
    floor = float(np.sum(floors) / np.sum(telea))
    spread = (
        f"± {_ratio_spread(errors, telea):.3f}, {count}; {np.mean(errors):.1f} ÷ {np.mean(telea):.1f} of 255;"
        f" the autoencoder alone {floor:.2f}"
    )
    name = "erase: error against the render without the product ÷ that of Telea's inpainting"
    return [
        Figure(
            "erase: products that the segmenter still finds",
            round(share, 3),
            at_most(0.1, SHORT_TRAINING),
            command,
            detail,
        ),
        Figure(name, ratio, at_most(0.6, _COARSE.format(why=SHORT_TRAINING, floor=floor)), command, spread),
    ]


def box_around(product: Bytes) -> npt.NDArray[np.bool_]:
    """The box around a product's mask [H, W] with a margin, as a mask [H, W]."""
    rows, columns = (np.flatnonzero((product > 127).any(axis=axis)) for axis in (1, 0))
    margin, place = round(_MARGIN * product.shape[0]), np.zeros(product.shape, bool)
    place[max(rows[0] - margin, 0) : rows[-1] + margin, max(columns[0] - margin, 0) : columns[-1] + margin] = True
    return place


def _still_seen(judges: Judges, picture: Bytes, mask: Bytes) -> bool:
    return bool(judges.product_place(picture)[mask > 0].mean() > _FOUND)


def _doubled(half: Bytes) -> Bytes:
    """Half a picture and its mirror image: the classifier wants the whole width."""
    return np.concatenate([half, half[:, ::-1]], axis=1)


def _error(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    return float(np.abs(one.astype(np.float64) - other).mean())


def _ratio_spread(above: Iterable[float], below: Iterable[float]) -> float:
    """Half the 95 % interval of a ratio of sums, from that of its pairs' linear part."""
    a, b = np.asarray(list(above)), np.asarray(list(below))
    ratio = a.sum() / b.sum()
    return bootstrap(((a - ratio * b) / b.mean()).tolist())
