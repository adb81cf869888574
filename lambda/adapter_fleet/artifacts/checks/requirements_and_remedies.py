"""The rules on adapters: the id, severity, requirement and remedy of each.

The message of a finding is written where the rule is checked: in this folder, or by the module that reads the
archive or the tar.
`docs/guides/check-rules.md` has the same table. A test compares them; `python -m
tests.adapter_fleet.artifacts.checks.test_requirements_and_remedies` rewrites the page.
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
        "a file or directory that can be read",
        "check the path, and that you may read it",
    )
    OBJECT_READABLE = (
        "object-readable",
        _ERROR,
        "an object, or a list of objects, that can be read",
        "check bucket and key, and that your credentials have s3:GetObject (and s3:ListBucket for a prefix)",
    )
    PATH_HOLDS_ADAPTERS = (
        "path-holds-adapters",
        _ERROR,
        "at least one archive under a prefix",
        "name an adapter's directory, its .tar.gz, or a prefix with such archives below it",
    )
    ADAPTER_NAME = (
        "adapter-name",
        _ERROR,
        "a directory or an archive on this machine whose name an adapter may have",
        "rename it, or publish it alone with another --name",
    )
    FILE_MISSING = (
        "file-missing",
        _ERROR,
        "an `adapter_config.json` and an `adapter_model.safetensors`",
        "add both files at the root, as save_pretrained(safe_serialization=True) writes them",
    )
    FILE_PATH = (
        "file-path",
        _ERROR,
        "no path that is absolute or has `..`",
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
        "no links, but for those of a snapshot in the Hugging Face cache and to a file of the same folder",
        "put the file itself there (tar --dereference, cp -L)",
    )
    FILE_PICKLE = (
        "file-pickle",
        _ERROR,
        "no pickles: `.bin`, `.pt`, `.pth`, `.ckpt`, `.pkl`, …",
        "save the adapter with safe_serialization=True, and leave pickles out: loading one runs code",
    )
    FILE_CODE = (
        "file-code",
        _ERROR,
        "no code: `.py`, `.so`, `.sh`, `requirements.txt`, …",
        "remove it: the container would run it",
    )
    FILE_CONTENT = (
        "file-content",
        _ERROR,
        "the adapter itself: no Git LFS pointers, HTML pages, pickles under another name, GGUF files, whole"
        " models, weights in pieces or without elements, configurations of training runs, or adapters of MLX"
        " and diffusers",
        "do what the finding says",
    )
    FILE_UNEXPECTED = (
        "file-unexpected",
        _ERROR,
        "nothing but the two files and a `README.md`: no folders, pipes, sockets or devices, and at most 64"
        " entries",
        "leave only what PEFT's save_pretrained() writes: the configuration, the weights, a README",
    )

    # The archive.
    ARCHIVE_GZIP = (
        "archive-gzip",
        _ERROR,
        "a tar, in gzip",
        "pack the two files as a gzipped tar: tar -czf adapter.tar.gz …",
    )
    ARCHIVE_DAMAGED = (
        "archive-damaged",
        _ERROR,
        "a complete archive, whose checksums and lengths agree, and only zeros after its end",
        "copy or upload it again: its end is missing, or its bytes have changed",
    )
    ARCHIVE_FORM = (
        "archive-form",
        _ERROR,
        "a plain tar: no sparse files, no name twice, only zeros after its end, at most 1 MiB of headers, and"
        " at least half as large as its gzip file",
        "pack it again from the adapter's directory, without tar's --sparse and extended attributes",
    )
    ARCHIVE_SIZE = (
        "archive-size",
        _ERROR,
        "at most 16 GiB unpacked, and at most 100 times its size",
        "do not unpack it: no adapter is that large, and no weights compress that well",
    )
    ARCHIVE_DIGEST = (
        "archive-digest",
        _ERROR,
        "the digest in the key (checked with `--whole`, and for archives not made by `adapters publish`)",
        "publish the adapter again: this archive has another digest than its name",
    )

    # The configuration.
    CONFIG_JSON = (
        "config-json",
        _ERROR,
        "a JSON object in UTF-8 of at most 1 MiB, with no NaN, no key twice and not nested deeply",
        _SAVE_AGAIN,
    )
    CONFIG_KEY = (
        "config-key",
        _ERROR,
        "`r` above 0, `lora_alpha` and `target_modules`, which may be null or empty only beside"
        " `target_parameters`; values of PEFT's types",
        "give the key the value that the adapter was trained with, of the type that PEFT writes",
    )
    RANK_LIMIT = (
        "lora-rank",
        _ERROR,
        "a rank up to the engine's maximum (`--max-lora-rank`, or the container's highest)",
        "raise 'max_lora_rank' of the endpoint (each slot then takes more GPU memory), or lower the rank",
    )
    LORA_METHOD = (
        "lora-method",
        _ERROR,
        "plain LoRA: `peft_type` LORA; `use_dora` false, and no magnitudes of DoRA; `modules_to_save`,"
        " `trainable_token_indices`, `layer_replication`, `alora_invocation_tokens`, `arrow_config`,"
        " `kasa_config`, `use_bdlora` and `use_qalora` empty",
        f"{_TRAIN_PLAIN} (LoraConfig, without the named setting); or, if it changes weights, merge it into a"
        " base",
    )
    LORA_BIAS = (
        "lora-bias",
        _ERROR,
        "`bias` none, `lora_bias` false and no biases (for LMI 15 and 16: see lora-bias-setting)",
        f"{_TRAIN_PLAIN}, with bias='none' and lora_bias=False",
    )
    LORA_BIAS_SETTING = (
        "lora-bias-setting",
        _WARNING,
        "no biases unless OPTION_ENABLE_LORA_BIAS is on, which LMI 15 and 16 have",
        "train it without biases: from LMI 17 on the container refuses them",
    )
    LORA_INITIALISATION = (
        "lora-initialisation",
        _WARNING,
        "training on the base's own weights, not on a changed base (PiSSA, OLoRA, LoftQ, CorDA, LoRA-GA)",
        "save it with path_initial_model_for_weight_conversion, so that it fits the original base",
    )
    LORA_SCALING = (
        "lora-scaling",
        _ERROR,
        "one scale for all keys of `rank_pattern` and `alpha_pattern`, which have the same keys in the same"
        " order if both are given",
        "train it with one scale, or multiply lora_B of each module with another scale by that scale divided"
        " by the one of 'lora_alpha' and 'r', and set 'alpha_pattern' so that all have one",
    )
    BASE_NAME = (
        "base-model-name",
        _WARNING,
        "the name of the base model that it will run on",
        "make sure that it was trained for this base",
    )

    # The file of weights.
    WEIGHTS_TRUNCATED = ("weights-truncated", _ERROR, "a file as long as its header says", _SAVE_AGAIN)
    WEIGHTS_HEADER = (
        "weights-header",
        _ERROR,
        "a header of at most 16 MiB that is a JSON object of at most 1.2 million brackets, colons and commas:"
        " `__metadata__` of strings, and each tensor once, with a dtype of safetensors, shape and offsets; as"
        " many bytes as dtype and shape take, and no byte that belongs to two tensors or to none",
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
        "PEFT's names, `lora_embedding_A` for embeddings and `lora_A.weight` for all else, of at most 256"
        " characters and 32 parts",
        "save the adapter with PEFT, which names tensors as the engine does",
    )
    TENSOR_OF_BASE = (
        "tensor-of-base",
        _ERROR,
        "no layers of the base model but, from LMI 18 on, the embedding and head that are adapted",
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
        "no NaN and no infinity (of a published archive in S3: with `--whole`)",
        "train it again, with a lower learning rate or in bfloat16: its training diverged",
    )
    TENSOR_TRAINED = (
        "tensor-trained",
        _WARNING,
        "a `lora_alpha` and a matrix B that are not zero (B of a published archive in S3: with `--whole`)",
        "train it with a 'lora_alpha' above 0, or save it after its training: PEFT begins with zeros",
    )
    TENSOR_SHAPE = (
        "tensor-shape",
        _ERROR,
        "A of (rank, inputs) and B of (outputs, rank) for each module",
        _SAVE_AGAIN,
    )
    TENSOR_CONFIG = (
        "tensor-config",
        _ERROR,
        "modules that `target_modules` names, and the configuration's rank, or a multiple for stacked experts"
        " of `target_parameters` (from LMI 17 on)",
        "use the adapter_config.json of the same training run: this one has another rank or other modules",
    )
    BASE_MODULE = (
        "base-model-module",
        _ERROR,
        "modules that the base model has, of the same widths, and that the engine adapts: embedding and head"
        " of Llama, of Mistral up to LMI 19 and of Qwen3 from LMI 21 on",
        "compare 'base_model_name_or_path' with the base model that it will run on; train no embedding and no"
        " head if the engine does not adapt them",
    )
    BASE_LAYERS = (
        "base-model-layers",
        _WARNING,
        "tensors of every layer of the base model that the configuration does not leave out",
        "save the adapter again, with every layer that was trained; if layers were left out on purpose, name"
        " the trained ones in 'layers_to_transform'",
    )
    BASE_COMPARED = (
        "base-model-compared",
        _NOT_COMPARED,
        "a base model that all modules of the adapter can be compared with, if one is given",
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
