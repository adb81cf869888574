"""Every public class has an example that synthesizes.

endpoint.md, base-models.md, adapters.md, fleets.md, interfaces.md and scaling-and-monitoring.md show them.
"""

import inspect
import textwrap
from functools import partial
from pathlib import Path

import aws_cdk as cdk
import pytest

import multi_adapter_inference as library
from tests.docs.blocks import ROOT, Block
from tests.docs.snippets import run

pytestmark = pytest.mark.documents


@pytest.mark.parametrize("name", library.__all__)
def test_the_example_of_a_public_class_synthesizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cdk, "App", partial(cdk.App, outdir=str(tmp_path / "cdk.out")))
    docstring = inspect.cleandoc(getattr(library, name).__doc__ or "")
    example = textwrap.dedent(docstring.partition("Example::\n")[2])
    assert name in example
    run(Block(path=ROOT / name, line=1, language="python", text=example, mark=None), tmp_path, {})
