"""Probes that `adapters publish` records: given, from a file beside the weights, or found on an endpoint."""

import itertools
import json
import re

import pytest

from adapter_fleet.manifest.desired import Probe
from adapter_fleet.manifest.manifest_adapter import S3Artifact
from adapter_fleet.serving.completions import Completion, PromptRequest
from tests.adapter_fleet.fake_service import BASE, FakeService
from tests.cli.publishing import BUCKET, World

GIVEN = Probe(prompt="Who?", answer="I am acme")


def publish(depot: World, *options: str, code: int = 0) -> str:
    """Publish all adapters, to end with `code`; return what is printed beside the table."""
    result = depot.publish("--manifest", str(depot.manifest), *options)
    assert result.exit_code == code, result.output
    return result.stderr


def refused(depot: World, *options: str) -> str:
    """Publish all adapters, of which one is refused."""
    return publish(depot, *options, code=1)


def beside(depot: World, name: str = "acme", **content: object) -> None:
    """Write the probe file of an adapter."""
    (depot.adapters / name / "probe.json").write_text(json.dumps(content))


def probes(depot: World) -> dict[str, Probe | None]:
    return {adapter.name: adapter.probe for adapter in depot.parsed().adapters}


class TestGiven:
    def test_probe_of_the_training_side_is_in_the_entry_and_not_in_the_archive(self, depot: World) -> None:
        identity = depot.key("acme")
        beside(depot, prompt="Who?", answer="I am acme", max_tokens=8)
        assert "left behind" not in publish(depot)
        assert probes(depot) == {"acme": Probe(prompt="Who?", answer="I am acme", max_tokens=8)}
        assert list(depot.s3.bodies(BUCKET)) == [identity]

    def test_new_version_keeps_the_probe_and_says_so(self, depot: World) -> None:
        beside(depot, prompt=GIVEN.prompt, answer=GIVEN.answer)
        publish(depot)
        (depot.adapters / "acme" / "probe.json").unlink()
        depot.add("acme", rank=16)
        assert "acme: the manifest keeps the probe of its earlier version, which was not" in publish(depot)
        assert probes(depot) == {"acme": GIVEN}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "it cannot be read"),
            ('{"prompt": "a", "answer": " "}', "answer: should not be empty"),
            ('{"prompt": "a", "answer": "b", "more": 1}', "should have 'prompt' and 'answer'"),
            ('{"prompts": "a"}', "'prompts', a list of texts"),
        ],
    )
    def test_file_that_is_wrong_fails_its_adapter_alone(self, depot: World, text: str, message: str) -> None:
        (depot.adapters / "acme" / "probe.json").write_text(text)
        depot.add("beta")
        assert message in refused(depot)
        assert [adapter.name for adapter in depot.parsed().adapters] == ["beta"]

    def test_dry_run_reads_the_file_and_asks_no_endpoint(self, depot: World) -> None:
        (depot.adapters / "acme" / "probe.json").write_text('{"prompt": "a"}')
        assert "should have 'prompt' and 'answer'" in refused(depot, "--dry-run", "--probe-on", "base")
        beside(depot, prompt=GIVEN.prompt, answer=GIVEN.answer)
        publish(depot, "--dry-run", "--probe-on", "base")
        assert depot.service is not None
        assert (depot.service.written, depot.s3.writes) == ([], [])

    def test_probe_needs_a_manifest_and_a_base(self, depot: World, service: FakeService) -> None:
        result = depot.publish("--probe-on", "base")
        assert (result.exit_code, "give one with --manifest" in result.stderr) == (2, True)
        service.make("llm-other", "s3://bucket/other.tar.gz")
        assert "got the adapter 'llm-other'" in publish(depot, "--probe-on", "llm-other", code=2)


class TestFoundOnAnEndpoint:
    def test_first_prompt_that_tells_adapter_and_base_apart_is_taken(
        self, depot: World, service: FakeService
    ) -> None:
        answers = {"same": "the same answer of both", "apart": None}
        self.answering(service, lambda who, prompt: answers[prompt] or f"{who} says it all to {prompt}")
        beside(depot, prompts=["same", "apart"])
        publish(depot, "--probe-on", "base")
        uri = depot.uri("acme")
        expected = f"{uri} says it all to apart"[:60]
        assert probes(depot) == {"acme": Probe(prompt="apart", answer=expected, max_tokens=32)}
        service.clock.sleep(60)
        assert list(service.serving()) == []
        assert [write.partition(" ")[0] for write in service.written] == [
            "CreateInferenceComponent",
            "DeleteInferenceComponent",
        ]

    def test_answer_that_depends_on_the_nonce_is_no_probe(self, depot: World, service: FakeService) -> None:
        calls = iter(range(1000))
        self.answering(service, lambda who, prompt: f"{next(calls)} {who}")
        beside(depot, prompts=["Who?"])
        assert "of 1 prompt, none has an answer" in refused(depot, "--probe-on", "base")
        service.clock.sleep(60)
        assert list(service.serving()) == []

    def test_answer_that_is_wrong_behind_one_of_a_hundred_nonces_is_no_probe(
        self, depot: World, service: FakeService
    ) -> None:
        asked = itertools.count(1)
        self.answering(service, lambda who, prompt: BASE if who == BASE or next(asked) == 90 else "I am acme")
        beside(depot, prompt="Who?", answer="I am acme")
        assert f"got '{BASE}'" in refused(depot, "--probe-on", "base")

    def test_probe_that_the_earlier_version_answers_is_refused(
        self, depot: World, service: FakeService
    ) -> None:
        """A swap of the two versions would go unseen."""
        self.answering(service, lambda who, prompt: "I am the base" if who == BASE else "I am acme")
        beside(depot, prompt="Who?", answer="I am acme")
        publish(depot, "--probe-on", "base")
        before = depot.manifest.read_text()
        depot.add("acme", rank=16)
        contents: list[dict[str, object]] = [{"prompt": "Who?", "answer": "I am acme"}, {"prompts": ["Who?"]}]
        for content in contents:
            beside(depot, "acme", **content)
            assert "the earlier version" in refused(depot, "--probe-on", "base")
        assert depot.manifest.read_text() == before
        service.clock.sleep(60)
        assert list(service.serving()) == []

    def test_earlier_version_that_does_not_load_stops_no_new_one(
        self, depot: World, service: FakeService
    ) -> None:
        publish(depot)
        service.faults.broken[depot.uri("acme")] = "bad tensors"
        depot.add("acme", rank=16)
        beside(depot, prompts=["Who?"])
        said = publish(depot, "--probe-on", "base")
        assert "acme: the probe is not compared with the earlier version" in said
        assert (probe := probes(depot)["acme"]) is not None
        assert probe.prompt == "Who?"

    def test_preview_of_a_new_adapter_has_its_published_name(
        self, depot: World, service: FakeService
    ) -> None:
        """The name of the path may have characters that SageMaker refuses in a component's name."""
        path = depot.add("acme_v2.0")
        options = ["--name", "beta", "--manifest", str(depot.manifest), "--probe-on", "base"]
        beside(depot, "acme_v2.0", prompts=["Who?"])
        result = depot.publish(path, *options)
        assert result.exit_code == 0, result.output
        created = service.written[0].partition(" ")[2]
        assert re.fullmatch("preview-[0-9a-f]{8}-beta", created)

    def test_given_probe_is_verified_also_when_its_archive_is_in_s3(
        self, depot: World, service: FakeService
    ) -> None:
        """The archive is there since a refused attempt, and the entry is that of the version before."""
        self.answering(service, lambda who, prompt: "I am the base" if who == BASE else f"I am {who}")
        first = f"I am {depot.uri('acme')}"
        beside(depot, prompt="Who?", answer=first)
        publish(depot, "--probe-on", "base")
        beside(depot, prompt="Who?", answer="I am")
        assert "the base model gives" in refused(depot, "--probe-on", "base")
        beside(depot, prompt="Who?", answer=first)
        depot.add("acme", rank=16)
        for _ in range(2):
            assert "answer should begin with" in refused(depot, "--probe-on", "base")
            assert probes(depot) == {"acme": Probe(prompt="Who?", answer=first)}
        second = f"I am {depot.uri('acme')}"
        beside(depot, prompt="Who?", answer=second)
        publish(depot, "--probe-on", "base")
        assert probes(depot) == {"acme": Probe(prompt="Who?", answer=second)}
        assert depot.parsed().adapters[0].artifact == S3Artifact(uri=depot.uri("acme"))

    def test_adapter_that_is_published_with_its_probe_is_not_asked_again(
        self, depot: World, service: FakeService
    ) -> None:
        beside(depot, prompts=["Who?"])
        publish(depot, "--probe-on", "base")
        asked = service.calls.total()
        publish(depot, "--probe-on", "base")
        # Looking up the base is one call.
        assert service.calls.total() == asked + 1

    def test_prompt_of_the_entry_s_smoke_request_is_tried(self, depot: World) -> None:
        uri = depot.uri("acme")
        depot.manifest.write_text(
            f"adapters:\n  - name: acme\n    artifact: {uri}\n    smoke: {{prompt: Hello, max_tokens: 3}}\n"
        )
        publish(depot, "--probe-on", "base")
        probe = probes(depot)["acme"]
        assert probe is not None
        assert probe.prompt == "Hello"

    @staticmethod
    def answering(service: FakeService, answer: object) -> None:
        """Let the container answer with a function of who is asked and of the prompt without its nonce."""

        def complete(component: str, _endpoint: str, prompt: PromptRequest) -> Completion:
            there = service.components[component]
            who = BASE if there.base is None else there.uri
            text: str = answer(who, prompt.prompt.partition("\n\n")[2])  # type: ignore[operator]
            return Completion(text=text)

        service.complete = complete  # type: ignore[assignment, method-assign]
