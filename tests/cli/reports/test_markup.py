"""HTML that escapes every text."""

from adapters_cli.reports.markup import Markup, clean, element, joined


def test_text_and_attributes_are_escaped_and_markup_is_not() -> None:
    inner = element("b", '<i> & "')

    assert element("p", inner, "<x>", title='a"b<') == (
        '<p title="a&quot;b&lt;"><b>&lt;i&gt; &amp; &quot;</b>&lt;x&gt;</p>'
    )


def test_an_attribute_can_be_left_out_or_have_no_value() -> None:
    assert element("input", checked=True, disabled=False, id=None, aria_label="a", class_="b") == (
        '<input checked aria-label="a" class="b">'
    )


def test_joined_markup_is_not_escaped_again() -> None:
    assert joined(Markup("<b></b>"), "<", None) == "<b></b>&lt;"


def test_characters_that_no_file_can_hold_are_replaced_one_by_one() -> None:
    assert clean("a\x00b\ud800c\n\t👩\u200d🔧") == "a�b�c\n\t👩\u200d🔧"
