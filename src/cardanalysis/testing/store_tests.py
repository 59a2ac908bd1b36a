"""The promises of a store as tests for pytest.

Subclass `StoreTests` and say how to make a store::

    class TestMyStore(StoreTests):
        @pytest.fixture
        def make_store(self, tmp_path):
            return lambda clock: MyStore(tmp_path / "store", clock=clock)

The tests are run by anyio's pytest plugin, on the event loops that the fixture ``anyio_backend`` names.
"""

from __future__ import annotations

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "cardanalysis.testing.store_tests holds tests for pytest. Install pytest, or use "
        "cardanalysis.testing.check_store, which does without.",
        name="pytest",
    ) from error

from ._store_promises import PROMISES, NotOffered, Promise, StoreMaker, within

__all__ = ["StoreTests"]


class StoreTests:
    """One test for each promise of `cardanalysis.abc.Store`; to be subclassed with a fixture ``make_store``.

    The promises of `cardanalysis.abc.CheckpointStore` and `cardanalysis.abc.Housekeeping` are skipped unless the store
    has all of their methods.

    Attributes:
        promise_timeout: Seconds after which a promise is taken for broken, so that a call that waits for ever is told.
    """

    promise_timeout: float = 60.0

    @pytest.fixture
    def make_store(self) -> StoreMaker:
        """Given a clock, makes a new and empty store that reads it; to be overridden."""
        raise NotImplementedError("Override the fixture make_store: see cardanalysis.testing.store_tests.")

    @pytest.mark.anyio
    @pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
    async def test_promise(self, promise: Promise, make_store: StoreMaker) -> None:
        """The store keeps the promise."""
        try:
            await within(self.promise_timeout, promise, make_store)
        except NotOffered as reason:
            pytest.skip(str(reason))
