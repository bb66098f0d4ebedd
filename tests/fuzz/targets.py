"""What is fuzzed: each target runs one input, and raises if something else happens than what is documented."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.fuzz import mutators

ROOT = Path(__file__).resolve().parent.parent.parent
CORPUS = Path(__file__).resolve().parent / "corpus"
FORBIDDEN = (
    "/work",
    "/root",
    "/home",
    "/tmp",
    "/usr",
    "site-packages",
    "Traceback",
    ".py",
    "0x7f",
    "<class",
    "object at",
)
"""Parts of texts that say something about the inside of a server."""


@dataclasses.dataclass(frozen=True)
class Target:
    """One function that takes bytes of strangers.

    Attributes:
        run: raises if the outcome is not documented.
        seeds: inputs to begin with.
        shape: makes the input whole again after bytes were mutated, or mutates it by its structure.
        longest: bytes of an input.
    """

    run: Callable[[bytes], None]
    seeds: Sequence[bytes]
    shape: Callable[[bytes, int, random.Random, mutators.Bytes], bytes]
    longest: int = 4096


class UndocumentedError(AssertionError):
    """An outcome that the documentation does not have."""


def expect_clean(text: str) -> None:
    """Raises if a text that callers see says something about the inside of the server."""
    if words := [word for word in FORBIDDEN if word in text]:
        raise UndocumentedError(f"{words} in {text!r}")


def _bytes(data: bytes, most: int, _: random.Random, mutate: mutators.Bytes) -> bytes:
    return mutate(data, most)


def _json(data: bytes, most: int, rng: random.Random, mutate: mutators.Bytes) -> bytes:
    return mutators.document(data, most, rng, mutate)


def _picture(data: bytes, most: int, rng: random.Random, mutate: mutators.Bytes) -> bytes:
    return mutators.png(mutate(data, most), rng)


@contextlib.contextmanager
def refusals() -> Any:
    """Lets the contract's refusals pass, if they are of the caller's and name a field or a message."""
    from backdrop.errors import InvalidRequestError, NotFoundError

    try:
        yield
    except (InvalidRequestError, NotFoundError) as problem:
        expect_clean(problem.message)


def pictures() -> Target:
    """Files of pictures: their headers, then their pixels."""
    from backdrop.contract.pictures import decode_photo
    from backdrop.contract.raster import read_header

    def run(data: bytes) -> None:
        size = None
        with refusals():
            size = read_header(data, max_pixels=40_000, field="background.product").size
        with refusals():
            photo = decode_photo(data, max_pixels=40_000, field="background.product")
            if photo.size != size:
                raise UndocumentedError(f"the header says {size}, the pixels {photo.size}")

    return Target(run, _pictures(), _picture, 8192)


def masks() -> Target:
    """Masks for a photo of 24 × 16 pixels."""
    import numpy as np

    from backdrop.contract.masks import read_mask
    from backdrop.contract.pictures import Photo

    photo = Photo(np.zeros((16, 24, 3), np.uint8), None)

    def run(data: bytes) -> None:
        with refusals():
            read_mask(data, photo, max_pixels=40_000, task="background", picture="product")

    return Target(run, _pictures(), _picture, 4096)


def _pictures() -> Sequence[bytes]:
    """Small pictures of every format and mode, with metadata."""
    import io

    import numpy as np
    from PIL import Image

    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    seeds = []
    for kind, mode in (("PNG", "RGB"), ("PNG", "L"), ("PNG", "1"), ("PNG", "P"), ("PNG", "RGBA"), ("JPEG", "RGB"),
                       ("JPEG", "L"), ("JPEG", "CMYK"), ("WEBP", "RGB"), ("WEBP", "RGBA")):  # fmt: skip
        buffer = io.BytesIO()
        noise.convert(mode).save(buffer, kind, exif=exif)
        seeds.append(buffer.getvalue())
    deep, buffer = Image.fromarray(np.arange(384, dtype=np.uint16).reshape(16, 24) * 170), io.BytesIO()
    deep.save(buffer, "PNG")
    return [*seeds, buffer.getvalue()]


def safetensors() -> Target:
    """Headers of safetensors files."""
    from export.errors import BadFolderError
    from export.tensor_files import extents

    def run(data: bytes) -> None:
        with _file(data) as path, contextlib.suppress(BadFolderError):
            extents(path)

    def whole(header: Any, body: int) -> bytes:
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + bytes(body)

    def shape(data: bytes, most: int, rng: random.Random, mutate: mutators.Bytes) -> bytes:
        text = mutators.document(data[8:].rstrip(b"\0"), most - 8, rng, mutate)
        return (data[:8] if rng.random() < 0.1 else len(text).to_bytes(8, "little")) + text + bytes(rng.choice((0, 16)))

    tensor = {"dtype": "F16", "shape": [2, 4], "data_offsets": [0, 16]}
    two = {"__metadata__": {"format": "pt"}, "a": tensor, "b": {**tensor, "dtype": "U8", "data_offsets": [16, 24]}}
    return Target(run, [whole({"a": tensor}, 16), whole(two, 24), whole({}, 0)], shape)


@contextlib.contextmanager
def _file(data: bytes) -> Any:
    """A file of memory that holds the bytes."""
    handle, name = tempfile.mkstemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    try:
        os.write(handle, data)
        yield Path(name)
    finally:
        os.close(handle)
        Path(name).unlink()


def pipeline_json() -> Target:
    """pipeline.json."""
    from orchestrator.repository.load import read
    from orchestrator.repository.spec import RepositoryError

    def run(data: bytes) -> None:
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            return
        with contextlib.suppress(RepositoryError):
            read(content, Path("repository"))

    document = json.loads((ROOT / "triton_repo/pipeline.json").read_text())
    name = document["default"]
    models = set(document["pipelines"][name]["components"].values())
    small = document | {
        "pipelines": {name: document["pipelines"][name]},
        "models": {key: value | {"files": {}} for key, value in document["models"].items() if key in models},
    }
    return Target(run, [json.dumps(small).encode()], _json, 32_768)


def tokenizer() -> Target:
    """tokenizer.json, and prompts through what it describes."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    from orchestrator.repository import RepositoryError
    from orchestrator.repository.tokenize import PromptTokenizer

    def run(data: bytes) -> None:
        with _file(data) as path, contextlib.suppress(RepositoryError):
            PromptTokenizer(path, 12).ids("a beach at sunset")

    made = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(("<s>", "</s>", "?", "a", "beach"))}, unk_token="?")
    )
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    made.enable_padding(length=12, pad_id=1, pad_token="</s>")
    bpe = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2, "</s>": 3}, [("a", "b")], unk_token="</s>"))
    bpe.enable_padding(length=12, pad_id=3, pad_token="</s>")
    return Target(run, [made.to_str().encode(), bpe.to_str().encode()], _json)


def prompts() -> Target:
    """Prompts of any characters through the tokenizer that is served."""
    from orchestrator.repository.tokenize import PromptTokenizer

    served = PromptTokenizer(ROOT / "triton_repo/text_encoder_l/tokenizer.json", 77)

    def run(data: bytes) -> None:
        text = data.decode(errors="replace")
        if len(served.ids(text)) != 77:
            raise UndocumentedError("not padded to 77")
        served.count(text)

    return Target(run, [b"a beach at sunset", "Über 🏖️ \u0301\u202e 日本".encode(), b"a" * 300], _bytes, 512)


def configs() -> Target:
    """A scheduler's config and peft's, as a folder has them."""
    from export.errors import BadFolderError
    from export.loras.peft_config import read_config
    from export.schedule.folder import schedule_of_config

    def run(data: bytes) -> None:
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            return
        if isinstance(content, dict):
            for read in (schedule_of_config, lambda value: read_config(value, "adapter_config.json")):
                with contextlib.suppress(BadFolderError):
                    read(content)

    scheduler = {
        "_class_name": "DPMSolverMultistepScheduler", "num_train_timesteps": 1000, "beta_schedule": "scaled_linear",
        "beta_start": 0.00085, "beta_end": 0.012, "prediction_type": "epsilon", "timestep_spacing": "leading",
        "steps_offset": 1, "use_karras_sigmas": True, "rescale_betas_zero_snr": False, "trained_betas": None,
    }  # fmt: skip
    flow = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0}
    peft = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["to_q"], "rank_pattern": {"a.*": 2}}
    return Target(run, [json.dumps(each).encode() for each in (scheduler, flow, peft)], _json)


def environment() -> Target:
    """Settings: lines NAME=value, without the prefix."""
    from pydantic import ValidationError

    from orchestrator.settings import PREFIX, Settings, faults, unknown

    needed = {"BACKDROP_TRITON_ENDPOINTS": "h:1", "BACKDROP_REPOSITORY": "r"}

    def run(data: bytes) -> None:
        lines = (line.partition("=") for line in data.decode(errors="replace").replace("\0", "").split("\n"))
        values = needed | {PREFIX + name.upper(): value for name, _, value in lines if name.isidentifier()}
        before = dict(os.environ)
        try:
            with contextlib.suppress(UnicodeEncodeError):
                os.environ.update(values)
                unknown(values)
                try:
                    Settings()  # type: ignore[call-arg]
                except ValidationError as problem:
                    if any("\n" in sentence for sentence in faults(problem)):
                        raise UndocumentedError("a sentence of several lines") from None
        finally:
            os.environ.clear()
            os.environ.update(before)

    names = list(Settings.model_fields)
    urls = ("redis://:p@h:1/0", "rediss://h", "unix:///s", "dns:///h:1", "kubernetes:///a.b:1", "[::]:1", "http://h:1")
    seeds = ["\n".join(f"{name}={value}" for name in names) for value in ("1", "-1", "true", "nan", "", *urls)]
    return Target(run, [seed.encode() for seed in seeds], _lines, 2048)


def _lines(data: bytes, most: int, rng: random.Random, mutate: mutators.Bytes) -> bytes:
    lines = data.split(b"\n")
    place = rng.randrange(len(lines))
    name, sign, value = lines[place].partition(b"=")
    lines[place] = name + sign + mutate(value, 100) if sign and rng.random() < 0.8 else mutate(lines[place], 100)
    return b"\n".join(lines)[:most]


def colours() -> Target:
    """Colours of palettes, one a line."""
    from backdrop.contract.palette import read_palette

    def run(data: bytes) -> None:
        with refusals():
            palette = read_palette(data.decode(errors="replace").split("\n"))
            if not all(len(colour) == 7 and int(colour[1:], 16) >= 0 for colour in palette):
                raise UndocumentedError(str(palette))

    return Target(run, [b"#1a2b3c\nfff", b"#ABCDEF", "#１２３".encode()], _bytes, 256)


def layouts() -> Target:
    """Layouts and placements of the task background."""
    from google.protobuf.message import DecodeError

    from backdrop.contract.geometry import Size
    from backdrop.contract.layouts import read_layouts
    from backdrop.v1 import generation_service_pb2 as pb
    from backdrop.v1 import info_service_pb2 as info_pb

    limits = info_pb.Limits(max_pixels=16_000_000)

    def run(data: bytes) -> None:
        with contextlib.suppress(DecodeError):
            task = pb.BackgroundTask.FromString(data)
            for size in (None, Size(640, 480)):
                with refusals():
                    for layout in read_layouts(task, size, Size(300, 200), limits):
                        if layout.size.width < 1 or layout.size.height < 1 or layout.size.pixels > 4 * 16_000_000:
                            raise UndocumentedError(str(layout.size))

    first = pb.BackgroundTask(automatic_placements=3)
    second = pb.BackgroundTask(layouts=[pb.Layout(size=pb.Size(width=512, height=256)), pb.Layout()])
    second.placement.fit.padding = 0.1
    kind = pb.BackgroundTask
    seeds = [each.SerializeToString() for each in (first, second)]
    return Target(run, seeds, lambda *parts: mutators.message(kind, *parts))


def codec() -> Target:
    """What Redis holds, with the digest that random garbage does not have."""
    from orchestrator.cache.codec import CacheCorrupt, decode, encode, seal, unseal

    def run(data: bytes) -> None:
        for stored in (data, seal(data)):
            with contextlib.suppress(CacheCorrupt):
                decode(stored)

    import numpy as np

    arrays = encode({"a": np.zeros((2, 3), np.float32), "b": np.ones(4, np.int64)})
    return Target(run, [bytes(unseal(arrays)), arrays], _bytes)


def tokens() -> Target:
    """The metadata `authorization`: keys, and tokens of issuers."""
    import datetime

    from backdrop.contract.access import bearer_token
    from backdrop.errors import UnauthenticatedError
    from orchestrator.identity.jwts import issuer_of
    from orchestrator.identity.keys import KeyFile

    keys, now = KeyFile([]), datetime.datetime.now(datetime.UTC)

    def run(data: bytes) -> None:
        text = data.decode("latin-1")
        try:
            token = bearer_token([("authorization", text)])
            issuer_of(token or text)
            keys.caller(token or text, now)
        except UnauthenticatedError as problem:
            expect_clean(problem.message)

    jwt = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2kiLCJzdWIiOiJhIn0.c2ln"
    return Target(run, [b"Bearer bdk_shop." + b"A" * 43, b"Bearer " + jwt, jwt, b"Basic x"], _bytes, 1024)
