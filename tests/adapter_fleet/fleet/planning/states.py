"""Any state that a component, its desired adapter and the context of a plan may be in."""

from hypothesis import strategies as st

from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapter_fleet.fleet.state.generations import Target
from adapter_fleet.fleet.state.probe_check import ProbeCheck
from adapter_fleet.fleet.state.records import AdapterRecord, Intent, Recheck, Write
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, Probe, SmokeRequest

NOW = 1_000_000.0
NAME = "p-a"
PROBE = Probe(prompt="Who?", answer="a")

artifacts = st.builds(
    Artifact,
    uri=st.sampled_from(["s3://b/1.tar.gz", "s3://b/2.tar.gz"]),
    digest=st.sampled_from([None, "x", "y"]),
    probe=st.none() | st.just(PROBE),
)
moments = st.sampled_from([NOW - 4000, NOW - 40, NOW - 10, NOW])
lives = st.builds(
    ObservedComponent,
    status=st.sampled_from(Status),
    created=moments,
    modified=moments,
    arn=st.just("arn"),
    endpoint=st.sampled_from(["endpoint", "another"]),
    artifact_uri=st.sampled_from([None, "s3://b/1.tar.gz", "s3://b/2.tar.gz"]),
    base=st.sampled_from([None, "base", "another"]),
    failure_reason=st.sampled_from([None, "bad tensors", "Rate exceeded"]),
    described=st.booleans(),
    doubtful=st.booleans(),
)
intents = st.builds(
    Intent,
    write=st.sampled_from(Write),
    at=moments,
    generation=st.integers(1, 3),
    artifact=artifacts,
    acknowledged=st.none() | moments,
    modified_before=st.none() | moments,
    failure_reason_before=st.sampled_from([None, "bad tensors"]),
    restores=st.booleans(),
)
failures = st.builds(
    Failure,
    cause=st.sampled_from(Cause),
    reason=st.just("why"),
    artifact=artifacts,
    at=moments,
    attempts=st.integers(1, 5),
    retry_at=st.none() | st.sampled_from([NOW - 1, NOW + 100]),
    generation=st.integers(1, 3),
)
records = st.builds(
    AdapterRecord,
    name=st.just("a"),
    component=st.just(NAME),
    live=st.none() | lives,
    absent_at=st.none() | moments,
    owned=st.none() | moments,
    endpoint=st.sampled_from([None, "endpoint", "another"]),
    base=st.sampled_from([None, "base"]),
    serving=st.none() | artifacts,
    vouched=st.none() | moments,
    last_good=st.none() | artifacts,
    versions=st.lists(artifacts, max_size=5).map(tuple),
    other_stack=st.sampled_from([None, "Llm"]),
    restore_at=st.none() | st.just(NOW + 50),
    passed=st.none() | artifacts,
    probed=st.none()
    | st.builds(
        ProbeCheck,
        artifact=artifacts,
        probe=st.sampled_from([None, PROBE.digest, "another"]),
        right=st.integers(0, 1),
        ended=st.none() | moments,
    ),
    restores=st.integers(0, 5),
    intent=st.none() | intents,
    failure=st.none() | failures,
    tags=st.dictionaries(st.just("team"), st.just("x"), max_size=1),
    drifted=st.none() | st.just("by hand"),
    recheck=st.none() | st.sampled_from(Recheck),
)
wants = st.none() | st.builds(
    DesiredAdapter,
    name=st.just("a"),
    component=st.just(NAME),
    artifact=artifacts,
    smoke=st.none() | st.just(SmokeRequest(body={"inputs": "x"})),
)


TARGET = Target(endpoint="endpoint", base="base", prefix="p", settings=FleetSettings())


contexts = st.builds(
    PlanContext,
    now=st.just(NOW),
    generation=st.integers(1, 3),
    target=st.just(TARGET),
    has_copies=st.booleans(),
    deletes=st.booleans(),
    foreign=st.dictionaries(st.just(NAME), moments, max_size=1),
    claims=st.dictionaries(st.just(NAME), moments, max_size=1),
)
