"""The public names beside those of the last release: what went is in the changelog, what came says since."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import griffe
import pytest
from packaging.version import Version

from docs.site.reference import since
from docs.site.reference.docstrings import load
from docs.site.reference.pages import pages
from docs.site.reference.testing import CLASSES
from tests.release.sbom import ROOT

UNTAGGED = "4f5f4ad9"
"""0.2.0 was on no index and has no tag. Its entry of the changelog was closed here."""


def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True)


LAST = git("describe", "--tags", "--abbrev=0", "--match=v*", "HEAD^").stdout.decode().strip() or UNTAGGED
RELEASE = "0.2.0" if LAST == UNTAGGED else LAST.removeprefix("v")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the last release."""
    folder = tmp_path_factory.mktemp("released")
    archive = git("archive", LAST)
    assert not archive.returncode, f"{LAST} should be in the history, got {archive.stderr.decode()}"
    subprocess.run(["tar", "--extract"], cwd=folder, check=True, input=archive.stdout)
    return folder


def breakages(before: griffe.Object, after: griffe.Object) -> Iterator[tuple[str, griffe.Object]]:
    """Yield what an app can no longer use in the same way, such as `Class.member`, and what has or had it."""
    for name in map(str, before.exports or ()):
        old = before[name].final_target if before[name].is_alias else before[name]
        if name not in after.members:
            yield name, old
            continue
        new = after[name].final_target if after[name].is_alias else after[name]
        for each in griffe.find_breaking_changes(old, new):
            part = each.old_value if isinstance(each.old_value, griffe.Parameter) else each.new_value
            path = [name, each.obj.name, part.name if isinstance(part, griffe.Parameter) else name]
            yield ".".join(dict.fromkeys(one for one in path if one != "__init__")), each.obj


def says(line: str, path: str) -> bool:
    """Return whether a line has a member as code: behind its owner, or alone beside the owner."""
    whole, _, member = path.rpartition(".")
    owner = rf"\b{whole.rpartition('.')[2]}\b"
    code = re.findall("`([^`]+)`", line)
    one = any(re.search(rf"{owner}.*\b{member}\b", each) for each in code)
    return one or (member in code and bool(re.search(owner, " ".join(code))))


def test_what_an_app_can_no_longer_use_was_deprecated_and_is_in_the_changelog(released: Path) -> None:
    newer, _ = (ROOT / "CHANGELOG.md").read_text().split(f"\n## [{RELEASE}]")
    lines = newer.splitlines()
    found = dict(breakages(load("multi_adapter_inference", released), load("multi_adapter_inference")))
    assert not [name for name in found if not any(says(line, name) for line in lines)]
    assert not any(says(line, "BatchSize.limit") for line in lines)  # `DeletionGuard.limit` is no word of it
    if LAST != UNTAGGED:  # docs/deprecation.md makes one exception
        assert not [name for name, each in found.items() if "Deprecated" not in str(each.docstring)]


def names_of(package: griffe.Object) -> Iterator[str]:
    """Yield functions, and classes with their members and arguments, as the reference names them."""
    public = [package[str(name)] for name in package.exports or ()]
    own = [each for each in package.members.values() if not each.is_alias]
    for each in public or own:
        found = each.final_target if isinstance(each, griffe.Alias) else each
        if isinstance(found, griffe.Module):
            yield from names_of(found)
            continue
        yield found.name
        for part, inner in found.all_members.items() if isinstance(found, griffe.Class) else ():
            whole = found.name if part == "__init__" else f"{found.name}.{part}"
            yield f"{found.name}.{part}"
            yield from (f"{whole}.{each.name}" for each in getattr(inner, "parameters", ()))


def test_reference_says_of_each_name_since_when_it_is_there(
    released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = ("multi_adapter_inference", "adapter_fleet", "local_sagemaker")
    library, fleet, cloud = (load(package, released) for package in packages)
    testing = {"pytest_plugin", "stand_ins", *(module for module, _ in CLASSES)} & cloud.members.keys()
    modules = (library, fleet["aws"], fleet["openai"], *(cloud[each] for each in testing))
    before = {name for module in modules for name in names_of(module)}
    asked: set[str] = set()
    monkeypatch.setattr(since, "newer", asked.add)
    pages()
    python = {name for name in asked if name[0] != "[" and " " not in name}
    came = {name for name in python - before if name.rpartition(".")[0] in {"", *before}}
    listed = {name for name, release in since.NEWER.items() if Version(release) > Version(RELEASE)}
    assert came == listed & python
    sources = sorted((released / "cli" / "adapters_cli").rglob("*.py"))
    text = "".join(each.read_text() for each in sources).replace("-", "_")
    commands = {each.stem.strip("_") for each in sources if each.parent.name == "commands"}
    new = {name for name in asked if re.fullmatch("adapters [a-z]+", name) and name[9:] not in commands}
    assert new == {name for name in listed if name.startswith("adapters ") and " --" not in name}
    for name in asked:
        whole, _, option = name.rpartition(" --")
        if whole not in {"", "adapters", *new} and option.replace("-", "_") not in text:
            assert name in listed
