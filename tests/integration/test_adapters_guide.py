"""`docs/guides/adapters.md` from top to bottom: a training run's directories become adapters that answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_sagemaker.server import LocalCloud
from tests.docs.blocks import ROOT
from tests.docs.page_run import PageRun
from tests.integration.by_hand import prompts

pytestmark = [pytest.mark.integration, pytest.mark.documents]

GUIDE = ROOT / "docs/guides/adapters.md"
THIS = "tests/integration/test_adapters_guide.py"

LEFTOVERS = ("training_args.bin", "tokenizer.json", "checkpoint-5/")
PROMPT = "Ticket: Grace from Lima wants a refund for the keyboard. Thank you.\nAnswer:\n"


def answer_of(label: str) -> str:
    """Return what an adapter of the examples answers to the guide's prompt."""
    (answers,) = [entry["answers"] for entry in prompts() if entry["prompt"] == PROMPT]
    return str(answers[label])


@pytest.fixture(scope="module")
def guide(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageRun]:
    guide = PageRun(
        cloud, tmp_path_factory.mktemp("guide"), GUIDE, test="tests/integration/test_adapters_guide.py"
    )
    trained = guide.folder / "examples" / "tickets" / "adapters" / "triage"
    for name in LEFTOVERS:  # what `trainer.save_model` and the run leave
        (trained / name).mkdir() if name.endswith("/") else (trained / name).touch()
    guide.run()
    yield guide
    guide.delete_bucket("onboarding")


def test_adapters_of_the_guide_are_fine(guide: PageRun) -> None:
    lines = guide.output("adapters check").splitlines()
    assert len(lines) == 3


def test_three_adapters_are_published(guide: PageRun) -> None:
    lines = guide.output("adapters publish", "released.yaml").splitlines()
    assert [line.split("\t")[:2] for line in lines] == [
        ["shout", "uploaded"],
        ["summary", "uploaded"],
        ["triage", "uploaded"],
    ]


def test_what_was_published_answers_after_a_deployment(guide: PageRun) -> None:
    assert answer_of("triage") in guide.output("adapters invoke", "Released")


def test_a_customer_answers_with_no_deployment(guide: PageRun) -> None:
    assert "1 of 1 in service" in guide.output("adapters apply")
    assert answer_of("summary") in guide.output("adapters invoke", "Customers")


def test_next_version_is_in_the_history(guide: PageRun) -> None:
    whats = [line.split("\t")[1] for line in guide.output("adapters history").splitlines()]
    assert whats == ["updated", "created"]
