"""Signed repositories: what is unsigned, changed, unlisted or by another key is refused by name, with what to do."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minisign
import pytest

from orchestrator.repository import PublicKeys, RepositoryError, load, load_published, store
from orchestrator.repository.published import MARK
from orchestrator.repository.signed import SIGNATURE
from tests.orchestrator.repository.test_repository import document, write

# Made by minisign 0.11: `minisign -G -W`, `minisign -S -W [-l] -t COMMENT`.
PROGRAM_KEY = "RWSddBBGxb9qFGVj3tI1B275Ze9YODcDdcNR3HELw7Sa0lGgcZNbo0KR"
PROGRAM_KEY_ID = "146ABFC54610749D"
PROGRAM_DOCUMENT = b'{"format": 1}\n'
HASHED = b"""untrusted comment: signature from minisign secret key
RUSddBBGxb9qFPPlx7SJRPiJ2E4oFWf3xt/aSZ3w5mwRCL16kJuDo6KqxfKdTFqiYoytyw+cTyhzvgQBYBbuPLndZsddnpcahgA=
trusted comment: release 7
zIauYcroz5BkOC0ES3QBNGgDb6Y1nPcceI4p7SGxWp930r/3esrWtKTwxchjL5OyYMMhXIVKaTNEKe3GjzEqBw==
"""
LEGACY = b"""untrusted comment: signature from minisign secret key
RWSddBBGxb9qFJcwNGyk86VStY5qNubZY98TzW0f/aI9VW3z+AAxI+wTjG1JAj17/m3TLLrw7zulmlxyeW3lMoHUZCVv9bWTQAE=
trusted comment: release 7 legacy
yNl+7GxKwCGDitChCxdL7fVp+uwnuzARhcachVJ0EHXj5BzGBrnBtAXlX9SbtYYoK2TdJwOjx1qYPthSsdkbAw==
"""


@dataclasses.dataclass
class Signed:
    """A repository, and a key that has signed it."""

    folder: Path
    pair: minisign.KeyPair
    keys_file: Path

    @property
    def keys(self) -> PublicKeys:
        return PublicKeys.read(self.keys_file)

    def sign(self, pair: minisign.KeyPair | None = None, **options: Any) -> None:
        signature = (pair or self.pair).secret_key.sign((self.folder / "pipeline.json").read_bytes(), **options)
        (self.folder / SIGNATURE).write_bytes(bytes(signature))

    def change(self, edit: Callable[[dict[str, Any]], object]) -> None:
        value = json.loads((self.folder / "pipeline.json").read_text())
        edit(value)
        write(self.folder, value)


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    folder, pair = tmp_path / "source", minisign.KeyPair.generate()
    folder.mkdir()
    write(folder, document(folder))
    keys = tmp_path / "keys.pub"
    keys.write_bytes(bytes(pair.public_key) + b"\n")
    result = Signed(folder, pair, keys)
    result.sign(trusted_comment="release 7")
    return result


@pytest.mark.parametrize(("signature", "comment"), [(HASHED, "release 7"), (LEGACY, "release 7 legacy")])
def test_both_kinds_of_the_program_minisign_are_taken(tmp_path: Path, signature: bytes, comment: str) -> None:
    file = tmp_path / "keys.pub"
    file.write_text(f"untrusted comment: minisign public key {PROGRAM_KEY_ID}\n{PROGRAM_KEY}\n")
    keys = PublicKeys.read(file)
    assert keys.expect_signed(PROGRAM_DOCUMENT, signature, "s3://models") == f"signed by {PROGRAM_KEY_ID}: {comment}"
    with pytest.raises(RepositoryError, match=r"s3://models/pipeline\.json\.minisig does not match"):
        keys.expect_signed(PROGRAM_DOCUMENT + b" ", signature, "s3://models")


def test_a_signed_repository_loads_and_says_by_whom(signed: Signed) -> None:
    assert load(signed.folder, keys=signed.keys).signature.endswith(": release 7")
    assert load(signed.folder).signature == ""


def test_a_missing_signature(signed: Signed) -> None:
    (signed.folder / SIGNATURE).unlink()
    with pytest.raises(RepositoryError, match=r"source/pipeline\.json\.minisig is not there, .*`python -m export sign"):
        load(signed.folder, keys=signed.keys)


def test_something_that_is_no_signature(signed: Signed) -> None:
    (signed.folder / SIGNATURE).write_bytes(b"signed, the management\n")
    with pytest.raises(RepositoryError, match=r"minisig is no signature of minisign: .*; sign the repository"):
        load(signed.folder, keys=signed.keys)


def test_a_key_that_is_not_in_the_file(signed: Signed) -> None:
    signed.sign(minisign.KeyPair.generate())
    with pytest.raises(RepositoryError, match=r"is by the key [0-9A-F]{16}, and .*keys\.pub has [0-9A-F]{16}; add"):
        load(signed.folder, keys=signed.keys)


def test_another_key_with_the_number_of_a_known_one(signed: Signed) -> None:
    pair = minisign.KeyPair.generate()
    pair.secret_key._keynum_sk.key_id[:] = signed.pair.secret_key._keynum_sk.key_id
    signed.sign(pair)
    with pytest.raises(RepositoryError, match="does not match"):
        load(signed.folder, keys=signed.keys)


def test_a_changed_pipeline_json(signed: Signed) -> None:
    signed.change(lambda value: value["pipelines"]["p"].update(description="another"))
    with pytest.raises(RepositoryError, match=r"pipeline\.json or the trusted comment was changed after the key"):
        load(signed.folder, keys=signed.keys)


def test_a_changed_trusted_comment(signed: Signed) -> None:
    file = signed.folder / SIGNATURE
    file.write_bytes(file.read_bytes().replace(b"release 7", b"release 8"))
    with pytest.raises(RepositoryError, match="the trusted comment was changed"):
        load(signed.folder, keys=signed.keys)


def test_nothing_is_parsed_before_the_signature_was_checked(signed: Signed) -> None:
    (signed.folder / "pipeline.json").write_text("[" * 100_000)
    with pytest.raises(RepositoryError, match="does not match"):
        load(signed.folder, keys=signed.keys)


@pytest.mark.parametrize("name", ["denoiser/1/extra.bin", "denoiser/2/model.onnx", "another/config.pbtxt"])
def test_a_file_that_is_not_in_the_list(signed: Signed, name: str) -> None:
    (signed.folder / name).parent.mkdir(parents=True, exist_ok=True)
    (signed.folder / name).write_bytes(b"x")
    with pytest.raises(RepositoryError, match=rf"{name} is not in the signed pipeline\.json; remove it"):
        load(signed.folder, keys=signed.keys)
    load(signed.folder)


def test_a_link_to_a_model_elsewhere(signed: Signed, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (signed.folder / "another").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RepositoryError, match="source/another is not in the signed"):
        load(signed.folder, keys=signed.keys)


def test_files_at_the_top_and_versions_before_are_no_strangers(signed: Signed) -> None:
    (signed.folder / "README.md").write_text("ours")
    (signed.folder / "denoiser" / "2").mkdir()
    (signed.folder / "denoiser" / "2" / "model.onnx").write_bytes(b"y")
    previous = {"2": {"files": {"2/model.onnx": "sha256:…"}}}
    signed.change(lambda value: value["models"]["denoiser"].update(previous=previous))
    signed.sign()
    load(signed.folder, keys=signed.keys)


def test_a_changed_file(signed: Signed) -> None:
    (signed.folder / "denoiser" / "1" / "model.onnx").write_bytes(b"y")
    with pytest.raises(RepositoryError, match=r"denoiser/1/model\.onnx has sha256:"):
        load(signed.folder, keys=signed.keys)


def test_a_mark_does_not_vouch_for_what_the_orchestrator_reads(signed: Signed, tmp_path: Path) -> None:
    tokenizer = signed.folder / "text_encoder_l" / "tokenizer.json"
    tokenizer.write_bytes(b"x")
    listed = next(
        iter(json.loads((signed.folder / "pipeline.json").read_text())["models"]["denoiser"]["files"].values())
    )
    signed.change(lambda value: value["models"]["text_encoder_l"]["files"].update({"tokenizer.json": listed}))
    signed.sign()
    target = tmp_path / "repository"
    store.publish(str(signed.folder), target, signed.keys)
    (target / "text_encoder_l" / "tokenizer.json").write_bytes(b"y")
    assert load(target).pipelines, "the size is as it was"
    with pytest.raises(RepositoryError, match=r"text_encoder_l/tokenizer\.json has sha256:"):
        load(target, keys=signed.keys)


@pytest.mark.parametrize("source", ["folder", "url"])
def test_publishing_refuses_before_it_copies(
    signed: Signed, tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = tmp_path / "store"
    volume.mkdir()
    origin = str(signed.folder) if source == "folder" else signed.folder.as_uri()
    arguments = ["publish", "--from", origin, "--to", str(volume / "repository"), "--keys", str(signed.keys_file)]
    signature = (signed.folder / SIGNATURE).read_bytes()
    (signed.folder / SIGNATURE).unlink()
    assert store.main(arguments) == 1
    assert "pipeline.json.minisig is not there" in capsys.readouterr().err
    assert list(volume.iterdir()) == []
    (signed.folder / SIGNATURE).write_bytes(signature)
    assert store.main(arguments) == 0
    check = ["check", "--at", str(volume / "repository"), "--keys", str(signed.keys_file), "--digests"]
    assert store.main(check) == 0
    assert capsys.readouterr().out.rstrip().endswith(": release 7")
    (volume / "repository" / MARK).unlink()
    (volume / "repository" / "denoiser" / "1" / "model.onnx").write_bytes(b"y")
    assert store.main(check) == 1
    assert "model.onnx has sha256:" in capsys.readouterr().err


def test_publishing_from_a_folder_takes_nothing_that_is_not_listed(signed: Signed, tmp_path: Path) -> None:
    (signed.folder / "another").mkdir()
    (signed.folder / "another" / "config.pbtxt").write_text("")
    with pytest.raises(RepositoryError, match=r"another/config\.pbtxt is not in the signed"):
        store.publish(str(signed.folder), tmp_path / "repository", signed.keys)
    assert not (tmp_path / "repository").exists()


def test_a_rotation_of_keys_needs_no_new_models(signed: Signed, tmp_path: Path) -> None:
    target, new = tmp_path / "repository", minisign.KeyPair.generate()
    store.publish(str(signed.folder), target, signed.keys)
    signed.keys_file.write_bytes(signed.keys_file.read_bytes() + bytes(new.public_key) + b"\n")
    assert load(target, keys=signed.keys).signature, "the new key is added first"
    signed.sign(new)
    assert store.publish(str(signed.folder), target, signed.keys) == f"{target} is there already"
    signed.keys_file.write_bytes(bytes(new.public_key))
    assert load(target, keys=signed.keys).signature, "then the old one is withdrawn"
    signed.keys_file.write_bytes(bytes(signed.pair.public_key))
    with pytest.raises(RepositoryError, match="is by the key"):
        load(target, keys=signed.keys)


def test_a_signature_may_come_after_publishing(signed: Signed, tmp_path: Path) -> None:
    target, signature = tmp_path / "repository", (signed.folder / SIGNATURE).read_bytes()
    (signed.folder / SIGNATURE).unlink()
    store.publish(str(signed.folder), target)
    (signed.folder / SIGNATURE).write_bytes(signature)
    store.publish(signed.folder.as_uri(), target, signed.keys)
    assert load(target, keys=signed.keys).signature


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("untrusted comment: none yet\n", "holds no public key"),
        ("RWS!\n", "line 1: no public key of minisign"),
        (None, r"keys\.pub cannot be read: No such file"),
    ],
)
def test_a_file_without_good_keys_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "keys.pub"
    if content is not None:
        file.write_text(content)
    with pytest.raises(RepositoryError, match=message):
        PublicKeys.read(file)


async def test_the_orchestrator_asks_for_the_signature(signed: Signed) -> None:
    assert (await load_published(signed.folder, 0, signed.keys)).signature
    (signed.folder / SIGNATURE).unlink()
    with pytest.raises(RepositoryError, match="is not there, and"):
        await load_published(signed.folder, 0, signed.keys)
