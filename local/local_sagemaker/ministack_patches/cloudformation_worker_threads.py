"""CloudFormation's SageMaker handlers run on threads, since they wait.

Fault of ministack: it runs the handlers of unknown types on the event loop, which blocks the whole cloud.
"""

from ministack.services.cloudformation import stacks

from local_sagemaker.ministack_patches.internals import expect


def install(prefix: str) -> None:
    """Run the handlers of all types with a prefix on threads."""
    expect(hasattr(stacks, "_runs_on_worker_thread"), "stacks._runs_on_worker_thread decides")
    expect(not stacks._runs_on_worker_thread(f"{prefix}Anything"), f"{prefix} runs on the event loop")
    runs_on_worker_thread = stacks._runs_on_worker_thread

    def runs_native_types_on_worker_thread(resource_type: str) -> bool:
        return resource_type.startswith(prefix) or bool(runs_on_worker_thread(resource_type))

    stacks._runs_on_worker_thread = runs_native_types_on_worker_thread
