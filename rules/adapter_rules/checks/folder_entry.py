"""The entries of an adapter's folder: their kinds, and the leftovers of a training run.

In a directory leftovers are harmless, as packing leaves them out. In an archive they are refused, as the
container unpacks everything. Other code, pickles and folders are refused in a directory too: a user who
puts a `model.py` beside an adapter expects it to run, and the refusal says that it does not.
"""

import os
import re
import stat
from pathlib import Path

from adapter_fleet.artifacts.archive import ALLOWED_FILES

DANGLING = "link to nothing"


def kind_of(file: "os.DirEntry[str]") -> str:
    """Return "file", "folder", "link", "link to nothing" or "special file".

    A link counts as the file that it leads to in the same folder, or in a cache of `huggingface_hub`, whose
    snapshots have links into the `blobs` of their repository (its guide "Understand caching").
    """
    mode = file.stat(follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        return _kind_of_link(Path(file.path))
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "special file"


def _kind_of_link(link: Path) -> str:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: links in a circle, until Python 3.13
        return DANGLING
    folder = link.parent.resolve()
    repositories = [
        above.parent
        for above in folder.parents
        if above.name == "snapshots" and above.parent.name.startswith("models--")
    ]
    within = [folder, *(repository / "blobs" for repository in repositories)]
    return "file" if target.is_file() and target.parent in within else "link"


_LEFTOVER_FILES = (
    # `save_pretrained` of tokenizers and processors (transformers: tokenization_utils_base.py,
    # processing_utils.py) and of the vocabularies of their models.
    r"(special_tokens_map|added_tokens|vocab|(video_)?preprocessor_config|processor_config|chat_template)\.json",
    r"tokenizer.*\.(json|model)|.*\.(spm|tiktoken)|(spiece|sentencepiece\.bpe)\.model|vocab\.txt|merges\.txt",
    r"chat_template\.jinja",
    # The base model's configuration, which `Trainer` saves with some models.
    r"(config|generation_config)\.json",
    # `Trainer` and its checkpoints (transformers: trainer.py), those of DeepSpeed and FSDP included.
    r"training_args\.bin|trainer_state\.json|(all|train|eval|test|predict)_results\.json",
    r"(optimizer|scheduler|scaler)(_\d+)?\.(pt|bin)|rng_state(_\d+)?\.pth|latest|zero_to_fp32\.py",
    # What the adapter answers, for `adapters publish`.
    r"probe\.json",
    # TensorBoard, if `logging_dir` is the directory itself.
    r"events\.out\.tfevents\..*",
    # LLaMA-Factory and axolotl.
    r"trainer_log\.jsonl|training_(loss|eval_loss|args)\.(png|yaml)|debug\.log",
    # The hub, git and desktops.
    r"\.gitattributes|\.gitignore|\.DS_Store|\._.*|Thumbs\.db|desktop\.ini|LICENSE(\.md|\.txt)?",
)
_LEFTOVER_FOLDERS = (
    r"checkpoint-\d+|global_step\d+|runs|wandb|logs|additional_chat_templates",
    r"\.cache|\.git|\.ipynb_checkpoints|__pycache__|__MACOSX|pytorch_model_fsdp_\d+|optimizer_\d+",
)
_LEFTOVER_FILE = re.compile("|".join(_LEFTOVER_FILES))
_LEFTOVER_FOLDER = re.compile("|".join(_LEFTOVER_FOLDERS))


def is_leftover(name: str, kind: str) -> bool:
    """Tell whether a file or folder beside an adapter is a leftover of the training run.

    `kind` is that of `kind_of`. A link is no leftover, whatever its name.
    """
    if kind == "folder":
        return _LEFTOVER_FOLDER.fullmatch(name) is not None
    return kind == "file" and name not in ALLOWED_FILES and _LEFTOVER_FILE.fullmatch(name) is not None
