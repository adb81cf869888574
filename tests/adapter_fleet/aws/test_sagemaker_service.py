"""What the calls are, and what the errors of SageMaker and S3 mean, by botocore's own stubs."""

import base64
import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.response import StreamingBody
from botocore.stub import Stubber

from adapter_fleet.aws import sagemaker_service
from adapter_fleet.aws.sagemaker_service import SageMakerService, matches
from adapter_fleet.fleet.state.archive_version import ArchiveVersion, checksum_text
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.sagemaker_port import (
    ConflictError,
    ExistsError,
    LimitReachedError,
    MissingError,
    ModelFailedError,
    RefusedError,
    Requests,
    ServiceError,
    ThrottledError,
    UnansweredError,
)
from adapter_fleet.manifest.desired import Artifact, SmokeRequest
from adapter_fleet.serving.completions import Completion, PromptForm, PromptRequest

ARN = "arn:aws:sagemaker:us-east-1:000000000000:inference-component/p-a"
THEN = datetime(2026, 1, 1, tzinfo=UTC)
ARTIFACT = Artifact(uri="s3://bucket/adapters/a.tar.gz", digest="a" * 64)
PROMPT = PromptRequest(prompt="Who?", max_tokens=7)
SMOKE = SmokeRequest.from_prompt("Who?", max_tokens=7)
LIVE = ObservedComponent(status=Status.IN_SERVICE, created=1.0, modified=1.0, arn=ARN)


@pytest.fixture(scope="module")
def clients() -> dict[str, Any]:
    """The clients of all tests, as making them takes most of the time."""
    session: Any = boto3.Session("key", "secret", region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1})
    names = ("sagemaker", "sagemaker-runtime", "s3", "cloudformation", "cloudwatch")
    return {name: session.client(name, config=config) for name in names}


class Stubs:
    """A service whose every call has to be announced."""

    def __init__(self, clients: dict[str, Any]) -> None:
        self.clients = clients
        self.stubbers = {name: Stubber(client) for name, client in self.clients.items()}
        self.service = SageMakerService(
            sagemaker=self.clients["sagemaker"],
            runtime=self.clients["sagemaker-runtime"],
            s3=self.clients["s3"],
            cloudformation=self.clients["cloudformation"],
            cloudwatch=self.clients["cloudwatch"],
        )

    def answers(self, client: str, operation: str, answer: dict[str, Any], **expected: Any) -> None:
        self.stubbers[client].add_response(operation, answer, expected or None)

    def fails(self, client: str, operation: str, code: str, message: str = "", status: int = 400) -> None:
        self.stubbers[client].add_client_error(operation, code, message, http_status_code=status)


@pytest.fixture
def stubs(clients: dict[str, Any]) -> Iterator[Stubs]:
    stubs = Stubs(clients)
    with contextlib.ExitStack() as active:
        for stubber in stubs.stubbers.values():
            active.enter_context(stubber)
        yield stubs
    for stubber in stubs.stubbers.values():
        stubber.assert_no_pending_responses()


def summary(name: str) -> dict[str, Any]:
    return {
        "CreationTime": THEN,
        "InferenceComponentArn": ARN,
        "InferenceComponentName": name,
        "EndpointArn": "arn:aws:sagemaker:us-east-1:000000000000:endpoint/endpoint",
        "EndpointName": "endpoint",
        "VariantName": "AllTraffic",
        "InferenceComponentStatus": "InService",
        "LastModifiedTime": THEN,
    }


LISTING = {
    "EndpointNameEquals": "endpoint",
    "MaxResults": 100,
    "SortBy": "CreationTime",
    "SortOrder": "Ascending",
}


def test_listing_goes_on_to_the_last_page(stubs: Stubs) -> None:
    first = {"InferenceComponents": [summary("p-a")], "NextToken": "next"}
    stubs.answers("sagemaker", "list_inference_components", first, **LISTING)
    second = {"InferenceComponents": [summary("p-b")]}
    stubs.answers("sagemaker", "list_inference_components", second, **LISTING, NextToken="next")
    page = stubs.service.list_page("endpoint")
    assert (list(page.components), page.next_token) == (["p-a"], "next")
    page = stubs.service.list_page("endpoint", token="next")
    assert (list(page.components), page.next_token) == (["p-b"], None)
    assert stubs.service.calls["ListInferenceComponents"] == 2


def test_listing_of_new_components_asks_for_no_others(stubs: Stubs) -> None:
    listing = {"InferenceComponents": [summary("p-a")]}
    stubs.answers("sagemaker", "list_inference_components", listing, **LISTING, CreationTimeAfter=THEN)
    page = stubs.service.list_page("endpoint", created_after=THEN.timestamp())
    assert list(page.components) == ["p-a"]


def test_adapter_is_created_with_its_base_and_artifact_alone(stubs: Stubs) -> None:
    stubs.answers(
        "sagemaker",
        "create_inference_component",
        {"InferenceComponentArn": ARN},
        InferenceComponentName="p-a",
        EndpointName="endpoint",
        Specification={
            "BaseInferenceComponentName": "base",
            "Container": {"ArtifactUrl": ARTIFACT.uri},
        },
        Tags=[{"Key": "a", "Value": "1"}, {"Key": "fleet-uid", "Value": "x"}],
    )
    tags = {"fleet-uid": "x", "a": "1"}
    assert stubs.service.create("p-a", endpoint="endpoint", base="base", artifact=ARTIFACT, tags=tags) == ARN


@pytest.mark.parametrize(
    ("runtime", "copies"),
    [
        ({}, 1),
        ({"RuntimeConfig": {"CurrentCopyCount": 3, "DesiredCopyCount": 2}}, 3),
        ({"RuntimeConfig": {"CurrentCopyCount": 0, "DesiredCopyCount": 0}}, 0),
    ],
)
def test_base_that_is_scaled_to_zero_has_no_copy(stubs: Stubs, runtime: dict[str, Any], copies: int) -> None:
    stubs.answers("sagemaker", "describe_inference_component", {**summary("base"), **runtime})
    assert stubs.service.describe_base("base").copies == copies


def test_version_of_a_base_on_several_instance_types_changes_with_each_model(stubs: Stubs) -> None:
    def version(*models: str) -> str:
        specifications = [{"InstanceType": "ml.g5.xlarge", "ModelName": model} for model in models]
        answer = {**summary("base"), "Specifications": specifications}
        stubs.answers("sagemaker", "describe_inference_component", answer)
        return stubs.service.describe_base("base").version

    assert version("a", "b") == version("a", "b")
    assert len({version("a", "b"), version("a", "c"), version("c", "b")}) == 3


def test_description_tells_artifact_base_and_reason(stubs: Stubs) -> None:
    described = {
        **summary("p-a"),
        "FailureReason": "bad tensors",
        "Specification": {
            "BaseInferenceComponentName": "base",
            "Container": {"ArtifactUrl": ARTIFACT.uri},
        },
    }
    stubs.answers("sagemaker", "describe_inference_component", described)
    live = stubs.service.describe("p-a")
    assert live is not None
    assert (live.artifact_uri, live.base) == (ARTIFACT.uri, "base")
    assert (live.failure_reason, live.described) == ("bad tensors", True)


@pytest.mark.parametrize(
    ("code", "message", "status", "error"),
    [
        ("ThrottlingException", "Rate exceeded", 400, ThrottledError),
        ("ValidationException", f'Could not find inference component "{ARN}".', 400, MissingError),
        ("ValidationException", "Could not find model data at s3://b/k.", 400, RefusedError),
        ("ValidationException", f'Cannot create already existing component "{ARN}".', 400, ExistsError),
        (
            "ValidationException",
            "Cannot update it while it is in state CREATE_IN_PROGRESS.",
            400,
            ConflictError,
        ),
        (
            "ValidationException",
            f'Cannot delete "{ARN}" while "x" is in state UPDATE_RC.',
            400,
            ConflictError,
        ),
        ("ResourceInUse", "it is being updated", 400, ConflictError),
        ("ValidationException", "1 validation error detected", 400, RefusedError),
        ("AccessDeniedException", "not authorized", 400, RefusedError),
        ("ResourceLimitExceeded", "the limit is 5", 400, LimitReachedError),
        ("InternalFailure", "", 500, UnansweredError),
    ],
)
def test_error_of_a_write_is_told_by_its_meaning(
    stubs: Stubs, code: str, message: str, status: int, error: type[ServiceError]
) -> None:
    stubs.fails("sagemaker", "update_inference_component", code, message, status)
    with pytest.raises(error):
        stubs.service.update("p-a", ARTIFACT)


def test_request_that_is_never_sent_is_refused(stubs: Stubs) -> None:
    stubs.stubbers["sagemaker"].deactivate()  # it would look at the request first
    with pytest.raises(RefusedError, match="Invalid type for parameter InferenceComponentName"):
        stubs.service.delete(None)  # type: ignore[arg-type]


def test_archive_is_found_with_its_version_and_the_checksum_of_s3(stubs: Stubs) -> None:
    checksum = base64.b64encode(bytes.fromhex("5" * 64)).decode()
    head = {"ETag": '"e"', "ContentLength": 7, "LastModified": THEN, "VersionId": "v1", "Metadata": {}}
    expected = {"Bucket": "bucket", "Key": "adapters/a.tar.gz", "ChecksumMode": "ENABLED"}
    stubs.answers("s3", "head_object", {**head, "ChecksumSHA256": checksum}, **expected)
    assert stubs.service.find_archive(ARTIFACT.uri) == ArchiveVersion(
        uri=ARTIFACT.uri,
        etag='"e"',
        size=7,
        modified=THEN.timestamp(),
        version="v1",
        checksum=f"sha256:{'5' * 64}",
    )


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (None, None),
        ("VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVU=", f"sha256:{'5' * 64}"),
        ("VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVU=-12", f"sha256:{'5' * 64}-12"),
        ("no base64", None),
    ],
)
def test_checksum_is_that_of_the_whole_or_of_the_parts(stored: str | None, expected: str | None) -> None:
    assert checksum_text(stored) == expected


def test_archive_that_is_not_there_is_none_and_one_that_may_not_be_read_is_refused(stubs: Stubs) -> None:
    stubs.fails("s3", "head_object", "404", "Not Found", 404)
    assert stubs.service.find_archive(ARTIFACT.uri) is None
    key = ARTIFACT.uri.removeprefix("s3://bucket/")
    for listed, gone in (([{"Key": key}], False), ([{"Key": f"{key}.old"}], True), ([], True), (None, False)):
        stubs.fails("s3", "head_object", "403", "Forbidden", 403)
        if listed is None:
            stubs.fails("s3", "list_objects_v2", "AccessDenied", "Access Denied", 403)
        else:
            listing = {"Bucket": "bucket", "Prefix": key, "MaxKeys": 1}
            stubs.answers("s3", "list_objects_v2", {"Contents": listed}, **listing)
        if gone:
            assert stubs.service.find_archive(ARTIFACT.uri) is None
            continue
        with pytest.raises(RefusedError):
            stubs.service.find_archive(ARTIFACT.uri)


def test_copy_has_a_checksum_and_no_tags(stubs: Stubs) -> None:
    expected = {
        "Bucket": "bucket",
        "Key": "kept/a.tar.gz",
        "CopySource": {"Bucket": "assets", "Key": "a.tar.gz"},
        "ChecksumAlgorithm": "SHA256",
        "TaggingDirective": "REPLACE",
    }
    stubs.answers("s3", "copy_object", {}, **expected)
    stubs.service.copy_archive("s3://assets/a.tar.gz", "s3://bucket/kept/a.tar.gz")


def answer(text: str) -> dict[str, Any]:
    body = text.encode()
    return {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentType": "application/json"}


@pytest.mark.parametrize(("generated", "is_right"), [("hello", True), ("bye", False)])
def test_answer_that_does_not_match_is_told(stubs: Stubs, generated: str, is_right: bool) -> None:
    stubs.answers("sagemaker-runtime", "invoke_endpoint", answer(f'{{"generated_text": "{generated}"}}'))
    smoke = SmokeRequest(body={"inputs": "x"}, expect="hel+o")
    problem = stubs.service.ask("p-a", "endpoint", smoke)
    assert problem is None if is_right else "bye" in (problem or "")


def test_answer_that_cannot_be_searched_is_no_answer(stubs: Stubs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sagemaker_service, "_SEARCH", "import os; os.kill(os.getpid(), 9)")
    stubs.answers("sagemaker-runtime", "invoke_endpoint", answer('{"generated_text": "hello"}'))
    with pytest.raises(UnansweredError, match="'hello' was ended by signal 9"):
        stubs.service.ask("p-a", "endpoint", SmokeRequest(body={"inputs": "x"}, expect="hello"))


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("AccessDeniedException", 403, RefusedError),
        ("ModelNotReadyException", 429, UnansweredError),
    ],
)
def test_request_that_does_not_reach_the_adapter_says_nothing_about_it(
    stubs: Stubs, code: str, status: int, error: type[ServiceError]
) -> None:
    stubs.fails("sagemaker-runtime", "invoke_endpoint", code, "", status)
    with pytest.raises(error):
        stubs.service.ask("p-a", "endpoint", SmokeRequest(body={"inputs": "x"}))


def sent(form: PromptForm) -> dict[str, Any]:
    return {
        "EndpointName": "endpoint",
        "InferenceComponentName": "p-a",
        "ContentType": "application/json",
        "Body": json.dumps(PROMPT.body(form)),
    }


class TestPrompts:
    """A prompt is sent in the first form that the container takes."""

    def refuse(
        self, stubs: Stubs, form: PromptForm, status: int = 400, *, says: str = "unknown field"
    ) -> None:
        message = (
            f'Received client error ({status}) from p-a with message "{says}". See'
            " https://eu-west-1.console.aws.amazon.com/cloudwatch/home#logEventViewer:group=/aws/sagemaker/"
            "Endpoints/MultiAdapterEndpoint in account 123456789012 for more information."
        )
        stubs.stubbers["sagemaker-runtime"].add_client_error(
            "invoke_endpoint",
            "ModelError",
            message,
            http_status_code=424,
            expected_params=sent(form),
        )

    def answer(self, stubs: Stubs, form: PromptForm, body: str) -> None:
        stubs.answers("sagemaker-runtime", "invoke_endpoint", answer(body), **sent(form))

    def test_log_probabilities_are_asked_for(self, stubs: Stubs) -> None:
        logprobs = {"tokens": ["hi"], "token_logprobs": [-0.5], "top_logprobs": [{"hi": -0.5, "ho": -0.6}]}
        self.answer(
            stubs,
            PromptForm.WITH_LOGPROBS,
            json.dumps({"choices": [{"text": "hi", "logprobs": logprobs}]}),
        )
        found = stubs.service.complete("p-a", "endpoint", PROMPT)
        assert found == Completion(text="hi", tokens=(("hi", -0.5, {"hi": -0.5, "ho": -0.6}),))

    def test_refused_form_is_followed_by_the_next_one_and_remembered(self, stubs: Stubs) -> None:
        self.refuse(stubs, PromptForm.WITH_LOGPROBS, 424, says="Input Parsing failed.")
        self.answer(stubs, PromptForm.COMPLETIONS, '{"choices": [{"text": "hi"}]}')
        self.answer(stubs, PromptForm.COMPLETIONS, '{"choices": [{"text": "ho"}]}')
        texts = [stubs.service.complete("p-a", "endpoint", PROMPT).text for _ in range(2)]
        assert texts == ["hi", "ho"]

    def test_first_refusal_is_raised_if_every_form_is_refused(self, stubs: Stubs) -> None:
        for form in (PromptForm.WITH_LOGPROBS, PromptForm.COMPLETIONS, PromptForm.LMI):
            self.refuse(stubs, form, says=f"no {form}")
        with pytest.raises(ModelFailedError, match=f"no {PromptForm.WITH_LOGPROBS}"):
            stubs.service.complete("p-a", "endpoint", PROMPT)

    def test_failure_of_one_request_does_not_end_log_probabilities(self, stubs: Stubs) -> None:
        """A rolling batch reports every failure with 424."""
        self.refuse(stubs, PromptForm.WITH_LOGPROBS, 424, says="the batch failed")
        with pytest.raises(ModelFailedError, match="the batch failed"):
            stubs.service.complete("p-a", "endpoint", PROMPT)
        self.answer(stubs, PromptForm.WITH_LOGPROBS, '{"choices": [{"text": "hi"}]}')
        assert stubs.service.complete("p-a", "endpoint", PROMPT).text == "hi"

    def test_refused_schema_of_lmi_does_not_end_log_probabilities(self, stubs: Stubs) -> None:
        self.refuse(stubs, PromptForm.COMPLETIONS)
        self.answer(stubs, PromptForm.LMI, '{"generated_text": "hello"}')
        self.refuse(stubs, PromptForm.LMI)
        self.answer(stubs, PromptForm.COMPLETIONS, '{"choices": [{"text": "hello"}]}')
        for _ in range(2):
            assert stubs.service.ask("p-a", "endpoint", SMOKE) is None
        self.answer(stubs, PromptForm.WITH_LOGPROBS, '{"choices": [{"text": "hi"}]}')
        assert stubs.service.complete("p-a", "endpoint", PROMPT).text == "hi"

    def test_endpoint_whose_container_was_replaced_gets_completions_again(self, stubs: Stubs) -> None:
        self.refuse(stubs, PromptForm.WITH_LOGPROBS)
        self.refuse(stubs, PromptForm.COMPLETIONS)
        self.answer(stubs, PromptForm.LMI, '{"generated_text": "hi"}')
        self.refuse(stubs, PromptForm.LMI)
        for _ in range(2):
            self.answer(stubs, PromptForm.WITH_LOGPROBS, '{"choices": [{"text": "hi"}]}')
        for _ in range(3):
            assert stubs.service.complete("p-a", "endpoint", PROMPT).text == "hi"

    def test_error_that_is_not_about_the_form_is_raised(self, stubs: Stubs) -> None:
        message = 'Received client error (400) from p-a with message "adapter p-a not found".'
        stubs.fails("sagemaker-runtime", "invoke_endpoint", "ModelError", message, 424)
        with pytest.raises(ModelFailedError, match="Received"):
            stubs.service.complete("p-a", "endpoint", PROMPT)

    def test_pattern_is_looked_for_in_the_generated_text_of_a_prompt(self, stubs: Stubs) -> None:
        """The rest of a completion has names, numbers and times of its own."""
        answered = '{"object": "text_completion", "created": 1764000000, "choices": [{"text": "hello"}]}'
        for expect in ("^hel+o$", "[0-9]"):
            self.answer(stubs, PromptForm.COMPLETIONS, answered)
            problem = stubs.service.ask("p-a", "endpoint", replace(SMOKE, expect=expect))
            assert (problem is None) is (expect != "[0-9]")

    def test_body_like_a_prompt_s_is_sent_and_compared_as_it_is(self, stubs: Stubs) -> None:
        given = SmokeRequest(body=PROMPT.body(), expect='"text"')
        self.answer(stubs, PromptForm.COMPLETIONS, '{"choices": [{"text": "hello"}]}')
        assert stubs.service.ask("p-a", "endpoint", given) is None
        self.refuse(stubs, PromptForm.COMPLETIONS)
        assert "unknown field" in (stubs.service.ask("p-a", "endpoint", given) or "")


def test_tags_of_all_pages_are_read(stubs: Stubs) -> None:
    stubs.answers("sagemaker", "list_tags", {"Tags": [{"Key": "a", "Value": "1"}], "NextToken": "t"})
    stubs.answers("sagemaker", "list_tags", {"Tags": [{"Key": "b", "Value": "2"}]})
    assert stubs.service.tags("p-a", LIVE) == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("physical_id", "status", "stack"),
    [(ARN, "UPDATE_COMPLETE", "Llm"), (ARN, "DELETE_SKIPPED", None), ("another", "CREATE_COMPLETE", "Llm")],
    ids=["has it", "retained it", "has it after the first hundred"],
)
def test_stack_of_a_component_is_the_one_that_still_has_it(
    stubs: Stubs, physical_id: str, status: str, stack: str | None
) -> None:
    resource = {
        "StackName": "Llm", "LogicalResourceId": "A", "PhysicalResourceId": physical_id, "ResourceType": "T",
        "ResourceStatus": status, "Timestamp": datetime.now(UTC),
    }  # fmt: skip
    answer = {"StackResources": [resource]}
    stubs.answers("cloudformation", "describe_stack_resources", answer, PhysicalResourceId=ARN)
    assert stubs.service.stack_of("a", LIVE) == stack


def test_component_that_cloudformation_does_not_know_has_no_stack(stubs: Stubs) -> None:
    stubs.fails("cloudformation", "describe_stack_resources", "ValidationError", "Stack for x does not exist")
    assert stubs.service.stack_of("a", LIVE) is None
    stubs.fails("cloudformation", "describe_stack_resources", "AccessDenied", "not authorized")
    with pytest.raises(RefusedError):
        stubs.service.stack_of("a", LIVE)


def results_of(**figures: Sequence[float | None]) -> list[dict[str, Any]]:
    """Return the complete results of series, by their ids: a value of each minute from 960, None for none."""
    return [
        {
            "Id": name,
            "StatusCode": "Complete",
            "Timestamps": [
                datetime.fromtimestamp(960 + 60 * number, UTC)
                for number, value in enumerate(values)
                if value is not None
            ],
            "Values": [value for value in values if value is not None],
        }
        for name, values in figures.items()
    ]


def test_requests_are_counted_in_the_minutes_of_a_window(stubs: Stubs) -> None:
    figures = {"m0": 5.0, "m1": 1.0, "m2": 2.0, "m3": 40.0, "m4": 7.0, "m5": 0.0, "m6": 0.0, "m7": 0.0}
    results = results_of(**{name: [value] * 4 for name, value in figures.items()})
    stubs.answers("cloudwatch", "get_metric_data", {"MetricDataResults": results})
    found = stubs.service.requests({"a": 960.0, "b": 1080.0}, 1140.0)
    assert found["a"] == Requests(count=15.0, errors=9.0, mean_latency=8.0)
    assert found["b"] == Requests(count=7.0, errors=0.0, mean_latency=0.0)


def test_minute_counts_no_errors_and_no_times_whose_requests_have_not_come(stubs: Stubs) -> None:
    results = results_of(m0=[10, 10, None], m1=[0, 1, 0], m2=[0, 0, 10], m3=[40, None, 900])
    stubs.answers("cloudwatch", "get_metric_data", {"MetricDataResults": results})
    assert stubs.service.requests({"a": 960.0}, 1140.0) == {
        "a": Requests(count=20.0, errors=1.0, mean_latency=4.0)
    }


@pytest.mark.parametrize("status", ["InternalError", "Forbidden", "PartialData", "no result"])
def test_requests_are_unknown_of_the_component_of_which_a_series_is_not_complete(
    stubs: Stubs, status: str
) -> None:
    """Without its values, the series looks like one without errors."""
    results = results_of(**{f"m{number}": [8.0] for number in range(8)})
    failed = results.pop(2)
    if status != "no result":
        results.append({**failed, "StatusCode": status, "Timestamps": [], "Values": []})
    stubs.answers("cloudwatch", "get_metric_data", {"MetricDataResults": results})
    found = stubs.service.requests({"a": 960.0, "b": 960.0}, 1140.0)
    why = f"CloudWatch does not have Invocation5XXErrors of a in full: {status}"
    assert found["a"] == Requests(unknown=why)
    assert found["b"] == Requests(count=8.0, errors=16.0, mean_latency=1.0)


def test_series_that_is_partial_on_one_page_goes_on_with_the_next(stubs: Stubs) -> None:
    first = results_of(m0=[8.0], m1=[1.0], m2=[0.0], m3=[8.0])
    first[1]["StatusCode"] = "PartialData"
    pages: list[dict[str, Any]] = [
        {"MetricDataResults": first, "NextToken": "2"},
        {"MetricDataResults": results_of(m1=[None, 1.0], m0=[None, 2.0])},
    ]
    for page in pages:
        stubs.answers("cloudwatch", "get_metric_data", page)
    found = stubs.service.requests({"a": 960.0}, 1140.0)
    assert found == {"a": Requests(count=10.0, errors=2.0, mean_latency=1.0)}


def test_metrics_that_are_refused_are_an_error_of_the_port(stubs: Stubs) -> None:
    stubs.fails("cloudwatch", "get_metric_data", "AccessDenied", "no", 403)
    with pytest.raises(RefusedError):
        stubs.service.requests({"a": 1000.0}, 1200.0)


def test_expression_is_searched_for_anywhere_in_a_text_of_any_characters() -> None:
    assert matches("rev[a-z]+ rose", "The revenue rose.\nGood.")
    assert not matches("^rose", "The revenue rose.")
    assert matches("Umsätze.*€\0", "Umsätze: 4 €\0")


def test_expression_that_takes_for_ever_does_not_match() -> None:
    assert not matches(r"^(\w+\s?)+$", "Thequickbrownfoxjumpsoverthelazydog!!", seconds=0.3)


@pytest.mark.parametrize("pattern", ["\0", "a" * 200_000, "\ud800"])
def test_any_text_is_a_valid_pattern(pattern: str) -> None:
    assert not matches(pattern, "hello")
