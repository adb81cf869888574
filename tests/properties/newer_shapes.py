"""What a newer botocore knows of the operations that the embedded cloud answers.

The difference between the newest botocore and the pinned one is the file that the embedded cloud merges into
its model. `make properties` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.loaders import Loader

ROOT = Path(__file__).parents[2]
SHAPES = (
    ROOT / "local/local_sagemaker/control_plane/newer_models/sagemaker/2017-07-24/service-2.sdk-extras.json"
)
KINDS = ("Model", "EndpointConfig", "Endpoint", "InferenceComponent")
_OPERATIONS = (
    *(f"{verb}{kind}" for kind in KINDS for verb in ("Create", "Describe", "Update", "Delete")),
    *(f"List{kind}s" for kind in KINDS),
    "UpdateInferenceComponentRuntimeConfig",
)

Model = Mapping[str, Any]


def newest_data() -> Path | None:
    """The data of the newest botocore, None before `make newest` has installed it."""
    found = sorted(ROOT.glob(".venv-newest/lib/python3*/site-packages/botocore/data"))
    return found[-1] if found else None


def pinned_model() -> Model:
    return dict(Loader().load_service_model("sagemaker", "service-2"))


def newest_model(data: Path) -> Model:
    loader = Loader(extra_search_paths=[str(data)], include_default_search_paths=False)
    return dict(loader.load_service_model("sagemaker", "service-2"))


def merged_model() -> Model:
    """The model of the embedded cloud."""
    loader = Loader(extra_search_paths=[str(SHAPES.parents[2])])
    return dict(loader.load_service_model("sagemaker", "service-2"))


def shapes(model: Model) -> dict[str, Any]:
    """The shapes of the operations, without their documentation."""
    found: dict[str, Any] = {}
    for operation in _OPERATIONS:
        for side in ("input", "output"):
            shape = model["operations"].get(operation, {}).get(side)
            if shape is not None:
                _collect(model["shapes"], shape["shape"], found)
    return found


def _collect(known: Mapping[str, Any], name: str, found: dict[str, Any]) -> None:
    if name in found:
        return
    found[name] = _without_documentation(known[name])
    for reference in _references(known[name]):
        _collect(known, reference, found)


def _references(shape: Mapping[str, Any]) -> Iterator[str]:
    yield from (member["shape"] for member in shape.get("members", {}).values())
    yield from (shape[key]["shape"] for key in ("member", "key", "value") if key in shape)


def _without_documentation(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_documentation(item) for key, item in value.items() if key != "documentation"}
    return value


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be merged into the old shapes to make them the new ones."""
    found: dict[str, Any] = {}
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            inner = difference(old[key], value)
            if inner:
                found[key] = inner
        elif key not in old or old[key] != value:
            found[key] = value
    return found


def write(data: Path) -> None:
    """Write the file anew."""
    merge = {"shapes": difference(shapes(pinned_model()), shapes(newest_model(data)))}
    SHAPES.write_text(json.dumps({"merge": merge}, indent=1, sort_keys=True) + "\n")
