import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapter_rules.archives.packing import pack
from adapter_rules.checks.requirements_and_remedies import CheckRule
from adapters_cli.aws.account import Account
from adapters_cli.main import app
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.adapter_rules.bad_adapters import BASE
from tests.cli.fleet_account import rows
from tests.fakes import FakeS3

Check = Callable[..., Result]


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


@pytest.fixture
def check(s3: FakeS3) -> Check:
    """Runs the command in a pipe, in an account with these objects."""
    account = Account()
    vars(account)["s3"] = s3

    def check(*arguments: str | Path) -> Result:
        command = ["check", *map(str, arguments)]
        return CliRunner().invoke(app, command, obj=account, catch_exceptions=False)

    return check


@pytest.fixture
def fine(tmp_path: Path) -> Path:
    return SyntheticAdapter().save(tmp_path / "adapters" / "fine")


def configured(path: Path, **config: Any) -> Path:
    """Write an adapter with these values in its configuration."""
    adapter = SyntheticAdapter()
    adapter.config.update(config)
    return adapter.save(path)


@pytest.fixture
def dora(tmp_path: Path) -> Path:
    return configured(tmp_path / "adapters" / "dora", use_dora=True)


@pytest.fixture
def pissa(tmp_path: Path) -> Path:
    """An adapter with a warning."""
    return configured(tmp_path / "adapters" / "pissa", init_lora_weights="pissa")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text(json.dumps(BASE))
    return tmp_path / "base"


def rules(result: Result) -> list[str]:
    return [row[2] for row in rows(result)]


def store(s3: FakeS3, directory: Path, prefix: str = "adapters") -> str:
    packed = pack(directory, directory.parent / "packed.tar.gz")
    key = f"{prefix}/{directory.name}/sha256-{packed.identity}.tar.gz"
    s3.put("bucket", key, packed.path.read_bytes())
    packed.path.unlink()
    return f"s3://bucket/{key}"


def test_folder_stands_for_the_adapters_in_it(check: Check, fine: Path, dora: Path) -> None:
    pack(fine, fine.parent / "packed.tar.gz")
    (fine.parent / "notes.txt").write_text("no adapter")
    result = check(fine.parent)
    assert [(Path(row[0]).name, row[1]) for row in rows(result)] == [
        ("dora", "error"),
        ("fine", "ok"),
        ("packed.tar.gz", "ok"),
    ]


def test_empty_folder_is_checked_as_an_adapter_alone_and_beside_others(check: Check, fine: Path) -> None:
    (fine.parent / "empty").mkdir()
    assert rules(check(fine.parent / "empty")) == ["file-missing", "file-missing"]
    # A name that publish refuses is refused.
    fine.rename(fine.with_name("Acme_Corp"))
    result = check(fine.parent)
    assert (result.exit_code, rules(result)) == (1, ["adapter-name", "file-missing", "file-missing"])
    assert "begin and end with no hyphen, got 'Acme_Corp'" in result.stdout


def test_one_bad_path_does_not_stop_the_others(check: Check, fine: Path, tmp_path: Path) -> None:
    result = check(tmp_path / "nowhere", fine, fine, "s3://", "s3://bucket/none.tar.gz", "a" * 300)
    assert result.exit_code == 1
    assert rules(result) == ["path-readable", "", "path-readable", "object-readable", "path-readable"]
    assert "File name too long" in result.stdout


@pytest.mark.parametrize("call", ["exists", "is_dir"])
def test_directory_that_may_not_be_read_does_not_stop_the_others(
    check: Check, fine: Path, dora: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    ask = getattr(Path, call)

    def refused(path: Path, *arguments: Any) -> Any:
        if dora in (path, *path.parents):
            raise PermissionError(13, "Permission denied", str(path))
        return ask(path, *arguments)

    monkeypatch.setattr(Path, call, refused)  # root, as which tests may run, may read everything
    result = check(dora, fine)
    assert rules(result) == ["path-readable", ""]
    assert "Permission denied" in result.stdout


def test_what_a_training_run_leaves_is_told_and_no_finding(check: Check, fine: Path) -> None:
    (fine / "training_args.bin").touch()
    for name in ("checkpoint-5", ".venv"):
        SyntheticAdapter().save(fine.parent / name)
    pack(fine, fine.parent / ".hidden.tar.gz")
    result = check(fine.parent)
    assert (result.exit_code, [row[:3] for row in rows(result)]) == (0, [[str(fine), "ok", ""]])
    assert "left behind, as no part of an adapter: training_args.bin\n" in result.stderr


def test_file_of_another_name_is_refused_as_by_publish(check: Check, fine: Path, s3: FakeS3) -> None:
    archive = pack(fine, fine.parent / "fine.tgz").path
    s3.put("bucket", "fine.tgz", archive.read_bytes())
    result = check(archive, "s3://bucket/fine.tgz")
    assert rules(result) == ["file-content", "path-holds-adapters"]
    assert "an archive '….tar.gz'" in result.stdout
    assert [row[0] for row in rows(check(fine.parent))] == [str(fine)]


def test_interrupt_stops_what_is_being_read(
    check: Check, s3: FakeS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Ctrl-C in the midst of an archive."""
    uri = store(s3, SyntheticAdapter(rank=256, layers=12).save(tmp_path / "large"))
    assert check("--whole", uri).exit_code == 0
    whole, s3.bytes_read = s3.bytes_read, 0
    begun, interrupted = threading.Event(), threading.Event()
    get = s3.get_object

    def slowly(**options: Any) -> dict[str, Any]:
        begun.set()
        assert interrupted.wait(10)
        return get(**options)

    def interrupt(*_: Any, **__: Any) -> Any:
        assert begun.wait(10)
        threading.Timer(0.1, interrupted.set).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(s3, "get_object", slowly)
    monkeypatch.setattr("adapters_cli.artifacts.checking.Progress.track", interrupt)
    assert check("--whole", uri).exit_code != 0
    assert 0 < s3.bytes_read < whole / 4


def test_warnings_end_with_0_and_when_strict_with_1(
    check: Check, fine: Path, pissa: Path, dora: Path
) -> None:
    assert rules(check(pissa)) == ["lora-initialisation"]
    assert check(pissa).exit_code == 0
    assert check(pissa, "--strict").exit_code == 1
    assert check(pissa, dora, "--strict").exit_code == 1
    assert check(fine, "--strict").exit_code == 0


def test_finding_has_rule_place_message_and_what_to_do(check: Check, fine: Path, dora: Path) -> None:
    result = check(fine, dora, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["results"] == {"ok": 1, "not-compared": 0, "warning": 0, "error": 1}
    assert [adapter["path"] for adapter in document["adapters"]] == [str(fine), str(dora)]
    finding = {
        "rule": "lora-method",
        "severity": "error",
        "where": f"{dora}/adapter_config.json",
        "message": "'use_dora' should be false: vLLM serves no DoRA adapters",
        "help": CheckRule.LORA_METHOD.help,
    }
    assert document["adapters"][1]["findings"] == [finding]
    rule, severity, *rest = finding.values()
    assert rows(check(dora)) == [[str(dora), severity, rule, *rest]]


def test_what_could_not_be_compared_with_the_base_is_not_ok(
    check: Check, fine: Path, pissa: Path, dora: Path, base: Path
) -> None:
    (base / "config.json").write_text(json.dumps(BASE | {"model_type": "phimoe"}))
    result = check(fine, pissa, dora, "--base-model", base)
    assert [row[:3] for row in rows(result)] == [
        [str(fine), "not-compared", "base-model-compared"],
        [str(pissa), "warning", "lora-initialisation"],
        [str(pissa), "not-compared", "base-model-compared"],
        [str(dora), "error", "lora-method"],
        [str(dora), "not-compared", "base-model-compared"],
    ]
    assert rows(result)[0][4:] == [
        "no module was compared with the base model 'acme/tiny-base': a 'phimoe' is not known",
        CheckRule.BASE_COMPARED.help,
    ]
    assert check(fine, "--base-model", base).exit_code == 0
    assert check(fine, "--base-model", base, "--strict").exit_code == 1


def test_adapter_that_is_fine_is_a_line_and_what_nobody_gave_to_compare_with_is_told(
    check: Check, fine: Path, base: Path
) -> None:
    result = check(fine)
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        f"{fine}\tok\t\t\t\t\n",
        "not compared: no base model given (--base-model), no rank limit given (--max-lora-rank)\n",
    )
    document = json.loads(check(fine, "--max-lora-rank", "64", "--json").stdout)
    assert document["not_compared"] == ["no base model given (--base-model)"]
    assert check(fine, "--base-model", base, "--max-lora-rank", "64").stderr == ""


class TestInS3:
    def test_published_adapter_is_checked_from_its_first_bytes_unless_all_is_asked_for(
        self, check: Check, s3: FakeS3, tmp_path: Path
    ) -> None:
        adapter = SyntheticAdapter(layers=200)
        for tensor in adapter.tensors.values():
            tensor[-1] = float("inf")
        uri = store(s3, adapter.save(tmp_path / "large"))
        found = json.loads(check(uri, "--json").stdout)["adapters"][0]
        assert found["result"] == "ok"
        assert found["bytes_read"] == s3.bytes_read < 0.1 * found["size"]
        assert "tensor-finite" in rules(check(uri, "--whole"))

    def test_prefix_stands_for_the_archives_below_it(
        self, check: Check, s3: FakeS3, fine: Path, dora: Path
    ) -> None:
        uris = [store(s3, directory) for directory in (dora, fine)]
        store(s3, fine, prefix="adapters-of-others")
        s3.put("bucket", "adapters/manifest.yaml", b"adapters: []")
        for prefix in ("s3://bucket/adapters/", "s3://bucket/adapters"):
            result = check(prefix)
            assert [row[:2] for row in rows(result)] == [[uris[0], "error"], [uris[1], "ok"]]
        assert len(rows(check("s3://bucket"))) == 3
        result = check("s3://bucket/none/")
        assert (result.exit_code, rules(result)) == (1, ["path-holds-adapters"])

    def test_object_that_may_not_be_read_is_an_error_of_that_path_and_nothing_else_ends_with_4(
        self, check: Check, s3: FakeS3, fine: Path, dora: Path, pissa: Path
    ) -> None:
        uris = [store(s3, directory) for directory in (fine, dora)]
        s3.forbidden += (uris[0].removeprefix("s3://"),)
        result = check("s3://bucket/adapters/")
        assert {row[2] for row in rows(result)} == {"object-readable", "lora-method"}
        assert "it cannot be read: Access Denied (AccessDenied)" in result.stdout
        s3.forbidden += ("bucket/",)
        assert check("s3://bucket/adapters/").exit_code == 4
        assert check("s3://bucket/none.tar.gz", fine, pissa, "--strict").exit_code == 4
        assert check("s3://bucket/adapters/", dora).exit_code == 1


ENVIRONMENT = (Path(__file__).parents[4] / "environments" / "local.toml").read_text()
ENVIRONMENT = ENVIRONMENT.replace(
    'directory = "../examples/tickets/base"', 'name = "acme/other"\ndirectory = "../base"'
)


class TestServing:
    @pytest.mark.parametrize(
        ("options", "rule"),
        [
            (["--max-lora-rank", "256"], "lora-rank"),
            (["--max-lora-rank", "512"], ""),
            (["--container", "LMI16"], ""),
            (["--container", "19"], ""),
            (["--container", "vllm2.6"], ""),
        ],
    )
    def test_rank_is_limited_by_option_or_by_what_the_container_knows(
        self, check: Check, tmp_path: Path, options: list[str], rule: str
    ) -> None:
        adapter = SyntheticAdapter(rank=512).save(tmp_path / "adapter")
        assert rules(check(adapter, *options)) == [rule]

    def test_container_that_mixes_up_adapters_is_warned_of_and_the_adapter_is_fine(
        self, check: Check, fine: Path
    ) -> None:
        result = check(fine, "--strict", "--container", "lmi19")
        assert (rules(result), result.exit_code) == ([""], 0)
        assert result.stderr.count("only a newer release helps, from LMI 28 on") == 1
        document = json.loads(check(fine, "--json", "--container", "lmi19").stdout)
        assert [fault["id"] for fault in document["container_faults"]] == ["adapter-swapped-in-flight"]

    @pytest.mark.parametrize(
        ("container", "rule", "code"), [("lmi16", "lora-bias-setting", 0), ("vLLM2.0", "lora-bias", 1)]
    )
    def test_biases_are_for_containers_that_have_a_setting_for_them(
        self, check: Check, tmp_path: Path, container: str, rule: str, code: int
    ) -> None:
        adapter = configured(tmp_path / "adapter", bias="lora_only")
        result = check(adapter, "--container", container)
        assert (rules(result), result.exit_code) == ([rule], code)

    def test_base_model_is_compared_by_name_and_dimensions_or_ends_with_4(
        self, check: Check, s3: FakeS3, fine: Path, base: Path
    ) -> None:
        assert rules(check(fine, "--base-model", base)) == [""]
        (base / "config.json").write_text(json.dumps({**BASE, "_name_or_path": "other", "hidden_size": 64}))
        for place in (base, base / "config.json"):
            result = check(fine, "--base-model", place)
            assert set(rules(result)) == {"base-model-name", "base-model-module"}
        s3.forbidden += ("bucket/base/config.json",)
        result = check(fine, "--base-model", "s3://bucket/base")
        assert (result.exit_code, result.stdout) == (4, "")
        assert "'s3://bucket/base/config.json' cannot be read: Access Denied" in result.stderr

    def test_environment_gives_container_rank_and_base(
        self, check: Check, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("environments").mkdir()
        Path("environments/prod.toml").write_text(ENVIRONMENT)
        SyntheticAdapter(rank=32, layers=3).save(tmp_path / "adapter")
        for name in ("prod", "environments/prod.toml"):
            result = check("adapter", "--environment", name)
            assert set(rules(result)) == {"lora-rank", "base-model-name", "base-model-module"}
        overridden = check("adapter", "-e", "prod", "--max-lora-rank", "32", "--base-model", "base")
        assert set(rules(overridden)) == {"base-model-module"}

    def test_base_model_that_is_well_known_is_compared_by_its_name_alone(
        self, check: Check, fine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        result = check(fine, "--base-model", "meta-llama/Llama-3.1-8B-Instruct")
        assert set(rules(result)) == {"base-model-name", "base-model-module"}
        environment = ENVIRONMENT.replace('directory = "../base"\n', 'bucket = "models"\n')
        Path("e.toml").write_text(environment.replace("acme/other", "meta-llama/Llama-3.1-8B"))
        assert "base-model-module" in rules(check(fine, "-e", "e.toml"))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--container", "lmi15"], "should be lmi16 to lmi29, or vllm1.3 to vllm2.6, got 'lmi15'"),
            (["--max-lora-rank", "48"], "'max_lora_rank' should be one of 8, 16"),
            (["--container", "lmi16", "--max-lora-rank", "1"], "at least 8 with LMI 16, got 1"),
            (["--base-model", "."], "'config.json' should be the configuration"),
            (["--base-model", "s3://bucket/none/"], "The specified key does not exist. (NoSuchKey)"),
            (["--environment", "nowhere"], "the path of a .toml file, got 'nowhere'"),
        ],
    )
    def test_option_that_is_wrong_ends_with_2_and_says_so(
        self,
        check: Check,
        fine: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        options: list[str],
        message: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        result = check(fine, *options)
        assert (result.exit_code, message in result.stderr) == (2, True)


class TestTerminal:
    @pytest.fixture
    def shown(self, terminal: Callable[..., list[str]]) -> Callable[..., list[str]]:
        """Shows a check that finds an error on a terminal."""
        return lambda *arguments: terminal("check", *arguments, code=1, columns=140, fleet=False)

    def test_person_sees_a_table_and_a_summary_that_no_file_name_steers(
        self, shown: Callable[..., list[str]], fine: Path, dora: Path
    ) -> None:
        (dora / "\x1b]0;owned\x07").touch()
        (dora / "adapter_model-00001-of-00002.safetensors").touch()
        lines = [" ".join(line.split()) for line in shown(fine, dora)]
        assert not any("\x1b]0;" in line for line in lines)
        assert lines[0] == "ADAPTER RESULT RULE FINDING"
        assert "adapters/fine ok" in lines
        assert any("lora-method adapter_config.json: 'use" in line for line in lines)
        assert f"lora-method {CheckRule.LORA_METHOD.help}" in lines
        assert not any(CheckRule.FILE_CONTENT.help in line for line in lines)
        assert lines[-1] == "2 adapters: 1 ok, 1 error"

    def test_guide_shows_what_a_person_sees(self, shown: Callable[..., list[str]], tmp_path: Path) -> None:
        adapter = SyntheticAdapter(rank=64).save(tmp_path / "out" / "globex")
        lines = shown(adapter, "--max-lora-rank", "8")
        guide = (Path(__file__).parents[4] / "docs" / "guides" / "check-rules.md").read_text()
        assert "```text\n" + "\n".join(lines) + "\n```" in guide
