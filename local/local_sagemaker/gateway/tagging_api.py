"""SageMaker's tags in the Resource Groups Tagging API, whose other services ministack has."""

from collections.abc import Callable, Iterator
from typing import Any

from ministack.services import tagging

from local_sagemaker.control_plane.control_plane import SageMakerControlPlane
from local_sagemaker.control_plane.tags import check_keys
from local_sagemaker.ministack_patches.internals import expect

_SERVICE = "sagemaker"


def install(plane: Callable[[], SageMakerControlPlane]) -> None:
    """Register SageMaker with ministack; UnknownMinistackError if its internals differ."""
    for name in ("_COLLECTORS", "_WRITERS", "_REMOVERS"):
        registered = getattr(tagging, name, None)
        expect(isinstance(registered, dict) and _SERVICE not in registered, f"tagging.{name} lacks SageMaker")
    expect(hasattr(tagging, "_ResourceNotFound"), "tagging._ResourceNotFound exists")

    def collect() -> Iterator[tuple[str, list[dict[str, str]]]]:
        # [V API reference] Resources without tags are not listed.
        for arn, tags in plane().tags.all().items():
            if tags:
                yield arn, [{"Key": key, "Value": value} for key, value in tags.items()]

    def call(operation: str, request: dict[str, Any]) -> None:
        check_keys(request)
        if request["ResourceArn"] not in plane().tags.all():
            raise tagging._ResourceNotFound(request["ResourceArn"])
        plane().call(operation, request)

    def write(_: Any, arn: str, tags: dict[str, str]) -> None:
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        call("AddTags", {"ResourceArn": arn, "Tags": listed})

    def remove(_: Any, arn: str, keys: list[str]) -> None:
        call("DeleteTags", {"ResourceArn": arn, "TagKeys": keys})

    tagging._COLLECTORS[_SERVICE] = collect
    tagging._WRITERS[_SERVICE] = write
    tagging._REMOVERS[_SERVICE] = remove
