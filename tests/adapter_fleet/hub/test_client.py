"""The hub's client, against a stand-in on loopback."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Iterator

import pytest

from adapter_fleet.hub.client import PIECE_BYTES, Hub, HubBusyError, HubError
from adapter_fleet.hub.files import ModelFile
from tests.hub import COMMIT, File, Generated, HubStandIn, Stored, small_model

MODEL, TOKEN = "acme/tiny", "hf_secret"
SIZE = 3_000_000


@pytest.fixture
def standin() -> Iterator[HubStandIn]:
    with HubStandIn(MODEL, small_model(model=File(Generated(SIZE, 1)))) as running:
        yield running


@pytest.fixture
def private() -> Iterator[HubStandIn]:
    with HubStandIn(MODEL, small_model(), token=TOKEN) as running:
        yield running


def hub(standin: HubStandIn, token: str | None = None) -> Hub:
    return Hub(standin.url, token=token, sleep=lambda _: None)


def file_of(standin: HubStandIn, path: str = "model.safetensors") -> ModelFile:
    (found,) = [
        file for file in hub(standin, standin.token).revision(MODEL, COMMIT).files if file.path == path
    ]
    return found


def read(client: Hub, file: ModelFile, start: int = 0, size: int | None = None) -> bytes:
    size = file.size if size is None else size
    return client.read(MODEL, COMMIT, file, start=start, size=size).getvalue()


def content(standin: HubStandIn, start: int, end: int) -> bytes:
    return b"".join(standin.files["model.safetensors"].content.read(start, end))


def test_branch_is_resolved_to_its_commit(standin: HubStandIn) -> None:
    found = hub(standin).revision(MODEL, "main")
    assert found.commit == COMMIT
    assert {file.path for file in found.files} == standin.files.keys()


def test_digests_are_those_of_lfs_and_of_git(standin: HubStandIn) -> None:
    assert file_of(standin).digest.startswith("sha256:")
    assert file_of(standin, "config.json").digest.startswith("git-sha1:")


def test_range_is_read_past_the_redirect(standin: HubStandIn) -> None:
    assert read(hub(standin), file_of(standin), 1_000_001, 999) == content(standin, 1_000_001, 1_001_000)


def test_file_in_git_is_read_from_the_hub_itself(private: HubStandIn) -> None:
    assert read(hub(private, TOKEN), file_of(private, "config.json")) == b'{"model_type": "llama"}'


def test_empty_file_is_nothing_to_read(standin: HubStandIn) -> None:
    assert read(hub(standin), ModelFile(path="vocab.txt", size=0, digest="")) == b""


def test_failures_are_asked_again(standin: HubStandIn) -> None:
    file = file_of(standin)
    standin.files[file.path].fails, standin.busy = 2, 1
    assert read(hub(standin), file, 0, 100) == content(standin, 0, 100)


def test_what_was_cut_off_goes_on_where_it_ended(standin: HubStandIn) -> None:
    file = file_of(standin)
    standin.files[file.path].cut_at = [1_200_000, 2_500_000]
    assert read(hub(standin), file) == content(standin, 0, SIZE)
    assert SIZE <= sum(standin.ranges.values()) <= SIZE + 2 * PIECE_BYTES


def test_hub_that_stays_away_is_busy(standin: HubStandIn) -> None:
    file = file_of(standin)
    standin.files[file.path].fails = 1000
    with pytest.raises(HubBusyError, match=r"the hub answered 503 for 'model\.safetensors'"):
        read(hub(standin), file)


def test_nobody_there_is_busy() -> None:
    with pytest.raises(HubBusyError, match=r"'127\.0\.0\.1' cannot be reached"):
        Hub("http://127.0.0.1:9", sleep=lambda _: None).revision(MODEL, "main")


def test_hub_that_asks_for_a_pause_gets_it(standin: HubStandIn) -> None:
    waits: list[float] = []
    standin.busy = 1
    Hub(standin.url, sleep=waits.append).revision(MODEL, "main")
    assert waits == [0.01]


def test_size_that_is_not_as_listed_is_not_taken(standin: HubStandIn) -> None:
    wrong = ModelFile(path="model.safetensors", size=SIZE - 1, digest="")
    with pytest.raises(HubBusyError, match=f"should send 'bytes 0-9/{SIZE - 1}'"):
        read(hub(standin), wrong, 0, 10)


def test_token_goes_to_no_other_host(private: HubStandIn) -> None:
    assert len(read(hub(private, TOKEN), file_of(private))) == 700
    assert private.strangers == []


def test_gated_model_without_a_token(private: HubStandIn) -> None:
    private.gated = True
    with pytest.raises(HubError, match=r"'acme/tiny' is gated: accept its licence .* and give a token"):
        hub(private).revision(MODEL, "main")


def test_licence_that_is_not_accepted(private: HubStandIn) -> None:
    file = file_of(private)
    private.gated = True
    with pytest.raises(HubError, match=f"not accepted: do so at {re.escape(private.url)}/{MODEL}"):
        read(hub(private, TOKEN), file)


def test_what_the_hub_says_does_not_repeat_the_token(
    private: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    private.forbidden = True
    monkeypatch.setattr(private, "reason", f"{TOKEN} lacks the permission")
    with pytest.raises(HubError, match=r"to the token: \*\*\* lacks the permission"):
        hub(private, TOKEN).revision(MODEL, "main")


SECRETS = {
    "json": '{\n "token": "hf_SECRET"\n}',
    "zero-width space": "hf_SECRET\u200b",
    "two lines": "hf_SECRET\nhf_SECRET",
    "nothing": " \n",
}


@pytest.mark.parametrize("token", SECRETS.values(), ids=SECRETS)
def test_token_that_no_header_can_hold_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(HubError, match="should be printable ASCII without spaces") as caught:
        Hub("http://127.0.0.1:9", token=token)
    told = [str(caught.value), repr(caught.value), *traceback.format_exception(caught.value, chain=True)]
    # The lines of this file name no token but by variable.
    assert "hf_SECRET" not in "".join(told)
    assert caught.value.__context__ is None


def test_space_around_a_token_is_not_of_it(private: HubStandIn) -> None:
    assert hub(private, f" {TOKEN}\n").revision(MODEL, "main").commit == COMMIT


@pytest.mark.parametrize("ask", ["revision", "read"])
def test_header_that_the_http_library_refuses_is_not_repeated(
    standin: HubStandIn, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    client, file = hub(standin, TOKEN), file_of(standin)

    def refuse(*_: object, headers: dict[str, str], **__: object) -> None:
        raise ValueError(f"Invalid header value {headers['Authorization']!r}")

    monkeypatch.setattr(client._http, "request", refuse)
    with pytest.raises(HubError, match="cannot be asked for: ValueError") as caught:
        client.revision(MODEL, "main") if ask == "revision" else read(client, file)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_wrong_token(private: HubStandIn) -> None:
    with pytest.raises(HubError, match="the hub does not know the token, or no longer"):
        hub(private, "hf_other").revision(MODEL, "main")


def test_private_model_without_a_token(private: HubStandIn) -> None:
    with pytest.raises(HubError, match=r"has no model .* or it is private: there is no token \(401"):
        hub(private).revision(MODEL, "main")


def test_token_that_may_not_read(private: HubStandIn) -> None:
    private.forbidden = True
    with pytest.raises(HubError, match=r"forbids .* to the token: The token lacks the permission \(403\)"):
        hub(private, TOKEN).revision(MODEL, "main")


def test_model_that_is_not_there(private: HubStandIn) -> None:
    with pytest.raises(HubError, match="has no model 'acme/other', or it is private: the token may"):
        hub(private, TOKEN).revision("acme/other", "main")


def test_revision_that_is_not_there(standin: HubStandIn) -> None:
    with pytest.raises(HubError, match=r"the hub has no 'acme/tiny' at revision 'v9' \(404 Revision"):
        hub(standin).revision(MODEL, "v9")


def test_file_that_is_not_there(standin: HubStandIn) -> None:
    with pytest.raises(HubError, match=r"the hub does not find 'vocab\.txt' of 'acme/tiny'"):
        read(hub(standin), ModelFile(path="vocab.txt", size=1, digest=""))


def test_expired_signature_is_tried_again(standin: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    file, signed = file_of(standin), standin.cdn_url
    urls = iter([signed("model.safetensors").replace("signed", "expired")])
    monkeypatch.setattr(standin, "cdn_url", lambda path: next(urls, signed(path)))
    assert read(hub(standin), file, 0, 10) == content(standin, 0, 10)


def test_listing_that_is_cut_off_is_asked_for_again(standin: HubStandIn) -> None:
    standin.cut_listings = 2
    assert hub(standin).revision(MODEL, "main").commit == COMMIT


def test_listing_that_is_always_cut_off_is_busy(standin: HubStandIn) -> None:
    standin.cut_listings = 1000
    with pytest.raises(HubBusyError, match="the connection for 'acme/tiny' at revision 'main' broke"):
        hub(standin).revision(MODEL, "main")
    assert standin.cut_listings == 995


@pytest.mark.parametrize("listing", ["[]", "{}", "no JSON", '{"sha": "x", "siblings": ["y"]}'])
def test_listing_of_another_form_is_an_error(
    standin: HubStandIn, monkeypatch: pytest.MonkeyPatch, listing: str
) -> None:
    monkeypatch.setattr(json, "dumps", lambda _: listing)
    with pytest.raises(HubError, match="listing of 'acme/tiny' at revision 'main' is not as expected"):
        hub(standin).revision(MODEL, "main")


def test_redirect_to_what_is_no_url_is_an_error(standin: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_of(standin)
    monkeypatch.setattr(standin, "cdn_url", lambda _: "http://h:99999/")
    with pytest.raises(HubError, match="to what is no URL"):
        read(hub(standin), file)


def test_listing_that_is_none_is_an_error(standin: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    standin.branches["main"] = "no commit"
    with pytest.raises(HubError, match="should name a commit, got 'no commit'"):
        hub(standin).revision(MODEL, "main")


def test_path_with_odd_characters_is_quoted(standin: HubStandIn) -> None:
    odd = "model+a=b@c.safetensors"
    standin.files[odd] = File(Stored(b"odd"))
    assert read(hub(standin), file_of(standin, odd)) == b"odd"
