# ruff: noqa: N803 - the names are those of boto3
import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapters_cli.aws.log_events import LogReader
from adapters_cli.main import app
from tests.adapter_fleet.fleet_world import World, adapter
from tests.cli.fleet_account import FakeAccount, Run
from tests.fakes import FakeClient, client_error

ACME = "/aws/sagemaker/InferenceComponents/p-acme"
BASE = "/aws/sagemaker/InferenceComponents/base"
FUNCTIONS = "tenants-logs"
FUNCTION = "arn:aws:lambda:eu-central-1:000000000000:function:tenants-pass"


class FakeLogs:
    """CloudWatch Logs: events of groups, two on a page."""

    def __init__(self) -> None:
        self.groups: dict[str, list[dict[str, Any]]] = {}
        self.pages = 0

    def put(self, group: str, at: float, message: str) -> None:
        events = self.groups.setdefault(group, [])
        event = {"eventId": f"{group}-{len(events)}", "timestamp": int(at * 1000), "message": message}
        events.append(event | {"logStreamName": "one"})

    def read(self, *, logGroupName: str, startTime: int, filterPattern: str = '""') -> Iterator[Any]:
        if logGroupName not in self.groups:
            raise client_error("ResourceNotFoundException", "The specified log group does not exist.")
        text, events = json.loads(filterPattern), self.groups[logGroupName]
        found = [event for event in events if event["timestamp"] >= startTime and text in event["message"]]
        for start in range(0, len(found) + 1, 2):
            self.pages += 1
            yield {"events": found[start : start + 2]}


@pytest.fixture
def stored(world: World, account: FakeAccount, monkeypatch: pytest.MonkeyPatch) -> FakeLogs:
    """A fleet of two adapters, and lines of them."""
    world.apply(adapter("acme"), adapter("beta"))
    logs = FakeLogs()
    configuration = {FUNCTION: {"LoggingConfig": {"LogGroup": FUNCTIONS}}}
    account.clients |= {
        "logs": FakeClient(pages={"filter_log_events": logs.read}),
        "lambda": FakeClient(get_function_configuration=lambda FunctionName: configuration[FunctionName]),
    }
    definition = json.dumps({"States": {"Pass": {"Parameters": {"FunctionName": f"{FUNCTION}:$LATEST"}}}})
    described = {"definition": definition}
    monkeypatch.setattr(account.machines, "describe_state_machine", lambda **_: described, raising=False)
    now = world.clock.now()
    logs.put(ACME, now - 7200, "too old")
    logs.put(ACME, now - 50, "loaded \x1b[31mred")
    logs.put(BASE, now - 40, "INFO registered p-acme")
    logs.put(BASE, now - 30, "INFO registered p-beta")
    logs.put(BASE, now - 25, "INFO registered p-acme-2")
    record = {"level": "INFO", "location": "changed:32", "message": "adapter created", "before": None}
    record |= {"service": "adapter-fleet", "adapter": "acme", "component": "p-acme"}
    logs.put(FUNCTIONS, now - 45, json.dumps(record))
    logs.put(FUNCTIONS, now - 20, json.dumps(record | {"adapter": "beta", "component": "p-beta"}))
    return logs


def lines(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    return [line.split("\t")[1:] for line in result.stdout.splitlines()]


def test_lines_of_adapter_base_and_fleet_come_in_the_order_of_their_times(run: Run, stored: FakeLogs) -> None:
    assert lines(run("logs", "acme")) == [
        ["adapter", "loaded \N{REPLACEMENT CHARACTER}[31mred"],
        ["fleet", "INFO adapter created adapter=acme component=p-acme"],
        ["base", "INFO registered p-acme"],
    ]


def test_since_looks_further_back_and_a_component_needs_no_fleet(
    run: Run, stored: FakeLogs, world: World
) -> None:
    assert lines(run("logs", "acme", "--since", "3h"))[0] == ["adapter", "too old"]
    assert [line[0] for line in lines(run("logs", "acme", "--since", "42s"))] == ["base"]
    of_component = lines(run("logs", "--component", "p-acme", fleet=False))
    assert [line[0] for line in of_component] == ["adapter", "base"]
    # An adapter that is gone has its lines.
    world.apply(adapter("beta"))
    assert [line[0] for line in lines(run("logs", "acme", "--since", "30d"))][:1] == ["adapter"]


def test_json_has_the_group_and_the_whole_message(run: Run, stored: FakeLogs) -> None:
    first = json.loads(run("logs", "acme", "--json").stdout)["events"][0]
    assert (first["group"], first["stream"], first["source"]) == (ACME, "one", "adapter")
    assert first["message"] == "loaded \x1b[31mred"
    assert first["at"].endswith("Z")


def test_follow_shows_each_line_once_until_it_is_interrupted(
    run: Run, stored: FakeLogs, world: World, account: FakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = iter(range(3))

    def sleep(seconds: float) -> None:
        world.clock.time += seconds
        number = next(rounds, None)
        if number is None:
            raise KeyboardInterrupt
        stored.put(ACME, world.clock.now() - 1, f"line {number}")
        # It arrives late, with the time of an earlier line.
        stored.put(BASE, world.clock.now() - 3, f"late of p-acme {number}")

    monkeypatch.setattr(account, "sleep", sleep)
    shown = lines(run("logs", "acme", "--follow", "--since", "10s"))
    assert sorted(text for _, text in shown) == [
        *(f"late of p-acme {number}" for number in range(3)),
        *(f"line {number}" for number in range(3)),
    ]


def test_a_page_of_each_group_is_read_at_a_time(stored: FakeLogs, world: World, account: FakeAccount) -> None:
    """The look-back may have more lines than fit into memory."""
    now = world.clock.now()
    for number in range(100):
        stored.put("one", now - 200 + number, "odd" if number % 2 else "even")
        stored.put("other", now - 200 + number + 0.5, "other")
    events = LogReader(account, [("one", None), ("other", "other")], since=now - 300).read()
    stored.pages = 0
    first = list(itertools.islice(events, 20))
    assert stored.pages <= 12
    rest = list(events)
    assert [event.at for event in first + rest] == sorted(event.at for event in first + rest)
    assert len(first + rest) == 200


def test_expected_failure_has_no_traceback(run: Run, stored: FakeLogs, world: World) -> None:
    error = {"level": "ERROR", "errorMessage": "one failed", "stackTrace": ["File x"]}
    for kind in ("FleetError", "KeyError"):
        stored.put(FUNCTIONS, world.clock.now(), json.dumps(error | {"errorType": kind}))
    assert [text for _, text in lines(run("logs"))[-2:]] == [
        "ERROR one failed",
        "ERROR one failed stackTrace=['File x'] errorType=KeyError",
    ]


def test_lines_of_lambda_itself_and_metrics_are_left_out(run: Run, stored: FakeLogs, world: World) -> None:
    before = lines(run("logs"))
    assert [source for source, _ in before] == ["fleet", "fleet"]
    for line in (
        "START RequestId: 1 Version: $LATEST",
        "REPORT RequestId: 1 Duration: 7 ms",
        '{"time":"2026-01-01T00:00:00Z","type":"platform.start"}',
        '{"_aws": {"CloudWatchMetrics": []}, "Failed": 0}',
    ):
        stored.put(FUNCTIONS, world.clock.now(), line)
    assert lines(run("logs")) == before


def test_group_that_is_not_there_yet_is_noted_unless_it_is_an_adapter_s(run: Run, stored: FakeLogs) -> None:
    del stored.groups[ACME]
    result = run("logs", "acme")
    assert (result.stderr, [line[0] for line in lines(result)]) == ("", ["fleet", "base"])
    del stored.groups[BASE]
    result = run("logs", "acme")
    assert f"there is no log group {BASE} yet" in result.stderr
    assert [line[0] for line in lines(result)] == ["fleet"]
    stored.groups.clear()
    result = run("logs", "acme")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "there is no log group" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("acme", "--since", "0m"), "'--since' should be a time such as 30s"),
        (("acme", "--component", "p-acme"), "give one of them"),
        (("acme", "--follow", "--json"), "--follow"),
    ],
)
def test_mistakes_are_wrong_usage(
    run: Run, stored: FakeLogs, arguments: tuple[str, ...], message: str
) -> None:
    result = run("logs", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_terminal_shows_the_day_once_and_folds_lines_below_the_text(
    terminal: Callable[..., list[str]], stored: FakeLogs, world: World
) -> None:
    stored.put(ACME, world.clock.now() - 10, "word " * 30)
    day, first, *rest = terminal("logs", "acme")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d, UTC", day)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} adapter loaded .\[31mred", first)
    assert all(len(line) <= 80 for line in rest)
    assert rest[-1].startswith(f"{'':21}word")


@pytest.mark.usefixtures("terminal", "stored")
@pytest.mark.parametrize(("no_color", "styled"), [("", True), ("1", False)])
def test_terminal_has_styles_unless_no_color_is_set(
    account: FakeAccount, no_color: str, *, styled: bool
) -> None:
    command = ["logs", "acme", "--stack", "Tenants"]
    result = CliRunner().invoke(app, command, obj=account, color=True, env={"NO_COLOR": no_color})
    assert ("\x1b[" in result.stdout) is styled
