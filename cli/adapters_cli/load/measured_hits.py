"""Reads the tier hits of a benchmark, and predicts them."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.tier_hits import TierHits
from adapters_cli.load.mix import Mix
from adapters_cli.models.capacity_report import TierHit
from adapters_cli.output.errors import CommandError


def read_measured_hits(path: Path, lora: LoraServing) -> Iterator[TierHit]:
    """Yield the hits of each level of a `benchmark.json`, beside what the slots let expect.

    Raises CommandError if the file is no benchmark, or has no tier hits.
    """
    # Imported here: it imports botocore's streams, and `--help` does without.
    from adapters_cli.load.benchmark_result import FORMAT

    try:
        content: Any = json.loads(path.read_bytes())
    except ValueError as error:
        raise CommandError(f"{path}: is not JSON: {error}") from None
    match content:
        case {"format": str(form), "levels": [*levels]} if form == FORMAT:
            pass
        case _:
            raise CommandError(f"{path}: should be a benchmark.json of `adapters benchmark`")
    measured = [level for level in levels if level["tier_hits"]]
    if not measured:
        raise CommandError(
            f"{path}: has no tier hits; `adapters benchmark --cold --concurrency 1` estimates them where at"
            " least two tiers could be measured"
        )
    for level in measured:
        shares = Mix.parse(level["mix"]).shares(level["adapters"])
        hits = TierHits.of(shares, max_loras=lora.max_loras, max_cpu_loras=lora.max_cpu_loras)
        predicted = _of_measured(hits, level["tier_hits"])
        for tier, share in level["tier_hits"].items():
            yield TierHit(
                adapters=level["adapters"],
                mix=level["mix"],
                tier=tier,
                predicted=predicted[tier],
                measured=share["share"],
                low=share["low"],
                high=share["high"],
            )


def _of_measured(hits: TierHits, measured: Collection[str]) -> dict[str, float]:
    """Return the predicted share of each measured tier. Others count for the tier before them."""
    names = {tier: joined for joined in measured for tier in joined.split("+")}
    predicted = dict.fromkeys(measured, 0.0)
    last = next(iter(measured))
    for tier, share in (("gpu", hits.gpu), ("cpu", hits.cpu), ("disk", hits.disk)):
        last = names.get(tier, last)
        predicted[last] += share
    return predicted
