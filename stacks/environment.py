"""The environment files of this app: `environments/<name>.toml`."""

import re
from pathlib import Path

from adapter_rules.environment import EnvironmentFileError, find_environment

ENVIRONMENTS = Path(__file__).resolve().parents[1] / "environments"


def environment_file(name: str) -> Path:
    """Return the file of an environment, by its name in `environments/` or by the path of any `.toml`."""
    path = find_environment(name, folder=ENVIRONMENTS, setting="environment")
    if not re.fullmatch("[A-Za-z0-9-]+", path.stem):
        raise EnvironmentFileError(
            "'environment' should be a file whose name is letters, digits and hyphens, as it ends the stack's"
            f" name, got {path.name!r}"
        )
    return path
