"""BERTScore: how near the tokens of answer and reference are to each other, as vectors of a BERT."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from adapters_cli.evaluation.metrics.metric import Metric, Pair, without_words
from adapters_cli.evaluation.result import MetricFacts

Vectors = NDArray[np.float32]
"""A row for each token."""

_FILES = ("config.json", "model.safetensors", "tokenizer.json")
_MOST_TOKENS = 1024
"""Tokens of one batch, with padding. More leave the processor's cache, and take longer."""
_MASKED = np.float32(-1e9)


class BertModel:
    """The encoder of a directory with `config.json`, `model.safetensors` and `tokenizer.json`."""

    def __init__(self, directory: Path) -> None:
        """Load the model; raise ValueError, with the directory, if it is not such a BERT."""
        missing = [name for name in _FILES if not (directory / name).is_file()]
        if missing:
            raise ValueError(
                f"'bert_score' should have a directory with {', '.join(_FILES)}, got {directory} without"
                f" {', '.join(missing)}"
            )
        try:
            config = json.loads((directory / "config.json").read_bytes())
            self._read_config(config)
            self._read_weights(directory / "model.safetensors")
            self._read_tokenizer(directory, config)
            self.vectors([""])  # finds a weight that is missing or of another shape
        except (KeyError, TypeError, ValueError, SafetensorError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"'bert_score' should have a BERT, got {directory}: {what}") from None

    def _read_config(self, config: dict[str, Any]) -> None:
        for key, supported, default in (
            ("model_type", ("bert",), None),
            ("hidden_act", ("gelu",), None),
            ("position_embedding_type", ("absolute",), "absolute"),
        ):
            if config.get(key, default) not in supported:
                raise ValueError(f"'{key}' should be {' or '.join(supported)}, got {config.get(key)!r}")
        self.layers = int(config["num_hidden_layers"])
        self._heads = int(config["num_attention_heads"])
        self._epsilon = np.float32(config["layer_norm_eps"])

    def _read_weights(self, path: Path) -> None:
        weights = load_file(path)
        # A model with a head, such as that for masked words, has the encoder behind a prefix.
        self._weights = {
            name.removeprefix("bert."): weight.astype(np.float32) for name, weight in weights.items()
        }
        self._positions = self._weights["embeddings.position_embeddings.weight"]
        self._words = self._weights["embeddings.word_embeddings.weight"]
        self._segment = self._weights["embeddings.token_type_embeddings.weight"][0]

    def _read_tokenizer(self, directory: Path, config: dict[str, Any]) -> None:
        most = int(config["max_position_embeddings"])
        settings = directory / "tokenizer_config.json"
        if settings.is_file():
            # Transformers writes 1e30 for "any length".
            most = min(most, int(json.loads(settings.read_bytes()).get("model_max_length", most)))
        try:
            self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        except Exception as error:  # tokenizers raises nothing narrower
            raise ValueError(f"tokenizer.json: {error}") from None
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(most)

    def vectors(self, texts: Sequence[str]) -> list[Vectors]:
        """Return the vectors of each text's tokens, [CLS] and [SEP] included, each of length 1."""
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        found: dict[int, Vectors] = {}
        for batch in _batches(tokens):
            longest = max(len(tokens[place]) for place in batch)
            ids = np.zeros((len(batch), longest), np.int64)
            real = np.zeros((len(batch), longest), bool)
            for row, place in enumerate(batch):
                ids[row, : len(tokens[place])] = tokens[place]
                real[row, : len(tokens[place])] = True
            states = self._forward(ids, real)
            states /= np.linalg.norm(states, axis=-1, keepdims=True)
            found |= {place: states[row, : len(tokens[place])].copy() for row, place in enumerate(batch)}
        return [found[place] for place in range(len(tokens))]

    def _forward(self, ids: NDArray[np.int64], real: NDArray[np.bool_]) -> Vectors:
        states = self._words[ids] + self._positions[: ids.shape[1]] + self._segment
        states = self._normalized(states, "embeddings.LayerNorm")
        masked = np.where(real[:, None, None, :], np.float32(0), _MASKED)
        for layer in range(self.layers):
            states = self._layer(states, masked, f"encoder.layer.{layer}.")
        return states

    def _layer(self, states: Vectors, masked: Vectors, prefix: str) -> Vectors:
        texts, longest, _ = states.shape

        def split(name: str) -> Vectors:
            made = self._linear(states, f"{prefix}attention.self.{name}")
            return made.reshape(texts, longest, self._heads, -1).transpose(0, 2, 1, 3)

        query, key, value = split("query"), split("key"), split("value")
        query *= np.float32(1 / math.sqrt(query.shape[-1]))
        attention: Vectors = query @ key.transpose(0, 1, 3, 2)
        attention += masked
        attention -= attention.max(-1, keepdims=True)
        np.exp(attention, out=attention)
        attention /= attention.sum(-1, keepdims=True)
        attended = (attention @ value).transpose(0, 2, 1, 3).reshape(states.shape)
        attended = self._linear(attended, f"{prefix}attention.output.dense")
        states = self._normalized(states + attended, f"{prefix}attention.output.LayerNorm")
        wide = _gelu(self._linear(states, f"{prefix}intermediate.dense"))
        return self._normalized(
            states + self._linear(wide, f"{prefix}output.dense"), f"{prefix}output.LayerNorm"
        )

    def _linear(self, states: Vectors, name: str) -> Vectors:
        # As one matrix: NumPy multiplies a stack of them one by one, in up to a hundred times the time.
        product: Vectors = states.reshape(-1, states.shape[-1]) @ self._weights[f"{name}.weight"].T
        product += self._weights[f"{name}.bias"]
        return product.reshape(*states.shape[:-1], -1)

    def _normalized(self, states: Vectors, name: str) -> Vectors:
        centred: Vectors = states - states.mean(-1, keepdims=True)
        centred /= np.sqrt(np.square(centred).mean(-1, keepdims=True) + self._epsilon)
        centred *= self._weights[f"{name}.weight"]
        centred += self._weights[f"{name}.bias"]
        return centred


def _batches(tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the places of texts of similar length, as many as a batch holds."""
    batch: list[int] = []
    for place in sorted(range(len(tokens)), key=lambda place: len(tokens[place])):
        if batch and (len(batch) + 1) * len(tokens[place]) > _MOST_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _gelu(values: Vectors) -> Vectors:
    """Return x · Φ(x), with the error function of Abramowitz and Stegun, 7.1.26, right to 1.5e-7."""
    size: Vectors = np.abs(values)
    size /= np.float32(math.sqrt(2))
    part: Vectors = np.reciprocal(1 + np.float32(0.3275911) * size)
    polynomial: Vectors = np.full_like(part, 1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        polynomial *= part
        polynomial += np.float32(coefficient)
    error = np.copysign(1 - polynomial * part * np.exp(-size * size), values)
    result: Vectors = np.float32(0.5) * values * (1 + error)
    return result


_PAIRS_AT_ONCE = 256
_MOST_KEPT_NUMBERS = 32_000_000
"""128 MB of references' vectors, which every subject of an evaluation needs again."""


class BertScore(Metric):
    """The F1 of bert-score, without weights by frequency and without its rescaling.

    Two answers about the same thing are near each other though one is wrong, so that differences are smaller
    than those of ROUGE.
    """

    def __init__(self, model: BertModel, *, model_title: str) -> None:
        """Score by a model's vectors. `model_title` names its weights."""
        self.facts = MetricFacts(
            name="bert_score",
            title=f"BERTScore F1 ({model_title}, {model.layers} layers, not rescaled)",
            lowest=-1,
        )
        self._model = model
        self._references: dict[str, Vectors] = {}

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        """Return the F1 of each pair."""
        stripped = [(answer.strip(), reference.strip()) for answer, reference in pairs]
        # One text has vectors that differ by 1e-7 between two batches, and is still the same.
        found = {pair: without_words(*pair) for pair in stripped}
        others = [pair for pair in found if all(pair) and pair[0] != pair[1]]
        for start in range(0, len(others), _PAIRS_AT_ONCE):
            part = others[start : start + _PAIRS_AT_ONCE]
            answers = self._vectors(list(dict.fromkeys(answer for answer, _ in part)))
            references = self._reference_vectors(list(dict.fromkeys(reference for _, reference in part)))
            found |= {pair: _f1(answers[pair[0]], references[pair[1]]) for pair in part}
        return [found[pair] for pair in stripped]

    def _reference_vectors(self, texts: Sequence[str]) -> dict[str, Vectors]:
        if sum(vectors.size for vectors in self._references.values()) > _MOST_KEPT_NUMBERS:
            self._references.clear()
        self._references |= self._vectors([text for text in texts if text not in self._references])
        return self._references

    def _vectors(self, texts: Sequence[str]) -> dict[str, Vectors]:
        return dict(zip(texts, self._model.vectors(texts), strict=True))


def _f1(answer: Vectors, reference: Vectors) -> float:
    near = answer @ reference.T
    # As in bert-score, [CLS] and [SEP] count for nothing, but a token may be nearest to one of them.
    precision, recall = near.max(axis=1)[1:-1], near.max(axis=0)[1:-1]
    if not precision.size or not recall.size:
        return 0.0
    both = float(precision.mean()), float(recall.mean())
    return 2 * both[0] * both[1] / sum(both) if sum(both) else 0.0
