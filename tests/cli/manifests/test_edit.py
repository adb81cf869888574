import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapter_fleet.evaluation import EvaluationRecord, Figure
from adapter_fleet.manifest.desired import Probe
from adapter_fleet.manifest.manifest import Manifest
from adapter_fleet.manifest.manifest_adapter import ManifestAdapter, ManifestError, S3Artifact
from adapter_fleet.manifest.writer import plain_evaluation
from adapters_cli.manifests.edit import edited
from adapters_cli.output.errors import CommandError

OLD, NEW = "0" * 64, "a" * 64
BEFORE = f"s3://bucket/v1/sha256-{OLD}.tar.gz"


def evaluation(identity: str) -> EvaluationRecord:
    return EvaluationRecord(
        result=f"s3://bucket/v1/sha256-{identity}.evaluations/20260301T093000Z-{'b' * 12}.json",
        dataset="b" * 64,
        at="2026-03-01T09:30:00Z",
        figures={"rougeL": Figure(base=0.25, adapter=1e-05), "regex:a: #'b": Figure(base=0, adapter=1)},
    )


def published(name: str, rank: int = 8) -> ManifestAdapter:
    return ManifestAdapter(name=name, artifact=S3Artifact(uri=after(name)), digest=NEW, rank=rank)


def new_entry(name: str) -> dict[str, Any]:
    return {"name": name, "artifact": after(name), "rank": 8}


def after(name: str) -> str:
    return f"s3://bucket/{name}/sha256-{NEW}.tar.gz"


def edit(text: str, *names: str, base_model: str | None = None, **parts: Any) -> str:
    """Publish adapters with these parts into a manifest; return its text."""
    adapters = [replace(published(name), **parts) for name in names]
    made = edited(text.encode(), adapters, base_model=base_model, where="fleet.yaml", folder=Path("/"))
    return made.decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            f"adapters:\n  - name: acme  # one\n    artifact: {BEFORE}   # two\n    rank: 16\n# end\n",
            f"adapters:\n  - name: acme  # one\n    artifact: {after('acme')}   # two\n    rank: 8\n"
            f"  - name: new\n    artifact: {after('new')}\n    rank: 8\n# end\n",
            id="lines",
        ),
        pytest.param(
            f"---\nadapters:\n- {{name: acme,   artifact: '{BEFORE}'}}   # one\n...\n",
            f"---\nadapters:\n- {{name: acme,   artifact: {after('acme')}, rank: 8}}   # one\n"
            f"- {{name: new, artifact: {after('new')}, rank: 8}}\n...\n",
            id="braces",
        ),
        pytest.param(
            f"adapters: [\n  {{name: acme, artifact: {BEFORE}}}, # é\n]\n",
            f"adapters: [\n  {{name: acme, artifact: {after('acme')}, rank: 8}},\n"
            f"  {{name: new, artifact: {after('new')}, rank: 8}}, # é\n]\n",
            id="brackets",
        ),
        pytest.param(
            f"adapters:\r\n    -   name: acme\r\n        artifact: {BEFORE}",
            f"adapters:\r\n    -   name: acme\r\n        artifact: {after('acme')}\r\n        rank: 8\r\n"
            f"    -   name: new\r\n        artifact: {after('new')}\r\n        rank: 8",
            id="other line ends, and none at the end",
        ),
        pytest.param(
            "adapters:\n  - name: acme\n    artifact:\n      bucket: b   # an alias\n      key: k.tar.gz\n"
            f"    digest: 'sha256:{OLD}'\n    smoke:\n      prompt: |+\n        Hello\n\n",
            f"adapters:\n  - name: acme\n    artifact:\n      {after('acme')}\n    rank: 8\n"
            f"    digest: sha256:{NEW}\n    smoke:\n      prompt: |+\n        Hello\n\n"
            f"  - name: new\n    artifact: {after('new')}\n    rank: 8\n",
            id="alias of a bucket, and a digest",
        ),
        pytest.param(
            f"defaults: {{rank: 8}}\nadapters:\n  - artifact: {BEFORE}\n    name: acme\n",
            f"defaults: {{rank: 8}}\nadapters:\n  - artifact: {after('acme')}\n    name: acme\n"
            f"  - name: new\n    artifact: {after('new')}\n    rank: 8\n",
            id="rank among the defaults",
        ),
    ],
)
def test_entries_are_changed_and_added_in_the_way_of_the_document(text: str, expected: str) -> None:
    assert edit(text, "acme", "new") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "adapters: []  # none yet\n",
            f'adapters:  # none yet\n  - name: "123"\n    artifact: {after("123")}\n    rank: 8\n',
        ),
        ("{adapters: []}\n", f'{{adapters: [{{name: "123", artifact: {after("123")}, rank: 8}}]}}\n'),
    ],
)
def test_first_entry_has_its_name_in_quotes_if_it_looks_like_a_number(text: str, expected: str) -> None:
    assert edit(text, "123") == expected


def test_base_model_is_added_before_the_first_key() -> None:
    text = f"# ours\nadapters:\n  - {{name: acme, artifact: {after('acme')}, rank: 8}}\n"
    assert edit(text, "acme", base_model="org/base: x") == text.replace(
        "adapters:", 'base_model: "org/base: x"\nadapters:'
    )


def test_name_is_the_same_whatever_the_case() -> None:
    made = edit(f"adapters: [{{name: Acme, artifact: {BEFORE}}}]", "acme")
    (found,) = Manifest.parse(made.encode(), where="", folder=None).adapters
    assert (found.name, found.artifact) == ("Acme", S3Artifact(uri=after("acme")))


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_stays_json_with_its_indentation(indent: int | str | None) -> None:
    smoke = {"prompt": "\U0001f600 größe"}
    entry = {"name": "acme", "artifact": BEFORE, "digest": f"sha256:{OLD}", "smoke": smoke}
    text = json.dumps({"adapters": [entry]}, indent=indent) + "\n"
    changed = {"name": "acme", "artifact": after("acme"), "rank": 8, "digest": f"sha256:{NEW}"}
    expected = {"base_model": "base", "adapters": [changed | {"smoke": smoke}, new_entry("new")]}
    made = edit(text, "acme", "new", base_model="base")
    assert made == json.dumps(expected, indent=indent) + "\n"


def test_json_with_an_adapter_a_line_stays_so_and_its_first_adapters_have_a_line_each() -> None:
    first, second = (json.dumps({"name": name, "artifact": BEFORE, "rank": 8}) for name in ("acme", "zeta"))
    added = json.dumps(new_entry("new"))
    assert edit(f'{{"adapters": [\n  {first},\n  {second}\n]}}\n', "acme", "new") == (
        f'{{"adapters": [\n  {first.replace(BEFORE, after("acme"))},\n  {second},\n  {added}\n]}}\n'
    )
    one, two = (json.dumps(new_entry(name)) for name in "ab")
    made = edit('{\n  "adapters": []\n}\n', "a", "b")
    assert made == f'{{\n  "adapters": [\n    {one},\n    {two}\n  ]\n}}\n'


@pytest.mark.parametrize(
    ("text", "parts", "message"),
    [
        (
            f'{{"base_model": "\x80", "adapters": [{{"name": "acme", "artifact": "{BEFORE}"}}]}}',
            {},
            "where YAML does not have a character",
        ),
        ("adapters: [{name: acme}]", {}, "manifest-keys"),
        ("adapters: []", {"artifact": S3Artifact(uri="s3://b/.tar.gz")}, "artifact-form"),
        (
            "# ours\nbase_model: org/other\nadapters: []\n",
            {"base_model": "org/base"},
            r"fleet\.yaml:2: base_model: should be .org/base",
        ),
    ],
    ids=["character of JSON", "mistakes", "change that breaks a rule", "another base model"],
)
def test_manifest_that_cannot_be_changed_is_refused(text: str, parts: dict[str, Any], message: str) -> None:
    with pytest.raises((CommandError, ManifestError), match=message):
        edit(text, "acme", **parts)


NAMES = st.lists(st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), min_size=1, max_size=6, unique=True)
TAGS = st.dictionaries(
    st.text("ab- :#é1", min_size=1, max_size=6), st.text("ab- :#'\"{é1", max_size=8), max_size=3
)


@st.composite
def manifests(draw: st.DrawFn) -> str:
    """Manifests as our own writer and PyYAML lay them out, with comments here and there."""
    adapters = []
    for name in draw(NAMES):
        tags = {key: value for key, value in draw(TAGS).items() if set(key + value) <= set("ab- :é1")}
        prompt = draw(st.none() | st.text("ab \n:#", min_size=1, max_size=20))
        adapters.append(
            {"name": name, "artifact": BEFORE}
            | ({"tags": tags} if tags else {})
            | ({"rank": draw(st.sampled_from([8, 16]))} if draw(st.booleans()) else {})
            | ({"smoke": {"prompt": prompt}} if prompt is not None and prompt.strip() else {})
            | ({"digest": f"sha256:{OLD}"} if draw(st.booleans()) else {})
            | ({"evaluation": plain_evaluation(evaluation(OLD))} if draw(st.booleans()) else {})
        )
    flow = draw(st.sampled_from([True, False, None]))
    text = yaml.safe_dump(
        {"adapters": adapters}, default_flow_style=flow, allow_unicode=True, sort_keys=draw(st.booleans())
    )
    if flow is not True and draw(st.booleans()):
        text = "# before\n" + text.replace("- ", "# between\n- ", 1) + "# after\n"
    return text


@pytest.mark.slow
@given(text=manifests(), chosen=st.data())
def test_all_else_stays_in_any_layout(text: str, chosen: st.DataObject) -> None:
    try:
        before = Manifest.parse(text.encode(), where="", folder=None)
    except ManifestError:
        return
    names = [adapter.name for adapter in before.adapters]
    changed = chosen.draw(st.lists(st.sampled_from(names), unique=True))
    made = edit(text, *changed, "zzz-new", base_model="base")
    now = Manifest.parse(made.encode(), where="", folder=None)
    for old, new in zip(before.adapters, now.adapters, strict=False):
        assert new == (old if old.name not in changed else _as_published(old))
    assert [adapter.name for adapter in now.adapters] == [*names, "zzz-new"]
    assert edit(made, *changed, "zzz-new", base_model="base") == made
    for comment in ("# before", "# between", "# after"):
        assert made.count(comment) == text.count(comment)


def _as_published(adapter: ManifestAdapter) -> ManifestAdapter:
    digest = NEW if adapter.digest is not None else None
    artifact = S3Artifact(uri=after(adapter.name))
    return replace(adapter, artifact=artifact, digest=digest, rank=8, evaluation=None)


class TestProbes:
    """A probe is one line, whatever its text."""

    PROBE = Probe(prompt='Ticket: "late".\nAnswer:', answer="Customer \u2028 é {", max_tokens=5)

    @pytest.mark.parametrize(
        "text",
        [
            f"adapters:\n  - name: acme  # one\n    artifact: {BEFORE}   # two\n    rank: 8\n# end\n",
            f"adapters:\n- {{name: acme, artifact: '{BEFORE}'}}   # one\n",
            f"adapters:\n  - name: acme\n    artifact: {BEFORE}\n    probe:\n      prompt: a\n"
            "      answer: b\n    rank: 8\n",
            "adapters:\n  - name: acme\n    probe: {prompt: a, answer: b}  # old\n"
            f"    artifact: {BEFORE}\n",
            f'{{"adapters": [{{"name": "acme", "artifact": "{BEFORE}",'
            ' "probe": {"prompt": "a", "answer": "b"}}]}',
        ],
    )
    def test_it_is_added_to_an_entry_or_takes_the_place_of_the_old_one(self, text: str) -> None:
        made = edit(text, "acme", "new", probe=self.PROBE)
        read = Manifest.parse(made.encode(), where="fleet.yaml", folder=None)
        assert [adapter.probe for adapter in read.adapters] == [self.PROBE, self.PROBE]
        assert all(comment in made for comment in re.findall(r"#.*", text))
        # Publishing without one keeps it.
        assert edit(made, "acme") == made

    def test_share_is_that_of_one_version(self) -> None:
        text = f"adapters:\n  - name: acme\n    artifact: {BEFORE}\n    percent: 5\n    rank: 8\n"
        assert "percent" not in edit(text, "acme")


class TestEvaluations:
    """An evaluation belongs to one version."""

    BLOCK = "  - name: a\n    artifact: URI\n    rank: 8\n"
    BRACES = "- {name: a, artifact: URI, rank: 8}\n"

    def test_it_is_a_block_in_a_block(self) -> None:
        text = f"adapters:\n  - name: acme\n    artifact: {BEFORE}  # one\n    rank: 8\n# end\n"
        assert edit(text, "acme", evaluation=evaluation(NEW)) == (
            f"adapters:\n  - name: acme\n    artifact: {after('acme')}  # one\n    rank: 8\n"
            f"    evaluation:\n      result: {evaluation(NEW).result}\n      dataset: sha256:{'b' * 64}\n"
            "      at: 2026-03-01T09:30:00Z\n"
            "      figures: {rougeL: {base: 0.25, adapter: 1e-05},"
            ' "regex:a: #\'b": {base: 0, adapter: 1}}\n# end\n'
        )

    @pytest.mark.slow
    @given(text=manifests(), last=st.booleans())
    def test_new_one_replaces_the_old_one_in_any_layout(self, text: str, last: bool) -> None:
        try:
            before = Manifest.parse(text.encode(), where="", folder=None).adapters
        except ManifestError:
            return
        name = before[-1 if last else 0].name
        made = edit(text, name, evaluation=evaluation(NEW), percent=5)
        now = Manifest.parse(made.encode(), where="", folder=None).adapters
        assert [adapter.percent for adapter in now if adapter.name == name] == [5]
        assert {adapter.name: adapter.evaluation for adapter in now} == {
            adapter.name: evaluation(NEW) if adapter.name == name else adapter.evaluation
            for adapter in before
        }
        assert edit(made, name, evaluation=evaluation(NEW), percent=5) == made
        # The same version, published without an evaluation, keeps it.
        assert edit(made, name) == made

    @pytest.mark.parametrize("line_end", ["\n", "\r\n"])
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (
                "  - name: a\n    artifact: URI\n    evaluation: GIVEN  # c\n    rank: 8\n",
                "  - name: a\n    artifact: URI\n  # c\n    rank: 8\n",
            ),
            ("  - evaluation: GIVEN\n    name: a\n    artifact: URI\n    rank: 8\n", BLOCK),
            ("- {name: a, artifact: URI, evaluation: GIVEN, rank: 8}\n", BRACES),
            ("- {evaluation: GIVEN, name: a, artifact: URI, rank: 8}\n", BRACES),
        ],
        ids=["block", "first of a block", "braces", "first in braces"],
    )
    def test_that_of_the_earlier_version_goes_and_leaves_no_trace(
        self, text: str, expected: str, line_end: str
    ) -> None:
        text, expected = (f"adapters:\n{part}".replace("\n", line_end) for part in (text, expected))
        old = json.dumps(plain_evaluation(evaluation(OLD)))
        made = edit(text.replace("GIVEN", old).replace("URI", BEFORE), "a")
        assert made == expected.replace("URI", after("a"))
