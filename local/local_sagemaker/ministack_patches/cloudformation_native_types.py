"""CloudFormation treats SageMaker's types as AWS does: on threads, and with rollbacks of failed updates.

Faults of ministack: it runs the handlers of unknown types on the event loop, which blocks the whole cloud, as
they wait. In a rollback, it sends a resource whose update failed its old properties only if the resource is
a custom resource or a nested stack.
"""

from ministack.services.cloudformation import stacks

from local_sagemaker.ministack_patches.internals import expect


def install(prefix: str) -> None:
    """Run the handlers of all types with a prefix on threads, and roll back their failed updates."""
    for name in ("_runs_on_worker_thread", "_sends_back_failed_update"):
        expect(hasattr(stacks, name), f"stacks.{name} decides")
    expect(not stacks._runs_on_worker_thread(f"{prefix}Anything"), f"{prefix} runs on the event loop")
    runs_on_worker_thread, sends_back = stacks._runs_on_worker_thread, stacks._sends_back_failed_update

    def runs_native_types_on_worker_thread(resource_type: str) -> bool:
        return resource_type.startswith(prefix) or bool(runs_on_worker_thread(resource_type))

    def sends_back_native_types(resource_type: str) -> bool:
        return resource_type.startswith(prefix) or bool(sends_back(resource_type))

    stacks._runs_on_worker_thread = runs_native_types_on_worker_thread
    stacks._sends_back_failed_update = sends_back_native_types
