import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from adapter_fleet.common.findings import Severity
from adapter_fleet.common.serialization import converter
from adapter_fleet.documents import reader
from adapter_fleet.documents.reader import read
from adapter_fleet.documents.schema import keys_of
from adapter_fleet.evaluation import EvaluationRecord, Figure
from adapter_fleet.manifest import manifest
from adapter_fleet.manifest.desired import Artifact, DesiredFleet, Probe, SmokeRequest
from adapter_fleet.manifest.manifest import Manifest
from adapter_fleet.manifest.manifest_adapter import (
    AssetArtifact,
    BucketArtifact,
    LocalArtifact,
    ManifestAdapter,
    ManifestError,
    S3Artifact,
    SmokeSettings,
)
from adapter_fleet.manifest.parser import SCHEMA_FILE
from adapter_fleet.manifest.writer import manifest_text

A, B = "a" * 64, "b" * 64
D = f"sha256:{A}"

FULL = f"""\
base_model: meta-llama/Llama-3.1-8B-Instruct
defaults:
  rank: 8
  tags: {{team: support, tier: silver}}
  smoke: {{prompt: Say hello, expect: "[Hh]ello"}}
adapters:
  - name: acme
    artifact: s3://bucket/adapters/acme/sha256-{A}.tar.gz
    rank: 16
  - name: zeta
    artifact: {{bucket: models, key: zeta/v3.tar.gz}}
    digest: sha256:{B}
    tags: {{tier: gold}}
    smoke: {{body: {{inputs: Hi, n: [1, null]}}}}
    component: made-by-hand
  - name: local
    artifact: ./adapters/local
    smoke: false
  - name: asset
    artifact: asset:{A}
    smoke: {{prompt: Hi, max_tokens: 3}}
"""


def parse(text: str, folder: Path | None = Path("/app")) -> Manifest:
    return Manifest.parse(text.encode(), where="adapters.yaml", folder=folder)


def errors(text: str, folder: Path | None = Path("/app")) -> list[str]:
    with pytest.raises(ManifestError) as error:
        parse(text, folder)
    assert str(error.value).splitlines() == [str(finding) for finding in error.value.findings]
    return [str(finding).removeprefix("adapters.yaml:").lstrip() for finding in error.value.findings]


def entry(**keys: object) -> str:
    """A manifest in JSON of one adapter that is good but for the keys that are given."""
    good = {"name": "acme", "artifact": f"s3://bucket/acme/sha256-{A}.tar.gz"}
    return json.dumps({"adapters": [{k: v for k, v in {**good, **keys}.items() if v is not None}]})


def adapter(**settings: Any) -> ManifestAdapter:
    artifact = S3Artifact(uri=f"s3://bucket/acme/sha256-{A}.tar.gz")
    return ManifestAdapter(**{"name": "acme", "artifact": artifact, "where": "app.py:7", **settings})


class TestReading:
    def test_every_form_of_an_adapter_is_read_with_the_defaults(self) -> None:
        prompt = SmokeRequest(
            body={"prompt": "Say hello", "max_tokens": 16, "temperature": 0},
            expect="[Hh]ello",
            is_prompt=True,
        )
        short = SmokeRequest(body={"prompt": "Hi", "max_tokens": 3, "temperature": 0}, is_prompt=True)
        silver, gold = {"team": "support", "tier": "silver"}, {"team": "support", "tier": "gold"}
        assert schema_takes(FULL)
        read = parse(FULL)
        assert [item.where for item in read.adapters] == [f"adapters.yaml:{line}" for line in (7, 10, 16, 19)]
        assert read == Manifest(
            base_model="meta-llama/Llama-3.1-8B-Instruct",
            adapters=(
                ManifestAdapter(
                    name="acme",
                    artifact=S3Artifact(uri=f"s3://bucket/adapters/acme/sha256-{A}.tar.gz"),
                    rank=16,
                    tags=silver,
                    smoke=prompt,
                ),
                ManifestAdapter(
                    name="zeta",
                    artifact=BucketArtifact(bucket="models", key="zeta/v3.tar.gz"),
                    digest=B,
                    rank=8,
                    tags=gold,
                    smoke=SmokeRequest(body={"inputs": "Hi", "n": [1, None]}),
                    component="made-by-hand",
                ),
                ManifestAdapter(
                    name="local",
                    artifact=LocalArtifact(path=Path("/app/adapters/local")),
                    rank=8,
                    tags=silver,
                    smoke=False,
                ),
                ManifestAdapter(
                    name="asset", artifact=AssetArtifact(identity=A), rank=8, tags=silver, smoke=short
                ),
            ),
        )

    @pytest.mark.parametrize("name", [f"sha256-{A}.tar.gz", f"{A}.tar.gz", f"x/{A}.tar.gz"])
    def test_a_content_addressed_key_tells_the_digest(self, name: str) -> None:
        (read,) = parse(entry(artifact={"bucket": "b", "key": name})).adapters
        assert (read.digest, read.known_digest) == (None, A)

    def test_all_that_is_wrong_is_told_at_once_with_file_line_adapter_and_rule(self) -> None:
        text = """\
base_modle: x
defaults: {rank: 0, smoke: {}}
adapters:
  - name: acme
    artifact: s3://bucket/x.tar
    rnak: 3
  - name: Acme
    artifact: {bucket: b}
    digest: abc
    smoke: {prompt: x, body: {}, max_tokens: 0}
  - 5
  - artifact: s3://bucket/v1.tar.gz
"""
        found = [re.findall(r"^(\d+): (.*?): .*\[(.*)\]$", error)[0] for error in errors(text)]
        assert found == [
            ("1", "base_modle", "manifest-keys"),
            ("2", "defaults.smoke", "smoke-request"),
            ("2", "defaults.rank", "rank-positive"),
            ("4", "adapter 'acme'", "digest-required"),
            ("5", "adapter 'acme'", "artifact-form"),
            ("6", "adapter 'acme'", "manifest-keys"),
            ("7", "adapter 'Acme'", "adapter-unique"),
            ("8", "adapter 'Acme'", "manifest-keys"),
            ("9", "adapter 'Acme'", "digest-form"),
            ("10", "adapter 'Acme'", "smoke-request"),
            ("10", "adapter 'Acme'", "smoke-request"),
            ("11", "adapter #3", "manifest-types"),
            ("12", "adapter #4", "manifest-keys"),
            ("12", "adapter #4", "digest-required"),
        ]

    def test_what_follows_of_a_mistake_is_not_told_beside_it(self) -> None:
        assert errors(entry(smoke={"promt": "x"}, artifact=None, artefact="x")) == [
            "adapter 'acme': smoke.promt: unknown key (did you mean 'prompt'?), got 'x' [manifest-keys]",
            "adapter 'acme': artifact: should be given, got nothing [manifest-keys]",
            "adapter 'acme': artefact: unknown key (did you mean 'artifact'?), got 'x' [manifest-keys]",
        ]

    def test_a_manifest_that_cannot_be_read_says_where(self) -> None:
        (error,) = errors("adapters:\n  - {name: a")
        assert error.startswith("2: it is not YAML: while parsing a flow mapping")
        with pytest.raises(ManifestError) as of_json:
            Manifest.parse(b'{\n  "adapters": [],\n  adapters}', where="fleet.json", folder=None)
        message = "it is not JSON: Expecting property name enclosed in double quotes [manifest-readable]"
        assert str(of_json.value) == f"fleet.json:3: {message}"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("- {name: acme, artifact: ./x}", "put 'adapters:' above the list"),
            ("adapters: {acme: {artifact: ./x}}", "write '- name: acme'"),
            ("adapters: [acme: ./x]", "write '- name: acme', and 'artifact: …' below it"),
            ("adapters: [{name: a, artifact: ./x, digest: ~}]", "give a value, or leave the key out"),
            ("adapters: [{name: a, artifact: ..\\models}]", "write its folders with /"),
            ("adapters: [{name: a, artifact: s3://bucket/a.tar.gz}]", "`adapters publish` writes it"),
        ],
    )
    def test_another_form_is_told_with_the_one_to_write(self, text: str, message: str) -> None:
        (error,) = errors(text)
        assert f"; {message}" in error

    @pytest.mark.parametrize(
        "address",
        [
            "https://my-bucket.s3.eu-west-1.amazonaws.com/a/b%2Bc.tar.gz?X-Amz-Signature={}",
            "https://s3.eu-west-1.amazonaws.com/my-bucket/a/b+c.tar.gz?X-Amz-Signature={}",
            "https://eu-west-1.console.aws.amazon.com/s3/object/my-bucket?prefix=a/b%2Bc.tar.gz&x={}",
            "arn:aws:s3:::my-bucket/a/b+c.tar.gz",
        ],
    )
    def test_another_address_of_s3_is_told_as_a_uri_and_without_its_query(self, address: str) -> None:
        address = address.format("5ec2e7" * 40)
        (error,) = errors(entry(artifact=address))
        assert "; write 's3://my-bucket/a/b+c.tar.gz' [artifact-form]" in error
        wrong = [entry(artefact=address), entry(name=address), entry(rank=[address]), address]
        wrong += [f"adapters: [{{artifact:{address}}}]", entry(artifact=f"s3://{address[8:]}")]
        assert "5ec2e7" not in "".join([error, *(line for text in wrong for line in errors(text))])


EVALUATION: dict[str, Any] = {
    "result": f"s3://bucket/x/sha256-{A}.evaluations/20260301T093000Z-{B[:12]}.json",
    "dataset": f"sha256:{B}",
    "at": "2026-03-01T09:30:00Z",
    "figures": {"rougeL": {"base": 0.25, "adapter": 1}, "exact_match": {"base": 0, "adapter": 0.5}},
}


def evaluated(**changed: object) -> dict[str, Any]:
    """The keys of an adapter with an evaluation that is good but for what is changed."""
    return {"evaluation": {**EVALUATION, **changed}}


def archive(uri: str) -> dict[str, Any]:
    """The keys of an adapter that says itself what is in its archive."""
    return {"digest": D, "artifact": uri}


BROKEN = [
    ({"name": "-a"}, "name: should be letters, digits and hyphens and begin and end with no hyphen"),
    ({"name": "a" * 64}, "name: should have at most 63 characters, got 64"),
    ({"name": None}, "name: should be given, got nothing"),
    ({"artifact": 5}, "artifact: should be a string, or a mapping with 'bucket' and 'key', got 5"),
    (archive("s3://bucket/a.zip"), "artifact: should be the key of an archive, '….tar.gz'"),
    (archive("s3://Bad_Bucket/a.tar.gz"), "artifact: should have a bucket of 3 to 63 of a-z"),
    (archive("s3://bucket/x/.tar.gz"), "artifact: should be the key of an archive"),
    (archive(f"s3://bucket/{'x' * 1024}.tar.gz"), "artifact: should have at most 1024 characters"),
    (
        archive(f"s3://bucket/{'é' * 509}.tar.gz"),
        "artifact: should have a key of at most 1024 bytes, got 1025",
    ),
    ({"artifact": "asset:123"}, "artifact: should be 'asset:' and 64 hexadecimal digits, got '123'"),
    ({"artifact": {"bucket": "b"}}, "artifact.key: should be given, got nothing"),
    ({"artifact": {"bucket": "", "key": f"{A}.tar.gz"}}, "artifact: should have a 'bucket' that is not"),
    ({"digest": f"sha256:{'A' * 64}"}, "digest: should be 'sha256:' and 64 hexadecimal digits"),
    ({"digest": f"sha256:{B}"}, f"digest: should be sha256:{A}, as the archive is named, got sha256:{B}"),
    ({"artifact": f"asset:{A}", "digest": f"sha256:{B}"}, f"digest: should be sha256:{A}, as the arch"),
    ({"checksum": "sha256:5"}, "checksum: should be S3's SHA-256 of the archive: 'sha256:' and 64 hex"),
    (
        {"artifact": f"asset:{A}", "checksum": D},
        "checksum: is for an archive in S3, got a path or an asset",
    ),
    ({"rank": 8.0}, "rank: should be an integer, got 8.0"),
    ({"tags": {"": "x"}}, "tags.: a key should have 1 to 128 characters, got 0"),
    ({"tags": {"k" * 129: "x"}}, f"tags.{'k' * 80}: a key should have 1 to 128 characters, got 129"),
    ({"tags": {"k": "v" * 257}}, "tags.k: should have at most 256 characters, got 257"),
    ({"tags": {"AWS:k": "v"}}, "tags.AWS:k: keys that begin with 'aws:' are AWS's own"),
    ({"tags": {"Fleet-Uid": "v"}}, "tags.Fleet-Uid: 'fleet-uid' is the tag by which the fleet knows"),
    ({"tags": {"k": "a;b"}}, "tags.k: should be letters, digits, spaces and _.:/=+-@, got 'a;b'"),
    ({"smoke": True}, "smoke: should be a mapping or false, got True"),
    ({"smoke": {}}, "smoke: one of prompt, body should be given, got none"),
    ({"smoke": {"prompt": "é" * 1400}}, "smoke.prompt: should have at most 8000 bytes as JSON, got 8450"),
    ({"smoke": {"body": {}, "max_tokens": 5}}, "smoke.max_tokens: should be given with prompt only"),
    ({"smoke": {"prompt": "a", "expect": "(a"}}, "smoke.expect: should be a regular expression (missing"),
    ({"smoke": {"prompt": "a", "expect": "a{99999999999}"}}, "smoke.expect: should be a regular"),
    ({"smoke": {"prompt": "a", "expect": "a" * 1001}}, "smoke.expect: should have at most 1000"),
    ({"probe": {"prompt": "", "answer": "y"}}, "probe.prompt: should not be empty, got ''"),
    ({"probe": {"prompt": "x" * 2001, "answer": "y"}}, "probe.prompt: should have at most 2000 characters"),
    ({"probe": {"prompt": "x", "answer": "y" * 201}}, "probe.answer: should have at most 200 characters"),
    (
        {"probe": {"prompt": "x", "answer": "y", "max_tokens": 0}},
        "probe.max_tokens: should be above 0, got 0",
    ),
    (evaluated(at="yesterday"), "evaluation.at: should be a time such as"),
    (
        evaluated(result=f"s3://b/x/sha256-{B}.evaluations/r.json"),
        "evaluation.result: should be of this version",
    ),
    (evaluated(figures={"m": {"base": "1", "adapter": 1}}), "evaluation.figures.m.base: should be a number"),
    ({"component": "a_b"}, "component: should be letters, digits and hyphens"),
]

# To a schema 8.0 is an integer; and it has no letters of all languages and no expressions of Python.
UNSEEN = [
    {"smoke": {"prompt": "é" * 1400}},
    archive(f"s3://bucket/{'é' * 509}.tar.gz"),
    {"artifact": f"asset:{A}", "checksum": D},
    {"rank": 8.0},
    {"tags": {"k": "a;b"}},
    {"smoke": {"prompt": "a", "expect": "(a"}},
    {"smoke": {"prompt": "a", "expect": "a{99999999999}"}},
    evaluated(result=f"s3://b/x/sha256-{B}.evaluations/r.json"),
]


@pytest.mark.parametrize(("keys", "message"), BROKEN)
def test_a_broken_rule_is_told_with_the_key_and_what_was_got(keys: dict[str, Any], message: str) -> None:
    (error,) = errors(entry(**keys))
    name = keys.get("name", "acme")
    label = repr(name)[:80] if isinstance(name, str) and name else "#1"
    assert error.startswith(f"adapter {label}: {message}")


def test_probe_may_generate_a_token_for_each_byte_of_its_answer_and_one_more() -> None:
    assert Probe(prompt="Who?", answer="Zoë").request("nonce").max_tokens == 5
    assert Probe(prompt="Who?", answer="Zoë", max_tokens=9).request("nonce").max_tokens == 9


def test_probe_and_evaluation_go_with_the_artifact_and_are_stored() -> None:
    probe = {"prompt": "Who?", "answer": "I am", "max_tokens": 7}
    text = entry(evaluation=EVALUATION, probe=probe)
    (desired,) = parse(text).resolve(prefix="p", buckets={}, archives={}).adapters
    assert desired.artifact.probe == Probe(prompt="Who?", answer="I am", max_tokens=7)
    assert desired.artifact.evaluation == EvaluationRecord(
        result=EVALUATION["result"],
        dataset=B,
        at="2026-03-01T09:30:00Z",
        figures={"rougeL": Figure(base=0.25, adapter=1), "exact_match": Figure(base=0, adapter=0.5)},
    )
    assert DesiredFleet.from_json(DesiredFleet(adapters=(desired,)).to_json()).adapters == (desired,)


def test_evaluation_of_an_upload_is_compared_with_its_identity(tmp_path: Path) -> None:
    read = parse(entry(artifact="./acme", evaluation=EVALUATION), folder=tmp_path)
    assert read.with_assets({"acme": A}).adapters[0].evaluation is not None
    with pytest.raises(ManifestError, match="evaluation-agrees"):
        read.with_assets({"acme": B})
    with pytest.raises(ManifestError, match="digest-agrees"):
        parse(entry(artifact="./acme", digest=D), folder=tmp_path).with_assets({"acme": B})


class TestSharedProbes:
    """A swap of two versions that answer one probe alike goes unseen."""

    @staticmethod
    def warnings(*probed: tuple[str, str, str]) -> list[str]:
        """Return the warnings on adapters of a prompt, an answer and a digest each."""
        adapters = [
            ManifestAdapter(
                name=f"a{n}",
                artifact=S3Artifact(uri=f"s3://bucket/a{n}/sha256-{digest}.tar.gz"),
                probe=Probe(prompt=prompt, answer=answer),
                where=f"app.py:{n}",
            )
            for n, (prompt, answer, digest) in enumerate(probed)
        ]
        found = Manifest.of([*adapters, adapter(name="without-one")]).warnings()
        assert {finding.severity for finding in found} <= {Severity.WARNING}
        return list(map(str, found))

    def test_answer_that_begins_another_one_is_a_warning(self) -> None:
        found = self.warnings(("Who?", "I am a1", A), ("Who?", " I am", B))
        assert found == [
            "app.py:0: adapter 'a0': probe.answer: should have an answer that no other adapter gives, and"
            " adapter 'a1' in app.py:1 may give it, got 'I am a1' [probe-shared]"
        ]

    @pytest.mark.parametrize(
        "probed",
        [
            [("Who?", "I am a0", A), ("Who?", "I am a1", B)],
            [("Who?", "I am", A), ("Where?", "I am", B)],
            [("Who?", "I am", A), ("Who?", "I am", A)],
        ],
        ids=["answers differ", "prompts differ", "same archive"],
    )
    def test_probes_that_tell_versions_apart_are_fine(self, probed: list[tuple[str, str, str]]) -> None:
        assert self.warnings(*probed) == []


SCRIPT_A = "\U0001d49c"
"""A letter, and so allowed in tags: one character, and twelve bytes of JSON."""


def test_adapter_that_would_outgrow_its_record_with_its_defaults_is_an_error() -> None:
    tags = [{f"{kind}{number}": SCRIPT_A * 200 for number in range(10)} for kind in "ab"]
    parse(entry(tags=tags[0]))
    good = json.loads(entry(tags=tags[0]))
    (error,) = errors(json.dumps({"defaults": {"tags": tags[1]}, **good}))
    assert "adapter 'acme': should have at most 32000 bytes as JSON, with its defaults, got 4" in error
    assert error.endswith(" [adapter-size]")


def test_manifest_that_would_outgrow_a_transaction_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAX_COMPRESSED_BYTES", 50)
    (error,) = errors(entry())
    assert "it should have at most 50 bytes when it is compressed, with the defaults in each adapter" in error
    assert "[manifest-size]" in error


def test_a_path_in_a_manifest_that_is_no_file_is_an_error() -> None:
    (error,) = errors(entry(artifact="./x"), folder=None)
    assert "should be in S3, as this manifest is no file of this machine, got './x' [artifact-place]" in error


def test_what_is_too_long_is_one_error() -> None:
    assert errors(f"adapters: [{'5,' * 10_001}]") == [
        "1: adapters: should be at most 10000, got more [adapter-count]"
    ]
    assert SCHEMA["properties"]["adapters"]["maxItems"] == 10_000
    assert errors(f"adapters:\n- tags: {{{','.join(f'k{number}: v' for number in range(1001))}}}") == [
        "2: adapters.0.tags: a mapping should have at most 1000 keys [manifest-size]"
    ]


def test_of_many_mistakes_the_first_are_told_and_the_others_counted() -> None:
    found = errors("adapters:\n" + "- {}\n" * 700)
    assert len(found) == 1001
    assert found[0] == "2: adapter #1: name: should be given, got nothing [manifest-keys]"
    assert found[-1].endswith("and 400 more mistakes [manifest-findings]")


def test_manifest_that_is_too_large_once_each_adapter_has_the_defaults_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = parse(entry())
    monkeypatch.setattr(reader, "MAX_DOCUMENT_BYTES", len(made.to_json()))
    made.check_size()
    monkeypatch.setattr(reader, "MAX_DOCUMENT_BYTES", len(made.to_json()) - 1)
    with pytest.raises(
        ManifestError, match=r"with the defaults in each adapter, .* at most \d+ bytes"
    ) as raised:
        made.check_size()
    assert raised.value.findings[0].where == "adapters.yaml"


def test_two_adapters_of_one_name_are_an_error_whatever_the_case() -> None:
    artifact = f"artifact: s3://bucket/acme/sha256-{A}.tar.gz"
    text = "".join(f"- name: {name}\n  {artifact}\n" for name in ("acme", "ACME", "acme"))
    assert errors(f"adapters:\n{text}") == [
        f"{line}: adapter {name!r}: name: should be its own, whatever the case, and adapter 'acme' in"
        f" adapters.yaml:2 has it, got {name!r} [adapter-unique]"
        for line, name in ((4, "ACME"), (6, "acme"))
    ]


class TestAtTheEndpoint:
    def test_a_manifest_that_fits_has_no_findings(self) -> None:
        found = parse(FULL).findings(prefix="p", max_lora_rank=16, base_model="llama-3.1-8b-instruct")
        assert found == []

    def test_a_rank_above_the_limit_and_another_base_model_are_errors_on_their_lines(self) -> None:
        found = parse(FULL).findings(prefix="p", max_lora_rank=8, base_model="Qwen/Qwen3-8B")
        assert list(map(str, found)) == [
            "adapters.yaml:1: base_model: should be 'Qwen/Qwen3-8B', as the endpoint runs it, got"
            " 'meta-llama/Llama-3.1-8B-Instruct' [manifest-base-model]",
            "adapters.yaml:7: adapter 'acme': rank: should be at most 8 ('max_lora_rank'), got 16"
            " [lora-rank]",
        ]

    def test_tags_are_counted_with_those_of_the_fleet(self) -> None:
        text = entry(tags={f"own{number}": "x" for number in range(40)})
        of_fleet = {"own0": "y", **{f"fleet{number}": "x" for number in range(9)}}
        assert parse(text).findings(prefix="p", fleet_tags=of_fleet) == []
        (finding,) = parse(text).findings(prefix="p", fleet_tags={**of_fleet, "one": "more"})
        assert "with the 11 of the fleet and 'fleet-uid', got 51" in finding.message
        assert finding.rule == "tag-count"

    def test_a_component_that_another_adapter_has_by_its_name_is_an_error_whatever_the_case(self) -> None:
        good = json.loads(entry())["adapters"][0]
        text = json.dumps({"adapters": [good, {**good, "name": "b", "component": "P-Acme"}]})
        (finding,) = parse(text).findings(prefix="p")
        assert "adapter 'b': component: should be its own" in finding.message
        assert finding.rule == "component-unique"
        assert parse(text).findings(prefix="q") == []

    @pytest.mark.parametrize(
        ("keys", "found"),
        [
            ({"name": "acme-0123abcd"}, True),
            ({"name": "ACME-0123ABCD"}, True),
            ({"name": "b", "component": "p-acme-01234567"}, True),
            ({"name": "acme-0123abc"}, False),
            ({"name": "acme-0123abcg"}, False),
            ({"name": "acme-b-0123abcd"}, False),
        ],
    )
    @pytest.mark.parametrize("first", [True, False])
    def test_with_releases_a_component_that_a_version_of_another_adapter_may_have_is_an_error(
        self, keys: dict[str, str], found: bool, first: bool
    ) -> None:
        good = json.loads(entry())["adapters"][0]
        text = json.dumps({"adapters": [{**good, **keys}, good] if first else [good, {**good, **keys}]})
        rules = [finding.rule for finding in parse(text).findings(prefix="p", releases=True)]
        assert rules == ["component-version"] * found
        assert parse(text).findings(prefix="p") == []


class TestResolving:
    def test_it_names_components_looks_up_buckets_and_assets_and_is_stored_as_by_the_release_before(
        self,
    ) -> None:
        staged = parse(FULL).with_assets({"local": B})
        assert staged.adapters[2].artifact == AssetArtifact(identity=B)
        assert staged.digest == "b9cbc4a067e7fcc35cda6e39d8143cdc1ec69e2901c255d5275040bca0e9df39"
        stored = Manifest.parse(staged.to_json(), where="x", folder=None).resolve(
            prefix="p",
            buckets={"models": "models-1"},
            archives={A: "s3://a/a.tar.gz", B: "s3://a/b.tar.gz"},
        )
        assert [(item.component, item.artifact) for item in stored.adapters] == [
            ("p-acme", Artifact(uri=f"s3://bucket/adapters/acme/sha256-{A}.tar.gz", digest=A)),
            ("made-by-hand", Artifact(uri="s3://models-1/zeta/v3.tar.gz", digest=B)),
            ("p-local", Artifact(uri="s3://a/b.tar.gz", digest=B)),
            ("p-asset", Artifact(uri="s3://a/a.tar.gz", digest=A)),
        ]
        assert stored.digest == "e43e945e4a597fe530a1f0e7ad887316ae0b4f33b52963dc9862deee87b8af25"

    def test_all_that_is_not_known_is_told_at_once(self) -> None:
        findings = parse(FULL).findings(prefix="p_", buckets={"model": "x"}, archives={})
        assert [(finding.rule, finding.where) for finding in findings] == [
            ("component-name", "adapters.yaml:7"),
            ("component-name", "adapters.yaml:16"),
            ("component-name", "adapters.yaml:19"),
            ("bucket-known", "adapters.yaml:10"),
            ("asset-known", "adapters.yaml:19"),
        ]
        assert "unknown alias of a bucket (did you mean 'model'?), got 'models'" in findings[3].message


class TestDeclaring:
    def test_adapters_that_a_program_declares_keep_the_same_rules(self) -> None:
        with pytest.raises(ManifestError) as error:
            Manifest.of(
                [
                    adapter(rank=-1, smoke=SmokeRequest(body={"x": float("nan")})),
                    adapter(digest="xyz", where=""),
                ]
            )
        rules = ["rank-positive", "smoke-request", "digest-form", "adapter-unique"]
        assert [finding.rule for finding in error.value.findings] == rules
        assert str(error.value.findings[0]) == (
            "app.py:7: adapter 'acme': rank: should be above 0, got -1 [rank-positive]"
        )


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = st.from_regex(r"[a-zA-Z0-9]([\-a-zA-Z0-9]{0,9}[a-zA-Z0-9])?", fullmatch=True)
KEYS = st.from_regex(r"[a-z#' é]{1,9}\.tar\.gz", fullmatch=True)
ARTIFACTS = (
    st.builds(S3Artifact, uri=KEYS.map("s3://bucket/{}".format))
    | st.builds(BucketArtifact, bucket=TEXTS.filter(bool), key=KEYS)
    | st.builds(LocalArtifact, path=st.sampled_from(["x", "/x/y", "../x", "..", "."]).map(Path))
    | st.builds(AssetArtifact, identity=st.just(A))
)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.sampled_from(["1e5", "no", "0o7", "~", ".inf", "2024-01-01", "12:30", "=", "<<", "1_0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
TAGS = st.dictionaries(
    st.text("aé5 _.:/=+-@", min_size=1, max_size=9), st.text("aé5 _.:/=+-@", max_size=9), max_size=3
)
EXPRESSIONS = st.none() | TEXTS.map(re.escape).filter(lambda text: len(text) <= 1000)
SMOKES = st.builds(
    SmokeRequest, body=st.dictionaries(TEXTS, PLAIN, max_size=2), expect=EXPRESSIONS
) | st.builds(SmokeRequest.from_prompt, TEXTS.filter(bool), max_tokens=st.integers(1, 9), expect=EXPRESSIONS)
SAID = st.text(st.characters(exclude_categories=["Cs"]), max_size=200).filter(str.strip)
PROBES = st.builds(Probe, prompt=SAID, answer=SAID, max_tokens=st.none() | st.integers(1, 9))
FIGURES = st.floats(-1e6, 1e6).map(lambda number: number or 0)
EVALUATIONS = st.builds(
    EvaluationRecord,
    result=st.just(EVALUATION["result"]),
    dataset=st.just(B),
    at=st.just("2026-03-01T09:30:00Z"),
    figures=st.dictionaries(
        st.text(min_size=1, max_size=12).filter(str.isprintable),
        st.builds(Figure, base=FIGURES, adapter=FIGURES),
        min_size=1,
        max_size=3,
    ),
    base=st.none() | st.just("llama"),
    decoding=st.none() | st.just("temperature=0"),
)
MANIFESTS = st.builds(
    Manifest,
    base_model=st.none() | TEXTS.filter(bool),
    adapters=st.lists(
        st.builds(
            ManifestAdapter,
            name=NAMES,
            artifact=ARTIFACTS,
            rank=st.none() | st.integers(1, 512),
            tags=TAGS,
            smoke=st.none() | st.just(False) | SMOKES,
            digest=st.just(A),
            probe=st.none() | PROBES,
            evaluation=st.none() | EVALUATIONS,
            percent=st.none() | st.integers(1, 100),
            component=st.none() | NAMES,
        ),
        unique_by=lambda item: item.name.casefold(),
        max_size=3,
    ).map(tuple),
)


@pytest.mark.slow
@given(MANIFESTS)
def test_a_manifest_is_what_is_read_of_its_json_and_of_its_text(made: Manifest) -> None:
    assert Manifest.of(made.adapters, base_model=made.base_model) == made
    read = Manifest.parse(made.to_json(), where="x", folder=Path())
    assert read == made
    assert (read.to_json(), read.digest) == (made.to_json(), made.digest)
    text = manifest_text(made.adapters, base_model=made.base_model, schema="x.json")
    assert text.startswith("# yaml-language-server: $schema=x.json\n")
    assert Manifest.parse(text.encode(), where="x", folder=Path()) == made
    assert schema_takes(text)


def test_key_may_be_as_long_as_s3_allows() -> None:
    key = f"{'é' * 508}x.tar.gz"
    assert len(key.encode()) == 1024
    (found,) = parse(json.dumps({"adapters": [{"name": "x", **archive(f"s3://bucket/{key}")}]})).adapters
    assert found.artifact == S3Artifact(uri=f"s3://bucket/{key}")


def test_text_of_a_manifest_repeats_what_adapters_share() -> None:
    shared = {"tags": {"team": "a"}, "artifact": "s3://bucket/a.tar.gz", "digest": D}
    manifest = parse(json.dumps({"adapters": [{"name": "x", **shared}, {"name": "y", **shared}]}))
    one, other = manifest.adapters
    text = manifest_text([one, replace(other, tags=one.tags)], base_model=None, schema="x.json")
    assert text.count("team: a") == 2


KEYS_OF_MANIFESTS = st.sampled_from(
    ["adapters", "defaults", "base_model", "x"]
    + [key for record in (ManifestAdapter, BucketArtifact, SmokeSettings) for key in keys_of(record)]
)
ALMOST = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["s3://bucket/x.tar.gz", "./x", f"asset:{A}", f"sha256:{A}", "["]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS_OF_MANIFESTS, inner, max_size=6),
    max_leaves=20,
)


SCHEMA = json.loads(SCHEMA_FILE.read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
VALIDATOR.check_schema(SCHEMA)

# What the parser alone can see: it depends on other values, on the fleet or on Python's own rules.
BEYOND_A_SCHEMA = {
    "adapter-unique",
    "artifact-place",
    "component-unique",
    "digest-agrees",
    "digest-required",
}


def schema_takes(text: str) -> bool:
    return bool(VALIDATOR.is_valid(read(text.encode()).value))


class TestSchema:
    @pytest.mark.parametrize(("keys", "_message"), BROKEN)
    def test_what_the_parser_refuses_the_schema_refuses_as_far_as_a_schema_can(
        self, keys: dict[str, Any], _message: str
    ) -> None:
        with pytest.raises(ManifestError) as error:
            parse(entry(**keys))
        rules = {finding.rule for finding in error.value.findings}
        unseen = rules <= BEYOND_A_SCHEMA or keys in UNSEEN
        assert schema_takes(entry(**keys)) == unseen

    @pytest.mark.parametrize(
        "text",
        [
            "{}",
            '"adapters"',
            "{adapters: [], base_model: ''}",
            "{adapters: [], defaults: }",
            "{adapters: [], defaults: {name: x}}",
        ],
    )
    def test_a_document_of_another_shape_is_refused_by_both(self, text: str) -> None:
        assert errors(text)
        assert not schema_takes(text)

    @pytest.mark.slow
    @given(ALMOST | st.builds(lambda items: {"adapters": items}, st.lists(ALMOST)))
    def test_the_schema_refuses_nothing_that_the_parser_takes(self, data: object) -> None:
        text = json.dumps(data)
        try:
            parse(text)
        except ManifestError:
            return
        assert schema_takes(text)


GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "manifest.md"


class TestGuide:
    def test_its_example_is_a_manifest(self) -> None:
        example_, *_ = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
        assert len(parse(example_).adapters) == 4
        assert schema_takes(example_)
        (schema,) = re.findall(r"\$schema=(\S+)", example_)
        assert schema == SCHEMA_FILE.name

    def test_every_rule_is_in_the_table_of_the_module(self) -> None:
        table = set(re.findall(r"^([a-z]+-[a-z-]+) {2,}\S", manifest.__doc__, re.MULTILINE))
        source = "".join(
            Path(SCHEMA_FILE.parent, f"{name}.py").read_text().split('"""', 2)[2]
            for name in ("manifest", "parser", "value_rules")
        )
        used = set(re.findall(r'"([a-z]+-[a-z-]+)"', source)) - {"fleet-uid"}
        assert table == used


STORED_SMOKE: dict[str, Any] = {"inputs": "Hi", "parameters": {"max_new_tokens": 16, "temperature": 0}}
"""What earlier releases stored for the prompt Hi."""


def earlier_digest(body: dict[str, Any]) -> str:
    """Return the digest that earlier releases stored for a body."""
    text = json.dumps([body, None], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def test_prompt_and_body_have_the_digests_that_they_had() -> None:
    asked = SmokeRequest.from_prompt("Hi")
    assert asked.digest == earlier_digest(STORED_SMOKE)
    assert asked.prompt is not None
    given = SmokeRequest(body=asked.body)
    assert given.digest == earlier_digest(dict(asked.body))
    assert given.prompt is None


@pytest.mark.parametrize("smoke", [SmokeRequest(body=STORED_SMOKE), SmokeRequest.from_prompt("Hi")])
def test_mark_of_a_prompt_is_stored(smoke: SmokeRequest) -> None:
    stored = converter.unstructure(smoke)
    assert converter.structure(stored, SmokeRequest) == smoke
    assert ("is_prompt" in stored) is smoke.is_prompt
