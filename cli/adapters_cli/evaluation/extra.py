"""The extra `evaluate`, which installs the libraries of this room."""

from adapters_cli.output.errors import UsageError


def missing_library(error: ModuleNotFoundError) -> UsageError:
    """Return what to tell the user if a library of the extra is not installed."""
    return UsageError(
        f"the library {error.name!r} should be installed for evaluations:"
        " pip install 'cdk-multi-adapter-inference[evaluate]'"
    )
