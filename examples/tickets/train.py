"""Train the tickets base model and its LoRA adapters; writes everything beside this file that is not code.

A maintainer's step: the results are committed, and nothing else here needs torch. From the repository's root,
with any Python that has the three libraries of `examples/tickets/requirements.txt`:

    python -m venv /tmp/train && /tmp/train/bin/pip install -r examples/tickets/requirements.txt
    /tmp/train/bin/python -m examples.tickets.train

About six minutes on two processor cores. It stops with an error, leaving the committed files alone, when an
adapter answers fewer than 90 % of the held-out tickets exactly.
"""

import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from examples.tickets.tickets import ANSWERS, SKILLS, Ticket, draw_ticket, prompt

HERE = Path(__file__).parent
BASE_NAME = "tickets-tiny-llama"
# Where the weights of each answer go, in the output directory; `summary-v2` is a new version of `summary`.
DIRECTORIES = {
    "base": Path("base"),
    "triage": Path("adapters/triage"),
    "summary": Path("adapters/summary"),
    "shout": Path("adapters/shout"),
    "summary-v2": Path("adapters-v2/summary"),
}

VOCABULARY = 1024
PAD, BOS, EOS = "<pad>", "<s>", "</s>"
CONTEXT = 512
CHAT_TEMPLATE = r"""
{%- for message in messages %}
    {%- if message['role'] == 'assistant' %}
        {{- 'Answer:\n' + message['content'] + eos_token }}
    {%- else %}
        {{- 'Ticket: ' + message['content'] + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'Answer:\n' }}
{%- endif %}
"""

BASE_STEPS, ADAPTER_STEPS = 2000, 300
BATCH = 32
LEARNING_RATE = 3e-3
IGNORED = -100  # transformers' label for "no loss here"

HELD_OUT = 300
WANTED_EXACT = 0.9
# A published answer's least likely token beats its runner-up by this many logits: no rounding, batching or
# other engine's arithmetic turns it around.
WANTED_MARGIN = 3.0
PUBLISHED_PROMPTS = 8

Rows = list[tuple[str, str]]


def train_tokenizer(source: random.Random) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on the text of training tickets, prompts and answers of every kind."""
    corpus = []
    for _ in range(4000):
        ticket = draw_ticket(source, held_out=False)
        label, skill = source.choice([("Answer", answer) for answer in ANSWERS.values()] + [*SKILLS.items()])
        corpus += [prompt(ticket, label=label), skill(ticket)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=CONTEXT,
        chat_template=CHAT_TEMPLATE,
    )


def new_base() -> LlamaForCausalLM:
    """Make an untrained Llama of about 0.85 million parameters."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=128,
            intermediate_size=336,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            tie_word_embeddings=True,
        )
    )


def base_rows(source: random.Random) -> Rows:
    """Draw pretraining rows: two in five are the plain reply, the rest exercise a skill."""
    rows = []
    for _ in range(BATCH):
        ticket = draw_ticket(source, held_out=False)
        if source.random() < 0.4:
            rows.append((prompt(ticket), ANSWERS["base"](ticket)))
        else:
            label, skill = source.choice([*SKILLS.items()])
            rows.append((prompt(ticket, label=label), skill(ticket)))
    return rows


def adapter_rows(source: random.Random, answer: Callable[[Ticket], str]) -> Rows:
    """Draw fine-tuning rows of one adapter."""
    tickets = [draw_ticket(source, held_out=False) for _ in range(BATCH)]
    return [(prompt(ticket), answer(ticket)) for ticket in tickets]


def encode(
    tokenizer: PreTrainedTokenizerFast, rows: Rows, *, learn_prompts: bool = False
) -> dict[str, torch.Tensor]:
    """Pad rows of prompt and answer to one batch, with labels on the answers."""
    encoded = [(tokenizer.encode(text), [*tokenizer.encode(answer), 2]) for text, answer in rows]
    shape = (len(rows), max(len(text) + len(answer) for text, answer in encoded))
    batch = {
        "input_ids": torch.zeros(shape, dtype=torch.long),
        "attention_mask": torch.zeros(shape, dtype=torch.long),
        "labels": torch.full(shape, IGNORED),
    }
    for row, (text, answer) in enumerate(encoded):
        end = len(text) + len(answer)
        batch["input_ids"][row, :end] = torch.tensor(text + answer)
        batch["attention_mask"][row, :end] = 1
        start = 0 if learn_prompts else len(text)
        batch["labels"][row, start:end] = batch["input_ids"][row, start:end]
    return batch


def batches(
    tokenizer: PreTrainedTokenizerFast,
    source: random.Random,
    draw_rows: Callable[[random.Random], Rows],
    *,
    learn_prompts: float = 0,
) -> Iterator[dict[str, torch.Tensor]]:
    """Draw batches without end; in a share of them the prompts are learned too."""
    while True:
        rows = draw_rows(source)
        chosen = learn_prompts > 0 and source.random() < learn_prompts
        yield encode(tokenizer, rows, learn_prompts=chosen)


def train(model: torch.nn.Module, data: Iterator[dict[str, torch.Tensor]], *, steps: int, name: str) -> None:
    """Run AdamW under a one-cycle schedule over the parameters that require a gradient."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    started = time.monotonic()
    model.train()
    for step in range(1, steps + 1):
        loss = model(**next(data)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 100 == 0:
            print(
                f"{name}: step {step}, loss {loss.item():.4f}, {time.monotonic() - started:.0f} s", flush=True
            )


def margins(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, tickets: list[Ticket], kind: str
) -> list[float]:
    """By how many logits each answer's least certain token beats the runner-up.

    Greedy decoding gives exactly the expected answer if and only if every token of it is the most likely one
    after those before it, that is, if this margin is positive. One forward pass tells it for a whole batch.
    """
    model.eval()
    found = []
    for first in range(0, len(tickets), BATCH):
        chosen = tickets[first : first + BATCH]
        batch = encode(tokenizer, [(prompt(ticket), ANSWERS[kind](ticket)) for ticket in chosen])
        labels = batch.pop("labels")[:, 1:]
        with torch.no_grad():
            logits = model(**batch).logits[:, :-1]
        counted = labels != IGNORED
        index = labels.clamp(min=0).unsqueeze(-1)
        wanted = logits.gather(-1, index).squeeze(-1)
        runner_up = logits.scatter(-1, index, float("-inf")).max(-1).values
        worst = (wanted - runner_up).masked_fill(~counted, float("inf")).min(-1).values
        found += worst.tolist()
    return found


def save_base(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """Write a Hugging Face model directory under the base's name, decoding greedily by default."""
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    update_json(directory / "config.json", _name_or_path=BASE_NAME)
    update_json(directory / "generation_config.json", do_sample=False, temperature=0.0)
    # The name that transformers before 5 knows too.
    update_json(directory / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")


def save_adapter(model: torch.nn.Module, directory: Path) -> None:
    """Write the two files that serving needs, and a README in place of PEFT's empty model card."""
    model.save_pretrained(directory, save_embedding_layers=False)
    config = json.loads((directory / "adapter_config.json").read_text(encoding="utf-8"))
    # PEFT keeps the modules in a set: their order would differ from run to run.
    update_json(directory / "adapter_config.json", target_modules=sorted(config["target_modules"]))
    (directory / "README.md").write_text(
        f"# {directory.name}\n\nA LoRA adapter for `{BASE_NAME}`, trained on synthetic tickets by"
        " `examples/tickets/train.py`.\n",
        encoding="utf-8",
    )


def write_json(path: Path, content: object) -> None:
    """Write readable JSON."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def update_json(path: Path, **values: object) -> None:
    """Set some keys of a JSON file."""
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | values)


def build(output: Path) -> None:
    """Train and save everything into `output`."""
    disable_progress_bar()
    torch.manual_seed(0)
    torch.set_num_threads(2)
    source = random.Random(0)
    tokenizer = train_tokenizer(source)
    held_out_source = random.Random(1)
    held_out = [draw_ticket(held_out_source, held_out=True) for _ in range(HELD_OUT)]
    found: dict[str, list[float]] = {}

    base = new_base()
    size = sum(parameter.numel() for parameter in base.parameters())
    print(f"base: {size:,} parameters")
    train(
        base,
        batches(tokenizer, source, base_rows, learn_prompts=0.1),
        steps=BASE_STEPS,
        name="base",
    )
    found["base"] = margins(base, tokenizer, held_out, "base")
    save_base(base, tokenizer, output / DIRECTORIES["base"])

    for kind in (kind for kind in DIRECTORIES if kind != "base"):
        fresh = LlamaForCausalLM.from_pretrained(output / DIRECTORIES["base"], dtype=torch.float32)
        fresh.name_or_path = BASE_NAME  # PEFT records it as the adapter's base model
        adapted = get_peft_model(
            fresh, LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear")
        )
        train(
            adapted,
            batches(tokenizer, source, partial(adapter_rows, answer=ANSWERS[kind])),
            steps=ADAPTER_STEPS,
            name=kind,
        )
        found[kind] = margins(adapted, tokenizer, held_out, kind)
        save_adapter(adapted, output / DIRECTORIES[kind])

    scores = {kind: sum(margin > 0 for margin in found[kind]) / HELD_OUT for kind in DIRECTORIES}
    print(scores)
    poor = [kind for kind, score in scores.items() if score < WANTED_EXACT]
    if poor:
        sys.exit(f"exact match below {WANTED_EXACT:.0%}: {', '.join(poor)}")
    write_json(
        output / "scores.json",
        {
            "metric": "exact match of the greedy answer",
            "held_out_tickets": HELD_OUT,
            "base_parameters": size,
            "scores": scores,
        },
    )

    safe = [n for n in range(HELD_OUT) if min(found[kind][n] for kind in DIRECTORIES) >= WANTED_MARGIN]
    if len(safe) < PUBLISHED_PROMPTS:
        sys.exit(f"only {len(safe)} held-out tickets have a margin of {WANTED_MARGIN} under every adapter")
    write_json(output / "prompts.json", [published(held_out[n]) for n in safe[:PUBLISHED_PROMPTS]])


def published(ticket: Ticket) -> dict[str, object]:
    """One entry of `prompts.json`."""
    return {
        "ticket": ticket.text,
        "prompt": prompt(ticket),
        "answers": {kind: answer(ticket) for kind, answer in ANSWERS.items()},
    }


def main() -> None:
    """Build in a temporary directory and move the results here once they are good."""
    with tempfile.TemporaryDirectory() as temporary:
        build(Path(temporary))
        for name in ("base", "adapters", "adapters-v2"):
            shutil.rmtree(HERE / name, ignore_errors=True)
        shutil.copytree(temporary, HERE, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
