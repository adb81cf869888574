"""A resource of a native type whose update failed is sent its old properties in the rollback, as on AWS."""

from ministack.services.cloudformation import stacks

from local_sagemaker.ministack_patches.internals import expect


def install(prefix: str) -> None:
    """Send back the types with a prefix."""
    expect(hasattr(stacks, "_sends_back_failed_update"), "stacks._sends_back_failed_update decides")
    sends_back = stacks._sends_back_failed_update

    def sends_back_too(resource_type: str) -> bool:
        return resource_type.startswith(prefix) or bool(sends_back(resource_type))

    stacks._sends_back_failed_update = sends_back_too
