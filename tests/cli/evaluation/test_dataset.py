import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters_cli.evaluation.dataset import Dataset, DatasetOptions, PromptTemplate, read_dataset

ROWS: list[dict[str, Any]] = [
    {"prompt": "What is 1 + 1?", "reference": "2"},
    {"prompt": "Füße 足\u2028?", "reference": "line\nline, “quoted”"},
]
TALK = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def written(content: object, name: str = "data.jsonl") -> str:
        file = tmp_path / name
        if isinstance(content, list) and name.endswith(".jsonl"):
            content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        file.write_bytes(content if isinstance(content, bytes) else str(content).encode())
        return str(file)

    return written


def read(source: str, **options: Any) -> Dataset:
    return read_dataset(source, DatasetOptions(**options))


def refused(source: str, **options: Any) -> str:
    with pytest.raises(ValueError, match="should") as error:
        read(source, **options)
    return str(error.value).replace(source, "FILE")


CSV = 'prompt,reference\nWhat is 1 + 1?,2\n"Füße 足\u2028?","line\nline, “quoted”"\n'


FILES: dict[str, str | bytes] = {
    "data.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in ROWS),
    "data.NDJSON": "\n".join(["", json.dumps(ROWS[0]), "  ", json.dumps(ROWS[1])]),
    "data.json": json.dumps(ROWS),
    "data.csv": CSV,
    "excel.csv": b"\xef\xbb\xbf" + CSV.encode(),
    "data.tsv": CSV.replace(",2", "\t2").replace("prompt,", "prompt\t").replace('","', '"\t"'),
}


@pytest.mark.parametrize("name", FILES)
def test_each_format_has_the_same_items(write: Callable[..., str], name: str) -> None:
    found = read(write(FILES[name], name))
    lines = [[f"{number}", row["prompt"], row["reference"]] for number, row in enumerate(ROWS, 1)]
    assert [[item.id, item.prompt, item.reference] for item in found.items] == lines
    assert found.facts.items == 2
    digested = "".join(f"{json.dumps(line)}\n" for line in lines)
    assert found.facts.digest == hashlib.sha256(digested.encode()).hexdigest()


def test_a_change_of_an_item_changes_the_digest(write: Callable[..., str]) -> None:
    changed = [ROWS[0], {**ROWS[1], "reference": "3"}]
    digests = [read(write(rows)).facts.digest for rows in (ROWS, changed, ROWS[::-1], ROWS[:1])]
    assert len(set(digests)) == len(digests)


def test_a_template_makes_the_prompt_and_the_column_of_references_has_the_name_that_is_given(
    write: Callable[..., str],
) -> None:
    rows = [{"text": "Why?", "p": 5, "a": {"b": [1, True]}, "id": 7}]
    rows += [{"text": "Who?", "p": 6, "a": 3.5, "id": "x"}]
    items = read(write(rows), template="{p}: {text}\n", reference_column="a").items
    assert [(item.id, item.prompt, item.reference, item.messages) for item in items] == [
        ("7", "5: Why?\n", '{"b": [1, true]}', None),
        ("x", "6: Who?\n", "3.5", None),
    ]


def test_a_conversation_is_sent_whole_beside_a_reference_or_its_end_is_the_reference(
    write: Callable[..., str],
) -> None:
    item = read(write([{"messages": [*TALK, TALK[0]], "reference": "See you"}])).items[0]
    assert (item.messages, item.reference) == ((*TALK, TALK[0]), "See you")
    item = read(write([{"messages": TALK}])).items[0]
    assert (item.prompt, item.messages, item.reference) == ("user: Hello", (TALK[0],), "Hi")
    # In CSV, it is JSON.
    cell = json.dumps(TALK[:1]).replace('"', '""')
    item = read(write(f'messages,reference\n"{cell}",Hi\n', "data.csv")).items[0]
    assert item.messages == (TALK[0],)


def test_all_wrong_rows_are_reported_at_once(write: Callable[..., str]) -> None:
    lines = [
        '{"id": "a", "prompt": "p", "reference": "r"}',
        '{"id": "a", "prompt": "p", "reference": "r"}',
        '{"id": "b", "prompt": " "}',
        "",
        "[1]",
        '{"id": "c", "prompt": "p", "reference": "\\ud800"}',
        "{",
    ]
    assert refused(write("\n".join(lines))).splitlines() == [
        "FILE, line 2: 'id' should be unique, got 'a' as in line 1",
        "FILE, line 3: 'prompt' should not be empty, got ' '",
        "FILE, line 3: 'reference' should have a value, got none",
        "FILE, line 5: it should be an object with a value for each column, got [1]",
        "FILE, line 6: 'reference' has half of a surrogate pair, which is no character",
        "FILE, line 7: it should be JSON (Expecting property name enclosed in double quotes: line 1 column 2"
        " (char 1))",
    ]


def test_a_long_list_of_wrong_rows_is_cut(write: Callable[..., str]) -> None:
    reported = refused(write([ROWS[0], *[{"prompt": "p"}] * 30])).splitlines()
    assert len(reported) == 21
    assert reported[-1] == "and 10 more"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "prompt,reference\na,b\nc\n", "FILE, line 3: it should have 2 cells, as the first"),
        ("a.csv", 'prompt,reference\na,"b\n', "'--dataset' should be CSV, got FILE, line 2: unexpected end"),
        ("a.csv", "", "'--dataset' should have a row or more, got none in FILE"),
        ("a.json", "{}", "'--dataset' should be a JSON list of objects, got dict in FILE"),
        ("a.json", "{}\n{}", "'--dataset' should be JSON (Extra data: line 2 column 1 (char 3); lines of"),
        ("a.json", "[5]", "FILE, row 1: it should be an object with a value for each column, got 5"),
        ("a.jsonl", "prompt,reference\na,b\n", "FILE, line 1: it should be JSON (Expecting value: line 1"),
        ("a.csv", "prompt;reference\na;b\n", "FILE should have commas between"),
        ("a.csv", b"PK\x03\x04\x84", "'--dataset' should be UTF-8 text, got FILE: a zip, as Excel's"),
        ("a.csv", "prompt".encode("utf-16"), "'--dataset' should be UTF-8 text, got FILE: UTF-16; `iconv"),
        ("a.jsonl", b"\xff", "'--dataset' should be UTF-8 text, got FILE: byte 0xff at position 0; it"),
        ("a.json", '[{"conversations": []}]', "FILE should have 'messages' with 'role' and 'content', got"),
        ("a.txt", "x", "'--dataset' should be a file that ends in .jsonl, .ndjson, .json, .csv, .tsv, got"),
    ],
)
def test_a_file_of_another_form_is_refused(
    write: Callable[..., str], name: str, content: object, reason: str
) -> None:
    assert refused(write(content, name)).startswith(reason)


def test_rows_of_another_task_are_left_out_and_not_those_whose_reference_is_0_or_that_are_wrong(
    write: Callable[..., str],
) -> None:
    rows = [{"prompt": "p", "label": label} for label in (0, False, "", " ", None, "x")]
    items = read(write(rows), reference_column="label", only_with_reference=True).items
    assert [item.reference for item in items] == ["0", "false", "x"]
    assert "line 2: it should be JSON" in refused(
        write('{"prompt": "p", "label": 1}\nno\n', "a.jsonl"),
        reference_column="label",
        only_with_reference=True,
    )


def test_names_that_no_row_has_are_refused_once(write: Callable[..., str]) -> None:
    rows = [{"promt": "p", "answer": "r"}] * 3
    assert refused(write(rows)).splitlines() == [
        "FILE should have a column 'reference' (known are promt, answer); '--reference-column' names another"
        " one, as in --reference-column 'answer'",
        "FILE should have a column 'prompt' or 'messages' (did you mean 'promt'?); '--template' makes a"
        " prompt of others, as in --template '{promt}'",
    ]
    assert refused(write(rows), reference_column="anser", template="{promt}") == (
        "'--reference-column' should name columns of FILE (did you mean 'answer'?), got 'anser'"
    )
    assert refused(write(ROWS), template="{promtp}") == (
        "'--template' should name columns of FILE (did you mean 'prompt'?), got 'promtp'"
    )


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ("Hello", "should be a list of messages, got 'Hello'"),
        ([], "should be a list of messages, got []"),
        ([{"role": "robot", "content": "x"}], "should have messages with a text as 'content' and one of"),
        ([{"role": "user", "content": [{"type": "text"}]}], "should have messages with a text as 'content'"),
        (TALK[:1], "should end with a message of the assistant, which is the reference, got"),
        (TALK[1:], "should end with a message of the assistant"),
    ],
)
def test_a_wrong_conversation_is_refused(write: Callable[..., str], messages: object, reason: str) -> None:
    reported = refused(write([{"messages": messages}]))
    assert reported.startswith(f"FILE, line 1: 'messages' {reason}")
    assert len(reported.splitlines()) == 1


def test_columns_fill_the_braces() -> None:
    template = PromptTemplate("Ticket: {text}\nAnswer as {{JSON}} for {customer name}, {text}:")
    assert template.columns == ("text", "customer name")
    filled = template.fill({"text": "It {fails}.", "customer name": "Alice"})
    assert filled == "Ticket: It {fails}.\nAnswer as {JSON} for Alice, It {fails}.:"


@given(st.text())
def test_the_text_of_a_column_is_taken_as_it_is(text: str) -> None:
    assert PromptTemplate("<{text}>").fill({"text": text}) == f"<{text}>"


def test_attributes_and_places_are_part_of_a_name() -> None:
    assert PromptTemplate("{text.__class__} {text[0]}").columns == ("text.__class__", "text[0]")


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["{text!r}", "{text:>9}", "{}", "{text} {}"], "should have only names of columns between braces"),
        (["{text", "text}", "{"], "should have pairs of braces"),
        (["", "Hello", "{{text}}"], "should have a column's name in braces"),
    ],
)
def test_nothing_but_names_of_columns_is_between_braces(texts: list[str], reason: str) -> None:
    for text in texts:
        with pytest.raises(ValueError, match=reason):
            PromptTemplate(text)
