"""The contract of layers in `pyproject.toml` names every module of the constructs."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "constructs" / "multi_adapter_inference"


def test_every_module_has_a_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [c for c in contracts if c.get("containers") == ["multi_adapter_inference"]]
    layered = [module for layer in contract["layers"] for module in layer.split(" | ")]
    modules = {
        ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
        for file in PACKAGE.rglob("*.py")
        if file.name != "__init__.py"
    }
    assert sorted(layered) == sorted(modules)
