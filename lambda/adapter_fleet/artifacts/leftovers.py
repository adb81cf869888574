"""The files that a training run leaves beside an adapter, by name.

In a directory they are harmless, as packing leaves them out. In an archive they are refused, as the container
unpacks everything. Other code, pickles and folders are refused in a directory too: whoever puts a `model.py`
beside an adapter expects it to run, and has to learn that it will not.
"""

import re

from adapter_fleet.artifacts.archive import ALLOWED_FILES

_FILES = (
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
_FOLDERS = (
    r"checkpoint-\d+|global_step\d+|runs|wandb|logs|additional_chat_templates",
    r"\.cache|\.git|\.ipynb_checkpoints|__pycache__|__MACOSX|pytorch_model_fsdp_\d+|optimizer_\d+",
)
_FILE = re.compile("|".join(_FILES))
_FOLDER = re.compile("|".join(_FOLDERS))


def is_leftover(name: str, kind: str) -> bool:
    """Tell whether a file or folder beside an adapter is a leftover of the training run.

    `kind` is that of `folder_entry.kind_of`. A link is no leftover, whatever its name.
    """
    if kind == "folder":
        return _FOLDER.fullmatch(name) is not None
    return kind == "file" and name not in ALLOWED_FILES and _FILE.fullmatch(name) is not None
