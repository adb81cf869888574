"""The project's packages as griffe reads them: signatures and docstrings, without an import."""

from functools import cache
from pathlib import Path

import griffe

_ROOT = Path(__file__).parents[3]
_PACKAGES = ("adapter_fleet", "multi_adapter_inference", "adapters_cli", "local_sagemaker")


def load(package: str) -> griffe.Module:
    """Return a package."""
    found = _loader().modules_collection[package]
    assert isinstance(found, griffe.Module)
    return found


@cache
def _loader() -> griffe.GriffeLoader:
    roots = [_ROOT / name for name in ("constructs", "lambda", "cli", "local")]
    loader = griffe.GriffeLoader(search_paths=roots)
    for package in _PACKAGES:
        loader.load(package)
    loader.resolve_aliases()
    return loader
