"""CloudFormation handlers that wait run on threads; on the event loop they would stop the whole cloud."""

from ministack.services.cloudformation import stacks

from local_sagemaker.ministack_patches.internals import expect


def install(prefix: str) -> None:
    """Run the handlers of all types with a prefix on threads of their own."""
    expect(hasattr(stacks, "_runs_on_worker_thread"), "stacks._runs_on_worker_thread decides")
    expect(not stacks._runs_on_worker_thread(f"{prefix}Anything"), f"{prefix} runs on the event loop")
    runs_on_worker_thread = stacks._runs_on_worker_thread

    def runs_on_worker_thread_too(resource_type: str) -> bool:
        return resource_type.startswith(prefix) or bool(runs_on_worker_thread(resource_type))

    stacks._runs_on_worker_thread = runs_on_worker_thread_too
