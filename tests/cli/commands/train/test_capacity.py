"""`adapters capacity`: a table for people, a document for scripts."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter_rules.engines.engine_settings import LMI_VARIABLES, VLLM_VARIABLES
from adapters_cli.models.capacity_report import size
from tests.cli.fleet_account import FakeAccount, Run, rows

ROOT = Path(__file__).parents[4]
TICKETS = ROOT / "examples" / "tickets"
GUIDE = ROOT / "docs" / "how-to" / "capacity.md"
GIB = 1024**3

LLAMA = ("--base-model", "meta-llama/Llama-3.1-8B-Instruct")
SLOTS = ("--max-loras", "30", "--max-cpu-loras", "70", "--max-lora-rank", "64")
SHARDED = ("--option", "OPTION_FULLY_SHARDED_LORAS=true")
ON_FOUR = (*LLAMA, *SLOTS, "--instance-type", "ml.g5.12xlarge", "--option", "OPTION_MAX_MODEL_LEN=6000")
ON_VLLM = (*LLAMA, *SLOTS, "--instance-type", "ml.g5.12xlarge", "--option", "SM_VLLM_DTYPE=auto")


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where environments are found by their names."""
    monkeypatch.chdir(ROOT)


@pytest.fixture
def capacity(run: Run) -> Run:
    """Runs the command in a pipe."""
    return lambda *arguments: run("capacity", *arguments, fleet=False)


@pytest.fixture
def document(capacity: Run) -> Callable[..., dict[str, Any]]:
    """Runs the command with --json, and returns the document."""
    return lambda *arguments: json.loads(capacity(*arguments, "--json").stdout)


class TestFigures:
    def test_environment_is_read_with_its_manifest(self, capacity: Run) -> None:
        result = capacity("--environment", "prod")
        assert result.exit_code == 0
        assert [row[:3] for row in rows(result)] == [
            ["weights", "3.74 GiB", "14.96 GiB"],
            ["LoRA slots", "5.75 GiB", "23.01 GiB"],
            ["KV cache", "8.81 GiB", "35.24 GiB"],
            ["other", "1.50 GiB", "6.00 GiB"],
            ["reserved", "4.20 GiB", "16.80 GiB"],
            # Ranks 16, 32 and 16 of the manifest, in each of four workers.
            ["CPU memory", "-", "1.25 GiB"],
        ]
        assert "3 in GPU memory, 0 in CPU memory, 0 on disk" in result.stderr
        assert "it fits: beside 30 slots" in result.stderr

    def test_document_has_what_the_table_has(self, capacity: Run, document: Any) -> None:
        arguments = (*ON_FOUR, "--adapters", "200")
        found, result = document(*arguments), capacity(*arguments)
        assert found["fits"]
        assert found["verdict"] in result.stderr
        assert found["adapters"] == {"count": 200, "gpu": 30, "cpu": 40, "disk": 130}
        parts = [*found["memory"].values(), {"copy_bytes": found["host_memory_bytes"]}]
        assert [size(part["copy_bytes"]) for part in parts] == [row[2] for row in rows(result)]
        assert found["larger"][0]["most_loras"] > found["instance"]["most_loras"]

    def test_options_change_what_the_file_says(self, document: Any) -> None:
        before = document("--environment", "prod")
        after = document("--environment", "prod", "--max-loras", "10", *SHARDED)
        assert after["memory"]["lora_slots"]["accelerator_bytes"] < (
            before["memory"]["lora_slots"]["accelerator_bytes"] / 3
        )
        longer = document("--environment", "prod", "--option", "OPTION_MAX_MODEL_LEN=12000")
        assert longer["instance"]["sequences"] == pytest.approx(before["instance"]["sequences"] / 2)
        # A copy that has all accelerators has all of another type.
        larger = document("--environment", "prod", "--instance-type", "ml.g5.48xlarge")
        assert (larger["instance"]["accelerators"], larger["tensor_parallel"]) == (8, 8)

    def test_vllm_container_of_a_file_uses_one_accelerator_unless_told(
        self, capacity: Run, tmp_path: Path
    ) -> None:
        file = tmp_path / "vllm.toml"
        text = (ROOT / "environments" / "prod.toml").read_text()
        text = text.replace("lmi_version = 28", 'vllm_version = "2.6"')
        text = text.replace("prod.adapters.yaml", str(ROOT / "environments" / "prod.adapters.yaml"))
        file.write_text(re.sub(r"\[container\.environment\]\n(OPTION_.*\n)+", "", text))
        result = capacity("--environment", file)
        assert result.exit_code == 1
        assert "SM_VLLM_MAX_MODEL_LEN is not set" in result.stderr
        assert "3 of the copy's 4 accelerators are not used" in result.stderr


class TestVerdict:
    def test_what_does_not_fit_ends_with_1_and_says_why(self, capacity: Run) -> None:
        result = capacity(*LLAMA, *SLOTS, "--instance-type", "ml.g5.2xlarge")
        assert result.exit_code == 1
        assert "adapters: it does not fit: on each accelerator, weights (14.96 GiB)" in result.stderr
        assert "take 26.78 GiB of 19.80 GiB; no slot fits beside one sequence of 131,072" in result.stderr
        assert result.stderr.endswith(
            "; it would fit ml.p5.4xlarge, ml.g5.12xlarge, ml.g6.12xlarge and 2 more\n"
        )
        found = json.loads(capacity(*LLAMA, *SLOTS, "--instance-type", "ml.g5.2xlarge", "--json").stdout)
        assert (found["fits"], found["missing_bytes"]) == (False, pytest.approx(6.98 * GIB, rel=1e-3))

    def test_longest_sequence_that_is_told_fits_and_a_longer_one_does_not(self, capacity: Run) -> None:
        few = ("--max-loras", "4", "--max-lora-rank", "64", "--instance-type", "ml.g5.2xlarge")
        result = capacity(*LLAMA, *few)
        (longest,) = re.findall(r"OPTION_MAX_MODEL_LEN may be ([\d,]+) at most", result.stderr)
        for tokens, code in ((int(longest.replace(",", "")), 0), (int(longest.replace(",", "")) + 1, 1)):
            option = f"OPTION_MAX_MODEL_LEN={tokens}"
            assert capacity(*LLAMA, *few, "--option", option).exit_code == code


class TestAdapters:
    def test_of_the_stack_and_of_fleets_are_counted_together_or_what_is_not_is_noted(
        self, capacity: Run, document: Any
    ) -> None:
        assert document("--environment", "local")["adapters"]["count"] == 103
        many = ("--environment", "prod", "--adapters", "200")
        notes = {
            ON_FOUR: "how many adapters there are: give --adapters",
            ("--environment", "dev"): "fleet Tenants has its manifest in s3://amzn-s3-demo-bucket-llm-dev/",
            many: "a copy reserves 31.25 GiB of CPU memory (min_memory_mib), and adapters may take 87.50 GiB",
        }
        for arguments, note in notes.items():
            assert capacity(*arguments).stderr.splitlines()[-1].startswith(note)


class TestBaseModel:
    @pytest.mark.parametrize(
        ("place", "name"),
        [
            (TICKETS / "base", "tickets-tiny-llama"),
            (TICKETS / "base" / "config.json", "tickets-tiny-llama"),
            ("s3://models/own-8b.json", "own-8b"),
            ("own-8b.json", "own-8b"),
        ],
    )
    def test_may_be_a_directory_or_a_configuration_of_any_name(
        self,
        document: Any,
        account: FakeAccount,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        place: str | Path,
        name: str,
    ) -> None:
        config = json.loads((TICKETS / "base" / "config.json").read_text())
        config.pop("_name_or_path", None)
        text = json.dumps(config).encode()
        account.buckets.put("models", "own-8b.json", text)
        monkeypatch.chdir(tmp_path)
        Path("own-8b.json").write_bytes(text)
        found = document("--base-model", place, *SLOTS, "--instance-type", "ml.g5.xlarge")
        assert (found["parameters"], found["base_model"]) == (843_776, name)

    def test_that_is_given_goes_before_the_file_s_and_a_directory_before_a_well_known_name(
        self, document: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "llama-3.1-8b").symlink_to(TICKETS / "base")
        (tmp_path / "environments").symlink_to(ROOT / "environments")
        monkeypatch.chdir(tmp_path)
        found = document("--environment", "prod", "--base-model", "llama-3.1-8b")
        assert (found["parameters"], found["base_model"]) == (843_776, "tickets-tiny-llama")

    def test_in_a_bucket_of_an_environment_is_read(
        self, document: Any, account: FakeAccount, tmp_path: Path
    ) -> None:
        text = (ROOT / "environments" / "prod.toml").read_text()
        (tmp_path / "own.toml").write_text(text.replace("meta-llama/Llama-3.1-8B-Instruct", "acme/own"))
        bucket, key = "amzn-s3-demo-bucket-llm-prod", "models/meta-llama-Llama-3.1-8B-Instruct/config.json"
        account.buckets.put(bucket, key, (TICKETS / "base" / "config.json").read_bytes())
        (tmp_path / "prod.adapters.yaml").write_text("adapters: []\n")
        found = document("--environment", tmp_path / "own.toml")
        assert (found["parameters"], found["base_model"]) == (843_776, "acme/own")

    @pytest.mark.parametrize(
        ("config", "message"),
        [('{"model_type": "mixtral"}', "a model of the type 'mixtral' are"), ("[]", "got no JSON object")],
    )
    def test_of_another_kind_is_said_not_to_be_known(
        self, capacity: Run, tmp_path: Path, config: str, message: str
    ) -> None:
        (tmp_path / "config.json").write_text(config)
        result = capacity("--base-model", tmp_path, *SLOTS, "--instance-type", "ml.g5.xlarge")
        assert (result.exit_code, message in result.stderr) == (2, True)


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "which base model? Give --base-model, or --environment"),
            (LLAMA, "how many adapters? Give --max-loras and --max-lora-rank, or --environment"),
            ((*LLAMA, *SLOTS), "on which instances? Give --instance-type, or --environment"),
            (
                (*LLAMA, *SLOTS, "--instance-type", "ml.g5.12xlage"),
                "nothing is known of the instance type 'ml.g5.12xlage' (did you mean 'ml.g5.12xlarge'?)",
            ),
            (
                (*ON_FOUR, "--accelerators", "5"),
                "'accelerators' should be at most 4, as ml.g5.12xlarge has 4, got 5",
            ),
            (
                ("--base-model", "acme/own", *SLOTS, "--instance-type", "ml.g5.xlarge"),
                "'--base-model' should be a directory, a config.json here or in S3, or one of",
            ),
            (
                (*ON_FOUR, "--option", "OPTION_MAX_LORAS=4"),
                f"--option should set one of {', '.join(LMI_VARIABLES.names)}, got 'OPTION_MAX_LORAS'",
            ),
            (
                (*ON_VLLM, "--option", "OPTION_DTYPE=bf16"),
                f"--option should set one of {', '.join(VLLM_VARIABLES.names)}, got 'OPTION_DTYPE'",
            ),
            ((*ON_FOUR, "--option", "OPTION_DTYPE"), "--option should be NAME=VALUE"),
            ((*ON_FOUR, "--option", "OPTION_MAX_MODEL_LEN=6k"), "--option cannot be counted with"),
        ],
    )
    def test_are_told_in_one_line(self, capacity: Run, arguments: tuple[str, ...], message: str) -> None:
        result = capacity(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"adapters: {message}")

    def test_in_a_value_of_an_environment_are_noted_and_not_counted(
        self, capacity: Run, tmp_path: Path
    ) -> None:
        text = (ROOT / "environments" / "prod.toml").read_text()
        text = text.replace('OPTION_MAX_MODEL_LEN = "6000"', 'OPTION_MAX_MODEL_LEN = "6k"')
        (tmp_path / "wrong.toml").write_text(text)
        result = capacity("--environment", tmp_path / "wrong.toml", "--adapters", "1")
        assert "OPTION_MAX_MODEL_LEN=6k is not understood, and not counted\n" in result.stderr


def test_a_model_s_name_steers_no_terminal(capacity: Run, tmp_path: Path) -> None:
    config = json.loads((TICKETS / "base" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"_name_or_path": "\x1b]0;owned\x07"}))
    result = capacity("--base-model", tmp_path, *SLOTS, "--instance-type", "ml.g5.xlarge")
    assert "owned" in result.stderr
    assert "\x1b]" not in result.output


def test_sizes_are_in_the_largest_unit() -> None:
    numbers = (0, 1023, 32 * 1024, 352.3125 * 1024**2, 1.25 * GIB)
    assert [*map(size, numbers)] == ["0 B", "1023 B", "32 KiB", "352.3 MiB", "1.25 GiB"]


class TestGuide:
    def test_its_example_shows_what_the_command_shows(
        self, capacity: Run, terminal: Callable[..., list[str]]
    ) -> None:
        ((command, expected),) = re.findall(
            r"^\$ adapters capacity (.*)\n((?:.*\n)*?)```", GUIDE.read_text(), re.MULTILINE
        )
        table = terminal("capacity", *command.split(), columns=110, fleet=False)
        notes = capacity(*command.split()).stderr.splitlines()
        assert [*table, *notes] == expected.splitlines()

    def test_its_warnings_are_those_of_the_constructs(self) -> None:
        source = (ROOT / "constructs" / "multi_adapter_inference" / "models" / "capacity.py").read_text()
        ids = "multi-adapter-inference:[a-z-]+"
        assert set(re.findall(ids, GUIDE.read_text())) == set(re.findall(ids, source))
