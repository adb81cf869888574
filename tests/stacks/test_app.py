"""The app and its environments."""

import json
import runpy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import aws_cdk as cdk
import pytest

from adapter_rules.environment import EnvironmentFileError
from stacks.environment import environment_file

ROOT = Path(__file__).resolve().parents[2]
CONTEXT = json.loads((ROOT / "cdk.json").read_text())["context"]


@pytest.fixture
def error_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | Path], str]:
    """Return a function that runs the app in this process, which has the CDK, and returns its last words."""

    def run_app(environment: str | Path) -> str:
        context = CONTEXT | {"environment": str(environment)}
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(cdk, "App", partial(cdk.App, outdir=str(tmp_path / "cdk.out"), context=context))
        with pytest.raises(SystemExit) as ended:
            runpy.run_path("app.py", run_name="__main__")
        # Python writes a text to stderr, and exits with 1.
        assert isinstance(ended.value.code, str)
        return ended.value.code

    return run_app


@pytest.fixture
def copy_of_local(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that writes a copy of the local environment with something replaced."""

    def copy(old: str, new: str) -> Path:
        text = (ROOT / "environments" / "local.toml").read_text()
        assert old in text
        path = tmp_path / "changed.toml"
        changed = text.replace(old, new).replace('"../', f'"{ROOT}/')
        path.write_text(changed.replace('"local.', f'"{ROOT}/environments/local.'))
        return path

    return copy


def test_what_cannot_be_deployed_is_told_without_a_traceback_and_nothing_is_made(
    error_of: Callable[[str | Path], str], copy_of_local: Callable[[str, str], Path], tmp_path: Path
) -> None:
    path = copy_of_local("accelerators = 1", "accelerators = 5")
    assert error_of(path) == (
        f"environment '{path}' cannot be deployed:\n"
        "'MultiAdapterInference-changed/Llm': 'accelerators' should be at most 4, as ml.g5.12xlarge has 4"
        " accelerators, got 5"
    )
    assert not (tmp_path / "cdk.out" / "manifest.json").exists()


@pytest.mark.slow
def test_an_error_says_in_which_table_its_setting_is(
    error_of: Callable[[str | Path], str], copy_of_local: Callable[[str, str], Path]
) -> None:
    assert "[adapters.tri_age]: " in error_of(copy_of_local("[adapters.triage]", "[adapters.tri_age]"))


def test_an_empty_environment_is_not_the_local_one(error_of: Callable[[str | Path], str]) -> None:
    known = "'environment' should be one of dev, local, prod, or the path of a .toml file"
    assert f"{known}, got ''" in error_of("")


def test_an_environment_may_be_any_file_that_is_there_and_can_end_a_stacks_name(tmp_path: Path) -> None:
    path = tmp_path / "test.toml"
    path.touch()
    assert environment_file(str(path)) == path
    with pytest.raises(EnvironmentFileError, match=r"got 'nowhere/staging\.toml'"):
        environment_file("nowhere/staging.toml")
    file = tmp_path / "llm_prod.toml"
    file.touch()
    with pytest.raises(EnvironmentFileError, match=r"letters, digits and hyphens.*got 'llm_prod\.toml'"):
        environment_file(str(file))
