"""What an error of AWS or of a container means: by its code where it has one, by its words otherwise."""

import re
from enum import Enum, auto

from botocore.exceptions import ClientError


class Meaning(Enum):
    """What an error says about the same call, made again."""

    UPDATE_REFUSED = auto()
    """The container refuses updates in place."""
    THROTTLED = auto()
    """The service did nothing, as it had too many calls."""
    ACCESS = auto()
    """A permission is missing, or data in S3 is."""
    QUOTA = auto()
    """A limit of the account is reached."""
    MISSING = auto()
    """What the call names does not exist."""
    EXISTS = auto()
    """What the call would create exists."""
    CONFLICT = auto()
    """The state of something forbids the call for now."""
    CAPACITY = auto()
    """There is no room or no copy at present."""
    UNAVAILABLE = auto()
    """The service or the container does not answer at present."""
    UNKNOWN = auto()
    """Nothing is known of it."""


PASSING = frozenset({Meaning.THROTTLED, Meaning.CAPACITY, Meaning.UNAVAILABLE})
"""What passes by itself: the same call may succeed later."""

# The codes and statuses of errors, and the words where neither tells: SageMaker refuses most calls with
# ValidationException, and a FailureReason has no code. The first words that are found win. The sources: not
# found [V Terraform, ACK], in transition and no copies [T], duplicate [I] as for endpoints; the others are
# those of services and containers, as users quote them. A container's 500 is left out: vLLM answers so for an
# adapter that it cannot load (facts: [V]).
_TABLE = (
    (Meaning.UPDATE_REFUSED, (), "update operation is not supported"),
    (
        Meaning.THROTTLED,
        (
            "ThrottlingException",
            "Throttling",
            "TooManyRequestsException",
            "RequestLimitExceeded",
            "ProvisionedThroughputExceededException",
            "SlowDown",
            "429",
        ),
        "throttl|rate exceeded",
    ),
    (
        Meaning.ACCESS,
        ("AccessDenied", "AccessDeniedException", "403"),
        "access ?denied|not authorized|forbidden|could not assume role|no ?such ?key|no ?such ?bucket"
        "|could not (find|access) (model|artifact) data|s3:getobject|expired ?token|invalid ?signature"
        "|request ?(timeout|expired)",
    ),
    (
        Meaning.QUOTA,
        ("ResourceLimitExceeded",),
        r"resource ?limit ?exceeded|service limit|\bquotas?\b",
    ),
    (
        Meaning.MISSING,
        ("NoSuchKey", "NoSuchBucket", "404"),
        "could not find (inference component|endpoint|resource)",
    ),
    (Meaning.EXISTS, (), "already exist"),
    (
        Meaning.CONFLICT,
        ("ResourceInUse", "ConflictException"),
        "while .* (is )?in (state|status)|in progress|_IN_PROGRESS",
    ),
    (
        Meaning.CAPACITY,
        ("507",),
        r"insufficient ?\w* ?capacity|no (capacity|copies)|no free slot|out of memory|unable to provision",
    ),
    (
        Meaning.UNAVAILABLE,
        (
            "InternalFailure",
            "InternalDependencyException",
            "ServiceUnavailable",
            "ModelNotReadyException",
            "RequestTimeout",
            "RequestTimeoutException",
            "408",
            "502",
            "503",
            "504",
        ),
        "not ready|unavailable|internal (server |service )?(error|failure)|request to service failed",
    ),
)
_MEANING_OF_CODE = {code: meaning for meaning, codes, _ in _TABLE for code in codes}
_MEANING_OF_WORDS = [(re.compile(words, re.IGNORECASE), meaning) for meaning, _, words in _TABLE]
_CODE_IN_FRONT = re.compile(r"(\w+): ")
_STATUS = re.compile(
    r"\b(?:error|status|status code|http|answered|occurred)\W{1,3}(403|408|429|502|503|504|507)\b",
    re.IGNORECASE,
)

# What users name and write: ARNs, addresses, quoted names, what an adapter answered, and any word with an
# inner hyphen, dot or slash. The names of components have a hyphen after their prefix.
_NAMES = re.compile(
    r"""\barn:\S+|\w+://\S+|(?<!\w)(['"`])[^\s'"`]+\1(?!\w)|the answer should match .*|\w+(?:[-./]\w+)+""",
    re.DOTALL,
)

_CONTAINER_STATUS = re.compile(r"(?:client|server) error \((\d{3})\)", re.IGNORECASE)
_OF_ADAPTERS = re.compile(r"adapter|lora", re.IGNORECASE)
_UNKNOWN_ADAPTER = re.compile(
    r"\b404\b|(adapter|lora)\b.*\b(not found|not registered|unknown)", re.IGNORECASE | re.DOTALL
)
_STATUSES_OF_FORMS = (400, 415, 422)
"""[I] How vLLM and LMI refuse a form."""
_PARSING_FAILED = "input parsing failed"
"""[V djl_python/input_parser.py] How a rolling batch refuses one, with 424, which it uses for any failure."""


def code_of(error: ClientError) -> str:
    """Return the code of an AWS error, '' where it has none."""
    return error.response.get("Error", {}).get("Code", "")


def message_of(error: ClientError) -> str:
    """Return the message of an AWS error, '' where it has none."""
    return error.response.get("Error", {}).get("Message", "")


def meaning_of(error: ClientError) -> Meaning:
    """Return what an AWS error means: by its code, by the status of its response, or by its message."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    unanswered = Meaning.UNAVAILABLE if status >= 500 else None
    return _MEANING_OF_CODE.get(code_of(error)) or unanswered or meaning_of_text(message_of(error))


def meaning_of_status(status: object) -> Meaning:
    """Return what the status of a container's answer means."""
    return _MEANING_OF_CODE.get(str(status), Meaning.UNKNOWN)


def meaning_of_text(text: str) -> Meaning:
    """Return what a FailureReason or a message means: by the code or status in it, or by its words."""
    words = _without_names(text)
    for found in (_CODE_IN_FRONT.match(text), _STATUS.search(words)):
        if found is not None and (meaning := _MEANING_OF_CODE.get(found[1])):
            return meaning
    return next((meaning for known, meaning in _MEANING_OF_WORDS if known.search(words)), Meaning.UNKNOWN)


def _without_names(text: str) -> str:
    return _NAMES.sub("…", text)


# --- what a container answered


def container_message(text: str) -> str:
    """Return the container's own words in the message of a ModelError; all of it where it quotes none.

    [T] SageMaker writes `Received client error (400) from COMPONENT with message "…". See LOG …`. The names
    of the component and of the endpoint in it may have any words.
    """
    quoted = text.partition('with message "')[2]
    return quoted.rpartition('"')[0] or quoted or text


def container_status(text: str) -> int | None:
    """Return the container's status in the message of a ModelError; None where it has none."""
    found = _CONTAINER_STATUS.search(text)
    return None if found is None else int(found[1])


def lacks_adapter(text: str) -> bool:
    """Return True if LMI or SageMaker answers so for an adapter that the container has lost.

    Any other answer, even a wrong one, comes from an adapter that is loaded. Sending it again would not help.
    """
    words = _without_names(container_message(text))
    return container_status(text) == 404 or _UNKNOWN_ADAPTER.search(words) is not None


def refuses_form(status: object, message: str) -> bool:
    """Return True if a container refuses the form of a request, and not its adapter."""
    if _OF_ADAPTERS.search(_without_names(message)):
        return False
    return status in _STATUSES_OF_FORMS or (status == 424 and _PARSING_FAILED in message.lower())
