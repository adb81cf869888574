"""How fast the fleets work, how long a pass may take, and how much they keep: numbers of every fleet.

`fleet_settings` has what differs between fleets.
"""

READ_RATE = 20.0
"""Reads, and requests to adapters, a second at most. [I] No quota is published.

The highest rate of writes is the fleet's `request_rate` (`FleetSettings`).
"""

MIN_RATE = 0.5
"""Calls a second; throttling never lowers the rate below it."""

MAX_REQUESTS_AT_A_TIME = 4
"""Smoke requests compete with the requests of the adapters' own callers."""

MAX_ARCHIVES_AT_A_TIME = 2
"""Reading an archive uses the function's processor; the other workers go on."""

LEASE_SECONDS = 40.0
"""How long a lease lasts. A pass renews its lease as long as it works."""

STALLED_SECONDS = 180.0
"""After this long without a heartbeat the state machine of an open generation is started again."""

MAX_PASS_SECONDS = 20 * 60.0
"""A pass may take 15 minutes. One that has not ended by now was killed."""

STANDSTILL_PASSES = 3
"""After so many failed passes in a row, a deployment whose time is up fails."""

DEPLOYMENT_ATTEMPTS = 3
"""After this many attempts a deployment counts an adapter as failed. The state machine goes on trying."""

FIRST_RETRY_SECONDS = 20.0

MAX_RETRY_SECONDS = 900.0
"""The first and the longest wait before an adapter that failed is tried again."""

LATE_TAGS_SECONDS = 120.0
"""How long after a creation an answer may lack its tags. [I] No source says how late tags may come."""

TAGS_A_DRIFT_CHECK = 100
"""Components whose tags one drift check reads: five seconds at the read rate, and a call for each."""

ARCHIVES_A_DRIFT_CHECK = 500
"""Archives that one drift check looks at: 25 seconds at the read rate. Hourly checks look at 12,000 a day."""

TAGS_BEFORE_THE_END = 100
"""A generation ends only after so many strangers' tags are read; the others are read after its end."""

LONGEST_TIMEOUT_SECONDS = 55 * 60
"""CloudFormation waits an hour for a custom resource. The rest is for the answer to arrive."""

DEFAULT_PROBES_PER_DRIFT_RUN = 10
"""With three copies, these are 140 short requests, one at a time. Hourly runs of a fleet of 1,000
adapters ask each one about every four days."""

REMEMBERED_SECONDS = 3600.0
"""The limit on deletions also holds for all manifests of this time together."""

MAX_READ_SECONDS = 600.0
"""A pass has less than 15 minutes. One worker reads 100 MB/s, so an archive of 16 GiB takes 3 minutes."""

HISTORY_SECONDS = 400 * 24 * 3600
"""How long an event is kept: a year, and some weeks to compare with the year before.

A generation that nothing refers to is kept as long, since `adapters history` explains events by it.
"""
