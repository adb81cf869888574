"""Converts the records of this package to plain data for JSON, and back."""

from collections.abc import Mapping
from typing import Any

from cattrs import Converter

converter = Converter(omit_if_default=True, detailed_validation=False)
"""Leaves out default values. It trusts its input, which this package wrote itself."""

# A JSON body of any shape stays as it is.
converter.register_structure_hook_func(
    lambda type_: type_ == Mapping[str, object], lambda value, _: dict(value)
)


def unstructured(record: object) -> dict[str, Any]:
    """Return a record as a dictionary."""
    result: dict[str, Any] = converter.unstructure(record)
    return result
