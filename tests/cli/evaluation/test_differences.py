"""What differs between two texts."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters_cli.evaluation.differences import Piece, differences, tokens

texts = st.text(alphabet="ab é\u0301नम\u200d中文,.\n👍🏽", max_size=24)


def test_words_that_changed_are_removed_and_added_with_the_space_between_them() -> None:
    assert differences("a big red problem", "a small blue problem") == [
        Piece("same", "a "),
        Piece("removed", "big red"),
        Piece("added", "small blue"),
        Piece("same", " problem"),
    ]


@pytest.mark.parametrize(
    ("left", "right", "added"),
    [
        ("我要退款", "我要换货", "换货"),
        ("返金してください", "交換してください", "交換"),
        ("اريد استرداد المبلغ", "اريد استبدال المبلغ", "استبدال"),
        ("मुझे धनवापसी चाहिए", "मुझे विनिमय चाहिए", "विनिमय"),
    ],
    ids=["chinese", "japanese", "arabic", "hindi"],
)
def test_words_of_any_script_are_compared(left: str, right: str, added: str) -> None:
    assert [piece.text for piece in differences(left, right) if piece.kind == "added"] == [added]


@pytest.mark.parametrize("whole", ["धनवापसी", "e\u0301te\u0301", "👍🏽", "👩\u200d🔧", "❤\ufe0f"])
def test_what_a_reader_sees_as_one_is_not_split(whole: str) -> None:
    assert tokens(f"{whole} {whole}") == [whole, " ", whole]


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(left=texts, right=texts)
def test_the_pieces_are_both_texts(left: str, right: str) -> None:
    pieces = differences(left, right)

    assert "".join(piece.text for piece in pieces if piece.kind != "added") == left
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == right
    assert all(one.kind != other.kind for one, other in pairwise(pieces))


def test_long_texts_take_no_long_time() -> None:
    left = " ".join(f"word{number % 97}" for number in range(20_000))
    right = " ".join(f"word{number % 89}" for number in range(20_000))

    begun = time.perf_counter()
    pieces = differences(left, right)

    assert time.perf_counter() - begun < 5
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == right
