"""Routes for callers: which component answers for an adapter now. Needs boto3 and nothing else.

docs/how-to/release.md has the rule for callers in other languages.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
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
    """What is known of one adapter, since when, and the look at the table that is under way."""

    component: str | None = None
    asked: float = 0.0
    look: "Future[str | None] | None" = None


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
        self._lock = threading.Lock()

    def component(self, adapter: str) -> str:
        """Return the component that answers for an adapter.

        Raises LookupError for an adapter without a route. If nothing is known of the adapter, raises
        TimeoutError for a table that does not answer, and botocore's ClientError for one that refuses.
        """
        known = self._known.setdefault(adapter, _Known())
        component, age = known.component, self._clock() - known.asked
        if component is None or not 0 <= age < CACHED_SECONDS:
            # A thread waits for another one that asks, unless what it has is fresh enough for one more time.
            waits = component is None or not 0 <= age < 2 * CACHED_SECONDS
            component = self._renewed(adapter, known, waits=waits)
        if component is None:
            raise LookupError(
                f"adapter '{adapter}' has no route in table '{self._table}': the fleet's manifest does not"
                " have it, or its first version is not in service yet"
            )
        return component

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
                self._renewed(adapter, known, waits=True)
            if (now := self.component(adapter)) == component:
                raise
            return send(now)

    def _renewed(self, adapter: str, known: _Known, *, waits: bool) -> str | None:
        """Ask the table, or take what another thread gets that asks already; return the component."""
        with self._lock:
            look, asks = known.look, known.look is None
            if look is None:
                look = known.look = Future()
        if asks:
            self._look(adapter, known, look)
        elif not waits:
            return known.component
        try:
            return look.result()
        except (BotoCoreError, ClientError) as error:
            if known.component is not None:
                return known.component
            if isinstance(error, ClientError):
                raise ClientError(error.response, error.operation_name) from error
            raise TimeoutError(
                f"table '{self._table}' does not say who answers for adapter '{adapter}': {error}"
            ) from error

    def _look(self, adapter: str, known: _Known, look: "Future[str | None]") -> None:
        began, component, failure = self._clock(), known.component, None
        try:
            key = {name: {"S": value} for name, value in route_key(adapter).items()}
            found = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
            # A route that is gone is that of an adapter that is gone.
            component = found["Item"]["component"]["S"] if "Item" in found else None
        except BaseException as error:
            failure = error
        with self._lock:
            known.component, known.asked, known.look = component, began, None
        if failure is None:
            look.set_result(component)
        else:
            look.set_exception(failure)
