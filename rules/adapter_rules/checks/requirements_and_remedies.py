"""The rules on adapters: the id, severity, requirement and remedy of each.

The message of a finding is written where the rule is checked. `docs/guides/check-rules.md` has the
requirements; `python -m tests.adapter_rules.checks.test_requirements_and_remedies` rewrites that page.
"""

from enum import Enum

from adapter_fleet.common.findings import Finding, Severity

_ERROR, _WARNING, _NOT_COMPARED = Severity.ERROR, Severity.WARNING, Severity.NOT_COMPARED
_SAVE_AGAIN = "save the adapter again with save_pretrained(), and copy the file whole"
_TRAIN_PLAIN = "train it as plain LoRA"


class CheckRule(Enum):
    """A rule: its id, which never changes, its requirement, and what to do if it is broken."""

    # The files.
    PATH_READABLE = (
        "path-readable",
        _ERROR,
        "a file or directory that you may read",
        "check the path, and that you may read it",
    )
    OBJECT_READABLE = (
        "object-readable",
        _ERROR,
        "an object, or a list of objects, that S3 returns",
        "check bucket and key, and that your credentials have s3:GetObject (and s3:ListBucket for a prefix)",
    )
    PATH_HOLDS_ADAPTERS = (
        "path-holds-adapters",
        _ERROR,
        "at least one archive below the prefix",
        "name an adapter's directory, its .tar.gz, or a prefix with such archives below it",
    )
    ADAPTER_NAME = (
        "adapter-name",
        _ERROR,
        "a file name that an adapter may have",
        "rename it, or publish it alone with another --name",
    )
    FILE_MISSING = (
        "file-missing",
        _ERROR,
        "`adapter_config.json` and `adapter_model.safetensors`",
        "add both files at the root, as save_pretrained(safe_serialization=True) writes them",
    )
    FILE_PATH = (
        "file-path",
        _ERROR,
        "no absolute path and no `..`",
        "do not unpack it: someone may have made it to overwrite files",
    )
    FILE_AT_ROOT = (
        "file-at-root",
        _ERROR,
        "files at the root of the archive",
        "put the files at the root: tar -czf adapter.tar.gz -C DIRECTORY adapter_config.json"
        " adapter_model.safetensors",
    )
    FILE_LINK = (
        "file-link",
        _ERROR,
        "no links, except inside the folder or the Hugging Face cache",
        "put the file itself there (tar --dereference, cp -L)",
    )
    FILE_PICKLE = (
        "file-pickle",
        _ERROR,
        "no pickles, such as `.bin` and `.pt`",
        "save the adapter with safe_serialization=True, and leave pickles out: loading one runs code",
    )
    FILE_CODE = (
        "file-code",
        _ERROR,
        "no code, such as `.py` and `requirements.txt`",
        "remove it: the container would run it",
    )
    FILE_CONTENT = (
        "file-content",
        _ERROR,
        "a PEFT adapter, not another kind of file",
        "do what the finding says",
    )
    FILE_UNEXPECTED = (
        "file-unexpected",
        _ERROR,
        "only the two files and a `README.md`",
        "leave only what PEFT's save_pretrained() writes: the configuration, the weights, a README",
    )

    # The archive.
    ARCHIVE_GZIP = (
        "archive-gzip",
        _ERROR,
        "a tar, compressed with gzip",
        "pack the two files as a gzipped tar: tar -czf adapter.tar.gz …",
    )
    ARCHIVE_DAMAGED = (
        "archive-damaged",
        _ERROR,
        "a complete archive, whose checksums agree",
        "copy or upload it again: its end is missing, or its bytes have changed",
    )
    ARCHIVE_FORM = (
        "archive-form",
        _ERROR,
        "a plain tar, with no sparse file and no name twice",
        "pack it again from the adapter's directory, without tar's --sparse and extended attributes",
    )
    ARCHIVE_SIZE = (
        "archive-size",
        _ERROR,
        "at most 16 GiB unpacked, and 100 times its size",
        "do not unpack it: no adapter is that large, and no weights compress that well",
    )
    ARCHIVE_DIGEST = (
        "archive-digest",
        _ERROR,
        "the digest that its key names",
        "publish the adapter again: this archive has another digest than its name",
    )

    # The configuration.
    CONFIG_JSON = (
        "config-json",
        _ERROR,
        "a JSON object of at most 1 MiB",
        _SAVE_AGAIN,
    )
    CONFIG_KEY = (
        "config-key",
        _ERROR,
        "`r`, `lora_alpha` and `target_modules`, of PEFT's types",
        "give the key the value that the adapter was trained with, of the type that PEFT writes",
    )
    RANK_LIMIT = (
        "lora-rank",
        _ERROR,
        "a rank up to the engine's maximum",
        "raise 'max_lora_rank' of the endpoint (each slot then takes more GPU memory), or lower the rank",
    )
    LORA_METHOD = (
        "lora-method",
        _ERROR,
        "plain LoRA, without DoRA or `modules_to_save`",
        f"{_TRAIN_PLAIN} (LoraConfig, without the named setting); or, if it changes weights, merge it into a"
        " base",
    )
    LORA_BIAS = (
        "lora-bias",
        _ERROR,
        "no biases",
        f"{_TRAIN_PLAIN}, with bias='none' and lora_bias=False",
    )
    LORA_BIAS_SETTING = (
        "lora-bias-setting",
        _WARNING,
        "on LMI 16, biases only with OPTION_ENABLE_LORA_BIAS",
        "train it without biases: from LMI 17 on the container refuses them",
    )
    LORA_INITIALISATION = (
        "lora-initialisation",
        _WARNING,
        "training on the base's own weights, unlike PiSSA",
        "save it with path_initial_model_for_weight_conversion, so that it fits the original base",
    )
    LORA_SCALING = (
        "lora-scaling",
        _ERROR,
        "one scale for all keys of `rank_pattern` and `alpha_pattern`",
        "train it with one scale, or multiply lora_B of each module with another scale by that scale divided"
        " by the one of 'lora_alpha' and 'r', and set 'alpha_pattern' so that all have one",
    )
    BASE_NAME = (
        "base-model-name",
        _WARNING,
        "the name of the base model that it will run on; an error if one is given",
        "make sure that it was trained for this base; 'adapters publish --base-model' overrides its name",
    )

    # The file of weights.
    WEIGHTS_TRUNCATED = ("weights-truncated", _ERROR, "a file as long as its header says", _SAVE_AGAIN)
    WEIGHTS_HEADER = (
        "weights-header",
        _ERROR,
        "a header that assigns each byte to one tensor",
        f"do not load it: programs disagree on such files, or bytes are hidden in it; {_SAVE_AGAIN}",
    )

    # The tensors.
    TENSOR_NONE = (
        "tensor-none",
        _ERROR,
        "LoRA matrices",
        "save the adapter after it was trained: it has no LoRA matrices",
    )
    TENSOR_NAME = (
        "tensor-name",
        _ERROR,
        "names as PEFT writes them",
        "save the adapter with PEFT, which names tensors as the engine does",
    )
    TENSOR_OF_BASE = (
        "tensor-of-base",
        _ERROR,
        "no layers of the base model",
        "save the adapter without layers of the base: no modules_to_save, and save_embedding_layers=False",
    )
    TENSOR_DTYPE = (
        "tensor-dtype",
        _ERROR,
        "BF16, F16 or F32",
        "save the weights as bfloat16, float16 or float32",
    )
    TENSOR_FINITE = (
        "tensor-finite",
        _ERROR,
        "no NaN and no infinity",
        "train it again, with a lower learning rate or in bfloat16: its training diverged",
    )
    TENSOR_TRAINED = (
        "tensor-trained",
        _WARNING,
        "a `lora_alpha` and a matrix B that are not zero",
        "train it with a 'lora_alpha' above 0, or save it after its training: PEFT begins with zeros",
    )
    TENSOR_SHAPE = (
        "tensor-shape",
        _ERROR,
        "A of (rank, inputs) and B of (outputs, rank)",
        _SAVE_AGAIN,
    )
    TENSOR_CONFIG = (
        "tensor-config",
        _ERROR,
        "the rank and the modules of its configuration",
        "use the adapter_config.json of the same training run: this one has another rank or other modules",
    )
    BASE_MODULE = (
        "base-model-module",
        _ERROR,
        "modules that the base model has and the engine adapts",
        "compare 'base_model_name_or_path' with the base model that it will run on; train no embedding and no"
        " head if the engine does not adapt them",
    )
    BASE_LAYERS = (
        "base-model-layers",
        _WARNING,
        "every layer of the base model, unless its configuration leaves layers out",
        "save the adapter again, with every layer that was trained; if layers were left out on purpose, name"
        " the trained ones in 'layers_to_transform'",
    )
    BASE_COMPARED = (
        "base-model-compared",
        _NOT_COMPARED,
        "a base model with which every module can be compared",
        "give the base model's config.json with --base-model; if its architecture is not known, try the"
        " adapter on an endpoint before others use it",
    )

    def __init__(self, id: str, severity: Severity, requirement: str, help: str) -> None:
        self.id = id
        self.severity = severity
        self.requirement = requirement
        self.help = help

    def finding(self, where: str, message: str) -> Finding:
        """Return a finding that this rule is broken."""
        return Finding(rule=self.id, severity=self.severity, where=where, message=message)

    @property
    def findings_have_remedy(self) -> bool:
        """True if each finding says itself what to do, and `help` adds nothing."""
        return self is CheckRule.FILE_CONTENT


RULES = {rule.id: rule for rule in CheckRule}
"""The rules by the ids that findings and `ArchiveFault` carry."""


def with_remedy(finding: Finding) -> str:
    """Return a finding with what to do about it, if it is one of these rules and does not say it itself."""
    rule = RULES.get(finding.rule)
    return f"{finding}" if rule is None or rule.findings_have_remedy else f"{finding}; {rule.help}"
