import re

import pytest
from botocore.loaders import Loader

from adapter_fleet.serving.instance_types import check_instance_type

HOSTING_TYPES = Loader().load_service_model("sagemaker", "service-2")["shapes"][
    "ProductionVariantInstanceType"
]
WITH_GPUS = re.compile(r"ml\.(g|p[3-9])")


def test_types_with_gpus_of_nvidia_are_accepted() -> None:
    for name in filter(WITH_GPUS.match, HOSTING_TYPES["enum"]):
        check_instance_type("instance_type", name)


def test_any_other_type_is_an_error_that_says_what_it_has() -> None:
    for name in HOSTING_TYPES["enum"]:
        if not WITH_GPUS.match(name):
            message = rf"^'instance_type' should be .* GPUs .*, got '{name}', which has \w"
            with pytest.raises(ValueError, match=message):
                check_instance_type("instance_type", name)


@pytest.mark.parametrize("name", ["ml.x2idn.16xlarge", "ml.f1.2xlarge"])
def test_no_type_without_gpus_is_near_an_unknown_one(name: str) -> None:
    with pytest.raises(ValueError, match="should be a hosting instance type") as raised:
        check_instance_type("instance_type", name)
    for near in re.findall(r"'(ml\.[^']+)'", str(raised.value).partition(", got ")[0]):
        check_instance_type("instance_type", near)
