"""Stand-ins: what they answer, on the embedded model and by the rules of the checks."""

import json
from pathlib import Path

import numpy as np
import pytest

from adapter_fleet.common.findings import Severity
from local_sagemaker.model_server.llama import KeyValueCache, LlamaModel
from local_sagemaker.model_server.lora import Adapter
from local_sagemaker.model_server.text import TextCodec
from local_sagemaker.stand_ins import main, write_adapter, write_base_model
from tests.adapter_rules.findings_of import findings_of

LONGEST = "x" * 60
EVERY_CHARACTER = "".join(map(chr, range(32, 127)))


def answer(base: Path, adapter: Path | None = None, prompt: str = "Who are you?") -> str:
    """Return what the model says at a temperature of 2 or less, up to the end of its answer."""
    model, codec = LlamaModel.from_directory(base), TextCodec(base)
    weights = None
    if adapter is not None:
        loaded = Adapter.from_directory(adapter, projections=model.config.projections(), max_rank=8)
        weights = loaded.to_weights()
    tokens = codec.encode(prompt)
    cache = KeyValueCache(model.config, rows=1, length=len(tokens) + 64)
    step, positions, said = np.array([tokens]), np.arange(len(tokens))[None], list[int]()
    while len(said) < 63:
        scores = model.logits(model.forward(step, positions, cache, 0, [weights])[:, -1])[0]
        token = int(scores.argmax())
        second, best = np.sort(scores)[-2:]
        assert best - second > 60, "a request with a temperature could get another answer"
        if token in model.config.stop_tokens:
            return codec.decode(said)
        step, positions = np.array([[token]]), np.array([[len(tokens) + len(said)]])
        said.append(token)
    raise AssertionError(f"the answer has no end: {codec.decode(said)!r}")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write_base_model(tmp_path_factory.mktemp("base"), "I am the base.")
    # It can be split over the accelerators of every instance.
    assert json.loads((made / "config.json").read_text())["num_key_value_heads"] % 8 == 0
    return made


def test_base_model_gives_its_answer_to_every_prompt(base: Path) -> None:
    assert answer(base, prompt="Ticket: late\nAnswer:\n") == answer(base, prompt="{}") == "I am the base."


@pytest.mark.parametrize("text", ["a", LONGEST, EVERY_CHARACTER[:50], EVERY_CHARACTER[50:]])
def test_adapter_gives_its_own_answer_and_passes_every_check(base: Path, tmp_path: Path, text: str) -> None:
    adapter = write_adapter(tmp_path, text, base=base)
    assert answer(base, adapter) == text
    findings = findings_of(adapter)
    assert [finding for finding in findings if finding.severity is Severity.ERROR] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'answer' should have 1 to 60 characters, got 0"),
        (f"{LONGEST}x", "'answer' should have 1 to 60 characters, got 61"),
        ("grüezi", "'answer' should be printable ASCII, got 'ü'"),
    ],
)
def test_answer_that_it_cannot_give_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_base_model(tmp_path, text)


def test_adapter_of_another_base_model_is_refused(tmp_path: Path) -> None:
    tickets = Path(__file__).parents[2] / "examples" / "tickets" / "base"
    with pytest.raises(ValueError, match="should be a folder that write_base_model wrote"):
        write_adapter(tmp_path, "I am Acme.", base=tickets)


def test_command_writes_a_base_model_and_adapters(tmp_path: Path) -> None:
    main([str(tmp_path), "acme=I am Acme.", "--base", "I am the base."])
    assert answer(tmp_path / "base") == "I am the base."
    assert answer(tmp_path / "base", tmp_path / "adapters" / "acme") == "I am Acme."


def test_command_names_what_is_no_adapter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path), "acme"])
    assert "an adapter should be NAME=ANSWER, got 'acme'" in capsys.readouterr().err
