"""Texts that any file can hold."""

from adapters_cli.reports.markup import clean, escaped


def test_text_is_escaped() -> None:
    assert escaped('<i> & "') == "&lt;i&gt; &amp; &quot;"


def test_characters_that_no_file_can_hold_are_replaced_one_by_one() -> None:
    assert clean("a\x00b\ud800c\n\t👩\u200d🔧") == "a�b�c\n\t👩\u200d🔧"
