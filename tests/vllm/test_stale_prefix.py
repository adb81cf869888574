"""An adapter that is updated in place while vLLM remembers the prefixes of its requests.

vLLM keys the blocks of its prefix cache by the adapter's name, and newer releases by its path as well.
Neither tells an adapter from the one before it at the same place.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from local_sagemaker.settings import Settings
from multi_adapter_inference import LmiContainer, LmiVersion, VllmContainer, VllmVersion
from tests.local.model_server.tickets import ADAPTERS
from tests.vllm.copies import LORA, RunningCopy, running

pytestmark = pytest.mark.vllm

CUSTOMERS = (("Emma", "Cairo", "phone"), ("Noah", "Oslo", "lamp"), ("Alice", "Quito", "printer"))
PLACES = ("the same path", "another path")
CONTAINERS = {
    "`LmiContainer(version=LmiVersion.V19, prefix_caching=True)`": LmiContainer(
        version=LmiVersion.V19, prefix_caching=True
    ),
    "`LmiContainer(version=LmiVersion.V19)`": LmiContainer(version=LmiVersion.V19),
    "`VllmContainer(version=VllmVersion.V2_6)`": VllmContainer(version=VllmVersion.V2_6),
}


@dataclass(frozen=True)
class Seen:
    """Texts of one updated adapter: what it answers, and what its files answer under a fresh name."""

    before: str
    after: str
    right: str


def prompt(name: str, place: str, thing: str) -> str:
    """Make a prompt that is longer than a block of the cache, which has 128 tokens on a CPU."""
    ticket = f"Ticket: {name} from {place} says the {thing} arrived broken. Please help.\nAnswer:\n"
    return ticket * 8 + "Ticket: Grace from Lima wants a refund for the keyboard. Thank you.\nAnswer:\n"


def update_in_place(copy: RunningCopy, name: str, text: str, place: Path, other: Path | None) -> Seen:
    """Register an adapter, ask it, and register the files of another one under its name."""
    shutil.copytree(ADAPTERS["summary"], place)
    copy.register(name, place)
    before = copy.complete(name, text, max_tokens=24)
    copy.unregister(name)
    if other is None:
        shutil.rmtree(place)
    shutil.copytree(ADAPTERS["triage"], other or place)
    copy.register(name, other or place)
    after = copy.complete(name, text, max_tokens=24)
    copy.register(f"fresh-{name}", ADAPTERS["triage"])
    right = copy.complete(f"fresh-{name}", text, max_tokens=24)
    for registered in (name, f"fresh-{name}"):
        copy.unregister(registered)
    return Seen(before, after, right)


@pytest.mark.parametrize("container", CONTAINERS)
def test_updated_adapter_is_mixed_with_the_one_before_only_if_prefixes_are_cached(
    container: str, folder: Path, tmp_path: Path, stale: list[dict[str, str]]
) -> None:
    environment = CONTAINERS[container]._environment_for(LORA, None)
    dialect = Settings().container_dialect(environment)
    with running("vllm", folder, environment, dialect=dialect) as copy:
        seen = {
            where: [
                update_in_place(
                    copy,
                    f"updated-{number}",
                    prompt(*customer),
                    tmp_path / f"{where}-{number}",
                    tmp_path / f"other-{number}" if where == "another path" else None,
                )
                for number, customer in enumerate(CUSTOMERS)
            ]
            for where in PLACES
        }
    # The adapter before answered with another text.
    assert [one for ones in seen.values() for one in ones if one.before == one.right] == []
    wrong = {where: [one for one in ones if one.after != one.right] for where, ones in seen.items()}
    shown = {where: f"{len(wrong[where])} of {len(CUSTOMERS)} wrong" for where in PLACES}
    stale.append({"container": container} | shown)
    if CONTAINERS[container].prefix_caching:
        assert wrong["the same path"] != []
    else:
        assert wrong == {where: [] for where in PLACES}
