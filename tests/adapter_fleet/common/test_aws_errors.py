"""What errors of AWS and of containers mean: by codes and statuses, else by words that are nobody's name."""

import pytest
from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import Meaning, lacks_adapter, meaning_of, meaning_of_text, refuses_form

SENTENCE = 'Received {side} error ({status}) from {name} with message "{words}". See LOG for more.'


def problem(status: int, name: str, words: str) -> str:
    side = "client" if status < 500 else "server"
    return SENTENCE.format(side=side, status=status, name=name, words=words)


def error(code: str, message: str, status: int = 400) -> ClientError:
    said = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(said, "CreateInferenceComponent")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("Update operation is not supported", Meaning.UPDATE_REFUSED),
        ("AccessDeniedException: User: x is not authorized to perform: y", Meaning.ACCESS),
        ("Could not assume role 'arn:x'. Please ensure that the role exists", Meaning.ACCESS),
        ("NoSuchKey: s3://bucket/a.tar.gz does not exist", Meaning.MISSING),
        ("ResourceLimitExceeded: The account-level service limit is 5", Meaning.QUOTA),
        ("507 no free slot for the adapter", Meaning.CAPACITY),
        ("An error occurred (403) when calling the HeadObject operation", Meaning.ACCESS),
        (problem(507, "tenants-acme", "full"), Meaning.CAPACITY),
        ("rank 64 is above max_lora_rank 8", Meaning.UNKNOWN),
    ],
)
def test_reason_means_what_its_code_its_status_or_its_words_say(text: str, meaning: Meaning) -> None:
    assert meaning_of_text(text) is meaning


@pytest.mark.parametrize(
    "text",
    [
        "adapter 'quota' could not be loaded: LoRA rank 128 is above max_lora_rank 64",
        "Loading lora tenants-forbidden failed: LoRA rank 128 is above max_lora_rank 64",
        "s3://models/403/throttled/quota.tar.gz has no adapter_config.json",
        "arn:aws:sagemaker:eu-west-1:000000000000:inference-component/throttled has LoRA rank 128",
        problem(424, "tenants-quota", "LoRA rank 128 is above max_lora_rank 64"),
        "shape [403, 507] of model.layers.0.quota.weight should be [16, 507]",
        "it does not answer: the answer should match 'quota', got 'our service is unavailable'",
    ],
)
def test_names_addresses_and_answers_mean_nothing(text: str) -> None:
    assert meaning_of_text(text) is Meaning.UNKNOWN


@pytest.mark.parametrize(
    ("given", "meaning"),
    [
        (error("AccessDeniedException", "Rate exceeded"), Meaning.ACCESS),
        (error("ResourceLimitExceeded", "Cannot create already existing components"), Meaning.QUOTA),
        (error("InternalServerException", "access denied", 500), Meaning.UNAVAILABLE),
        (error("ValidationException", "Rate exceeded"), Meaning.THROTTLED),
    ],
)
def test_code_decides_before_the_message(given: ClientError, meaning: Meaning) -> None:
    assert meaning_of(given) is meaning


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        (problem(404, "llm-acme", "no such thing"), True),
        (problem(424, "llm-acme", "Adapter acme not found"), True),
        (problem(500, "lora-404", "the model is unknown"), False),
        (problem(500, "adapter-unknown", "out of memory"), False),
        ("the answer should match 'x', got 'the adapter (404) is not found'", False),
        ("no answer with status 404", True),
    ],
)
def test_container_lacks_an_adapter_by_its_own_words_alone(text: str, *, lacks: bool) -> None:
    assert lacks_adapter(text) is lacks


@pytest.mark.parametrize(
    ("status", "message", "refuses"),
    [
        (400, "field 'prompt' is required", True),
        (422, "field 'prompt' of llm-flora is required", True),
        (424, "Input Parsing failed", True),
        (424, "the batch failed", False),
        (400, "LoRA rank 128 is too high", False),
        (429, "too many requests", False),
        (503, "field 'prompt' is required", False),
    ],
)
def test_container_refuses_a_form_and_not_its_adapter(status: int, message: str, *, refuses: bool) -> None:
    assert refuses_form(status, message) is refuses
