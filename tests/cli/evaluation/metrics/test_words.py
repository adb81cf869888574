import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters_cli.evaluation.metrics.words import words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't re-send snake_case 3.5%!", ["don", "t", "re", "send", "snake", "case", "3", "5"]),
        ("Die Straße im CAFÉ", ["die", "strasse", "im", "café"]),
        ("naïve nai\u0308ve \N{CEDILLA}", ["naïve", "naïve"]),
        ("Заказ доставили", ["заказ", "доставили"]),
        ("वह हिन्दी बोलती है।", ["वह", "हिन्दी", "बोलती", "है"]),
        ("می\u200cخواهم", ["میخواهم"]),  # noqa: RUF001
        ("שָׁלוֹם עולם", ["שָׁלוֹם", "עולם"]),
        ("주문한 물건", ["주문한", "물건"]),
        ("我的订单到了。", ["我", "的", "订", "单", "到", "了"]),
        ("iPhone15を買う", ["iphone15", "を", "買", "う"]),
        ("ｶﾀｶﾅ コーヒー", ["カ", "タ", "カ", "ナ", "コ", "ー", "ヒ", "ー"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("ขอบคุณ OK", ["ข", "อ", "บ", "คุ", "ณ", "ok"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("Great 👍🏽 job", ["great", "👍", "job"]),
        ("ﬁne １２ Ⅳ", ["fine", "12", "iv"]),  # noqa: RUF001
        ("soft\u00adware zero\u200bwidth", ["software", "zero", "width"]),
        ("", []),
        (" …!? ", []),
    ],
)
def test_words_are_those_of_the_script(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text())
def test_words_do_not_depend_on_the_form_of_a_text(text: str) -> None:
    words = words_of(text)
    assert words_of(unicodedata.normalize("NFD", text)) == words
    assert words_of(f" {text}\n") == words
    assert all(words)


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"), min_size=1))
def test_two_texts_have_the_words_of_both(one: str, other: str) -> None:
    assert words_of(f"{one}. {other}") == words_of(one + ".") + words_of(". " + other)
