"""A store in a folder: one file for each run, written anew with every change. For Linux and macOS."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Self, TypeVar

from anyio import CapacityLimiter, to_thread

from cardanalysis import Event, Item, ItemStatus, Run, RunNotFound, RunStatus, StoreError
from cardanalysis.abc import CommitUnknown, NewItem, Output, Renewal
from cardanalysis.stores import RunState

T = TypeVar("T")


class FolderStore:
    """Keeps each run in a file of its own; several processes on one host may share the folder.

    Args:
        folder: Where the files are; it is created if there is none.
        clock: Seconds since 1970, for leases and times.
    """

    def __init__(self, folder: str | os.PathLike[str], *, clock: Callable[[], float] = time.time) -> None:
        self._folder = Path(folder)
        self._clock = clock
        self._one_at_a_time = CapacityLimiter(1)  # who waits for the lock waits here, and not in a thread each

    async def __aenter__(self) -> Self:
        await self._in_thread(lambda: self._folder.mkdir(parents=True, exist_ok=True))
        return self

    async def __aexit__(self, *error: object) -> None:
        pass  # nothing is open between two calls

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{sha256(run_id.encode(errors='surrogatepass')).hexdigest()}.jsonl"

    def _load(self, run_id: str) -> RunState:
        try:
            return RunState.from_lines(self._path(run_id).read_text(encoding="utf-8").splitlines())
        except FileNotFoundError:
            raise RunNotFound(run_id) from None

    def _save(self, run_id: str, state: RunState) -> None:
        path = self._path(run_id)
        new = path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in state.to_lines())
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)  # from here on everybody reads the new file, whole
        try:
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise CommitUnknown(path.name, str(error.strerror)) from error

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await to_thread.run_sync(work, limiter=self._one_at_a_time)
        except (OSError, UnicodeError) as error:
            raise StoreError(f"{self._folder.name}: {error}. Check the disk and try again.") from error

    async def _locked(self, work: Callable[[float], T]) -> T:
        def locked() -> T:
            with (self._folder / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed, or the process dies
                return work(self._clock())

        return await self._in_thread(locked)

    async def _read(self, run_id: str, verb: Callable[[RunState], T]) -> T:
        return await self._in_thread(lambda: verb(self._load(run_id)))  # without the lock: a file is always whole

    async def _change(self, run_id: str, verb: Callable[[RunState, float], T]) -> T:
        def work(now: float) -> T:
            state = self._load(run_id)
            answer = verb(state, now)  # changes the state, or raises, and then nothing is saved
            self._save(run_id, state)
            return answer

        return await self._locked(work)

    async def create_run(self, run_id: str, *, accept_change: bool = False, **question: Any) -> Run:
        def work(now: float) -> Run:
            try:
                state = self._load(run_id)
                state.reopen(now=now, accept_change=accept_change, **question)
            except RunNotFound:
                state = RunState.create(run_id, now=now, **question)
            self._save(run_id, state)
            return state.view()

        return await self._locked(work)

    async def get_run(self, run_id: str) -> Run:
        return await self._read(run_id, lambda state: state.view())

    async def update_run(self, run_id: str, status: RunStatus, **options: Any) -> Run:
        return await self._change(run_id, lambda state, now: state.update_run(status, now=now, **options))

    async def add_items(self, run_id: str, items: Sequence[NewItem]) -> list[Item]:
        return await self._change(run_id, lambda state, now: state.add_items(items, now=now))

    async def get_item(self, run_id: str, item_id: str) -> Item:
        return await self._read(run_id, lambda state: state.get_item(item_id))

    async def claim(self, run_id: str, owner: str, **options: Any) -> list[Item]:
        return await self._change(run_id, lambda state, now: state.claim(owner, now=now, **options))

    async def renew(self, run_id: str, owner: str, *, lease_seconds: float) -> Renewal:
        return await self._change(run_id, lambda state, now: state.renew(owner, lease_seconds=lease_seconds, now=now))

    async def release(self, run_id: str, item_id: str, **attempt: Any) -> Item:
        return await self._change(run_id, lambda state, now: state.release(item_id, now=now, **attempt))

    async def update_status(self, run_id: str, item_id: str, status: ItemStatus, **options: Any) -> Item:
        return await self._change(run_id, lambda state, now: state.update_status(item_id, status, now=now, **options))

    async def complete_item(self, run_id: str, item_id: str, **result: Any) -> Item:
        return await self._change(run_id, lambda state, now: state.complete_item(item_id, now=now, **result))

    async def fail_item(self, run_id: str, item_id: str, **result: Any) -> Item:
        return await self._change(run_id, lambda state, now: state.fail_item(item_id, now=now, **result))

    async def increment(self, run_id: str, counter: str, by: int = 1) -> int:
        return await self._change(run_id, lambda state, _: state.increment(counter, by))

    async def append_event(self, run_id: str, type: str, **about: Any) -> Event:  # noqa: A002 - the protocol's name
        return await self._change(run_id, lambda state, now: state.append_event(type, now=now, **about))

    async def items(self, run_id: str, **page: Any) -> list[Item]:
        return await self._read(run_id, lambda state: state.items(**page))

    async def outputs(self, run_id: str, **page: Any) -> list[Output]:
        return await self._read(run_id, lambda state: state.outputs(**page))

    async def events(self, run_id: str, after: int = 0, *, limit: int | None = None) -> list[Event]:
        return await self._read(run_id, lambda state: state.events(after, limit=limit))
