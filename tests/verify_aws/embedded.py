"""Runs of `verify_aws` against the embedded cloud, and the transcripts that the repository has of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_sagemaker.server import LocalCloud
from local_sagemaker.settings import PROFILES, Profile, Settings
from verify_aws.experiments.catalog import EXPERIMENTS, NOT_ASKED
from verify_aws.transcript import Record

ROOT = Path(__file__).resolve().parents[2]
TRANSCRIPTS = ROOT / "verify_aws" / "transcripts"
PROFILES_ASKED: tuple[Profile, ...] = ("kind", "hostile")
CONTAINERS = ("lmi", "vllm")

# With it the embedded cloud publishes metrics every second; both profiles keep it.
QUICK = {"time_scale": 0.02}

# On the OpenAI path, vLLM ignores the adapter of the component, so that it tells nothing of the setting.
SILENT = {("vllm", "openai_adapter")}


def committed(profile: Profile, container: str) -> Path:
    """Return the file with the answers of the embedded cloud in a profile."""
    return TRANSCRIPTS / f"embedded-{profile}-{container}.jsonl"


@contextmanager
def cloud(profile: Profile = "kind", settings: Mapping[str, Any] | None = None) -> Iterator[LocalCloud]:
    """An embedded cloud in scaled time."""
    with LocalCloud(profile=profile, settings={**(settings or {}), **QUICK}) as running:
        yield running


def command(out: Path, container: str = "lmi", *more: str) -> list[str]:
    """Return the command of a run that asks nobody, and costs nothing."""
    bounds = "--price-per-hour 1 --price-date 2026-11-01 --cost-cap 100 --time-limit 20"
    pace = "--poll-seconds 0.1 --metric-seconds 4"
    model = ["--model", str(ROOT / "examples" / "tickets" / "base")]
    words = [*bounds.split(), *pace.split(), *model, "--container", container, "--out", str(out), "--yes"]
    return [sys.executable, "-m", "verify_aws", *words, *more]


def run(running: LocalCloud, out: Path, container: str) -> Record:
    """Run every experiment, and return the transcript."""
    done = subprocess.run(
        command(out, container),
        cwd=ROOT,
        env=running.environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*.jsonl")
    return Record.read(path)


def store(path: Path, record: Record, against: str) -> None:
    """Store the answers of a run, without its calls and whatever differs from run to run."""
    # What was seen, when and with which release is no part of what is compared.
    dropped = ("date", "botocore")
    header = {key: value for key, value in record.header.items() if key not in dropped} | {"against": against}
    lines = [
        {"experiment": name, "answer": one.fields, "settings": one.settings}
        for name, one in record.outcomes.items()
    ]
    path.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in (header, *lines)))


def differing_settings(one: Settings, other: Settings) -> set[str]:
    """Return the settings in which two profiles differ, and about which the experiments ask."""
    return {
        name
        for name in Settings.__dataclass_fields__
        if name not in NOT_ASKED and getattr(one, name) != getattr(other, name)
    }


def unexplained(differences: list[tuple[str, str, Any, Any]]) -> list[tuple[str, str, Any, Any]]:
    """Return the differences between the profiles that none of their differing settings explains."""
    differ = differing_settings(PROFILES["kind"], PROFILES["hostile"])
    follows = {one.name: one.follows for one in EXPERIMENTS}
    return [
        found for found in differences if not differ.intersection(follows.get(found[0], {}).get(found[1], ()))
    ]
