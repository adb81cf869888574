import errno
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from adapter_fleet.artifacts.checks.adapter_check import examine
from adapter_fleet.artifacts.checks.config_check import MAX_CONFIG_BYTES
from adapter_fleet.common.findings import Finding, Severity
from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_fleet.serving.lmi import NEWEST, LmiVersion
from adapter_fleet.serving.lora_limits import LoraServing
from tests.adapter_fleet.bad_adapters import BASE
from tests.adapter_fleet.findings_of import findings_of
from tests.adapter_fleet.synthetic import HIDDEN, SyntheticAdapter

Q_PROJ = "model.layers.0.self_attn.q_proj"
LORA = LoraServing(max_loras=2, max_cpu_loras=4, max_lora_rank=16)

Save = Callable[[SyntheticAdapter], Path]


def base_model(directory: Path, **changes: Any) -> BaseModelFacts:
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(BASE | changes))
    return BaseModelFacts.from_directory(directory)


def the_only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, [str(finding) for finding in findings]
    return findings[0]


def test_sound_adapter_has_no_findings(adapter: SyntheticAdapter, save: Save, tmp_path: Path) -> None:
    directory = save(adapter)
    (directory / "README.md").write_text("# An adapter")
    assert findings_of(directory, lora=LORA, base=base_model(tmp_path / "base")) == []


def test_finding_names_place_and_rule(adapter: SyntheticAdapter, save: Save) -> None:
    adapter.config["use_dora"] = True
    directory = save(adapter)
    finding = the_only(findings_of(directory))
    assert str(finding) == (
        f"{directory}/adapter_config.json: 'use_dora' should be false:"
        " vLLM serves no DoRA adapters [lora-method]"
    )


def test_all_that_is_wrong_is_found_at_once(adapter: SyntheticAdapter, save: Save) -> None:
    adapter.config |= {"use_dora": True, "lora_alpha": "much"}
    adapter.tensors.popitem()
    directory = save(adapter)
    (directory / "model.py").touch()
    rules = {finding.rule for finding in findings_of(directory)}
    assert rules == {"file-code", "lora-method", "config-key", "tensor-shape"}


def test_one_mistake_in_many_tensors_is_told_a_few_times_and_counted(save: Save) -> None:
    adapter = SyntheticAdapter(layers=100)
    adapter.config["r"] = 4
    findings = findings_of(save(adapter))
    assert len(findings) == 6
    assert findings[-1].message == "and 195 more of this kind"


class TestFiles:
    def test_directory_that_is_not_there_is_a_finding(self, tmp_path: Path) -> None:
        finding = the_only(findings_of(tmp_path / "nowhere"))
        assert finding.message == "it should be a readable file, got: No such file or directory"

    @pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
    def test_required_file_that_is_missing_is_named(
        self, adapter: SyntheticAdapter, save: Save, name: str
    ) -> None:
        directory = save(adapter)
        (directory / name).unlink()
        assert the_only(findings_of(directory)).message == f"the file {name} is missing"

    @pytest.mark.parametrize(
        ("name", "rule", "message"),
        [
            ("model.py", "file-code", "it is code"),
            ("requirements.txt", "file-code", "it is code"),
            ("adapter_model.bin", "file-pickle", "it is a pickle"),
            ("optimizer.PT", "file-pickle", "it is a pickle"),
            (".hidden", "file-unexpected", "only adapter_config.json, adapter_model.safetensors, README.md"),
        ],
    )
    def test_anything_else_than_an_adapter_is_refused_by_name(
        self, adapter: SyntheticAdapter, save: Save, name: str, rule: str, message: str
    ) -> None:
        directory = save(adapter)
        (directory / name).touch()
        finding = the_only(findings_of(directory))
        assert finding.rule == rule
        assert finding.severity is Severity.ERROR
        assert finding.where == f"{directory}/{name}"
        assert message in finding.message

    def test_many_files_that_do_not_belong_are_told_a_few_times_and_counted(
        self, adapter: SyntheticAdapter, save: Save
    ) -> None:
        directory = save(adapter)
        for number in range(20):
            (directory / f"{number}.txt").touch()
        findings = findings_of(directory)
        assert len(findings) == 6
        assert findings[-1].message == "and 15 more of this kind"

    def test_name_that_would_spoil_a_log_is_escaped(self, adapter: SyntheticAdapter, save: Save) -> None:
        directory = save(adapter)
        (directory / "a\nb\x1b").touch()
        assert the_only(findings_of(directory)).where == rf"{directory}/'a\nb\x1b'"

    def test_sub_folder_is_refused(self, adapter: SyntheticAdapter, save: Save) -> None:
        directory = save(adapter)
        (directory / "README.md").mkdir()
        assert the_only(findings_of(directory)).message == "it should be a regular file, got a folder"

    def test_link_is_refused_and_not_followed(self, adapter: SyntheticAdapter, save: Save) -> None:
        directory = save(adapter)
        (directory / "adapter_config.json").rename(directory.parent / "elsewhere.json")
        (directory / "adapter_config.json").symlink_to(directory.parent / "elsewhere.json")
        assert the_only(findings_of(directory)).message == "it should be a regular file, got a link"

    def test_file_that_may_not_be_read_is_told(
        self, adapter: SyntheticAdapter, save: Save, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        directory = save(adapter)

        def refuse(*_: Any) -> Any:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(Path, "open", refuse)
        findings = findings_of(directory)
        assert {finding.rule for finding in findings} == {"path-readable"}
        assert findings[0].message == "it is not readable: Permission denied"

    def test_pipe_is_refused_and_not_waited_for(self, adapter: SyntheticAdapter, save: Save) -> None:
        directory = save(adapter)
        os.mkfifo(directory / "README.md")
        assert the_only(findings_of(directory)).message == ("it should be a regular file, got a special file")


class TestConfiguration:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (b"{", "not valid JSON"),
            (b"\xff", "not valid JSON"),
            (b'{"lora_alpha": NaN}', "NaN is not JSON"),
            (b'{"r": 8, "r": 512}', "the key 'r' twice"),
            (b"[]", "should be a JSON object"),
            (b" " * (MAX_CONFIG_BYTES + 1), f"at most {MAX_CONFIG_BYTES} bytes"),
        ],
    )
    def test_text_with_no_or_two_meanings_is_refused(
        self, adapter: SyntheticAdapter, save: Save, text: bytes, message: str
    ) -> None:
        directory = save(adapter)
        (directory / "adapter_config.json").write_bytes(text)
        finding = the_only(findings_of(directory))
        assert finding.rule == "config-json"
        assert message in finding.message

    @pytest.mark.parametrize("field", ["r", "lora_alpha", "target_modules"])
    def test_required_field_that_is_missing_is_named(
        self, adapter: SyntheticAdapter, save: Save, field: str
    ) -> None:
        del adapter.config[field]
        finding = the_only(findings_of(save(adapter)))
        assert (finding.rule, finding.message) == ("config-key", f"'{field}' is missing")

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("r", 0),
            ("r", True),
            ("r", 8.0),
            ("lora_alpha", None),
            ("target_modules", []),
            ("target_modules", None),
            ("target_modules", [1]),
            ("rank_pattern", {"q_proj": 0}),
            ("rank_pattern", ["q_proj"]),
            ("alpha_pattern", {"q_proj": "16"}),
            ("base_model_name_or_path", 7),
        ],
    )
    def test_field_of_the_wrong_type_is_named_with_its_value(
        self, adapter: SyntheticAdapter, save: Save, field: str, value: Any
    ) -> None:
        adapter.config[field] = value
        finding = the_only(findings_of(save(adapter)))
        assert finding.rule == "config-key"
        assert finding.message.startswith(f"'{field}' should be ")
        assert finding.message.endswith(f"got {value!r}")

    @pytest.mark.parametrize(
        ("field", "value", "rule"),
        [
            ("peft_type", "LOHA", "lora-method"),
            ("use_dora", True, "lora-method"),
            ("bias", "all", "lora-bias"),
            ("bias", "lora_only", "lora-bias"),
            ("lora_bias", True, "lora-bias"),
            ("modules_to_save", ["lm_head"], "lora-method"),
            ("trainable_token_indices", [1, 2], "lora-method"),
            ("layer_replication", [[0, 2], [1, 2]], "lora-method"),
            ("alora_invocation_tokens", [1, 2, 3], "lora-method"),
            ("arrow_config", {"top_k": 3}, "lora-method"),
            ("kasa_config", {"beta": 0.1}, "lora-method"),
            ("use_bdlora", {"nblocks": 2}, "lora-method"),
            ("use_qalora", True, "lora-method"),
        ],
    )
    def test_method_that_the_engine_does_not_serve_is_refused(
        self, adapter: SyntheticAdapter, save: Save, field: str, value: Any, rule: str
    ) -> None:
        adapter.config[field] = value
        finding = the_only(findings_of(save(adapter)))
        assert finding.rule == rule
        assert finding.severity is Severity.ERROR
        assert f"'{field}' should be" in finding.message

    def test_rank_stabilised_lora_is_served(self, adapter: SyntheticAdapter, save: Save) -> None:
        adapter.config["use_rslora"] = True
        assert findings_of(save(adapter), lora=LORA) == []

    @pytest.mark.parametrize("method", ["pissa_niter_16", "olora", "loftq", "corda", "lora_ga"])
    def test_training_on_a_changed_base_is_a_warning(
        self, adapter: SyntheticAdapter, save: Save, method: str
    ) -> None:
        adapter.config["init_lora_weights"] = method
        finding = the_only(findings_of(save(adapter)))
        assert (finding.rule, finding.severity) == ("lora-initialisation", Severity.WARNING)

    @pytest.mark.parametrize("method", [True, "gaussian", None])
    def test_initialisation_that_keeps_the_base_is_no_finding(
        self, adapter: SyntheticAdapter, save: Save, method: Any
    ) -> None:
        adapter.config["init_lora_weights"] = method
        assert findings_of(save(adapter)) == []


class TestRank:
    def test_rank_above_the_engines_maximum_is_refused(self, save: Save) -> None:
        finding = the_only(findings_of(save(SyntheticAdapter(rank=32)), lora=LORA))
        assert finding.rule == "lora-rank"
        assert finding.message == "the rank should be at most 16 ('max_lora_rank'), got 32"

    def test_without_an_engine_the_rank_is_limited_by_the_newest(self, save: Save) -> None:
        assert findings_of(save(SyntheticAdapter(rank=512))) == []
        finding = the_only(findings_of(save(SyntheticAdapter(rank=513))))
        assert finding.rule == "lora-rank"
        assert finding.message == (
            f"the rank should be at most 512 (the highest 'max_lora_rank' of LMI {NEWEST.number}), got 513"
        )

    def test_highest_rank_of_a_pattern_counts(self, adapter: SyntheticAdapter, save: Save) -> None:
        adapter.config["rank_pattern"] = {"v_proj": 32}
        adapter.config["alpha_pattern"] = {"v_proj": 64}
        for layer in range(2):
            adapter.add(f"model.layers.{layer}.self_attn.v_proj", rank=32)
        directory = save(adapter)
        assert the_only(findings_of(directory, lora=LORA)).message.endswith("got 32")
        assert findings_of(directory) == []

    @pytest.mark.parametrize(
        "patterns",
        [
            {"rank_pattern": {"v_proj": 4}},
            {"alpha_pattern": {"v_proj": 32}},
            {"rank_pattern": {"v_proj": 4}, "alpha_pattern": {"v_proj": 8}, "use_rslora": True},
            {"rank_pattern": {"q_proj": 16}, "alpha_pattern": {Q_PROJ: 32}},
            {"alpha_pattern": {"layers.0.self_attn.q_proj": 16, "q_proj": 32}},
        ],
    )
    def test_modules_of_another_scale_are_refused(
        self, adapter: SyntheticAdapter, save: Save, patterns: dict[str, Any]
    ) -> None:
        adapter.config |= patterns
        finding = the_only(findings_of(save(adapter)))
        assert (finding.rule, finding.severity) == ("lora-scaling", Severity.ERROR)

    @pytest.mark.parametrize(
        "patterns",
        [
            {"rank_pattern": {"q_proj": 16}, "alpha_pattern": {"model.layers.0.self_attn.q_proj": 32}},
            {"rank_pattern": {Q_PROJ: 16, "q_proj": 4}, "alpha_pattern": {"q_proj": 8, Q_PROJ: 32}},
            {"alpha_pattern": {"layers.0.q_proj": 16, "q_proj": 32}, "rank_pattern": {"q_proj": 16}},
        ],
    )
    def test_patterns_of_other_keys_or_of_another_order_are_refused(
        self, save: Save, patterns: dict[str, Any]
    ) -> None:
        adapter = SyntheticAdapter(layers=0)
        adapter.config |= patterns
        adapter.add(Q_PROJ, rank=16)
        assert the_only(findings_of(save(adapter))).rule == "lora-scaling"

    def test_patterns_that_give_the_adapters_own_scale_are_fine(self, save: Save) -> None:
        adapter = SyntheticAdapter(layers=0)
        adapter.config |= {
            "rank_pattern": {Q_PROJ: 16, r".*\.k_proj": 4},
            "alpha_pattern": {Q_PROJ: 32, r".*\.k_proj": 8},
        }
        adapter.add(Q_PROJ, rank=16)
        assert findings_of(save(adapter)) == []

    @pytest.mark.parametrize("key", [r".*\.k_proj", "(([a-z.])+.)+!"])
    def test_keys_are_compared_as_they_are_written(
        self, adapter: SyntheticAdapter, save: Save, key: str
    ) -> None:
        adapter.config["alpha_pattern"] = {key: 32}
        assert the_only(findings_of(save(adapter))).rule == "lora-scaling"

    def test_tensors_of_a_rank_that_the_configuration_does_not_name_are_refused(
        self, adapter: SyntheticAdapter, save: Save
    ) -> None:
        adapter.add("model.layers.1.self_attn.q_proj", rank=4)
        finding = the_only(findings_of(save(adapter)))
        assert finding.rule == "tensor-config"
        assert finding.message == (
            "module 'model.layers.1.self_attn.q_proj' should have the configuration's rank 8, got 4"
        )


class TestTensors:
    MODULE = "base_model.model.model.layers.0.self_attn.q_proj"
    A = f"{MODULE}.lora_A.weight"
    B = f"{MODULE}.lora_B.weight"

    def test_truncated_file_is_refused(self, adapter: SyntheticAdapter, save: Save) -> None:
        directory = save(adapter)
        weights = directory / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:100])
        finding = the_only(findings_of(directory))
        assert finding.rule == "weights-truncated"
        assert finding.message.startswith("it is truncated: the header takes")

    def test_file_without_tensors_is_refused(self, adapter: SyntheticAdapter, save: Save) -> None:
        adapter.tensors = {}
        assert the_only(findings_of(save(adapter))).message == "it has no LoRA matrices"

    @pytest.mark.parametrize(("gone", "message"), [(A, "lora_B but no lora_A"), (B, "lora_A but no lora_B")])
    def test_half_a_pair_is_refused(
        self, adapter: SyntheticAdapter, save: Save, gone: str, message: str
    ) -> None:
        del adapter.tensors[gone]
        assert message in the_only(findings_of(save(adapter))).message

    @pytest.mark.parametrize("shape", [(HIDDEN, 8, 1), (HIDDEN, 4), (8, HIDDEN)], ids=str)
    def test_matrices_that_do_not_multiply_are_refused(
        self, adapter: SyntheticAdapter, save: Save, shape: tuple[int, ...]
    ) -> None:
        adapter.tensors[self.B] = np.zeros(shape, np.float32)
        assert "should have lora_A of (rank, inputs)" in the_only(findings_of(save(adapter))).message

    @pytest.mark.parametrize(
        ("name", "rule", "message"),
        [
            ("base_model.model.lm_head.weight", "tensor-of-base", "is a layer of the base model"),
            ("base_model.model.score.base_layer.weight", "tensor-of-base", "is a layer of the base model"),
            (f"{MODULE}.lora_B.bias", "lora-bias", "is a bias"),
            (f"{MODULE}.lora_magnitude_vector", "lora-method", "is of DoRA"),
            (A.removeprefix("base_model.model."), "tensor-name", "should be named base_model.model."),
            (f"{MODULE}.lora_A.default.weight", "tensor-name", "should be named"),
            (f"{MODULE}.lora_embedding_A", "tensor-name", "of an embedding (embed_tokens, wte)"),
            ("base_model.model.model.embed_tokens.lora_A.weight", "tensor-name", "should be named"),
            (f"base_model.model.{'x.' * 200}lora_A.weight", "tensor-name", "and 32 parts"),
        ],
    )
    def test_tensor_that_is_no_lora_matrix_is_refused(
        self, adapter: SyntheticAdapter, save: Save, name: str, rule: str, message: str
    ) -> None:
        adapter.tensors[name] = np.zeros((8, HIDDEN), np.float32)
        finding = the_only(findings_of(save(adapter)))
        assert finding.rule == rule
        assert message in finding.message

    def test_matrix_in_the_form_of_an_embedding_is_no_half_of_a_linear_pair(
        self, adapter: SyntheticAdapter, save: Save
    ) -> None:
        adapter.tensors[f"{self.MODULE}.lora_embedding_A"] = adapter.tensors.pop(self.A)
        assert [finding.rule for finding in findings_of(save(adapter))] == ["tensor-name", "tensor-shape"]

    def test_quantised_weights_are_refused(self, adapter: SyntheticAdapter, save: Save) -> None:
        adapter.tensors[self.A] = np.zeros((8, HIDDEN), np.int8)
        assert the_only(findings_of(save(adapter))).message.endswith("should be of BF16, F16, F32, got I8")

    @pytest.mark.parametrize(
        ("model_type", "version", "serves"),
        [
            ("llama", None, True),
            ("mistral", LmiVersion.V19, True),
            ("mistral", LmiVersion.V20, False),
            ("gemma2", None, False),
        ],
    )
    def test_embedding_and_head_are_adapted_where_the_engine_does_so(
        self,
        adapter: SyntheticAdapter,
        save: Save,
        tmp_path: Path,
        model_type: str,
        version: LmiVersion | None,
        serves: bool,
    ) -> None:
        adapter.config["target_modules"] += ["embed_tokens", "lm_head"]
        embedding, head = "base_model.model.model.embed_tokens", "base_model.model.lm_head"
        adapter.tensors[f"{embedding}.lora_embedding_A"] = np.zeros((8, 100), np.float32)
        adapter.tensors[f"{embedding}.lora_embedding_B"] = np.zeros((HIDDEN, 8), np.float32)
        adapter.tensors[f"{head}.lora_A.weight"] = np.zeros((8, HIDDEN), np.float32)
        adapter.tensors[f"{head}.lora_B.weight"] = np.zeros((100, 8), np.float32)
        base = base_model(tmp_path / "base", model_type=model_type)
        found = [
            (finding.rule, finding.message)
            for finding in findings_of(save(adapter), base=base, version=version)
        ]
        refused = [
            (
                "base-model-module",
                f"module '{module}' is in the base model 'acme/tiny-base', but the engine of LMI"
                f" {(version or NEWEST).number} has no LoRA for the embedding and the head of a"
                f" '{model_type}'",
            )
            for module in ("lm_head", "model.embed_tokens")
        ]
        assert found == ([] if serves else refused)

    def test_module_that_is_no_target_is_refused(self, adapter: SyntheticAdapter, save: Save) -> None:
        adapter.config["target_modules"] = ["q_proj"]
        findings = findings_of(save(adapter))
        assert [finding.rule for finding in findings] == ["tensor-config"] * 2
        assert "module 'model.layers.0.self_attn.v_proj' is not among" in findings[0].message

    def test_adapted_parameters_need_be_no_target_modules(
        self, adapter: SyntheticAdapter, save: Save
    ) -> None:
        adapter.config |= {"target_modules": ["q_proj"], "target_parameters": ["self_attn.v_proj.weight"]}
        assert findings_of(save(adapter)) == []

    @pytest.mark.parametrize(
        ("module", "rank", "version", "message"),
        [
            ("mlp.experts", 20, None, "configuration's rank 8 for each expert, got 20 in all"),
            ("mlp.experts", 32, LmiVersion.V16, "should have the configuration's rank 8, got 32"),
            ("mlp.down_proj", 32, None, "should have the configuration's rank 8, got 32"),
        ],
    )
    def test_rank_of_what_is_no_stack_of_experts_is_refused(
        self,
        adapter: SyntheticAdapter,
        save: Save,
        module: str,
        rank: int,
        version: LmiVersion | None,
        message: str,
    ) -> None:
        adapter.config["target_parameters"] = [f"{module}.weight"]
        adapter.add(f"model.layers.0.{module}", rank=rank)
        finding = the_only(findings_of(save(adapter), version=version))
        assert finding.rule == "tensor-config"
        assert message in finding.message

    @pytest.mark.parametrize("modules", [None, []])
    def test_adapter_of_experts_alone_may_have_no_target_modules(
        self, adapter: SyntheticAdapter, save: Save, modules: list[str] | None
    ) -> None:
        """As PEFT saves adapters of gpt-oss, Mixtral and Qwen3-MoE with `target_parameters` only."""
        experts = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
        adapter.config |= {"target_modules": modules, "target_parameters": experts}
        adapter.tensors = {}
        for module in ("mlp.experts.base_layer", "mlp.experts"):
            adapter.add(f"model.layers.0.{module}", rank=32)
        assert findings_of(save(adapter)) == []

    @pytest.mark.parametrize("modules", [None, []])
    def test_no_target_modules_and_no_target_parameters_are_refused(
        self, adapter: SyntheticAdapter, save: Save, modules: list[str] | None
    ) -> None:
        adapter.config |= {"target_modules": modules, "target_parameters": []}
        assert the_only(findings_of(save(adapter))).rule == "config-key"

    def test_experts_may_have_a_rank_of_their_own(self, adapter: SyntheticAdapter, save: Save) -> None:
        adapter.config["target_parameters"] = ["mlp.experts.down_proj"]
        adapter.config |= {"rank_pattern": {"experts": 3}, "alpha_pattern": {"experts": 6}}
        adapter.add("model.layers.0.mlp.experts", rank=12)
        assert findings_of(save(adapter)) == []
        adapter.add("model.layers.1.mlp.experts", rank=13)
        assert the_only(findings_of(save(adapter))).message.endswith(
            "rank 3 or 8 for each expert, got 13 in all"
        )

    def test_settings_of_peft_that_matter_in_training_only_are_fine(
        self, adapter: SyntheticAdapter, save: Save
    ) -> None:
        """Those of LoraConfig in PEFT 0.20, and methods that are off."""
        adapter.config |= {"exclude_modules": r".*vision.*", "layers_to_transform": 1}
        adapter.config |= {"init_lora_weights": "eva", "eva_config": {"rho": 2.0, "tau": 0.99}}
        adapter.config |= {"velora_config": {"num_groups": 1}, "monteclora_config": {"num_samples": 8}}
        adapter.config |= {"lora_bias": False, "trainable_token_indices": None, "layer_replication": None}
        adapter.config |= {"use_qalora": False, "qalora_group_size": 16, "use_bdlora": None}
        adapter.config |= {"arrow_config": None, "kasa_config": None, "alora_invocation_tokens": None}
        assert findings_of(save(adapter)) == []

    @pytest.mark.parametrize("name", ["model.embed_tokens", "lm_head"])
    def test_whole_embedding_that_peft_saves_is_skipped_by_engines_since_lmi_18(
        self, adapter: SyntheticAdapter, save: Save, name: str
    ) -> None:
        adapter.tensors[f"base_model.model.{name}.base_layer.weight"] = np.zeros((100, HIDDEN), np.float32)
        directory = save(adapter)
        assert findings_of(directory) == findings_of(directory, version=LmiVersion.V18) == []
        finding = the_only(findings_of(directory, version=LmiVersion.V17))
        assert finding.rule == "tensor-of-base"
        assert "which the engine of LMI 17 refuses; save the adapter with save_embedding" in finding.message

    def test_target_may_be_a_whole_name_or_its_end_but_not_half_a_word(
        self, adapter: SyntheticAdapter, save: Save
    ) -> None:
        adapter.config["target_modules"] = ["model.layers.0.self_attn.q_proj", "self_attn.v_proj", "proj"]
        assert "layers.1.self_attn.q_proj" in the_only(findings_of(save(adapter))).message

    def test_targets_may_be_a_regular_expression_that_is_never_run(
        self, adapter: SyntheticAdapter, save: Save
    ) -> None:
        # Trying this one against a module's name takes longer than the universe will last.
        adapter.config["target_modules"] = r"(([a-z_.0-9]+)+)+!"
        assert findings_of(save(adapter)) == []


class TestBaseModel:
    def test_adapter_of_another_base_is_a_warning(
        self, adapter: SyntheticAdapter, save: Save, tmp_path: Path
    ) -> None:
        base = base_model(tmp_path / "base", _name_or_path="acme/other-base")
        finding = the_only(findings_of(save(adapter), base=base))
        assert (finding.rule, finding.severity) == ("base-model-name", Severity.WARNING)
        assert finding.message == ("it was trained for 'acme/tiny-base', and is to run on 'acme/other-base'")

    @pytest.mark.parametrize("name", ["acme/tiny-base", "/models/tiny-base/", "Tiny-Base"])
    def test_same_base_may_lie_elsewhere(self, adapter: SyntheticAdapter, save: Save, name: str) -> None:
        adapter.config["base_model_name_or_path"] = name
        assert findings_of(save(adapter), base=BaseModelFacts(name="acme/tiny-base")) == []

    def test_adapter_that_names_no_base_is_not_compared(self, adapter: SyntheticAdapter, save: Save) -> None:
        adapter.config["base_model_name_or_path"] = None
        assert findings_of(save(adapter), base=BaseModelFacts(name="acme/tiny-base")) == []

    def test_widths_of_another_base_are_refused(
        self, adapter: SyntheticAdapter, save: Save, tmp_path: Path
    ) -> None:
        base = base_model(tmp_path / "base", num_key_value_heads=2)
        findings = findings_of(save(adapter), base=base)
        assert [finding.rule for finding in findings] == ["base-model-module"] * 2
        assert findings[0].severity is Severity.ERROR
        assert findings[0].message == (
            "module 'model.layers.0.self_attn.v_proj' should have 32 inputs and 16 outputs as in the"
            " base model 'acme/tiny-base', got 32 and 32"
        )

    def test_long_name_of_a_base_is_cut_in_messages(
        self, adapter: SyntheticAdapter, save: Save, tmp_path: Path
    ) -> None:
        adapter.add("model.layers.7.self_attn.q_proj")
        base = base_model(tmp_path / "base", _name_or_path="x" * 10_000, num_key_value_heads=2)
        mixture = base_model(tmp_path / "mixture", _name_or_path="x" * 10_000, model_type="phimoe")
        findings = findings_of(save(adapter), base=base)
        rules = {finding.rule for finding in findings}
        assert rules == {"base-model-name", "base-model-module"}
        (missing,) = examine(save(adapter), base=mixture).findings[-1:]
        assert missing.rule == "base-model-compared"
        assert max(len(str(finding)) for finding in (*findings, missing)) < 600

    def test_layer_that_the_base_does_not_have_is_refused(self, save: Save, tmp_path: Path) -> None:
        base = base_model(tmp_path / "base")
        findings = findings_of(save(SyntheticAdapter(layers=3)), base=base)
        assert [finding.message for finding in findings] == [
            f"module 'model.layers.2.self_attn.{target}' is not in the base model 'acme/tiny-base'"
            for target in ("q_proj", "v_proj")
        ]

    def test_module_that_the_base_does_not_have_is_refused(self, save: Save, tmp_path: Path) -> None:
        base = base_model(tmp_path / "base")
        finding = the_only(findings_of(save(SyntheticAdapter(layers=1, targets=("c_attn",))), base=base))
        assert finding.rule == "base-model-module"

    def not_compared(self, directory: Path, base: BaseModelFacts) -> str | None:
        findings = examine(directory, base=base).findings
        assert {finding.severity for finding in findings} <= {Severity.NOT_COMPARED}
        return findings[0].message if findings else None

    def test_adapter_is_compared_where_all_modules_are_known(
        self, adapter: SyntheticAdapter, save: Save, tmp_path: Path
    ) -> None:
        assert self.not_compared(save(adapter), base_model(tmp_path / "base")) is None

    def test_it_is_told_that_nothing_could_be_compared(
        self, adapter: SyntheticAdapter, save: Save, tmp_path: Path
    ) -> None:
        directory = save(adapter)
        assert self.not_compared(directory, BaseModelFacts(name="acme/tiny-base")) == (
            "no module was compared with the base model 'acme/tiny-base': only its name is known"
        )
        assert self.not_compared(directory, base_model(tmp_path / "base", model_type="phimoe")) == (
            "no module was compared with the base model 'acme/tiny-base': a 'phimoe' is not known"
        )

    @pytest.mark.parametrize("kind", ["gpt_oss", "mixtral", "qwen2_moe", "qwen3_moe"])
    def test_mixtures_are_compared_but_for_their_experts(
        self, adapter: SyntheticAdapter, save: Save, tmp_path: Path, kind: str
    ) -> None:
        base = base_model(tmp_path / "base", model_type=kind)
        assert self.not_compared(save(adapter), base) is None
        for module in ("model.layers.0.mlp.experts.7.up_proj", "model.layers.0.mlp.gate"):
            adapter.config["target_modules"].append(module)
            adapter.add(module)
        assert self.not_compared(save(adapter), base) == (
            "4 of 6 modules were compared with the base model 'acme/tiny-base': not known are such as"
            " 'model.layers.0.mlp.experts.7.up_proj'"
        )
        wide = base_model(tmp_path / "wide", model_type=kind, head_dim=16)
        rules = {finding.rule for finding in findings_of(save(adapter), base=wide)}
        assert rules == {"base-model-module"}

    def test_modules_of_one_for_several_are_compared(self, save: Save, tmp_path: Path) -> None:
        base = base_model(tmp_path / "base", model_type="phi3", num_key_value_heads=2)
        adapter = SyntheticAdapter(layers=0, targets=("qkv_proj", "gate_up_proj", "o_proj", "down_proj"))
        layer = "base_model.model.model.layers.1"
        for module, inputs, outputs in (
            ("self_attn.qkv_proj", HIDDEN, 2 * HIDDEN),
            ("self_attn.o_proj", HIDDEN, HIDDEN),
            ("mlp.gate_up_proj", HIDDEN, 8 * HIDDEN),
            ("mlp.down_proj", 4 * HIDDEN, HIDDEN),
        ):
            adapter.tensors[f"{layer}.{module}.lora_A.weight"] = np.zeros((8, inputs), np.float32)
            adapter.tensors[f"{layer}.{module}.lora_B.weight"] = np.zeros((outputs, 8), np.float32)
        assert self.not_compared(save(adapter), base) is None
        adapter.tensors[f"{layer}.mlp.gate_up_proj.lora_B.weight"] = np.zeros((4 * HIDDEN, 8), np.float32)
        adapter.config["target_modules"].append("q_proj")
        adapter.add("model.layers.0.self_attn.q_proj")
        rules = [finding.rule for finding in findings_of(save(adapter), base=base)]
        assert sorted(rules) == ["base-model-module", "base-model-module"]

    GEMMA_3: Mapping[str, Any] = MappingProxyType(
        {"model_type": "gemma3", "vision_config": {"hidden_size": 64}}
        | {"text_config": {key: BASE[key] for key in BASE if key != "_name_or_path"}}
    )

    def nested(self, directory: Path, **changes: Any) -> BaseModelFacts:
        text = self.GEMMA_3["text_config"] | {"model_type": "gemma3_text", "num_key_value_heads": 4} | changes
        return base_model(directory, **{**self.GEMMA_3, "head_dim": 99, "text_config": text})

    @pytest.mark.parametrize("prefix", ["model.language_model.", "language_model.model."])
    def test_text_model_in_a_model_of_text_and_pictures_is_compared(
        self, save: Save, tmp_path: Path, prefix: str
    ) -> None:
        adapter = SyntheticAdapter(layers=0)
        adapter.add(f"{prefix}layers.1.self_attn.q_proj")
        directory = save(adapter)
        assert self.not_compared(directory, self.nested(tmp_path / "base", head_dim=8)) is None
        # Without a head_dim it has transformers' default.
        assert "should have 32 inputs and 1024 outputs" in (
            the_only(findings_of(directory, base=self.nested(tmp_path / "default"))).message
        )
        few = self.nested(tmp_path / "few", head_dim=8, num_hidden_layers=1)
        assert the_only(findings_of(directory, base=few)).rule == "base-model-module"

    def test_of_a_model_of_text_and_pictures_other_parts_are_not_compared(
        self, save: Save, tmp_path: Path
    ) -> None:
        adapter = SyntheticAdapter(layers=0)
        adapter.add("model.vision_tower.vision_model.encoder.layers.0.self_attn.q_proj")
        adapter.add("model.layers.0.self_attn.v_proj")
        assert self.not_compared(save(adapter), self.nested(tmp_path / "base")) == (
            "no module was compared with the base model 'acme/tiny-base': not known are such as"
            " 'model.layers.0.self_attn.v_proj'"
        )

    def test_text_model_whose_widths_are_left_out_is_not_known(self, tmp_path: Path) -> None:
        text = {"model_type": "llama", "hidden_size": 32}
        assert base_model(tmp_path / "base", model_type="llava", text_config=text).dimensions is None

    def test_widths_of_gemma_3_are_those_of_transformers_where_they_are_left_out(
        self, tmp_path: Path
    ) -> None:
        """The config.json of gemma-3-4b-it has no more of its text model than this."""
        text = {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240}
        facts = base_model(tmp_path / "b", model_type="gemma3", text_config=text | {"num_hidden_layers": 34})
        assert facts.dimensions is not None
        shapes = {
            name: facts.dimensions.shape_of(f"model.language_model.layers.33.{name}")
            for name in ("self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.down_proj")
        }
        assert {name: (shape.inputs, shape.outputs) for name, shape in shapes.items() if shape} == {
            "self_attn.q_proj": (2560, 2048),
            "self_attn.v_proj": (2560, 1024),
            "self_attn.o_proj": (2048, 2560),
            "mlp.down_proj": (10240, 2560),
        }

    def test_name_of_a_base_in_a_directory_is_the_folder_unless_it_tells(self, tmp_path: Path) -> None:
        assert base_model(tmp_path / "my-base", _name_or_path="").name == "my-base"

    @pytest.mark.parametrize("text", [None, "{", "[]"])
    def test_directory_without_a_configuration_is_no_base(self, tmp_path: Path, text: str | None) -> None:
        if text is not None:
            (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"config.json' should be the configuration of a base model"):
            BaseModelFacts.from_directory(tmp_path)


@pytest.mark.parametrize("layer", ["9" * 5000, "٣", ""])
def test_layer_that_is_no_number_is_not_in_the_base(layer: str, tmp_path: Path) -> None:
    dimensions = base_model(tmp_path / "base").dimensions
    assert dimensions is not None
    assert dimensions.shape_of(f"model.layers.{layer}.self_attn.q_proj") is None
