"""1,000 items at concurrency 8 on one adapter: the runner of `adapters evaluate` beside inspect_ai.

Both ask the same completions of an embedded cloud, match the answers exactly and write a log. Each is a
process of its own, so that its time has the imports in it, and its memory is the process's largest. Most of
the runner's time is the model server's, which shares the machine. Its own cost is its processor time.

`make bench` installs inspect_ai into .venv-inspect, 330 MB. Without it, this bench does nothing.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that the file also runs by its path

ITEMS = 1_000
JOBS, TOKENS = 8, 40
SEED = 7
SKILL = "triage"
INSPECT_PYTHON = Path(
    os.environ.get("INSPECT_PYTHON", Path(__file__).parents[1] / ".venv-inspect" / "bin" / "python")
)
TASK = Path(__file__).with_name("inspect_task.py")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a process took.

    said:
        What it printed last.
    """

    seconds: float
    processor_seconds: float
    log_bytes: int
    said: Mapping[str, float]


def measured(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Measured:
    """Run a command that logs into a folder."""
    started = time.perf_counter()
    process = subprocess.Popen([*command, str(folder)], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    return Measured(
        seconds=seconds,
        processor_seconds=usage.ru_utime + usage.ru_stime,
        log_bytes=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        said=json.loads(said.splitlines()[-1]),
    )


def megabytes() -> float:
    """Return the most memory of this process. getrusage counts that of its parent before the start, too."""
    status = Path("/proc/self/status").read_text()
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024


def ours(endpoint: str, component: str, dataset: Path, folder: Path) -> None:
    """Ask as `adapters evaluate` does, in this process."""
    from adapters_cli.aws.account import Account
    from adapters_cli.aws.generation import GenerationRequest
    from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint
    from adapters_cli.evaluation.answer_log import Question, open_log
    from adapters_cli.evaluation.metrics.exact_match import ExactMatch
    from adapters_cli.evaluation.runner import Runner

    rows = [json.loads(line) for line in dataset.read_text().splitlines()]
    questions = [
        Question(
            place=endpoint,
            component=component,
            version="v1",
            item=row["id"],
            request=GenerationRequest(prompt=row["prompt"], max_tokens=TOKENS),
        )
        for row in rows
    ]
    connected = RuntimeEndpoint.connect(endpoint, Account(), connections=JOBS)
    with open_log(folder) as log:
        summary = Runner(connected.generate, log, jobs=JOBS).run(questions)
        answers = [log.answer(question) for question in questions]
    assert summary.errors == 0
    pairs = [
        ("" if found is None else found.answer.text, row["reference"])
        for found, row in zip(answers, rows, strict=True)
    ]
    right = sum(ExactMatch().scores(pairs))
    said = {
        "right": right,
        "own_ms_each": 1e3 * summary.own_seconds_each,
        "asking": summary.seconds,
        "megabytes": megabytes(),
    }
    sys.stdout.write(json.dumps(said) + "\n")


def write_dataset(path: Path) -> None:
    """Write held-out tickets with the answers that the adapter was trained to give."""
    from examples.tickets.tickets import ANSWERS, draw_ticket, prompt

    source = random.Random(SEED)
    tickets = [draw_ticket(source, held_out=True) for _ in range(ITEMS)]
    rows = [
        {"id": f"ticket-{number:04}", "prompt": prompt(ticket), "reference": ANSWERS[SKILL](ticket)}
        for number, ticket in enumerate(tickets)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def main() -> int:
    if not INSPECT_PYTHON.exists():
        print("evaluate: inspect_ai is not installed; `make .venv-inspect/.installed` does it")
        return 0
    from bench.cloud import PREFIX, Account, endpoint_in, synthesize  # before the CDK
    from bench.harness import Claim, publish
    from local_sagemaker.server import LocalCloud

    with LocalCloud() as cloud, tempfile.TemporaryDirectory() as temporary:
        folder, account = Path(temporary), Account(cloud)
        account.deploy(synthesize(endpoint_in))
        (base,) = account.components()
        endpoint = account.sagemaker.describe_inference_component(InferenceComponentName=base)["EndpointName"]
        component = f"{PREFIX}-{SKILL}"
        account.sagemaker.create_inference_component(
            InferenceComponentName=component,
            EndpointName=endpoint,
            Specification={
                "BaseInferenceComponentName": base,
                "Container": {"ArtifactUrl": account.adapters[0].uri},
            },
        )
        while account.components()[component] != "InService":
            time.sleep(0.1)
        dataset = folder / "tickets.jsonl"
        write_dataset(dataset)
        asked = [endpoint, component, str(dataset)]
        runner = measured([sys.executable, __file__, *asked], folder / "ours", cloud.environment)
        # It would trace to nowhere and look for a newer release of itself.
        environment = {**cloud.environment, "HOME": temporary}
        inspect = measured([str(INSPECT_PYTHON), str(TASK), *asked], folder / "theirs", environment)
    assert runner.said["right"] == inspect.said["right"], (runner.said, inspect.said)
    claims = [
        Claim.at_least(
            5,
            f"{ITEMS:,} items, {JOBS} at once, s (other: inspect_ai)",
            ours=runner.seconds,
            other=inspect.seconds,
        ),
        Claim.at_least(
            1,
            "largest memory of the process, MB (other: inspect_ai)",
            ours=runner.said["megabytes"],
            other=inspect.said["megabytes"],
        ),
        Claim.at_least(
            5,
            "processor time of the process, s (other: inspect_ai)",
            ours=runner.processor_seconds,
            other=inspect.processor_seconds,
        ),
    ]
    figures = [
        {
            "what": "the runner",
            "processor time of an item, ms": f"{1e3 * runner.processor_seconds / ITEMS:.2f}",
            "of which while asking": f"{runner.said['own_ms_each']:.2f}",
            "items a second while asking": f"{ITEMS / runner.said['asking']:.0f}",
            "log, KB": f"{runner.log_bytes / 1e3:.0f}",
            "right of 1,000": f"{runner.said['right']:.0f}",
        },
        {
            "what": "inspect_ai",
            "processor time of an item, ms": f"{1e3 * inspect.processor_seconds / ITEMS:.2f}",
            "of which while asking": "",
            "items a second while asking": "",
            "log, KB": f"{inspect.log_bytes / 1e3:.0f}",
            "right of 1,000": f"{inspect.said['right']:.0f}",
        },
    ]
    return publish("evaluate", claims, figures=figures)


if __name__ == "__main__":
    if len(sys.argv) == 5:
        ours(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        sys.exit(main())
