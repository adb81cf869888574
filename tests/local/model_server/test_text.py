"""Text as tokens arrive, and the chat template."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.model_server.errors import BadRequestError
from local_sagemaker.model_server.text import TextCodec, TextStream
from tests.local.model_server.models import random_model, write_model


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), *random_model())


@pytest.fixture(scope="module")
def codec(directory: Path) -> TextCodec:
    return TextCodec(directory)


def stream(codec: TextCodec, text: str | bytes, stop: tuple[str, ...]) -> tuple[list[str], TextStream]:
    """Push the bytes of a text one by one, as a server would; the model's tokens are bytes."""
    tokens = [3 + byte for byte in (text.encode() if isinstance(text, str) else text)]
    streamed = TextStream(codec, stop)
    pieces = []
    for position, token in enumerate(tokens):
        streamed.push(token)
        last = position == len(tokens) - 1
        if last:
            streamed.finish()
        pieces.append(streamed.take(final=last))
        if streamed.stopped_by is not None:
            break
    return pieces, streamed


def test_half_a_character_is_held_back(codec: TextCodec) -> None:
    pieces, _ = stream(codec, "a€b", ())
    assert pieces == ["a", "", "", "€", "b"]


def test_text_cut_within_a_character_ends_with_a_replacement(codec: TextCodec) -> None:
    pieces, _ = stream(codec, "a€".encode()[:-1], ())
    assert "".join(pieces) == "a\N{REPLACEMENT CHARACTER}"


def test_what_may_begin_a_stop_string_is_held_back_until_it_does_not(codec: TextCodec) -> None:
    pieces, streamed = stream(codec, "xEN!END", ("END",))
    assert pieces == ["x", "", "", "EN!", "", "", ""]
    assert streamed.stopped_by == "END"


@given(
    text=st.text("ab€\N{GRINNING FACE}", max_size=12),
    stop=st.lists(st.text("ab€", min_size=1, max_size=3), max_size=3),
)
def test_streamed_pieces_are_the_text_up_to_the_first_stop_string(
    codec: TextCodec, text: str, stop: list[str]
) -> None:
    pieces, streamed = stream(codec, text, tuple(stop))
    # The stop string that is complete first wins.
    ends = [(text.find(each) + len(each), text.find(each), each) for each in stop if each in text]
    expected = text[: min(ends)[1]] if ends else text
    assert "".join(pieces) == expected
    assert (streamed.stopped_by is not None) == bool(ends)


def codec_with(directory: Path, tmp_path: Path, template: str | None, **settings: object) -> TextCodec:
    (tmp_path / "tokenizer.json").write_bytes((directory / "tokenizer.json").read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    if template is not None:
        (tmp_path / "chat_template.jinja").write_text(template)
    return TextCodec(tmp_path)


MESSAGES = [{"role": "user", "content": "hi"}]
TEMPLATE = (
    "{% for m in messages %}\n  {{ bos_token + m['role'] + ':' + m['content'] }}{% endfor %}\n"
    "{% if add_generation_prompt %}!{% endif %}"
)


def test_template_is_rendered_as_transformers_renders_it(directory: Path, tmp_path: Path) -> None:
    codec = codec_with(directory, tmp_path, TEMPLATE, bos_token="<s>")
    assert codec.decode(codec.encode_chat(MESSAGES)) == "  <s>user:hi!"
    assert codec.encode_chat(MESSAGES)[2] == 1, "special tokens in a template are tokens"


def test_template_may_stand_in_the_tokenizer_settings(directory: Path, tmp_path: Path) -> None:
    settings = {"chat_template": TEMPLATE, "bos_token": {"content": "<s>"}}
    codec = codec_with(directory, tmp_path, None, **settings)
    assert codec.decode(codec.encode_chat(MESSAGES)) == "  <s>user:hi!"


def test_template_may_refuse_messages(directory: Path, tmp_path: Path) -> None:
    codec = codec_with(directory, tmp_path, "{{ raise_exception('roles must alternate') }}")
    with pytest.raises(BadRequestError, match="the chat template refuses the messages: roles must alternate"):
        codec.encode_chat(MESSAGES)


def test_template_runs_in_a_sandbox(directory: Path, tmp_path: Path) -> None:
    codec = codec_with(directory, tmp_path, "{{ ''.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(BadRequestError, match="access to attribute '__class__' of 'str' object is unsafe"):
        codec.encode_chat(MESSAGES)


def test_model_without_template_takes_no_chat(codec: TextCodec) -> None:
    with pytest.raises(BadRequestError, match="the model has no chat template"):
        codec.encode_chat(MESSAGES)
