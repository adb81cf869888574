"""Routes for callers: which component answers for an adapter now. Needs boto3 and nothing else.

docs/how-to/release.md has the rule for callers in other languages.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.naming import route_key

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

CACHED_SECONDS = 15.0

_BRIEFLY = Config(connect_timeout=1, read_timeout=1.5, retries={"total_max_attempts": 1})
"""A first use without an answer fails within 3 seconds."""
_GONE = ("ValidationError", "ValidationException")
"""How SageMaker answers for a component that is not there, or not in service [V InvokeEndpoint]."""

Answer = TypeVar("Answer")


@dataclass
class _Known:
    """What is known of one adapter; `asked` and `looks` are when and how often the table was asked."""

    component: str | None = None
    asked: float = 0.0
    looks: int = 0
    failure: BotoCoreError | ClientError | None = None
    asking: threading.Lock = field(default_factory=threading.Lock)


class AdapterRoutes:
    """Finds the component that answers for an adapter of a fleet with `releases`.

    Make one for the whole process, after it has forked. Any number of threads may use it. An answer is kept
    for 15 seconds; while one thread asks again, the others go on with theirs for 15 more. The last answer
    counts while the table is away, or while the caller may not read it.

    table:
        The name of the fleet's table, `fleet.registry.table_name` in the app.
    client:
        A client of DynamoDB. Default: one that gives up within 3 seconds.

    Example::

        routes = AdapterRoutes(os.environ["ROUTES_TABLE"])
        answer = routes.ask(
            "acme",
            lambda component: runtime.invoke_endpoint(
                EndpointName=endpoint, InferenceComponentName=component, Body=body
            ),
        )
    """

    def __init__(
        self,
        table: str,
        client: "DynamoDBClient | None" = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if client is None:
            import boto3

            client = boto3.client("dynamodb", config=_BRIEFLY)
        self._table, self._client, self._clock = table, client, clock
        self._known: dict[str, _Known] = {}

    def component(self, adapter: str) -> str:
        """Return the component that answers for an adapter.

        Raises LookupError for an adapter without a route. If nothing is known of the adapter, raises
        TimeoutError for a table that does not answer, and botocore's ClientError for one that refuses.
        """
        known = self._known.setdefault(adapter, _Known())
        age = self._clock() - known.asked
        if known.component is None or not 0 <= age < CACHED_SECONDS:
            # A thread waits for another one that asks, unless what it has is fresh enough for one more time.
            self._renew(adapter, known, waits=known.component is None or not 0 <= age < 2 * CACHED_SECONDS)
        if known.component is None:
            raise LookupError(
                f"adapter '{adapter}' has no route in table '{self._table}': the fleet's manifest does not"
                " have it, or its first version is not in service yet"
            )
        return known.component

    def ask(self, adapter: str, send: Callable[[str], Answer]) -> Answer:
        """Call `send` with the component that answers, and once more if another one answers by now.

        Raises what `send` and `component` raise.
        """
        component = self.component(adapter)
        try:
            return send(component)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise
            known = self._known[adapter]
            if known.component == component:
                known.asked = 0.0
                self._renew(adapter, known, waits=True)
            if (now := self.component(adapter)) == component:
                raise
            return send(now)

    def _renew(self, adapter: str, known: _Known, *, waits: bool) -> None:
        """Ask the table, or let another thread that asks already do so."""
        looks = known.looks
        if not known.asking.acquire(blocking=waits):
            return
        try:
            if known.looks == looks:  # else another thread has asked meanwhile
                self._look(adapter, known)
                known.looks += 1
        finally:
            known.asking.release()
        if known.component is None and isinstance(known.failure, ClientError):
            raise known.failure
        if known.component is None and known.failure is not None:
            raise TimeoutError(
                f"table '{self._table}' does not say who answers for adapter '{adapter}': {known.failure}"
            ) from known.failure

    def _look(self, adapter: str, known: _Known) -> None:
        known.asked, known.failure = self._clock(), None
        key = {name: {"S": value} for name, value in route_key(adapter).items()}
        try:
            found = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
            # A route that is gone is that of an adapter that is gone.
            known.component = found["Item"]["component"]["S"] if "Item" in found else None
        except (BotoCoreError, ClientError) as error:
            known.failure = error
