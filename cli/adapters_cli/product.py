"""The distribution that this command belongs to, and its version.

`pyproject.toml` alone holds the version; the installed metadata repeats it.
"""

PRODUCT = "cdk-multi-adapter-inference"


def product_version() -> str:
    """Return the version of the installed distribution."""
    # Imported here: it takes long, and `--help` does without.
    from importlib.metadata import version

    return version(PRODUCT)
