"""Reads what a base model's adapters were used for, and what their endpoint's instances cost."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from adapter_fleet.aws.metric_reader import MetricReader
from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.naming import component_log_group
from adapter_fleet.usage.price_list import PriceList
from adapter_fleet.usage.usage_table import DAY, HOUR, CountedTokens, Table, TokenPattern, day_of, new_table

if TYPE_CHECKING:
    from types_boto3_sagemaker import SageMakerClient

_LONGEST_LINE = 1024
"""Longer lines tell no tokens: some regular expressions take very long for them."""

_NUMBERS = ("prompt", "completion")
_NUMBER = re.compile(r"\d{1,9}")
_DEFAULT_FREQUENCY = 60.0
"""How often an instance sends metrics, in seconds, if the endpoint's configuration does not say it."""


class UsageReader:
    """Reads CloudWatch's metrics, the log of a base model's containers and the endpoint's configuration."""

    def __init__(self, cloudwatch: Any, logs: Any, sagemaker: "SageMakerClient") -> None:
        self._metrics = MetricReader(cloudwatch)
        self._logs, self._sagemaker = logs, sagemaker

    def requests(
        self, components: Iterable[str], start: float, end: float, *, period: int
    ) -> Iterator[tuple[str, float, float]]:
        """Yield the requests of components: name, begin of a period, and how many."""
        return self._metrics.requests(components, start, end, period=period)

    def table(
        self, components: Iterable[str], base: str, start: float, end: float, tokens: TokenPattern
    ) -> Table:
        """Return the use of components by day.

        The tokens of others that the base serves, such as of an adapter of a stack, are under their own
        names.
        """
        table = new_table()
        # Hours, unless the first one begins a day: CloudWatch's days are whole ones in UTC.
        period = int(HOUR if start % DAY else DAY)
        for component, at, requests in self.requests(components, start, end, period=period):
            table[day_of(at)][component].requests += requests
        for counted in self.tokens(base, start, end, tokens):
            usage = table[day_of(counted.at)][counted.component]
            usage.prompt_tokens += counted.prompt
            usage.completion_tokens += counted.completion
        return table

    def tokens(self, base: str, start: float, end: float, tokens: TokenPattern) -> Iterator[CountedTokens]:
        """Yield the tokens that the base's containers tell; those of the base itself are under its name."""
        for at, line in self._lines(component_log_group(base), tokens.text, start, end):
            if len(line) > _LONGEST_LINE:
                continue
            # Part of a line may be text of a caller.
            told = tokens.pattern.fullmatch(line.rstrip())
            # Somebody's pattern may find words where numbers should be, or nothing.
            if told is not None and all(_NUMBER.fullmatch(told[group] or "") for group in _NUMBERS):
                prompt, completion = (int(told[group]) for group in _NUMBERS)
                yield CountedTokens(
                    at=at, component=told["adapter"] or base, prompt=prompt, completion=completion
                )

    def _lines(self, group: str, text: str, start: float, end: float) -> Iterator[tuple[float, str]]:
        """Yield the time and the message of each event with a text; none if there is no such group."""
        query: dict[str, Any] = {
            "logGroupName": group,
            "startTime": int(start * 1000),
            # CloudWatch Logs includes the end, and the next reading begins with it.
            "endTime": int(end * 1000) - 1,
        }
        if text:
            query["filterPattern"] = json.dumps(text)
        try:
            for page in self._logs.get_paginator("filter_log_events").paginate(**query):
                for event in page["events"]:
                    yield event["timestamp"] / 1000, event["message"]
        except ClientError as error:
            if code_of(error) != "ResourceNotFoundException":
                raise

    def costs(self, endpoint: str, prices: PriceList, start: float, end: float) -> dict[str, float]:
        """Return what the endpoint's instances cost by day: the hours that they sent metrics, and the price.

        Raises ValueError if the list has no price of a type.
        """
        name = self._sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
        config: Any = self._sagemaker.describe_endpoint_config(EndpointConfigName=name)
        every = float(
            config.get("MetricsConfig", {}).get("MetricPublishFrequencyInSeconds") or _DEFAULT_FREQUENCY
        )
        costs: dict[str, float] = defaultdict(float)
        for variant in config["ProductionVariants"]:
            # With pools of several types, no metric tells how many instances there are of each.
            price = prices.of(variant.get("InstanceType", "several types"))
            samples = self._metrics.instance_samples(
                endpoint, variant["VariantName"], start, end, period=int(HOUR)
            )
            for at, count in samples.items():
                costs[day_of(at)] += count * every / HOUR * price
        return costs
