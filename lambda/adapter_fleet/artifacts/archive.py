"""The files of an adapter, and of its archive."""

from collections.abc import Container

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
README_FILE = "README.md"

DIGEST_METADATA = "adapter-digest"
"""The metadata key of an object in S3 under which `adapters publish` records the adapter's identity."""

REQUIRED_FILES = (CONFIG_FILE, WEIGHTS_FILE)
"""The files of an adapter, in the order of the canonical archive.

The configuration comes first, so that a check of the object in S3 finds it in the first bytes.
"""

ALLOWED_FILES = (*REQUIRED_FILES, README_FILE)
"""The files that a directory or an archive may hold.

The canonical archive leaves the README out: rewording it does not make another adapter.
"""


def belongs_to_adapter(name: str, kind: str, seen: Container[str]) -> bool:
    """Tell whether an entry is a file of an adapter, and the first of its name."""
    return kind == "file" and name in ALLOWED_FILES and name not in seen
