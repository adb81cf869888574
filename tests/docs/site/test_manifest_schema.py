"""The JSON Schema of a manifest. tests/adapter_fleet/manifest compares what it and the parser refuse."""

from adapter_fleet.manifest.parser import SCHEMA_FILE
from docs.site.reference.manifest_schema import text


def test_it_is_as_the_code_is() -> None:
    assert SCHEMA_FILE.read_text("utf-8") == text(), "run: make generate"
