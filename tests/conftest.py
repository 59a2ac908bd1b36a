"""What every test has: both event loops, a guard against blocking them, and no limit of time for properties."""

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


# Where nothing else runs yet (the command before its run, the SDK that looks for a profile on disk), and what reads
# from /proc, which is no disk.
MAY_BLOCK = ["cardanalysis.testing", "cardanalysis.analysis._claude", "cardanalysis.__main__", "cardanalysis._owner"]
# Looking a file up when its upload or its store is made takes microseconds, and its caller may be on the loop.
QUICK = ["os.stat", "os.path.abspath", "os.getcwd"]


@pytest.fixture(autouse=True)
def no_blocking() -> Iterator[None]:
    """A call of the library that blocks the event loop of asyncio fails the test."""
    with blockbuster_ctx("cardanalysis", excluded_modules=MAY_BLOCK) as guard:
        for name in QUICK:
            if name in guard.functions:
                guard.functions[name].deactivate()
        yield
