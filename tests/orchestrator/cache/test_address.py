"""Which addresses are Redis; what is wrong with one is said without the password in it."""

from __future__ import annotations

import pytest

from orchestrator.cache.address import check_url


@pytest.mark.parametrize("url", ["redis://h", "rediss://:p%23w@h:1/3", "unix:///run/redis.sock", "redis://u:p@[::1]:1"])
def test_urls_of_one_server_are_taken(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:SEC#RET@host:6379",  # read as the port "SEC"
        "redis://:SEC/RET@host:6379/0",  # read as the path "/RET@host…"
        "redis://:SEC?RET@host:6379/0",
        "redis://:SEC[RET@host:6379/0",
        "redis://:SECRET@host:6379/zero",
        "redis://:SECRET@host:6379/0?socket_timeout=never",
        "http://:SECRET@host",
    ],
)
def test_the_password_of_a_wrong_url_stays_out_of_the_message(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        check_url(url)
    assert not any(part in str(caught.value) for part in ("SEC", "RET"))
