"""A rollback sends a resource whose update failed its old properties, as on AWS.

Fault of ministack: it does so for custom resources and nested stacks only.
"""

from ministack.services.cloudformation import stacks

from local_sagemaker.ministack_patches.internals import expect


def install(prefix: str) -> None:
    """Roll back failed updates of the types with a prefix too."""
    expect(hasattr(stacks, "_sends_back_failed_update"), "stacks._sends_back_failed_update decides")
    sends_back = stacks._sends_back_failed_update

    def sends_back_native_types(resource_type: str) -> bool:
        return resource_type.startswith(prefix) or bool(sends_back(resource_type))

    stacks._sends_back_failed_update = sends_back_native_types
