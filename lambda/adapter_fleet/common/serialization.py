"""The one converter between the records of this package and what JSON can hold."""

from collections.abc import Mapping
from typing import Any

from cattrs import Converter

converter = Converter(omit_if_default=True, detailed_validation=False)
"""Leaves out what has its default value, and trusts its input: what this package itself wrote."""

# A JSON body of any shape is kept as it is.
converter.register_structure_hook_func(
    lambda type_: type_ == Mapping[str, object], lambda value, _: dict(value)
)


def unstructured(record: object) -> dict[str, Any]:
    """Return a record as a dictionary."""
    result: dict[str, Any] = converter.unstructure(record)
    return result
