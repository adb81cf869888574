"""Reads the tier hits of a benchmark, and predicts them."""

import json
from collections.abc import Collection, Iterator, Mapping
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
        raise CommandError(f"{path}: has no tier hits: {_why_none(content)}")
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


def _why_none(content: Mapping[str, Any]) -> str:
    """Return why a benchmark has no tier hits, and what would give them."""
    from adapters_cli.load.benchmark_result import INDISTINCT_TIERS

    reasons = content.get("not_measured", ())
    if not content.get("tiers"):
        return "it was made without --cold"
    if not any(level["concurrency"] == 1 for level in content["levels"]):
        return "no load had one request at a time; add --concurrency 1"
    if INDISTINCT_TIERS in reasons:
        return (
            "first tokens took as long in each tier, so that nothing tells which one was hit. This works"
            " where a load takes longer than first tokens vary, as it is expected on a GPU. The"
            " embedded cloud's NumPy server loads in a millisecond, unless"
            " load_from_cpu_seconds and load_from_disk_seconds add to it"
        )
    return "; ".join(reasons) or "there were too few answers; give more --requests"


def _of_measured(hits: TierHits, measured: Collection[str]) -> dict[str, float]:
    """Return the predicted share of each measured tier. Others count for the tier before them."""
    names = {tier: joined for joined in measured for tier in joined.split("+")}
    predicted = dict.fromkeys(measured, 0.0)
    last = next(iter(measured))
    for tier, share in (("gpu", hits.gpu), ("cpu", hits.cpu), ("disk", hits.disk)):
        last = names.get(tier, last)
        predicted[last] += share
    return predicted
