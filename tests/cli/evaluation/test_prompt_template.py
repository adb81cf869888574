import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters_cli.evaluation.prompt_template import PromptTemplate


def test_columns_fill_the_braces() -> None:
    template = PromptTemplate("Ticket: {text}\nAnswer as {{JSON}} for {customer name}, {text}:")
    assert template.columns == ("text", "customer name")
    filled = template.fill({"text": "It {fails}.", "customer name": "Alice"})
    assert filled == "Ticket: It {fails}.\nAnswer as {JSON} for Alice, It {fails}.:"


@given(st.text())
def test_the_text_of_a_column_is_taken_as_it_is(text: str) -> None:
    assert PromptTemplate("<{text}>").fill({"text": text}) == f"<{text}>"


@pytest.mark.parametrize("text", ["{text!r}", "{text:>9}", "{}", "{text} {}"])
def test_nothing_but_names_of_columns_is_between_braces(text: str) -> None:
    with pytest.raises(ValueError, match="should have only names of columns between braces"):
        PromptTemplate(text)


def test_attributes_and_places_are_part_of_a_name() -> None:
    assert PromptTemplate("{text.__class__} {text[0]}").columns == ("text.__class__", "text[0]")


@pytest.mark.parametrize("text", ["{text", "text}", "{"])
def test_a_brace_without_its_pair_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="should have pairs of braces"):
        PromptTemplate(text)


@pytest.mark.parametrize("text", ["", "Hello", "{{text}}"])
def test_a_template_without_columns_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="should have a column's name in braces"):
        PromptTemplate(text)
