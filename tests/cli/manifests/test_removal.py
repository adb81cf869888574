import json
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_fleet.documents.document import MAX_DOCUMENT_BYTES
from adapter_fleet.manifest.manifest import Manifest
from adapter_fleet.manifest.manifest_adapter import ManifestError
from adapters_cli.manifests.removal import without
from adapters_cli.manifests.stored_manifest import StoredManifest
from adapters_cli.output.errors import CommandError
from tests.fakes import FakeS3, Object

DIGEST = "0" * 64


def uri(name: str) -> str:
    return f"s3://bucket/{name}/sha256-{DIGEST}.tar.gz"


def removed(text: str, *names: str) -> str:
    return without(text.encode(), names, where="fleet.yaml", folder=Path("/")).decode()


BRACES_A, BRACES_B = (f"{{name: {name}, artifact: '{uri(name)}'}}" for name in "ab")
BOTH = f"{BRACES_A}, {BRACES_B}"
A, B, C = (f"  - name: {name}\n    artifact: {uri(name)}\n" for name in "abc")
BASE = "base_model: m"
WINDOWS = f"adapters:\n{A}".replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        pytest.param(f"# 1\nadapters:\n{A}{B}{C}# 2\n", ["b"], f"# 1\nadapters:\n{A}{C}# 2\n", id="lines"),
        pytest.param(f"adapters:\n{A}{B}{C}", ["c", "a"], f"adapters:\n{B}", id="first and last"),
        pytest.param(f"adapters:\n{A}{B}{C}", ["B"], f"adapters:\n{A}{C}", id="another case"),
        pytest.param(
            f"adapters:\n{A}  # of b\n{B}\n  # of c\n{C}",
            ["b"],
            f"adapters:\n{A}  # of b\n\n  # of c\n{C}",
            id="comments above stay",
        ),
        pytest.param(
            f"adapters:\n- {BRACES_A}  # one\n- {BRACES_B}\n",
            ["a"],
            f"adapters:\n- {BRACES_B}\n",
            id="braces",
        ),
        pytest.param(f"adapters: [{BOTH}]\n", ["b"], f"adapters: [{BRACES_A}]\n", id="last in brackets"),
        pytest.param(f"adapters: [{BOTH}]\n", ["a"], f"adapters: [{BRACES_B}]\n", id="first in brackets"),
        pytest.param(f"{BASE}\nadapters:\n{A}# end\n", ["a"], f"{BASE}\nadapters: []\n# end\n", id="all"),
        pytest.param(f"adapters: [{BRACES_A}]\n", ["a"], "adapters: []\n", id="all in brackets"),
        pytest.param(f"adapters:\n{A}{B}".replace("\n", "\r\n"), ["b"], WINDOWS, id="Windows"),
    ],
)
def test_yaml_keeps_every_other_character(text: str, names: list[str], expected: str) -> None:
    assert removed(text, *names) == expected


@pytest.mark.parametrize("indent", [None, 4, "\t"])
def test_json_stays_json_with_its_indentation(indent: int | str | None) -> None:
    entries = [{"name": name, "artifact": uri(name)} for name in "abc"]
    text = json.dumps({"adapters": entries}, indent=indent) + "\n"
    assert removed(text, "b") == json.dumps({"adapters": [entries[0], entries[2]]}, indent=indent) + "\n"


def test_json_with_an_adapter_a_line_stays_so() -> None:
    lines = [json.dumps({"name": name, "artifact": uri(name)}) for name in "ab"]
    text = f'{{"adapters": [\n  {lines[0]},\n  {lines[1]}\n]}}\n'
    assert removed(text, "b") == f'{{"adapters": [\n  {lines[0]}\n]}}\n'


def test_unknown_names_are_told_together_and_a_manifest_with_mistakes_is_refused() -> None:
    with pytest.raises(CommandError, match=r"no adapter 'x'\n.*: there is no adapter 'y'$"):
        removed(f"adapters:\n{A}", "x", "a", "y")
    with pytest.raises(ManifestError):
        removed("adapters:\n  - name: a\n", "a")


def test_json_with_a_character_that_yaml_does_not_have_is_refused() -> None:
    with pytest.raises(CommandError, match="where YAML does not have a character"):
        removed(f'{{"base_model": "\x80", "adapters": [{{"name": "a", "artifact": "{uri("a")}"}}]}}', "a")


STYLES = ("lines", "braces", "brackets")


@pytest.mark.slow
@given(
    names=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True),
    data=st.data(),
    style=st.sampled_from(STYLES),
)
def test_what_is_left_is_what_was_not_named(names: list[str], data: st.DataObject, style: str) -> None:
    gone = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    flow = [f"{{name: {name}, artifact: '{uri(name)}'}}" for name in names]
    text = {
        "lines": "adapters:\n" + "".join(f"- name: {name}\n  artifact: {uri(name)}\n" for name in names),
        "braces": "adapters:\n" + "".join(f"  - {entry}  # {entry[7]}\n" for entry in flow),
        "brackets": f"adapters: [\n  {', '.join(flow)}\n]\n",
    }[style]
    before = Manifest.parse(text.encode(), where="f", folder=None)
    after = Manifest.parse(removed(text, *gone).encode(), where="f", folder=None)
    assert list(after.adapters) == [adapter for adapter in before.adapters if adapter.name not in gone]


def test_no_more_is_read_than_tells_that_it_is_too_large() -> None:
    s3 = FakeS3("my-adapters")
    s3.objects["my-adapters", "fleet.yaml"] = Object(b"#" * (2 * MAX_DOCUMENT_BYTES))
    stored = StoredManifest.read(cast(Any, s3), "my-adapters", "fleet.yaml")
    assert len(stored.text) == MAX_DOCUMENT_BYTES + 1
    assert stored.digest is None
