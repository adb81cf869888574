"""Converts between text and tokens: tokenizer, chat template, and text that arrives token by token."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from local_sagemaker.model_server.errors import BadRequestError


class TextCodec:
    """The tokenizer of a model directory and its chat template."""

    def __init__(self, directory: Path) -> None:
        self.tokenizer: Tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._special_tokens: dict[str, str] = {}
        template: str | None = None
        settings = directory / "tokenizer_config.json"
        if settings.exists():
            content: dict[str, Any] = json.loads(settings.read_text(encoding="utf-8"))
            template = content.get("chat_template")
            for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
                if content.get(name) is not None:
                    token = content[name]
                    self._special_tokens[name] = token["content"] if isinstance(token, dict) else token
        template_file = directory / "chat_template.jinja"
        if template_file.exists():
            template = template_file.read_text(encoding="utf-8")
        # Templates come with models and are not trusted, so they run in a sandbox, as in transformers.
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = refuse_messages
        self._template = None if template is None else environment.from_string(template)

    def encode(self, text: str) -> list[int]:
        """Tokenize a prompt, with the special tokens that the tokenizer adds."""
        return self.tokenizer.encode(text).ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, special ones included."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=False)

    def encode_chat(self, messages: Sequence[dict[str, Any]]) -> list[int]:
        """Render messages with the chat template and tokenize the result without special tokens."""
        if self._template is None:
            raise BadRequestError("the model has no chat template: send 'prompt' or 'inputs'")
        try:
            text = self._template.render(
                messages=messages, add_generation_prompt=True, **self._special_tokens
            )
        except jinja2.TemplateError as error:
            raise BadRequestError(f"the chat template refuses the messages: {error}") from error
        return self.tokenizer.encode(text, add_special_tokens=False).ids


def refuse_messages(message: str) -> NoReturn:
    """Let a template refuse the messages."""
    raise jinja2.TemplateError(message)


class TextStream:
    """The text of one answer as its tokens arrive, without parts of characters or stop strings."""

    def __init__(self, codec: TextCodec, stop: Sequence[str]) -> None:
        self._tokenizer = codec.tokenizer
        self._decoder = DecodeStream(skip_special_tokens=True)
        self._stop = stop
        self._tokens: list[int] = []
        self._text = ""
        self._shown = 0
        self.stopped_by: str | None = None

    def push(self, token: int) -> None:
        """Take the next token; sets `stopped_by` when it completes a stop string."""
        self._tokens.append(token)
        self._append(self._decoder.step(self._tokenizer, token) or "")

    def finish(self) -> None:
        """Add the text that the decoder held back, such as half a character at the token limit."""
        if self.stopped_by is None:
            whole = self._tokenizer.decode(self._tokens, skip_special_tokens=True)
            self._append(whole[len(self._text) :])

    def take(self, *, final: bool = False) -> str:
        """Return the new text since the last call that later tokens cannot change."""
        end = len(self._text) if final or self.stopped_by else len(self._text) - self._undecided()
        taken = self._text[self._shown : end]
        self._shown = max(end, self._shown)
        return taken

    def _append(self, piece: str) -> None:
        # A stop string that ends in this piece may begin before it.
        start = max(0, len(self._text) - max(map(len, self._stop), default=0) + 1)
        self._text += piece
        found = [(at, stop) for stop in self._stop if (at := self._text.find(stop, start)) >= 0]
        if found:
            at, self.stopped_by = min(found)
            self._text = self._text[:at]

    def _undecided(self) -> int:
        """Length of the longest end of the text that begins a stop string."""
        longest = max(map(len, self._stop), default=0)
        return next(
            (
                length
                for length in range(min(longest - 1, len(self._text)), 0, -1)
                if any(stop.startswith(self._text[-length:]) for stop in self._stop)
            ),
            0,
        )
