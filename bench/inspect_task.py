"""What `bench.evaluate` runs in inspect_ai's environment: a component's answers, matched exactly.

Arguments: endpoint, component, dataset, folder. It imports inspect_ai, and nothing of this project.
"""

import json
import sys
from pathlib import Path

from inspect_ai import Task
from inspect_ai import eval as run
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import exact
from inspect_ai.solver import generate

JOBS, TOKENS = 8, 40


def megabytes() -> float:
    """Return the most memory of this process. getrusage counts that of its parent before the start, too."""
    status = Path("/proc/self/status").read_text()
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> int:
    endpoint, component, dataset, folder = sys.argv[1:]
    rows = [json.loads(line) for line in Path(dataset).read_text().splitlines()]
    task = Task(
        dataset=[Sample(input=row["prompt"], target=row["reference"].strip()) for row in rows],
        solver=generate(),
        scorer=exact(),
    )
    model = get_model(
        f"sagemaker/{endpoint}",
        config=GenerateConfig(max_tokens=TOKENS, temperature=0, max_connections=JOBS),
        inference_component_name=component,
        completion_mode=True,
    )
    [log] = run(task, model=model, log_dir=folder, display="none", max_samples=JOBS)
    assert log.status == "success", log.error
    assert log.results is not None
    share = log.results.scores[0].metrics["mean"].value
    sys.stdout.write(json.dumps({"right": round(share * len(rows)), "megabytes": megabytes()}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
