"""What a manifest records of an evaluation, and the bar that a fleet sets to new versions."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_fleet.evaluation import (
    EvaluationBar,
    EvaluationRecord,
    Figure,
    Requirement,
    evaluations_folder,
    problems_of_record,
)

IDENTITY = "a" * 64
FOLDER = evaluations_folder(f"s3://bucket/prod/acme/sha256-{IDENTITY}.tar.gz", IDENTITY)
RECORD = EvaluationRecord(
    result=f"{FOLDER}20260301T093000Z-bbbbbbbbbbbb.json",
    dataset="b" * 64,
    at="2026-03-01T09:30:00Z",
    figures={"rougeL": Figure(base=0.2, adapter=0.5)},
    base="llama-3.1-8b-instruct",
    decoding="max_tokens=64, temperature=0",
)


def test_record_has_no_problem_and_knows_its_version_by_the_folder_beside_its_archive() -> None:
    assert f"s3://bucket/prod/acme/sha256-{IDENTITY}.evaluations/" == FOLDER
    assert list(problems_of_record(RECORD)) == []
    assert RECORD.identity == IDENTITY
    assert list(problems_of_record(replace(RECORD, base="x", decoding="x" * 256))) == []


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"result": f"https://x/sha256-{IDENTITY}.evaluations/a.json"}, "result"),
        ({"result": f"{FOLDER}\u202e.json"}, "result"),
        ({"dataset": "b" * 63}, "dataset"),
        ({"at": "2026-13-01T09:30:00Z"}, "at"),
        ({"base": ""}, "base"),
        ({"decoding": "x" * 257}, "decoding"),
        ({"figures": {"": Figure(base=0, adapter=0)}}, "figures"),
        ({"figures": {f"m{n}": Figure(base=0, adapter=0) for n in range(21)}}, "figures"),
        ({"figures": {"rougeL": Figure(base=math.nan, adapter=0)}}, "figures"),
    ],
)
def test_problem_names_its_key(changed: dict[str, object], key: str) -> None:
    record = replace(RECORD, **changed)  # type: ignore[arg-type]
    assert [found for found, _ in problems_of_record(record)] == [key]


BAR = EvaluationBar(requirements=("rougeL >= base + 20%", "rougeL >= 0.4"))


def test_version_without_a_record_is_told_what_is_required() -> None:
    ((key, problem),) = BAR.problems(None, adapter="acme")
    asked = "'rougeL >= base + 20%' and 'rougeL >= 0.4'"
    assert (key, problem) == ("", f"should be recorded, as the fleet requires {asked}, got nothing")


def test_each_figure_below_it_is_told() -> None:
    bar = EvaluationBar(
        requirements=("rougeL >= base + 200%", "rougeL >= 0.6", "rougeL >= 0.5", "meteor > 0")
    )
    problems = list(bar.problems(RECORD, adapter="acme"))
    assert problems == [
        ("figures", "rougeL of 'acme' is 0.5 and should be at least 0.6 (base 0.2 + 200%)"),
        ("figures", "rougeL of 'acme' is 0.5 and should be at least 0.6"),
        ("figures", "meteor of 'acme' has no figure: no item has a score of both"),
    ]


def test_record_of_another_dataset_is_told() -> None:
    bar = EvaluationBar(requirements=("rougeL >= 0.4",), dataset="c" * 64)
    ((key, problem),) = bar.problems(RECORD, adapter="acme")
    assert (key, problem) == ("dataset", f"should be sha256:{'c' * 64}, got sha256:{'b' * 64}")


@pytest.mark.parametrize("record", [replace(RECORD, base=None), replace(RECORD, decoding=None)])
def test_record_that_does_not_say_how_it_was_made_has_to_be_made_again(record: EvaluationRecord) -> None:
    ((key, problem),) = BAR.problems(record, adapter="acme")
    assert (key, problem) == (
        "base",
        "should be recorded, with the decoding; evaluate this version again, as its record is of an earlier"
        " release, got nothing",
    )


@pytest.mark.parametrize(
    ("bases", "counts"),
    [
        (("meta-llama/Llama-3.1-8B-Instruct", "llm-base"), True),
        (("llama-3.1-70b-instruct", "Llama-3.1-8B-Instruct"), True),
        (("llama-3.1-70b-instruct", "llm-base"), False),
        ((), True),
    ],
)
def test_record_counts_beside_the_base_model_it_names_alone(bases: tuple[str, ...], *, counts: bool) -> None:
    problems = list(replace(BAR, bases=bases).problems(RECORD, adapter="acme"))
    assert [key for key, _ in problems] == ([] if counts else ["base"])


def test_name_is_exempt_whatever_the_case() -> None:
    bar = EvaluationBar(requirements=("rougeL >= 0.4",), exempt=("Acme",))
    assert (bar.is_exempt("acme"), bar.is_exempt("acm")) == (True, False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"requirements": ()}, "'evaluation' should have one requirement or more, got none"),
        ({"requirements": ("rougeL",)}, "a requirement should be a metric"),
        ({"requirements": ("rougeL > 0",), "dataset": "x"}, "'dataset' should be 'sha256:' and 64"),
    ],
)
def test_bar_that_could_never_be_met_is_an_error(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluationBar(**settings)  # type: ignore[arg-type]


MEANS = st.floats(0, 1)
NAMES = st.from_regex(r"[a-z_]{1,12}(:[ -~]{0,12}[a-z)])?", fullmatch=True)
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda number: round(number, 4) + 0.0)


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    sign = draw(st.sampled_from([None, "+", "-", "*"]))
    return Requirement(
        metric=draw(NAMES),
        comparison=draw(st.sampled_from([">=", ">", "<=", "<"])),
        number=draw(NUMBERS),
        sign=sign,
        percent=draw(st.booleans()),
    )


@pytest.mark.slow
@given(requirements(), st.text(" \t", max_size=3))
def test_a_requirement_is_read_as_it_is_written_and_spaces_do_not_matter(
    requirement: Requirement, spaces: str
) -> None:
    assert Requirement.parse(str(requirement)) == requirement
    text = f"{requirement.metric} {requirement.comparison} "
    rest = str(requirement).removeprefix(text)
    wide = f"{spaces}{requirement.metric}{spaces}{requirement.comparison}{rest.replace(' ', spaces)}{spaces}"
    assert Requirement.parse(wide) == requirement


@given(st.text(max_size=40))
def test_any_other_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 'exact_match >= 0") as refused:
        Requirement.parse(text.replace("<", "").replace(">", ""))
    assert str(refused.value).startswith("a requirement should be a metric, one of >=, >, <= and <,")


@pytest.mark.parametrize(
    "text",
    [
        "rougeL >=",
        "rougeL => 0.9",
        "rougeL >= base 20%",
        "rougeL >= 0.9 + base",
        "rougeL >= 1e999",
        "rougeL >= ٣",
    ],
)
def test_a_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a requirement should be a metric, one of"):
        Requirement.parse(text)


@pytest.mark.parametrize(
    ("text", "base", "mean", "met"),
    [
        ("m >= 0.9", 0, 0.9, True),
        ("m >= 0.9", 0, 0.89, False),
        ("m >= 90%", 0, 0.9, True),
        ("m > 0.9", 0, 0.9, False),
        ("m <= 0.1", 0, 0.1, True),
        ("m < 0.1", 0, 0.1, False),
        ("m >= base + 20%", 0.5, 0.6, True),
        ("m >= base + 20%", 0.5, 0.599, False),
        ("m >= base - 10%", 0.5, 0.44, False),
        ("m >= base * 1.1", 0.5, 0.55, True),
        ("m >= base * 110%", 0.5, 0.54, False),
        ("m >= base + 20%", -0.5, -0.45, False),
        ("m >= 0.3", 0, 0.1 + 0.2, True),
    ],
)
def test_a_mean_is_held_against_the_bar(text: str, base: float, mean: float, met: bool) -> None:
    assert Requirement.parse(text).judge({"m": (base, mean)})[0] is met


@pytest.mark.parametrize(
    "bar", [">= base + 1%", "> base + 20%", ">= base * 1.2", "<= base - 20%", "< base * 90%"]
)
@pytest.mark.parametrize("mean", [0, 0.01, 1])
def test_a_gain_relative_to_nothing_is_never_met(mean: float, bar: str) -> None:
    met, reason = Requirement.parse(f"m {bar}").judge({"m": (0, mean)})
    assert not met
    assert reason.endswith("; a change relative to 0 cannot be shown, so give a number")


@pytest.mark.parametrize(
    "bar", [">= base - 10%", ">= base * 0.9", ">= base", ">= base + 0.5", "> base * 100%"]
)
def test_another_bar_beside_a_base_of_0_is_met_by_what_is_better(bar: str) -> None:
    assert Requirement.parse(f"m {bar}").judge({"m": (0, 0.5)})[0]


def test_a_metric_without_figures_is_not_met() -> None:
    for figures in ({}, {"m": (math.nan, 1.0)}, {"m": (0.5, math.nan)}):
        met, reason = Requirement.parse("m >= base").judge(figures, subject="triage")
        assert (met, reason) == (False, "m of 'triage' has no figure: no item has a score of both")


def test_the_reason_shows_figures_that_are_nearly_equal_as_different() -> None:
    _, reason = Requirement.parse("rougeL>=base+20%").judge({"rougeL": (0.6, 0.71234)}, subject="triage")
    assert reason == "rougeL of 'triage' is 0.7123 and should be at least 0.72 (base 0.6 + 20%)"
    _, reason = Requirement.parse("m >= 0.9").judge({"m": (0, 0.899996)})
    assert reason == "m of 'the adapter' is 0.899996 and should be at least 0.9"


@given(MEANS, st.floats(0, 1), st.floats(0, 1), st.floats(0, 200))
def test_a_better_mean_never_fails_what_a_worse_one_meets(
    base: float, one: float, other: float, percent: float
) -> None:
    requirement = Requirement.parse(f"m >= base + {round(percent, 3)}%")
    worse, better = sorted((one, other))
    if requirement.judge({"m": (base, worse)})[0]:
        assert requirement.judge({"m": (base, better)})[0]


def test_a_regular_expression_with_signs_of_comparison_is_a_metric() -> None:
    assert Requirement.parse("regex:<b>.+</b> >= 0.5").metric == "regex:<b>.+</b>"
    # A sign at its end needs a space.
    assert Requirement.parse("regex:a= >= 0.5").metric == "regex:a="
    with pytest.raises(ValueError, match="a requirement should be"):
        Requirement.parse("regex:a=>=0.5")


def test_an_unknown_metric_is_refused_with_the_closest_name() -> None:
    requirement = Requirement.parse("rougel >= 0.5")
    requirement.check_metric(["rougel"])
    with pytest.raises(ValueError, match="did you mean 'rougeL'") as refused:
        requirement.check_metric(["rouge1", "rougeL"])
    assert str(refused.value) == (
        "'rougel >= 0.5' should name a metric of the evaluation (did you mean 'rougeL'?), got 'rougel'"
    )
