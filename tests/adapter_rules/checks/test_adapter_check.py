import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from adapter_fleet.common.findings import Severity
from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_rules.checks.adapter_check import examine
from adapter_rules.checks.config_check import MAX_CONFIG_BYTES
from adapter_rules.engines.container_releases import LmiVersion
from adapter_rules.engines.lora_limits import LoraServing
from tests.adapter_fleet.synthetic import HIDDEN, SyntheticAdapter
from tests.adapter_rules.bad_adapters import BASE
from tests.adapter_rules.findings_of import findings_of, the_only

Q_PROJ = "model.layers.0.self_attn.q_proj"
LORA = LoraServing(max_loras=2, max_cpu_loras=4, max_lora_rank=16)


def base_model(directory: Path, **changes: Any) -> BaseModelFacts:
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(BASE | changes))
    return BaseModelFacts.from_directory(directory)


def test_sound_adapter_has_no_findings(adapter: SyntheticAdapter, tmp_path: Path) -> None:
    directory = adapter.save()
    (directory / "README.md").write_text("# An adapter")
    assert findings_of(directory, lora=LORA, base=base_model(tmp_path / "base")) == []


def test_one_mistake_in_many_tensors_is_told_a_few_times_and_counted(adapter: SyntheticAdapter) -> None:
    adapter = replace(adapter, layers=100)
    adapter.config["r"] = 4
    findings = findings_of(adapter.save())
    assert len(findings) == 6
    assert findings[-1].message == "and 195 more of this kind"


class TestFiles:
    def test_directory_that_is_not_there_is_a_finding(self, tmp_path: Path) -> None:
        finding = the_only(findings_of(tmp_path / "nowhere"))
        assert finding.message == "it should be a readable file, got: No such file or directory"

    @pytest.mark.parametrize(
        ("name", "rule", "message"),
        [
            ("model.py", "file-code", "it is code"),
            ("adapter_model.bin", "file-pickle", "it is a pickle"),
            ("optimizer.PT", "file-pickle", "it is a pickle"),
            (".hidden", "file-unexpected", "only adapter_config.json, adapter_model.safetensors, README.md"),
        ],
    )
    def test_anything_else_than_an_adapter_is_refused_by_name(
        self, adapter: SyntheticAdapter, name: str, rule: str, message: str
    ) -> None:
        directory = adapter.save()
        (directory / name).touch()
        finding = the_only(findings_of(directory))
        assert finding.rule == rule
        assert finding.severity is Severity.ERROR
        assert finding.where == f"{directory}/{name}"
        assert message in finding.message

    def test_name_that_would_spoil_a_log_is_escaped(self, adapter: SyntheticAdapter) -> None:
        directory = adapter.save()
        (directory / "a\nb\x1b").touch()
        assert the_only(findings_of(directory)).where == rf"{directory}/'a\nb\x1b'"

    @pytest.mark.parametrize(
        ("make", "got"), [(Path.mkdir, "a folder"), (os.mkfifo, "a special file")], ids=["folder", "pipe"]
    )
    def test_what_is_no_regular_file_is_neither_followed_nor_waited_for(
        self, adapter: SyntheticAdapter, make: Callable[[Path], object], got: str
    ) -> None:
        directory = adapter.save()
        make(directory / "README.md")
        assert the_only(findings_of(directory)).message == f"it should be a regular file, got {got}"


class TestConfiguration:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (b"{", "not valid JSON"),
            (b"\xff", "not valid JSON"),
            (b'{"r": 8, "r": 512}', "the key 'r' twice"),
            (b"[]", "should be a JSON object"),
            (b" " * (MAX_CONFIG_BYTES + 1), f"at most {MAX_CONFIG_BYTES} bytes"),
        ],
    )
    def test_text_with_no_or_two_meanings_is_refused(
        self, adapter: SyntheticAdapter, text: bytes, message: str
    ) -> None:
        directory = adapter.save()
        (directory / "adapter_config.json").write_bytes(text)
        finding = the_only(findings_of(directory))
        assert finding.rule == "config-json"
        assert message in finding.message

    @pytest.mark.parametrize("field", ["r", "lora_alpha", "target_modules"])
    def test_required_field_that_is_missing_is_named(self, adapter: SyntheticAdapter, field: str) -> None:
        del adapter.config[field]
        finding = the_only(findings_of(adapter.save()))
        assert (finding.rule, finding.message) == ("config-key", f"'{field}' is missing")

    @pytest.mark.parametrize(
        ("rule", "changes"),
        [
            ("config-key", {"r": 0}),
            ("config-key", {"r": 8.0}),
            ("config-key", {"target_modules": None}),
            ("config-key", {"target_modules": [], "target_parameters": []}),
            ("config-key", {"rank_pattern": {"q_proj": 0}}),
            ("config-key", {"rank_pattern": ["q_proj"]}),
            ("config-key", {"alpha_pattern": {"q_proj": "16"}}),
            ("config-key", {"base_model_name_or_path": 7}),
            ("lora-method", {"peft_type": "LOHA"}),
            ("lora-method", {"modules_to_save": ["lm_head"]}),
            ("lora-method", {"trainable_token_indices": [1, 2]}),
            ("lora-method", {"arrow_config": {"top_k": 3}}),
            ("lora-method", {"use_qalora": True}),
            ("lora-bias", {"bias": "lora_only"}),
            ("lora-bias", {"lora_bias": True}),
            ("lora-initialisation", {"init_lora_weights": "pissa_niter_16"}),
            ("lora-initialisation", {"init_lora_weights": "lora_ga"}),
            ("tensor-trained", {"lora_alpha": 0}),
            ("lora-scaling", {"rank_pattern": {"v_proj": 4}}),
            ("lora-scaling", {"alpha_pattern": {"v_proj": 32}}),
            (
                "lora-scaling",
                {"rank_pattern": {"v_proj": 4}, "alpha_pattern": {"v_proj": 8}, "use_rslora": True},
            ),
            # Patterns of other keys, and of the same keys in another order.
            ("lora-scaling", {"rank_pattern": {"q_proj": 16}, "alpha_pattern": {Q_PROJ: 32}}),
            (
                "lora-scaling",
                {"rank_pattern": {Q_PROJ: 16, "q_proj": 4}, "alpha_pattern": {"q_proj": 8, Q_PROJ: 32}},
            ),
            # Keys are compared as they are written. None is run as the expression that it is.
            ("lora-scaling", {"alpha_pattern": {r".*\.k_proj": 32}}),
            ("lora-scaling", {"alpha_pattern": {"(([a-z.])+.)+!": 32}}),
        ],
    )
    def test_configuration_that_breaks_a_rule_is_refused_with_the_name_of_the_field(
        self, adapter: SyntheticAdapter, rule: str, changes: dict[str, Any]
    ) -> None:
        adapter.config |= changes
        finding = the_only(findings_of(adapter.save()))
        assert finding.rule == rule
        assert f"'{next(iter(changes))}'" in finding.message

    @pytest.mark.parametrize(
        "changes",
        [
            {"use_rslora": True},
            {"init_lora_weights": "gaussian"},
            {"rank_pattern": {Q_PROJ: 16, r".*\.k_proj": 4}, "alpha_pattern": {Q_PROJ: 32, r".*\.k_proj": 8}},
            {"target_modules": ["q_proj"], "target_parameters": ["self_attn.v_proj.weight"]},
            # Trying this one against a module's name takes longer than the universe will last.
            {"target_modules": r"(([a-z_.0-9]+)+)+!"},
            # Settings of LoraConfig in PEFT 0.20 that matter in training only, and methods that are off.
            {"exclude_modules": r".*vision.*", "layers_to_transform": 1},
            {"init_lora_weights": "eva", "eva_config": {"rho": 2.0, "tau": 0.99}},
            {"velora_config": {"num_groups": 1}, "monteclora_config": {"num_samples": 8}},
            {"lora_bias": False, "trainable_token_indices": None, "layer_replication": None},
            {"use_qalora": False, "qalora_group_size": 16, "use_bdlora": None},
            {"arrow_config": None, "kasa_config": None, "alora_invocation_tokens": None},
        ],
    )
    def test_configuration_that_the_engine_serves_is_no_finding(
        self, adapter: SyntheticAdapter, changes: dict[str, Any]
    ) -> None:
        adapter.config |= changes
        assert findings_of(adapter.save(), lora=LORA) == []


class TestRank:
    def test_without_an_engine_the_rank_is_limited_by_the_newest(self, adapter: SyntheticAdapter) -> None:
        assert findings_of(replace(adapter, rank=512).save()) == []
        limit = "at most 512 (the highest 'max_lora_rank'), got 513"
        assert limit in the_only(findings_of(replace(adapter, rank=513).save())).message

    def test_highest_rank_of_a_pattern_counts(self, adapter: SyntheticAdapter) -> None:
        adapter.config["rank_pattern"] = {"v_proj": 32}
        adapter.config["alpha_pattern"] = {"v_proj": 64}
        for layer in range(2):
            adapter.add(f"model.layers.{layer}.self_attn.v_proj", rank=32)
        directory = adapter.save()
        assert the_only(findings_of(directory, lora=LORA)).message.endswith("got 32")
        assert findings_of(directory) == []

    def test_tensors_of_a_rank_that_the_configuration_does_not_name_are_refused(
        self, adapter: SyntheticAdapter
    ) -> None:
        adapter.add("model.layers.1.self_attn.q_proj", rank=4)
        finding = the_only(findings_of(adapter.save()))
        assert finding.rule == "tensor-config"
        assert finding.message == (
            "module 'model.layers.1.self_attn.q_proj' should have the configuration's rank 8, got 4"
        )


class TestTensors:
    MODULE = "base_model.model.model.layers.0.self_attn.q_proj"
    A = f"{MODULE}.lora_A.weight"
    B = f"{MODULE}.lora_B.weight"

    def test_file_without_tensors_is_refused(self, adapter: SyntheticAdapter) -> None:
        adapter.tensors = {}
        assert the_only(findings_of(adapter.save())).message == "it has no LoRA matrices"

    @pytest.mark.parametrize(("gone", "message"), [(A, "lora_B but no lora_A"), (B, "lora_A but no lora_B")])
    def test_half_a_pair_is_refused(self, adapter: SyntheticAdapter, gone: str, message: str) -> None:
        del adapter.tensors[gone]
        assert message in the_only(findings_of(adapter.save())).message

    @pytest.mark.parametrize("shape", [(HIDDEN, 8, 1), (HIDDEN, 4), (8, HIDDEN)], ids=str)
    def test_matrices_that_do_not_multiply_are_refused(
        self, adapter: SyntheticAdapter, shape: tuple[int, ...]
    ) -> None:
        adapter.tensors[self.B] = np.zeros(shape, np.float32)
        assert "should have lora_A of (rank, inputs)" in the_only(findings_of(adapter.save())).message

    @pytest.mark.parametrize(
        ("name", "rule", "message"),
        [
            ("base_model.model.lm_head.weight", "tensor-of-base", "is a layer of the base model"),
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
        self, adapter: SyntheticAdapter, name: str, rule: str, message: str
    ) -> None:
        adapter.tensors[name] = np.zeros((8, HIDDEN), np.float32)
        finding = the_only(findings_of(adapter.save()))
        assert finding.rule == rule
        assert message in finding.message

    def test_quantised_weights_are_refused(self, adapter: SyntheticAdapter) -> None:
        adapter.tensors[self.A] = np.zeros((8, HIDDEN), np.int8)
        assert the_only(findings_of(adapter.save())).message.endswith("should be of BF16, F16, F32, got I8")

    @pytest.mark.parametrize(
        ("model_type", "version", "rules"),
        [
            ("llama", None, []),
            ("mistral", LmiVersion.V19, []),
            ("mistral", LmiVersion.V20, ["base-model-module"] * 2),
            ("gemma2", None, ["base-model-module"] * 2),
        ],
    )
    def test_embedding_and_head_are_adapted_where_the_engine_does_so(
        self,
        adapter: SyntheticAdapter,
        tmp_path: Path,
        model_type: str,
        version: LmiVersion | None,
        rules: list[str],
    ) -> None:
        adapter.config["target_modules"] += ["embed_tokens", "lm_head"]
        embedding, head = "base_model.model.model.embed_tokens", "base_model.model.lm_head"
        adapter.tensors[f"{embedding}.lora_embedding_A"] = np.zeros((8, 100), np.float32)
        adapter.tensors[f"{embedding}.lora_embedding_B"] = np.zeros((HIDDEN, 8), np.float32)
        adapter.tensors[f"{head}.lora_A.weight"] = np.zeros((8, HIDDEN), np.float32)
        adapter.tensors[f"{head}.lora_B.weight"] = np.zeros((100, 8), np.float32)
        base = base_model(tmp_path / "base", model_type=model_type)
        found = findings_of(adapter.save(), base=base, version=version)
        assert [finding.rule for finding in found] == rules
        named = f"has no LoRA for the embedding and the head of a '{model_type}'"
        assert all(named in finding.message for finding in found)

    def test_module_that_is_no_target_is_refused(self, adapter: SyntheticAdapter) -> None:
        adapter.config["target_modules"] = ["q_proj"]
        findings = findings_of(adapter.save())
        assert [finding.rule for finding in findings] == ["tensor-config"] * 2
        assert "module 'model.layers.0.self_attn.v_proj' is not among" in findings[0].message

    @pytest.mark.parametrize(
        ("module", "rank", "version", "message"),
        [
            ("mlp.experts", 20, None, "configuration's rank 8 for each expert, got 20 in all"),
            ("mlp.experts", 32, LmiVersion.V16, "should have the configuration's rank 8, got 32"),
            ("mlp.down_proj", 32, None, "should have the configuration's rank 8, got 32"),
        ],
    )
    def test_rank_of_what_is_no_stack_of_experts_is_refused(
        self, adapter: SyntheticAdapter, module: str, rank: int, version: LmiVersion | None, message: str
    ) -> None:
        adapter.config["target_parameters"] = [f"{module}.weight"]
        adapter.add(f"model.layers.0.{module}", rank=rank)
        finding = the_only(findings_of(adapter.save(), version=version))
        assert finding.rule == "tensor-config"
        assert message in finding.message

    @pytest.mark.parametrize("modules", [None, []])
    def test_adapter_of_experts_alone_may_have_no_target_modules(
        self, adapter: SyntheticAdapter, modules: list[str] | None
    ) -> None:
        """As PEFT saves adapters of gpt-oss, Mixtral and Qwen3-MoE with `target_parameters` only."""
        experts = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
        adapter.config |= {"target_modules": modules, "target_parameters": experts}
        adapter.tensors = {}
        for module in ("mlp.experts.base_layer", "mlp.experts"):
            adapter.add(f"model.layers.0.{module}", rank=32)
        assert findings_of(adapter.save()) == []

    def test_experts_may_have_a_rank_of_their_own(self, adapter: SyntheticAdapter) -> None:
        adapter.config["target_parameters"] = ["mlp.experts.down_proj"]
        adapter.config |= {"rank_pattern": {"experts": 3}, "alpha_pattern": {"experts": 6}}
        adapter.add("model.layers.0.mlp.experts", rank=12)
        assert findings_of(adapter.save()) == []
        adapter.add("model.layers.1.mlp.experts", rank=13)
        assert the_only(findings_of(adapter.save())).message.endswith(
            "rank 3 or 8 for each expert, got 13 in all"
        )

    @pytest.mark.parametrize("name", ["model.embed_tokens", "lm_head"])
    def test_whole_embedding_that_peft_saves_is_skipped_by_engines_since_lmi_18(
        self, adapter: SyntheticAdapter, name: str
    ) -> None:
        adapter.tensors[f"base_model.model.{name}.base_layer.weight"] = np.zeros((100, HIDDEN), np.float32)
        directory = adapter.save()
        assert findings_of(directory) == findings_of(directory, version=LmiVersion.V18) == []
        finding = the_only(findings_of(directory, version=LmiVersion.V17))
        assert finding.rule == "tensor-of-base"
        assert "which the engine of LMI 17 refuses; save the adapter with save_embedding" in finding.message

    def test_target_may_be_a_whole_name_or_its_end_but_not_half_a_word(
        self, adapter: SyntheticAdapter
    ) -> None:
        adapter.config["target_modules"] = ["model.layers.0.self_attn.q_proj", "self_attn.v_proj", "proj"]
        assert "layers.1.self_attn.q_proj" in the_only(findings_of(adapter.save())).message


class TestBaseModel:
    @pytest.mark.parametrize(
        ("named", "shown", "severity"),
        [("acme/other-base", "acme/other-base", Severity.ERROR), (None, "base", Severity.WARNING)],
    )
    def test_adapter_of_another_base_is_an_error_unless_the_name_is_that_of_a_folder(
        self, adapter: SyntheticAdapter, tmp_path: Path, named: str | None, shown: str, severity: Severity
    ) -> None:
        base = base_model(tmp_path / "base", _name_or_path=named)
        finding = the_only(findings_of(adapter.save(), base=base))
        assert (finding.rule, finding.severity) == ("base-model-name", severity)
        assert finding.message == f"it was trained for 'acme/tiny-base', and is to run on {shown!r}"

    @pytest.mark.parametrize("name", ["/models/tiny-base/", "Tiny-Base", None])
    def test_same_base_may_lie_elsewhere_and_none_is_not_compared(
        self, adapter: SyntheticAdapter, name: str | None
    ) -> None:
        adapter.config["base_model_name_or_path"] = name
        assert findings_of(adapter.save(), base=BaseModelFacts(name="acme/tiny-base")) == []

    def test_widths_of_another_base_are_refused(self, adapter: SyntheticAdapter, tmp_path: Path) -> None:
        base = base_model(tmp_path / "base", num_key_value_heads=2)
        findings = findings_of(adapter.save(), base=base)
        assert [finding.rule for finding in findings] == ["base-model-module"] * 2
        assert findings[0].severity is Severity.ERROR
        assert findings[0].message == (
            "module 'model.layers.0.self_attn.v_proj' should have 32 inputs and 16 outputs as in the"
            " base model 'acme/tiny-base', got 32 and 32"
        )

    def test_layer_and_module_that_the_base_does_not_have_are_refused(
        self, adapter: SyntheticAdapter, tmp_path: Path
    ) -> None:
        base = base_model(tmp_path / "base")
        findings = findings_of(replace(adapter, layers=3, targets=("q_proj",)).save(), base=base)
        (message,) = [finding.message for finding in findings]
        assert message == (
            "module 'model.layers.2.self_attn.q_proj' is not in the base model 'acme/tiny-base'"
        )
        finding = the_only(findings_of(replace(adapter, layers=1, targets=("c_attn",)).save(), base=base))
        assert finding.rule == "base-model-module"

    @pytest.mark.parametrize(
        ("more", "changes", "message"),
        [
            ((), {}, "layers 2 to 4"),
            ((2, 3), {}, "layer 4"),
            ((3,), {}, "2 layers, such as layer 2"),
            ((), {"layers_to_transform": [0, 1]}, None),
            ((), {"target_modules": r".*\.[01]\..*(q|v)_proj"}, None),
        ],
    )
    def test_layers_without_tensors_that_nothing_leaves_out_are_a_warning(
        self,
        adapter: SyntheticAdapter,
        tmp_path: Path,
        more: tuple[int, ...],
        changes: Any,
        message: str | None,
    ) -> None:
        adapter.config |= changes
        for layer in more:
            adapter.add(f"model.layers.{layer}.self_attn.q_proj")
        found = findings_of(adapter.save(), base=base_model(tmp_path / "base", num_hidden_layers=5))
        assert [finding.severity for finding in found] == [Severity.WARNING] * (message is not None)
        assert all(finding.message.startswith(f"no tensors of {message}, which") for finding in found)

    def not_compared(self, directory: Path, base: BaseModelFacts) -> str | None:
        findings = examine(directory, base=base).findings
        assert {finding.severity for finding in findings} <= {Severity.NOT_COMPARED}
        return findings[0].message if findings else None

    @pytest.mark.parametrize("kind", ["gpt_oss", "mixtral", "qwen2_moe", "qwen3_moe"])
    def test_mixtures_are_compared_but_for_their_experts(
        self, adapter: SyntheticAdapter, tmp_path: Path, kind: str
    ) -> None:
        base = base_model(tmp_path / "base", model_type=kind)
        assert self.not_compared(adapter.save(), base) is None
        for module in ("model.layers.0.mlp.experts.7.up_proj", "model.layers.0.mlp.gate"):
            adapter.config["target_modules"].append(module)
            adapter.add(module)
        assert self.not_compared(adapter.save(), base) == (
            "4 of 6 modules were compared with the base model 'acme/tiny-base': not known are such as"
            " 'model.layers.0.mlp.experts.7.up_proj'"
        )
        wide = base_model(tmp_path / "wide", model_type=kind, head_dim=16)
        rules = {finding.rule for finding in findings_of(adapter.save(), base=wide)}
        assert rules == {"base-model-module"}

    def test_modules_of_one_for_several_are_compared(self, adapter: SyntheticAdapter, tmp_path: Path) -> None:
        base = base_model(tmp_path / "base", model_type="phi3", num_key_value_heads=2)
        adapter = replace(adapter, layers=0, targets=("qkv_proj", "gate_up_proj", "o_proj", "down_proj"))
        adapter.config["layers_to_transform"] = [1]
        layer = "base_model.model.model.layers.1"
        for module, inputs, outputs in (
            ("self_attn.qkv_proj", HIDDEN, 2 * HIDDEN),
            ("self_attn.o_proj", HIDDEN, HIDDEN),
            ("mlp.gate_up_proj", HIDDEN, 8 * HIDDEN),
            ("mlp.down_proj", 4 * HIDDEN, HIDDEN),
        ):
            adapter.tensors[f"{layer}.{module}.lora_A.weight"] = np.zeros((8, inputs), np.float32)
            adapter.tensors[f"{layer}.{module}.lora_B.weight"] = np.ones((outputs, 8), np.float32)
        assert self.not_compared(adapter.save(), base) is None
        adapter.tensors[f"{layer}.mlp.gate_up_proj.lora_B.weight"] = np.zeros((4 * HIDDEN, 8), np.float32)
        adapter.config["target_modules"].append("q_proj")
        adapter.add("model.layers.0.self_attn.q_proj")
        rules = [finding.rule for finding in findings_of(adapter.save(), base=base)]
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
        self, adapter: SyntheticAdapter, tmp_path: Path, prefix: str
    ) -> None:
        adapter = replace(adapter, layers=0)
        adapter.config["layers_to_transform"] = [1]
        adapter.add(f"{prefix}layers.1.self_attn.q_proj")
        directory = adapter.save()
        assert self.not_compared(directory, self.nested(tmp_path / "base", head_dim=8)) is None
        # Without a head_dim it has transformers' default.
        assert "should have 32 inputs and 1024 outputs" in (
            the_only(findings_of(directory, base=self.nested(tmp_path / "default"))).message
        )
        few = self.nested(tmp_path / "few", head_dim=8, num_hidden_layers=1)
        assert the_only(findings_of(directory, base=few)).rule == "base-model-module"

    def test_of_a_model_of_text_and_pictures_other_parts_are_not_compared(
        self, adapter: SyntheticAdapter, tmp_path: Path
    ) -> None:
        adapter = replace(adapter, layers=0)
        adapter.add("model.vision_tower.vision_model.encoder.layers.0.self_attn.q_proj")
        adapter.add("model.layers.0.self_attn.v_proj")
        assert self.not_compared(adapter.save(), self.nested(tmp_path / "base")) == (
            "no module was compared with the base model 'acme/tiny-base': not known are such as"
            " 'model.layers.0.self_attn.v_proj'"
        )

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
