"""Routes for callers: which component answers for an adapter now. Needs boto3 and nothing else.

docs/guides/fleets.md has the rule for callers in other languages.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

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


def place_of(adapter: str, caller: str) -> int:
    """Return the place of a caller, from 0 to 99: a candidate with a larger share in percent answers it.

    A text is hashed as it is given, not normalised. As in JavaScript, half of a surrogate pair is U+FFFD.
    """
    text = f"{adapter}/{caller}".encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100


@dataclass(frozen=True)
class _Components:
    """The component of one adapter, and the candidate that answers a share of its callers."""

    live: str
    candidate: str = ""
    percent: int = 0

    def of(self, adapter: str, caller: str | None) -> str:
        asks_candidate = caller is not None and place_of(adapter, caller) < self.percent
        return self.candidate if asks_candidate else self.live


@dataclass
class _Known:
    """What is known of one adapter, since when, and the look at the table that is under way."""

    components: _Components | None = None
    asked: float = 0.0
    look: "Future[_Components | None] | None" = None


class AdapterRoutes:
    """Finds the component that answers for an adapter of a fleet with `releases`.

    Make one for the whole process, after it has forked. Threads may share it. An answer is kept for 15
    seconds, or for 30 while another thread asks again. If the table does not answer, or refuses, the last
    answer counts.

    table:
        The fleet's table: `fleet.registry.table_name` in the app.
    client:
        Default: one that gives up within 3 seconds.

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

    def component(self, adapter: str, caller: str | None = None) -> str:
        """Return the component that answers for an adapter.

        caller:
            Who asks, such as a user's id. While a new version answers a share of the callers, each stays on
            its side. Without one, the previous version answers.

        Raises LookupError for an adapter without a route. Without a last answer, raises TimeoutError for a
        table that does not answer, and ClientError for one that refuses.
        """
        known = self._known.setdefault(adapter, _Known())
        components, age = known.components, self._clock() - known.asked
        if components is None or not 0 <= age < CACHED_SECONDS:
            # A thread waits for another one that asks, unless what it has is fresh enough for one more time.
            waits = components is None or not 0 <= age < 2 * CACHED_SECONDS
            components = self._renewed(adapter, known, waits=waits)
        if components is None:
            raise LookupError(
                f"adapter '{adapter}' has no route in table '{self._table}': the fleet's manifest does not"
                " have it, or its first version is not in service yet"
            )
        return components.of(adapter, caller)

    def ask(self, adapter: str, send: Callable[[str], Answer], caller: str | None = None) -> Answer:
        """Call `send` with the component that answers, and once more if another one answers by now."""
        component = self.component(adapter, caller)
        try:
            return send(component)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise
            known = self._known[adapter]
            if known.components is not None and known.components.of(adapter, caller) == component:
                self._renewed(adapter, known, waits=True)
            if (now := self.component(adapter, caller)) == component:
                raise
            return send(now)

    def _renewed(self, adapter: str, known: _Known, *, waits: bool) -> _Components | None:
        """Ask the table, or take what another thread gets that asks already."""
        with self._lock:
            look, asks = known.look, known.look is None
            if look is None:
                look = known.look = Future()
        if asks:
            self._look(adapter, known, look)
        elif not waits:
            return known.components
        try:
            return look.result()
        except (BotoCoreError, ClientError) as error:
            if known.components is not None:
                return known.components
            if isinstance(error, ClientError):
                raise ClientError(error.response, error.operation_name) from error
            raise TimeoutError(
                f"table '{self._table}' does not say who answers for adapter '{adapter}': {error}"
            ) from error

    def _look(self, adapter: str, known: _Known, look: "Future[_Components | None]") -> None:
        began, components, failure = self._clock(), known.components, None
        try:
            key = {name: {"S": value} for name, value in route_key(adapter).items()}
            item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
            # A route that is gone is that of an adapter that is gone.
            components = None if item is None else _components(item)
        except BaseException as error:
            failure = error
        with self._lock:
            known.components, known.asked, known.look = components, began, None
        if failure is None:
            look.set_result(components)
        else:
            look.set_exception(failure)


def _components(item: Mapping[str, Any]) -> _Components:
    live = item["component"]["S"]
    if "candidate" not in item:
        return _Components(live)
    return _Components(live, item["candidate"]["S"], int(item["percent"]["N"]))
