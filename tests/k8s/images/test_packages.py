"""Builds take packages from where this machine's pip takes them, and the image keeps nothing of that."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from tests.k8s.images import packages

LISTED = """\
:env:.find-links='/elsewhere'
:env:.disable-pip-version-check='1'
global.find-links='/wheels'
global.index-url='https://user:secret@index.invalid/simple'
global.constraint='/etc/constraints.txt'
global.extra-index-url='file://{index}/simple\\nhttps://other.invalid/simple'
"""


def test_a_variable_wins_over_a_file_and_other_settings_stay_out() -> None:
    settings = packages.settings(LISTED)
    assert settings["find-links"] == "/elsewhere"
    assert settings.keys() == {"find-links", "index-url", "extra-index-url"}


def test_the_build_mounts_the_configuration_and_what_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index" / "simple").mkdir(parents=True)
    listed = LISTED.format(index=tmp_path / "index") + f"global.cert='{tmp_path / 'authorities.pem'}'\n"
    (tmp_path / "authorities.pem").touch()
    monkeypatch.setattr(packages, "listed", lambda: listed)
    mounts = dict(packages.write(tmp_path))
    # The pages of a local index link to files next to it. /elsewhere does not exist.
    assert mounts == {
        tmp_path / "pip.conf": "/etc/pip.conf",
        tmp_path / "authorities.pem": str(tmp_path / "authorities.pem"),
        tmp_path / "index": str(tmp_path / "index"),
    }
    written = configparser.RawConfigParser()
    written.read(tmp_path / "pip.conf")
    assert written["global"]["extra-index-url"] == f"file://{tmp_path}/index/simple https://other.invalid/simple"


def test_certificates_of_the_system_are_used_without_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authorities = tmp_path / "authorities.pem"
    authorities.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    monkeypatch.setattr(packages, "listed", lambda: "")
    assert dict(packages.write(tmp_path))[authorities] == str(authorities)
