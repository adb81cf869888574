"""Text as tokens arrive, the chat template, and the choice of tokens."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.model_server.errors import BadRequestError
from local_sagemaker.model_server.sampling import Sampler, Sampling
from local_sagemaker.model_server.text import TextCodec, TextStream
from tests.local.model_server.models import random_model, write_model


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), *random_model())


@pytest.fixture(scope="module")
def codec(directory: Path) -> TextCodec:
    return TextCodec(directory)


def stream(codec: TextCodec, tokens: list[int], *stop: str) -> tuple[list[str], TextStream]:
    """Push tokens one by one, as a server would."""
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


def test_half_a_character_is_held_back_and_replaced_at_the_end(codec: TextCodec) -> None:
    assert stream(codec, codec.encode("a€b"))[0] == ["a", "", "", "€", "b"]
    pieces, _ = stream(codec, codec.encode("a€")[:-1])
    assert "".join(pieces) == "a\N{REPLACEMENT CHARACTER}"


def test_what_may_begin_a_stop_string_is_held_back_until_it_does_not(codec: TextCodec) -> None:
    pieces, streamed = stream(codec, codec.encode("xEN!END"), "END")
    assert pieces == ["x", "", "", "EN!", "", "", ""]
    assert streamed.stopped_by == "END"


@given(
    text=st.text("ab€\N{GRINNING FACE}", max_size=12),
    stop=st.lists(st.text("ab€", min_size=1, max_size=3), max_size=3),
)
def test_streamed_pieces_are_the_text_up_to_the_first_stop_string(
    codec: TextCodec, text: str, stop: list[str]
) -> None:
    pieces, streamed = stream(codec, codec.encode(text), *stop)
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


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('no') }}", "the chat template refuses the messages: no"),
        ("{{ ''.__class__.__mro__ }}", "access to attribute '__class__' of 'str' object is unsafe"),
        (None, "the model has no chat template"),
    ],
)
def test_template_may_refuse_messages_runs_in_a_sandbox_and_has_to_be_there(
    directory: Path, tmp_path: Path, template: str | None, message: str
) -> None:
    with pytest.raises(BadRequestError, match=message):
        codec_with(directory, tmp_path, template).encode_chat(MESSAGES)


# Probabilities of about 0.64, 0.24, 0.09, 0.03 for the tokens 2, 0, 3, 1.
LOGITS = np.array([2.0, 0.0, 3.0, 1.0], np.float32)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum()


def drawn(draws: int = 4000, **settings: Any) -> dict[int, float]:
    sampler = Sampler(Sampling(**{"seed": 0, **settings}))
    counts = Counter(sampler.choose(LOGITS) for _ in range(draws))
    return {token: count / draws for token, count in counts.items()}


def test_temperature_flattens_or_sharpens_and_zero_takes_the_likeliest() -> None:
    assert drawn() == pytest.approx(dict(enumerate(PROBABILITIES)), abs=0.03)
    assert drawn(temperature=0) == {2: 1.0}
    assert drawn(temperature=0.5)[2] > drawn()[2] + 0.1
    assert drawn(temperature=3)[2] < drawn()[2] - 0.1


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    assert set(drawn(top_p=0.6)) == {2}
    assert set(drawn(top_p=0.7)) == {2, 0}
    assert set(drawn(top_p=0.9)) == {2, 0, 3}
    assert set(drawn(top_p=0)) == {2}
    assert drawn(top_p=0.7)[0] == pytest.approx(PROBABILITIES[0] / PROBABILITIES[[0, 2]].sum(), abs=0.03)


def test_top_k_keeps_the_likeliest_k() -> None:
    assert set(drawn(top_k=1)) == {2}
    assert set(drawn(top_k=3)) == {2, 0, 3}


def test_seed_decides_the_tokens() -> None:
    def tokens(seed: int | None) -> list[int]:
        sampler = Sampler(Sampling(seed=seed))
        return [sampler.choose(LOGITS) for _ in range(50)]

    assert tokens(1) == tokens(1)
    assert tokens(1) != tokens(2)
    assert tokens(None) != tokens(None)
