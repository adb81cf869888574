"""Tells what a file or a folder is that should be a part of an adapter, and what to do about it.

People find these where adapters should be: files that git or a browser left, and what other programs save.
"""

import re
from collections.abc import Collection

from adapter_fleet.artifacts.archive import CONFIG_FILE, REQUIRED_FILES, WEIGHTS_FILE

START_BYTES = 9
"""Bytes of a file that `foreign_weights` needs."""

UTF8_MARK = b"\xef\xbb\xbf"
"""The byte order mark, with which some editors begin a text."""

_SAVE = "save the adapter with save_pretrained(safe_serialization=True)"
_PACK = f"pack the two files: tar -czf adapter.tar.gz -C FOLDER {' '.join(REQUIRED_FILES)}"
_UNPACK = f"unpack it, and {_PACK}"
_DOWNLOAD = "download it again, with a token if it is not public"

_REVISION = ": name the folder of a revision in snapshots"
_NO_BLOBS = (
    ", without the blobs that its links lead to: copy the folder of a revision in snapshots with cp -rL, and"
    " name the copy"
)
_MAX_QUOTED = 60

_PAGES = (
    (rb"version h", "a Git LFS pointer", "run `git lfs pull` where it was cloned"),
    (rb"\s*<(!doc|html|head)", "an HTML page", _DOWNLOAD),
    (rb"\s*<\?xml|\s*<Error", "an XML document, as S3 answers an error", _DOWNLOAD),
)
_WEIGHTS = (
    *_PAGES,
    (rb"GGUF", "a GGUF file of llama.cpp", f"{_SAVE}, before it is converted"),
    (rb"\x80[\x02-\x05]", "a pickle under another name", _SAVE),
    (rb"PK\x03\x04", "a zip, which torch.save writes around a pickle", _SAVE),
    (rb"\x1f\x8b", "a gzip file", "unpack it"),
    (rb"\x93NUMPY", "an array of NumPy", _SAVE),
    (rb"\x89HDF", "an HDF5 file", _SAVE),
    (rb"\s*[{\[]", "a JSON text", "put the weights there"),
)
_ARCHIVES = (
    *_PAGES,
    (rb"PK\x03\x04", "a zip", _UNPACK),
    (rb"BZh", "a bzip2 file", _UNPACK),
    (rb"\xfd7zXZ", "an xz file", _UNPACK),
    (rb"\x28\xb5\x2f\xfd", "a zstd file", _UNPACK),
    (rb"7z\xbc\xaf", "a 7z file", _UNPACK),
    (rb"GGUF", "a GGUF file of llama.cpp", f"{_SAVE}, and {_PACK}"),
    (rb".{8}\{", "a safetensors file, without its configuration", _PACK),
    (rb".{257}ustar", "a plain tar", "compress it: gzip -c FILE > OTHER.tar.gz"),
)
_CONFIGS = (
    *_PAGES,
    (rb"\xff\xfe|\xfe\xff", "a text in UTF-16, as PowerShell's > writes", "save it as UTF-8"),
    (
        re.escape(UTF8_MARK),
        "a text with a byte order mark, which the engine does not read",
        "save it as UTF-8 without one, or publish its folder",
    ),
)
_OTHER_ARCHIVES = (".zip", ".7z", ".bz2", ".xz", ".zst", ".tbz2", ".txz")
# Keys of axolotl, LitGPT, LLaMA-Factory and TRL. PEFT's file has none of them.
_TRAINING_KEYS = frozenset({"lora_r", "lora_rank", "output_dir", "out_dir", "datasets", "finetuning_type"})
_SUFFIXES = {
    ".tgz": "rename it: it should end with .tar.gz",
    ".tar": "compress it: gzip FILE",
    **dict.fromkeys(_OTHER_ARCHIVES, _UNPACK),
    **dict.fromkeys((".safetensors", ".json"), "name the folder that it is in"),
    **dict.fromkeys((".yaml", ".yml"), "a manifest is checked by 'adapters plan'"),
    **dict.fromkeys((".bin", ".pt", ".pth", ".ckpt", ".pkl", ".gguf"), f"{_SAVE}, and name the folder"),
}
_MISNAMED = re.compile(r"(adapter_config|adapter_model)\b.*\.(json|safetensors)\b.*", re.IGNORECASE)
PIECE = re.compile(r"-\d+-of-0*(\d{1,6})\.|\.index\.json$")
"""A file of weights in several pieces: one of them, with their number, or their index."""

_WHOLE_MODEL = re.compile(
    r"(model|pytorch_model|consolidated)([.-]\d+(-of-\d+)?)?\.(safetensors|bin|pth)(\.index\.json)?"
)
_CHECKPOINT = re.compile(r"checkpoint-(\d{1,18})")


def foreign_weights(start: bytes) -> str | None:
    """Return what the first `START_BYTES` of a file of weights show it to be; None for safetensors."""
    # The header is JSON, behind eight bytes of any value.
    return None if start[8:9] == b"{" else _described(start, _WEIGHTS, "the weights")


def foreign_archive(start: bytes) -> str | None:
    """Return what the first block of a file shows it to be; None if that is not known."""
    return _described(start, _ARCHIVES, "a gzipped tar")


def foreign_config(text: bytes) -> str | None:
    """Return what a configuration is that is no JSON; None if that is not known."""
    return _described(text, _CONFIGS, "the configuration")


def foreign_keys(keys: Collection[str]) -> str | None:
    """Return what the keys of a configuration show it to be; None for PEFT's, or any other."""
    if "peft_type" in keys or "r" in keys or _TRAINING_KEYS.isdisjoint(keys):
        return None
    return (
        f"it is the configuration of a training run, not PEFT's: take the {CONFIG_FILE} that the run wrote"
        f" beside {WEIGHTS_FILE}"
    )


def foreign_path(name: str) -> str | None:
    """Return what to do with a file that is not named like an archive; None if that is not known."""
    return next((remedy for suffix, remedy in _SUFFIXES.items() if name.lower().endswith(suffix)), None)


def foreign_archive_name(name: str) -> bool:
    """Tell whether a file is named like an archive of another form."""
    return name.lower().endswith((".tgz", ".tar", *_OTHER_ARCHIVES))


def misnamed(name: str) -> str | None:
    """Return what a file such as `adapter_model (1).safetensors` should be called; None for any other."""
    found = None if PIECE.search(name) else _MISNAMED.fullmatch(name)
    return None if found is None else CONFIG_FILE if found[1].lower() == "adapter_config" else WEIGHTS_FILE


def foreign_folder(names: Collection[str]) -> str | None:
    """Return what the names in a folder show it to be; None for the folder of an adapter, or any other."""
    if WEIGHTS_FILE in names or "adapter_model.bin" in names:
        return None
    if "snapshots" in names and not {"blobs", "refs"}.isdisjoint(names):
        return f"it is a folder of the Hugging Face cache{_REVISION if 'blobs' in names else _NO_BLOBS}"
    pieces = [found[1] for name in sorted(names) if "adapter_model" in name and (found := PIECE.search(name))]
    if pieces:
        return (
            f"its weights are split into {pieces[0] or 'several'} pieces: save them in one file, with"
            ' save_pretrained(…, max_shard_size="50GB"), or read all with load_file of safetensors and write'
            f" {WEIGHTS_FILE} with save_file"
        )
    if "adapters.safetensors" in names:
        return "it is an adapter of MLX, with other names of tensors: train it with PEFT, or convert it"
    if "pytorch_lora_weights.safetensors" in names:
        return "it is an adapter of diffusers, for images: the engine serves adapters of language models"
    if any(name.endswith(".gguf") for name in names):
        return f"it has a GGUF file of llama.cpp, and no adapter: {_SAVE}, before it is converted"
    if CONFIG_FILE in names:
        return None
    if any(_WHOLE_MODEL.fullmatch(name) for name in names):
        return (
            "it is a whole model, fine-tuned or merged: publish the adapter as it was before it was merged,"
            " or serve the model as a base of its own"
        )
    steps = sorted(int(found[1]) for name in names if (found := _CHECKPOINT.fullmatch(name)))
    if steps:
        shown = ", ".join(f"checkpoint-{step}" for step in steps[-3:])
        return f"it holds checkpoints and no adapter itself: name the one that is meant, of {shown}"
    return None


def _described(start: bytes, forms: tuple[tuple[bytes, str, str], ...], wanted: str) -> str | None:
    for form, what, remedy in forms:
        if re.match(form, start, re.IGNORECASE | re.DOTALL):
            return f"it is {what}, not {wanted}: {remedy}"
    # The Hub answers such as "Access to model acme/lora is restricted" in place of a file.
    if re.match(rb"[a-z]+ [a-z]", start, re.IGNORECASE):
        text = start[:_MAX_QUOTED].decode(errors="replace")
        return f"it is a text that begins with {text!r}, not {wanted}: {_DOWNLOAD} (hf auth login)"
    return None
