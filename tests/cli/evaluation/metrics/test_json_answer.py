import pytest

from adapters_cli.evaluation.metrics.choose import metrics_of


def score(name: str, answer: str, reference: str = "") -> float:
    (metric,) = metrics_of([name])
    return metric.scores([(answer, reference)])[0]


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        ('{"a": 1}', 1),
        (' [1, "x", null]\n', 1),
        ("5", 1),
        ("", 0),
        ('{"a": 1', 0),
        ('{"a": 1} and more', 0),
        ("```json\n{}\n```", 0),
        ("NaN", 0),
        ('{"a": Infinity}', 0),
        ("[" * 100_000, 0),
        ("9" * 5_000, 0),  # more digits than Python takes
    ],
)
def test_valid_json_is_the_whole_answer(answer: str, valid: int) -> None:
    assert score("json_valid", answer) == valid


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ('{"category": "billing"}', 1),
        ('{"category": "billing", "more": 1}', 1),
        ('{"category": "Billing"}', 0),
        ('{"kind": "billing"}', 0),
        ('["category"]', 0),
        ("billing", 0),
        ("", 0),
    ],
)
@pytest.mark.parametrize("reference", ['{"category": "billing", "product": "phone"}', " billing\n"])
def test_a_field_is_compared_with_that_of_the_reference(answer: str, right: int, reference: str) -> None:
    assert score("json_field:category", answer, reference) == right


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("1", "1.0", 1),
        ("1", "true", 0),
        ("0", "false", 0),
        ("null", "null", 1),
        ("null", "0", 0),
        ('"1"', "1", 0),
        ('{"x": [1, {"y": 2}], "z": 0}', '{"z": 0, "x": [1.0, {"y": 2}]}', 1),
        ("[1]", "[true]", 0),
        ("[1, 2]", "[2, 1]", 0),
        ("12345678901234567890", "12345678901234567891", 0),
    ],
)
def test_values_are_compared_as_json(one: str, other: str, equal: int) -> None:
    assert score("json_field:a", f'{{"a": {one}}}', f'{{"a": {other}}}') == equal


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        ('{"a": 1, "b": 2, "c": 3, "d": 4}', 1),
        ('{"a": 1, "b": 2, "c": 0, "e": 5}', 0.5),
        ("{}", 0),
        ("[]", 0),
        ("no JSON", 0),
    ],
)
def test_fields_are_a_share_of_those_of_the_reference(answer: str, share: float) -> None:
    assert score("json_fields", answer, '{"a": 1, "b": 2, "c": 3, "d": 4}') == share


@pytest.mark.parametrize(
    ("name", "reference", "reason"),
    [
        ("json_field:category", '{"kind": 1}', "'json_field:category' should be a field of every reference"),
        ("json_fields", "text", "'json_fields' should have a JSON object with fields as every reference"),
        ("json_fields", "{}", "'json_fields' should have a JSON object with fields as every reference"),
    ],
)
def test_a_reference_that_cannot_be_compared_is_refused_before_anything_is_asked(
    name: str, reference: str, reason: str
) -> None:
    (metric,) = metrics_of([name])
    metric.check(['{"category": 1}'])
    with pytest.raises(ValueError, match=reason):
        metric.check(['{"category": 1}', reference])
