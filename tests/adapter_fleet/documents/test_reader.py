import contextlib
import json
import tracemalloc

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from adapter_fleet.documents import reader, yaml_reader
from adapter_fleet.documents.document import (
    MAX_DOCUMENT_BYTES,
    MAX_ITEMS,
    MAX_KEYS,
    DocumentError,
    DocumentLimitError,
)
from adapter_fleet.documents.reader import read
from adapter_fleet.documents.yaml_reader import plain_scalar
from tests.nightly import long

TEXT = """\
# a comment
first: 1
second:
  - name: a
    tags: {one: x,
           two: y}
  -
    name: b
long: >
  folded
"""


ALIASES = "YAML anchors (&) and aliases (*) are not taken; write the value out, or put what all adapters"


@pytest.fixture(params=["compiled", "pure"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read YAML with each of the two parsers."""
    monkeypatch.setattr(
        yaml_reader, "YAML_LOADER", yaml.CSafeLoader if request.param == "compiled" else yaml.SafeLoader
    )


def error(text: str | bytes) -> tuple[int, str]:
    with pytest.raises(DocumentError) as raised:
        read(text if isinstance(text, bytes) else text.encode())
    return raised.value.line, str(raised.value)


def test_both_parsers_are_there() -> None:
    assert yaml_reader.YAML_LOADER is yaml.CSafeLoader


@pytest.mark.usefixtures("loader")
class TestYaml:
    def test_everything_has_the_line_of_its_key_or_its_place_in_a_list(self) -> None:
        found = read(TEXT.encode())
        assert found.value == {
            "first": 1,
            "second": [{"name": "a", "tags": {"one": "x", "two": "y"}}, {"name": "b"}],
            "long": "folded\n",
        }
        lines = {
            (): 2,
            ("first",): 2,
            ("second",): 3,
            ("second", 0): 4,
            ("second", 0, "tags"): 5,
            ("second", 0, "tags", "two"): 6,
            ("second", 1): 8,
            ("long",): 9,
            # Keys that lead to nothing have the line of what is nearest.
            ("second", 0, "tags", "three", 5): 5,
            ("second", 7): 3,
            ("first", "x"): 2,
        }
        assert {keys: found.line(keys) for keys in lines} == lines

    @pytest.mark.parametrize(
        ("text", "line", "message"),
        [
            ("b: {c: 1,\n  c: 2}\na: 3", 2, "the key 'c' is given twice, first in line 1"),
            ("a: 1\n2024: x", 2, "a key should be a text (put it in quotes), got 2024"),
            ("? [b]\n: y", 1, "a key should be a text (put it in quotes), got ['b']"),
            ("a: 1\nb:\n  <<: {x: 1}\n  y: 2", 3, "merge keys ('<<') are not taken"),
            ("a: 1\nb: &b {x: 1}", 2, ALIASES),
            ("a: 1\n&b b: 2", 2, ALIASES),
            ("a: [1,\n*b]", 2, ALIASES),
            (
                "a: 1\nb: !!python/object:os.system {}",
                2,
                "YAML tags are not taken, got 'tag:yaml.org,2002:python/",
            ),
            ("a: 1\nb: .nan", 2, "a number should be finite, got nan"),
            ("a: 1\nb: 9223372036854775808", 2, "a whole number should fit into 64 bits"),
            (f"a: 1\nb: 0x{'f' * 5000}", 2, "a whole number should fit into 64 bits"),
            (f"a: 1\n0x{'f' * 5000}:\n  x", 2, "it is not YAML: "),
            ("a: 1\n---\nb: 2", 2, "it should be one document, got another one"),
            ("# only a comment\n", 1, "it should have a document, got none"),
            ("a: [1", 1, "it is not YAML: "),
            ("a: 1\n b: 2", 2, "it is not YAML: mapping values are not allowed"),
            ("a: !Sub b", 1, "YAML tags are not taken, got '!Sub'"),
            ("a: 1\nb: \x07", 2, r"it should have printable characters only, got '\x07'"),
            ("[" * 500, 1, "it should be nested at most 100 levels deep"),
        ],
    )
    def test_what_is_refused_is_an_error_with_its_line(self, text: str, line: int, message: str) -> None:
        found, said = error(text)
        assert (found, said[: len(message)]) == (line, message)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("true", True),
        ("tRUE", "tRUE"),
        ("", None),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("1e3", 1000.0),
        ("-1.5E-2", -0.015),
        ("٣", "٣"),
    ],
)
def test_scalars_without_quotes_mean_what_yaml_1_2_says(text: str, value: float | str | None) -> None:
    assert plain_scalar(text) == value
    assert type(plain_scalar(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": [true, null, -1.5e3, "x\\u00e9\\n"], "c": {}}',
        '\n {\n"a" :\n [\n{ "b" : [] } ,\n2\n]\n}\n',
        '{"a": {"b": {"c": "\\ud83d\\ude00"}}}',
        "{a: 1, b: [x]}",
        '{"a": 1, # more\n "b": 2}',
    ],
)
def test_json_is_read_as_yaml_would_be(text: str) -> None:
    fast = read(text.encode()).value
    if "\\ud83d" in text:
        text = text.encode().decode("unicode_escape").encode("utf-16", "surrogatepass").decode("utf-16")
    assert yaml_reader.YamlReader(text).read().value == fast


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{"a": [NaN,\n1]}', 0, "NaN is not JSON"),
        ('{"a": [1,\n1e999]}', 0, "a number should be finite, got inf"),
        ('{"a": 1,\n"b": 99999999999999999999}', 0, "a whole number should fit into 64 bits"),
        (f'{{"a": {"9" * 5000}}}', 0, "Exceeds the limit (4300 digits)"),
        ('{"a": 1,\n\n"a": 2}', 0, "it has the key 'a' twice"),
        ('{"a": "\\ud800"}', 0, "it has half of a surrogate pair"),
        ('{\n"\\udfff": 1}', 0, "it has half of a surrogate pair"),
        ('{"a":' * 50_000, 0, "it is nested too deeply"),
        ('{"a":' * 101 + "1" + "}" * 101, 0, "it should be nested at most 100 levels deep"),
        (b"a: 1\nb: \xff", 2, "it should be UTF-8, got the byte 0xff"),
        (b"#" * (MAX_DOCUMENT_BYTES + 1), 1, "it should have at most 8388608 bytes, got 8388609"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_json_that_not_every_reader_takes_for_the_same_is_an_error(
    text: str | bytes, line: int, message: str
) -> None:
    found, told = error(text)
    assert (found, told[: len(message)]) == (line, message)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{\n  // comment\n  "adapters": []\n}\n', 2, "Expecting property name enclosed in double quotes"),
        ('{\n  "a": [1,\n    2\n', 4, "Expecting ',' delimiter"),
        ('{"a":\n\x07}', 2, "Expecting value"),
        ("", 1, "Expecting value"),
    ],
)
def test_what_is_wrong_with_what_is_called_json_is_told_of_json(text: str, line: int, message: str) -> None:
    with pytest.raises(DocumentError, match=message) as raised:
        read(text.encode(), called_json=True)
    assert raised.value.line == line
    assert str(raised.value).startswith("it is not JSON: ")


def test_a_byte_order_mark_is_taken() -> None:
    assert read(b"\xef\xbb\xbfa: 1").value == {"a": 1}


LONG_LIST = json.dumps([{}] * (MAX_ITEMS + 1))
LONG_MAPPING = json.dumps({f"k{number}": 1 for number in range(MAX_KEYS + 1)})


@pytest.mark.parametrize("called_json", [True, False])
@pytest.mark.parametrize(
    ("text", "keys", "message"),
    [
        (f'{{"a": {{"b": {LONG_LIST}}}}}', ("a", "b"), "a list should have at most 10000 items"),
        (f'{{"a": [{LONG_MAPPING}]}}', ("a", 0), "a mapping should have at most 1000 keys"),
        (f'{{"a": {"{" + LONG_MAPPING[1:].replace("k", "")}}}', ("a",), "a mapping should have at most 1000"),
    ],
    ids=["list", "mapping", "refused-keys"],
)
def test_what_is_too_long_is_an_error_that_names_it(
    text: str, keys: tuple[str, int] | tuple[str, str] | tuple[str], message: str, called_json: bool
) -> None:
    text = text if called_json else f"- {text}"
    with pytest.raises(DocumentLimitError, match=message) as raised:
        read(text.encode(), called_json=called_json)
    assert raised.value.keys == (keys if called_json else (0, *keys))


@pytest.mark.parametrize("called_json", [True, False])
def test_keys_and_values_are_limited_in_all(called_json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"a": [1, 2, {"b": 3}], "c": "d"}
    text = json.dumps(value) if called_json else f"# a comment\n{json.dumps(value)}"
    used = reader if called_json else yaml_reader
    monkeypatch.setattr(used, "MAX_VALUES", 10)
    assert read(text.encode(), called_json=called_json).value == value
    monkeypatch.setattr(used, "MAX_VALUES", 9)
    with pytest.raises(DocumentLimitError, match="it should have at most 9 keys and values"):
        read(text.encode(), called_json=called_json)


def taken_by(data: bytes, *, called_json: bool) -> int:
    """Return the most memory that Python holds while a document is read, in bytes."""
    tracemalloc.start()
    try:
        with contextlib.suppress(DocumentError):
            read(data, called_json=called_json)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "unit", "end", "called_json"),
    [
        (b'{"adapters":[', b"{},", b"1]}", True),
        (b"[", b'{"a":{"b":{"c":"d"}}},', b"1]", True),
        (b"[", b'"abcd",', b"1]", True),
        (b'{"a":1}', b"\n", b"", True),
        pytest.param(b"adapters:\n", b"- {}\n", b"", False, marks=long),
    ],
    ids=["empty", "nested", "texts", "lines", "yaml"],
)
def test_eight_megabytes_of_next_to_nothing_take_a_bounded_memory(
    start: bytes, unit: bytes, end: bytes, called_json: bool
) -> None:
    data = start + unit * ((MAX_DOCUMENT_BYTES - len(start) - len(end)) // len(unit)) + end
    assert taken_by(data, called_json=called_json) < 25 * MAX_DOCUMENT_BYTES


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=5,
)


@pytest.mark.slow
@given(st.dictionaries(st.text(), PLAIN, max_size=4), st.booleans())
def test_json_that_python_writes_is_read_back(value: object, indented: bool) -> None:
    found = read(json.dumps(value, indent=2 if indented else None, ensure_ascii=indented).encode())
    assert found.value == value


@given(st.binary() | st.text("{}[]&*!|>'\"%@`,:-?#<~ \n\tax1\\u\\U", max_size=40).map(str.encode))
@example(b'"\\UFFFFFFFF"')
@example(b'"\\ud800"')
@example(b"%YAML 99999999999999999999.1\n---\na")
@example(b"!<%ff> a")
@example(b"%TAG ! %\n--- a")
@example(b"&a : *a")
@example(b"{? }")
@pytest.mark.parametrize("called_json", [True, False])
@pytest.mark.parametrize("parser", [yaml.CSafeLoader, yaml.SafeLoader])
def test_any_bytes_are_a_document_or_an_error(parser: type, called_json: bool, data: bytes) -> None:
    before, yaml_reader.YAML_LOADER = yaml_reader.YAML_LOADER, parser
    try:
        found = read(data, called_json=called_json)
        json.dumps(found.value, allow_nan=False).encode()
    except DocumentError as raised:
        assert str(raised).encode()  # noqa: PT017
    finally:
        yaml_reader.YAML_LOADER = before


@given(
    st.lists(
        st.tuples(st.integers(0, len(TEXT)), st.sampled_from("{}[]:,#&*!|>'\"%@`-? \n\tx1\\")), max_size=3
    )
)
def test_what_both_parsers_read_they_read_as_the_same(insertions: list[tuple[int, str]]) -> None:
    text = TEXT
    for position, character in insertions:
        text = text[:position] + character + text[position:]
    found = []
    before = yaml_reader.YAML_LOADER
    try:
        for parser in (yaml.CSafeLoader, yaml.SafeLoader):
            yaml_reader.YAML_LOADER = parser
            with contextlib.suppress(DocumentError):
                found.append(read(text.encode()))
    finally:
        yaml_reader.YAML_LOADER = before
    assert all(one == found[0] for one in found)
