"""What every test has: both event loops, and no limit of time for properties; and a guard against blocking a loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

# A slow machine is no failure: no test asserts how long anything takes.
settings.register_profile("default", deadline=None)
settings.load_profile("default")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run every async test on both event loops."""
    return request.param


# What reads from /proc, which is no disk.
MAY_BLOCK = ["cardanalysis._owner"]
# Looking a file up when its upload or its store is made takes microseconds, and its caller may be on the loop. Locks
# are taken by the coverage tool too.
QUICK = ["os.stat", "os.path.abspath", "os.getcwd", "threading.Lock.acquire", "threading.Lock.acquire_lock"]


@pytest.fixture
def no_blocking() -> Iterator[None]:
    """A call of the library that blocks the event loop of asyncio fails the test. Not for tests that use the SDK."""
    with blockbuster_ctx("cardanalysis", excluded_modules=MAY_BLOCK) as guard:
        for name in QUICK:
            if name in guard.functions:
                guard.functions[name].deactivate()
        yield
