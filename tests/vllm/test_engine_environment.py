"""What the Python that serves with vLLM needs."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from tests.vllm.engine import __main__ as vllm_engine
from tests.vllm.engine.base_rows import GROUP, PLUGIN

PLUGINS = EntryPoints([EntryPoint(PLUGIN, "tests.vllm.engine.base_rows:register", GROUP)])


@pytest.mark.parametrize(
    ("installed", "plugins", "missing"),
    [
        (False, PLUGINS, f"vLLM is not installed for {sys.executable}"),
        (True, EntryPoints(), f"the plugin {PLUGIN} should be installed"),
        (True, PLUGINS, None),
    ],
)
def test_vllm_and_the_plugin_for_base_rows_are_needed(
    installed: bool, plugins: EntryPoints, missing: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "find_spec", lambda name: object() if installed else None)
    monkeypatch.setattr(vllm_engine, "entry_points", lambda *, group: plugins.select(group=group))
    said = vllm_engine.what_is_missing()
    assert said == missing or (said or "").startswith(missing or "-")
