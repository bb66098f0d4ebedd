"""The repository check: a bad file, digest, shape or role is found and named."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.repository import IMAGE_ROLES, T5, AdapterSpec, RepositoryError, check_served, load
from orchestrator.sampler import FlowConfig
from orchestrator.triton.tensors import ModelMetadata, TensorSpec
from tests.orchestrator.small import ROLES


def tensor(name: str, *shape: int) -> dict[str, Any]:
    """An input or output."""
    return {"name": name, "dtype": "FP32", "shape": list(shape)}


def document(folder: Path) -> dict[str, Any]:
    """Writes a repository of one-byte models and returns its pipeline.json."""
    models: dict[str, Any] = {}
    for role in (*ROLES, *IMAGE_ROLES, T5):
        (folder / role / "1").mkdir(parents=True)
        (folder / role / "1" / "model.onnx").write_bytes(b"x")
        models[role] = {
            "version": "1",
            "fingerprint": f"sha256:{role}",
            "files": {"1/model.onnx": "sha256:" + hashlib.sha256(b"x").hexdigest()},
            "inputs": [{"name": "image", "dtype": "FP32", "shape": [3, -1, -1]}],
            "outputs": [tensor("out", 4)],
        }
    pipeline = {
        "description": "d",
        "components": {role: role for role in ROLES},
        "schedule": {
            "num_train_timesteps": 1000, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
            "prediction_type": "v_prediction", "timestep_spacing": "trailing", "steps_offset": 1,
        },
        "schedulers": ["ddim"],
        "defaults": {"scheduler": "ddim", "steps": 4, "guidance_scale": 2.0},
        "latents": {"channels": 4, "factor": 8, "scale": 1.0},
        "preview": {"factors": [[0, 0, 0]] * 4, "bias": [0, 0, 0]},
        "text": {"max_tokens": 77},
        "buckets": [[64, 64]],
        "reward_heads": ["defects"],
    }  # fmt: skip
    models["denoiser"]["inputs"] += [
        tensor("image_tokens", 4, 8),
        tensor("image_scale", 1),
        tensor("encoder_hidden_states", -1, 10),
        tensor("text_embeds", 5),
    ]
    models["reward"]["inputs"].append(tensor("text_embeds", 5))
    models["reward"]["outputs"] = [tensor("scores", 1)]
    for role, width in (("text_encoder_l", 4), ("text_encoder_g", 6), (T5, 10)):
        models[role]["outputs"] = [tensor("hidden_states", -1, width)]
    models["text_encoder_g"]["outputs"].append(tensor("text_embeds", 5))
    return {"format": 1, "default": "p", "pipelines": {"p": pipeline}, "models": models}


def write(folder: Path, value: object) -> None:
    (folder / "pipeline.json").write_text(json.dumps(value))


def test_a_good_repository_loads(tmp_path: Path) -> None:
    write(tmp_path, document(tmp_path))
    repository = load(tmp_path)
    assert repository.pipelines["p"].fingerprints["denoiser"] == "sha256:denoiser"


def styled(value: dict[str, Any]) -> dict[str, Any]:
    """The document with the image roles in its pipeline."""
    value["pipelines"]["p"]["components"] |= {role: role for role in IMAGE_ROLES}
    return value


def flowing(value: dict[str, Any]) -> dict[str, Any]:
    """The document with a second pipeline, which reads T5 and is a flow."""
    pipeline = dict(value["pipelines"]["p"])
    pipeline["components"] = {role: role for role in (*ROLES, T5) if role != "text_encoder_l"}
    pipeline["schedule"] = {"num_train_timesteps": 1000, "prediction_type": "flow", "shift": 2.5}
    pipeline["schedulers"], pipeline["defaults"] = ["flow_euler"], {"scheduler": "flow_euler"} | {
        "steps": 8, "guidance_scale": 3.0,
    }  # fmt: skip
    pipeline["text"] = {"max_tokens": 77, "t5_max_tokens": 128}
    value["pipelines"]["q"] = pipeline
    return value


def test_optional_roles_say_what_a_pipeline_takes(tmp_path: Path) -> None:
    value = document(tmp_path)
    write(tmp_path, value)
    plain = load(tmp_path).pipelines["p"]
    assert not plain.takes_style
    assert plain.states_roles == ("text_encoder_l", "text_encoder_g")
    styled(value)["pipelines"]["p"]["defaults"]["image_scale"] = 0.6
    write(tmp_path, flowing(value))
    repository = load(tmp_path)
    assert repository.pipelines["p"].takes_style
    assert repository.pipelines["p"].default_image_scale == 0.6
    flow = repository.pipelines["q"]
    assert not flow.takes_style
    assert flow.schedule == FlowConfig(1000, "flow", 2.5)
    assert (flow.states_roles, flow.max_prompt_tokens) == ((T5,), 128)


def test_a_projector_that_reads_clip_alone_needs_no_uve(tmp_path: Path) -> None:
    value = styled(document(tmp_path))
    del value["pipelines"]["p"]["components"]["image_encoder_uve"]
    write(tmp_path, value)
    with pytest.raises(RepositoryError, match="no model for image_encoder_uve"):
        load(tmp_path)
    value["models"]["image_projector"]["inputs"] = [{"name": "clip", "dtype": "FP32", "shape": [16]}]
    write(tmp_path, value)
    assert load(tmp_path).pipelines["p"].takes_style


def bare(value: dict[str, Any]) -> dict[str, Any]:
    """The document with one text encoder in its pipeline, as Stable Diffusion 1.5 has it, and no judge."""
    pipeline, denoiser = value["pipelines"]["p"], value["models"]["denoiser"]
    for role in ("text_encoder_g", "reward", "segmenter"):
        del pipeline["components"][role]
    pipeline["text"]["states"] = ["text_encoder_l"]
    denoiser["inputs"] = [each for each in denoiser["inputs"] if each["name"] != "text_embeds"]
    next(each for each in denoiser["inputs"] if each["name"] == "encoder_hidden_states")["shape"] = [-1, 4]
    return value


def test_only_what_a_pipeline_needs_is_needed(tmp_path: Path) -> None:
    value = bare(document(tmp_path))
    write(tmp_path, value)
    spec = load(tmp_path).pipelines["p"]
    assert (spec.states_roles, spec.pooled_roles, spec.max_prompt_tokens) == (("text_encoder_l",), (), 77)
    assert (spec.scores, spec.segments, spec.reward_heads) == (False, False, ()), "heads without a model are ignored"


def test_a_reward_model_that_reads_no_text_fits_every_pipeline(tmp_path: Path) -> None:
    value = bare(document(tmp_path))
    value["pipelines"]["p"]["components"]["reward"] = "reward"
    write(tmp_path, value)
    with pytest.raises(RepositoryError, match="no model for text_encoder_g"):
        load(tmp_path)
    value["models"]["reward"]["inputs"].pop()
    write(tmp_path, value)
    spec = load(tmp_path).pipelines["p"]
    assert (spec.scores, spec.reward_heads, spec.pooled_roles) == (True, ("defects",), ())


def test_pooled_embeddings_are_those_that_the_pipeline_names(tmp_path: Path) -> None:
    value = document(tmp_path)
    value["pipelines"]["p"]["text"]["pooled"] = ["text_encoder_l", "text_encoder_g"]
    value["models"]["text_encoder_l"]["outputs"].append(tensor("text_embeds", 3))
    value["models"]["denoiser"]["inputs"][-1]["shape"] = [8]
    value["models"]["reward"]["inputs"].pop()
    write(tmp_path, value)
    assert load(tmp_path).pipelines["p"].pooled_roles == ("text_encoder_l", "text_encoder_g")


def banked(value: dict[str, Any]) -> dict[str, Any]:
    """The document with a bank of two adapters in its denoiser, of which a row takes three."""
    names = {name: {"row": row, "digest": f"sha256:{name}"} for row, name in enumerate(("ink", "oil"), start=1)}
    denoiser = value["models"]["denoiser"]
    denoiser["adapters"] = {"rows": 4, "rank": 8, "slots": 3, "names": names}
    denoiser["inputs"].append({"name": "adapter", "dtype": "INT64", "shape": [3]})
    return value


def test_a_pipeline_gives_tasks_adapters_of_its_bank(tmp_path: Path) -> None:
    value = banked(document(tmp_path))
    value["pipelines"]["p"]["task_adapters"] = {"fill": {"ink": 0.5}}
    write(tmp_path, value)
    assert load(tmp_path).pipelines["p"].task_adapters == {"fill": {"ink": 0.5}}
    unfit: list[tuple[dict[str, Any], str]] = [
        ({"chalk": 1.0}, "fill has the adapter chalk, which is not in the bank"),
        ({"ink": "1"}, r"task_adapters\.fill\.ink is '1'"),
    ]
    for own, fault in unfit:
        value["pipelines"]["p"]["task_adapters"] = {"fill": own}
        write(tmp_path, value)
        with pytest.raises(RepositoryError, match=fault):
            load(tmp_path)


def test_a_bank_says_which_adapters_there_are_and_the_input_how_many_a_row_takes(tmp_path: Path) -> None:
    write(tmp_path, banked(document(tmp_path)))
    pipeline = load(tmp_path).pipelines["p"]
    assert pipeline.adapters == {"ink": AdapterSpec(1, "sha256:ink"), "oil": AdapterSpec(2, "sha256:oil")}
    assert pipeline.adapter_slots == 3
    assert pipeline.models["reward"].adapter_slots == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda denoiser: denoiser["inputs"].pop(), "denoiser has adapters, but no input adapter"),
        (lambda denoiser: denoiser["inputs"][-1].update(shape=[-1]), "no input adapter with a fixed number"),
        (lambda denoiser: denoiser["adapters"]["names"]["ink"].pop("digest"), "ink.digest is missing"),
    ],
)
def test_what_is_wrong_with_a_bank_is_named(tmp_path: Path, change: Any, words: str) -> None:
    value = banked(document(tmp_path))
    change(value["models"]["denoiser"])
    write(tmp_path, value)
    with pytest.raises(RepositoryError, match=words):
        load(tmp_path)


def test_the_default_pipeline_can_be_chosen(tmp_path: Path) -> None:
    write(tmp_path, flowing(document(tmp_path)))
    repository = load(tmp_path)
    assert repository.with_default("").default == "p"
    assert repository.with_default("q").default == "q"
    with pytest.raises(RepositoryError, match=r"BACKDROP_DEFAULT_PIPELINE is 'r'; .*pipeline.json has p, q"):
        repository.with_default("r")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["pipelines"]["p"]["components"].pop("image_projector"), "no model for image_projector"),
        (lambda d: d["models"].pop("image_encoder_uve"), "no model for image_encoder_uve"),
        (lambda d: d["models"]["denoiser"]["inputs"].pop(1), "denoiser takes no image_tokens"),
        (lambda d: d["models"]["denoiser"]["inputs"][1].update(shape=[-1, 8]), "image_tokens of no fixed shape"),
        (lambda d: d["pipelines"]["p"]["components"].pop("text_encoder_l"), "no model for text_encoder_l"),
        (lambda d: d["pipelines"]["q"]["components"].pop("text_encoder_g"), "no model for text_encoder_g"),
        (lambda d: d["pipelines"]["q"]["text"].pop("t5_max_tokens"), "t5_max_tokens"),
        (lambda d: d["pipelines"]["p"]["text"].update(states=["vae_encoder"]), "not a text encoder's role"),
        (lambda d: d["pipelines"]["p"]["text"].update(pooled=[]), "which none of its text encoders returns"),
        (lambda d: d["pipelines"]["p"]["text"].update(pooled=["text_encoder_l"]), "text_encoder_l returns no text_emb"),
        (lambda d: d["models"]["denoiser"]["inputs"][-1].update(shape=[7]), "takes text_embeds of 7 .* return 5"),
        (lambda d: d["models"]["reward"]["inputs"][-1].update(shape=[7]), "reward takes text_embeds of 7 .* return 5"),
        (lambda d: d["models"]["denoiser"]["inputs"][-2].update(shape=[-1, 12]), "states of 12 .* return 10"),
        (lambda d: d["models"]["reward"]["outputs"][0].update(shape=[3]), r"1 reward_heads, reward has \(3,\)"),
        (lambda d: d["pipelines"]["q"]["schedulers"].append("ddim"), "offers ddim; for its schedule there are flow"),
        (lambda d: d["pipelines"]["p"]["schedulers"].append("flow_euler"), "offers flow_euler"),
        (lambda d: d["pipelines"]["p"]["schedulers"].append("karras"), "offers karras"),
    ],
)
def test_what_is_wrong_with_optional_parts_is_named(tmp_path: Path, change: Any, words: str) -> None:
    value = flowing(styled(document(tmp_path)))
    change(value)
    write(tmp_path, value)
    with pytest.raises(RepositoryError, match=words):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d, f: d.update(format=2), "format 2"),
        (lambda d, f: d.update(default="q"), "'q'"),
        (lambda d, f: d["models"].pop("reward"), "no model for reward"),
        (lambda d, f: d["pipelines"]["p"].pop("schedule"), "schedule"),
        (lambda d, f: d["pipelines"]["p"]["defaults"].update(scheduler="euler"), "euler"),
        (lambda d, f: (f / "denoiser/1/model.onnx").write_bytes(b"y"), "denoiser/1/model.onnx"),
        (lambda d, f: (f / "vae_decoder/1/model.onnx").unlink(), "vae_decoder/1/model.onnx"),
    ],
)
@pytest.mark.promise("bad-model")
def test_what_is_wrong_is_named(tmp_path: Path, change: Any, words: str) -> None:
    value = document(tmp_path)
    change(value, tmp_path)
    write(tmp_path, value)
    with pytest.raises(RepositoryError, match=words):
        load(tmp_path)


@pytest.mark.promise("bad-model")
def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="not there"):
        load(tmp_path)
    (tmp_path / "pipeline.json").write_text("{")
    with pytest.raises(RepositoryError, match="not JSON"):
        load(tmp_path)


def test_what_triton_serves_is_compared(tmp_path: Path) -> None:
    write(tmp_path, document(tmp_path))
    model = load(tmp_path).pipelines["p"].models["denoiser"]
    served = ModelMetadata(model.name, model.inputs, model.outputs, 8, model.fingerprint)
    check_served(model, served)
    with pytest.raises(RepositoryError, match=r"denoiser.*sha256:other"):
        check_served(model, dataclasses.replace(served, fingerprint="sha256:other"))
    narrow = dataclasses.replace(served, inputs=(TensorSpec("image", "FP16", (3, -1, -1)), *model.inputs[1:]))
    with pytest.raises(RepositoryError, match=r"input image is .*FP16"):
        check_served(model, narrow)
    nameless = dataclasses.replace(served, outputs=())
    with pytest.raises(RepositoryError, match="output out is missing"):
        check_served(model, nameless)
