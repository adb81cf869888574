"""The profile of the embedded cloud that the integration tests run on.

`make qa SUITE=hostile` sets the variable. Tests that start a cloud of their own choose its profile
themselves. Under `hostile`, tests and their helpers do these things differently:

- They wait a second before they read the listing of components, which lags behind.
- They repeat a write that is refused or throttled, and count at least as many writes as needed.
- Base models that are updated have room for one more copy.
- Passes of the fleet run before adapters on new copies are asked.
- A pass may be denied to ask a component that is gone, as the listing still has it without its tag.
- They read both forms of a refusal on the OpenAI path.
"""

import os
from collections.abc import Mapping

from local_sagemaker.settings import PROFILES, Profile

VARIABLE = "TEST_PROFILE"


def _profile() -> Profile:
    named = os.environ.get(VARIABLE, "kind")
    for profile in PROFILES:
        if profile == named:
            return profile
    raise ValueError(f"'{VARIABLE}' should be one of {', '.join(PROFILES)}, got {named!r}")


PROFILE: Profile = _profile()


def only_writes(seen: Mapping[str, int], expected: Mapping[str, int]) -> bool:
    """Tell whether these writes were made, and no others.

    A write that is refused counts. Under `hostile` most have to wait for others, and so are made again.
    """
    if PROFILE == "kind":
        return seen == expected
    return seen.keys() == expected.keys() and all(seen[name] >= count for name, count in expected.items())
