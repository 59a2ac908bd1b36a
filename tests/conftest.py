"""What every test has: both event loops, and a guard against blocking them."""

from __future__ import annotations

import pytest
from hypothesis import settings

# A slow machine is no failure: no test asserts how long anything takes.
settings.register_profile("default", deadline=None)
settings.load_profile("default")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run every async test on both event loops."""
    return request.param
