"""The extra `evaluate`, which installs the libraries of this room."""

from adapters_cli.output.errors import CommandError


def missing_library(error: ModuleNotFoundError) -> CommandError:
    """Return what to tell the user if a library of the extra is not installed."""
    return CommandError(
        f"the library {error.name!r} should be installed for evaluations:"
        " pip install 'cdk-multi-adapter-inference[evaluate]'"
    )
