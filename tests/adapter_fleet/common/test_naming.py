import re

import pytest

from adapter_fleet.common.naming import (
    MAX_COMPONENT_NAME_LENGTH,
    check_component_name,
    check_component_prefix,
    component_name,
    stack_of,
)


@pytest.mark.parametrize("name", ["a", "A1", "llm-ectsum", "a--b", "7", "x" * MAX_COMPONENT_NAME_LENGTH])
def test_name_that_sagemaker_takes_is_accepted(name: str) -> None:
    check_component_name(name)


@pytest.mark.parametrize("name", ["", "-a", "a-", "a_b", "a.b", "a b", "a\n", "ä", "a/b"])
def test_name_outside_of_the_pattern_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"'adapter' should be letters.*got {re.escape(repr(name))}"):
        check_component_name(name, what="adapter")


def test_component_name_is_prefix_and_adapter_and_never_cut() -> None:
    assert component_name("acme", "ectsum") == "acme-ectsum"
    assert len(component_name("acme", "x" * 58)) == MAX_COMPONENT_NAME_LENGTH
    with pytest.raises(ValueError, match="at most 63 characters, got 64"):
        component_name("acme", "x" * 59)


@pytest.mark.parametrize("prefix", ["a", "llama-3-1-8b", "a-", "p" * 61])
def test_prefix_that_names_can_begin_with_is_accepted(prefix: str) -> None:
    check_component_prefix(prefix)
    check_component_name(component_name(prefix, "a"))


@pytest.mark.parametrize("prefix", ["", "-a", "a_b", "a b", "a\n", "p" * 62])
def test_prefix_that_no_name_can_begin_with_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match=f"'component_prefix' should .*{re.escape(repr(prefix))}"):
        check_component_prefix(prefix)


def test_pattern_is_that_of_the_service_model() -> None:
    from botocore.loaders import Loader

    model = Loader().load_service_model("sagemaker", "service-2")
    shape = model["shapes"]["InferenceComponentName"]
    assert shape["max"] == MAX_COMPONENT_NAME_LENGTH
    assert shape["pattern"] == "[a-zA-Z0-9]([\\-a-zA-Z0-9]*[a-zA-Z0-9])?"


@pytest.mark.parametrize(
    ("tags", "stack"),
    [
        ({"aws:cloudformation:stack-name": "Llm", "aws:cloudformation:stack-id": "arn:stack"}, "Llm"),
        ({"aws:cloudformation:stack-id": "arn:stack"}, "arn:stack"),
        ({"stack-name": "Llm"}, None),
        ({"aws:createdBy": "someone"}, None),
    ],
)
def test_tags_of_cloudformation_alone_mark_a_stack_component(tags: dict[str, str], stack: str | None) -> None:
    assert stack_of(tags) == stack
