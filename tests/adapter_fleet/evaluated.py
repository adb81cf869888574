"""Entries of manifests with the record of an evaluation."""

from collections.abc import Mapping
from typing import Any


def evaluated_entry(
    name: str, identity: str, figures: Mapping[str, float], *, base: str = "base"
) -> dict[str, Any]:
    """Return the entry of a version with these figures beside a base of 0.5, or none for no record."""
    folder = f"s3://models/{name}/sha256-{identity}"
    evaluation = {
        "result": f"{folder}.evaluations/r.json",
        "dataset": f"sha256:{'d' * 64}",
        "at": "2026-03-01T09:30:00Z",
        "base": base,
        "decoding": "max_tokens=64, temperature=0",
        "figures": {metric: {"base": 0.5, "adapter": figure} for metric, figure in figures.items()},
    }
    made = {"name": name, "artifact": f"{folder}.tar.gz"}
    return made | {"evaluation": evaluation} if figures else made
