"""A fake Messages API as a pytest fixture.

In your ``conftest.py``::

    pytest_plugins = ["cardanalysis.testing.fixtures"]

and then in a test::

    async def test_my_app(fake_messages_api):
        fake_messages_api.script(Reply.overloaded(), Reply.json({"cards": []}))
        async with anthropic.AsyncAnthropic() as client:  # finds address and key in the environment
            ...
"""

from __future__ import annotations

import os
from collections.abc import Iterator

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "cardanalysis.testing.fixtures are pytest fixtures. Install pytest, or use "
        "cardanalysis.testing.FakeMessagesAPI, which does without.",
        name="pytest",
    ) from error

from ._fake_api import FakeMessagesAPI

__all__ = ["fake_messages_api"]

_OTHER_SETTINGS = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE", "ANTHROPIC_CUSTOM_HEADERS")


@pytest.fixture
def fake_messages_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMessagesAPI]:
    """A running fake Messages API, that a client made without arguments talks to during the test.

    Tell it what to do by ``script``, ``answer`` and ``latency``. The environment names it and a made-up key, and no
    other credential; a proxy that the environment names is not used for it.
    """
    with FakeMessagesAPI() as api:
        for name in _OTHER_SETTINGS:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.base_url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
        unproxied = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        monkeypatch.setenv("no_proxy", f"{unproxied},127.0.0.1" if unproxied else "127.0.0.1")
        yield api
