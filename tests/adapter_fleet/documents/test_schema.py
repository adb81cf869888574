from dataclasses import dataclass, field
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_fleet.documents.schema import (
    Problem,
    ProblemKind,
    StructureError,
    strict_converter,
    structure,
    structure_what_fits,
)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Wheel:
    size: int
    colour: Colour = Colour.RED

    def __post_init__(self) -> None:
        if self.size <= 0:
            raise ValueError(f"'size' should be above 0, got {self.size}")


@dataclass(frozen=True, kw_only=True)
class Car:
    name: str | None = None
    weight: float = 1.0
    wheels: list[Wheel] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    spare: Wheel | None = None


CONVERTER = strict_converter()


def problems(data: object) -> list[str]:
    with pytest.raises(StructureError) as error:
        structure(CONVERTER, data, Car)
    return [str(problem) for problem in error.value.problems]


def test_plain_data_becomes_records() -> None:
    data = {"name": "a", "weight": 2, "wheels": [{"size": 3, "colour": "blue"}], "labels": {"a": "b"}}
    assert structure(CONVERTER, data, Car) == Car(
        name="a", weight=2.0, wheels=[Wheel(size=3, colour=Colour.BLUE)], labels={"a": "b"}
    )


def test_every_problem_is_told_with_the_keys_that_lead_to_it() -> None:
    data = {
        "name": 5,
        "wheels": [{"size": 1}, {"size": "2", "colour": "green"}, {"size": 0}, {}],
        "labels": {"a": 1},
        # A text can be searched for keys, but is no record.
        "spare": "size",
        "weigth": 3,
    }
    assert problems(data) == [
        "name: should be a string, got 5",
        "wheels.1.size: should be an integer, got '2'",
        "wheels.1.colour: should be one of red, blue, got 'green'",
        "wheels.2: 'size' should be above 0, got 0",
        "wheels.3.size: should be given, got nothing",
        "labels.a: should be a string, got 1; put it in quotes",
        "spare: should be a mapping, got 'size'",
        "weigth: unknown key (did you mean 'weight'?), got 3",
    ]


@pytest.mark.parametrize(("data", "got"), [(None, "nothing"), (["name"], "['name']")])
def test_what_is_no_mapping_is_no_record(data: object, got: str) -> None:
    assert problems(data) == [f"should be a mapping, got {got}"]


def test_a_key_or_a_value_that_is_long_or_not_printable_leaves_the_message_one_short_line() -> None:
    assert len(problems({"weight": "x" * 10_000})[0]) < 300
    (problem,) = problems({"a\n" + "x" * 10_000: 1})
    assert problem.startswith(r"'a\nxxx")
    assert len(problem) < 200


def test_what_fits_is_kept_beside_the_problems_of_the_rest() -> None:
    data = {"name": "a", "weight": "heavy", "labels": {"good": "b", "bad": 1}, "more": 1}
    car, found = structure_what_fits(CONVERTER, data, Car)
    assert car == Car(name="a", labels={"good": "b"})
    assert [problem.keys for problem in found] == [("weight",), ("labels", "bad"), ("more",)]
    assert data["weight"] == "heavy"


def test_nothing_fits_where_a_required_key_is_missing() -> None:
    assert structure_what_fits(CONVERTER, {}, Wheel) == (
        None,
        [Problem(keys=("size",), kind=ProblemKind.KEY, message="should be given, got nothing")],
    )


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "wheels", "labels", "spare", "size", "colour"]), inner)
    ),
    max_leaves=20,
)


@pytest.mark.slow
@given(PLAIN)
def test_plain_data_of_any_shape_is_a_record_or_an_error(data: object) -> None:
    car, found = structure_what_fits(CONVERTER, data, Car)
    assert car is not None or found
