"""Every error the library raises on purpose.

::

    CardAnalysisError
    ├── ConfigurationError      (also a ValueError) an argument, key, model or setting that no retry can mend
    │   ├── InvalidValue        a value does not fit the field of a model
    │   └── FingerprintMismatch the run was asked something else than what is asked now
    ├── DocumentError           one upload cannot be read
    ├── AnalyzerError           one document was read, but its analysis failed
    ├── RunStopped              a bound that the caller set, such as max_cost, is reached
    └── StoreError              what is kept cannot be read or written
        ├── RunNotFound         (also a LookupError)
        ├── ItemNotFound        (also a LookupError)
        ├── VersionConflict     somebody else changed the row first
        ├── IllegalMove         a status cannot follow the one the item has
        ├── CommitUnknown       it cannot be told whether it was written
        └── LeaseLost           another worker owns the item now

``code`` is a stable lower-case word for programs; the message is for people and says what to do. Neither holds
document text or secrets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._models import Usage

__all__ = [
    "AnalyzerError",
    "CardAnalysisError",
    "CommitUnknown",
    "ConfigurationError",
    "DocumentError",
    "FingerprintMismatch",
    "IllegalMove",
    "InvalidValue",
    "ItemNotFound",
    "LeaseLost",
    "RunNotFound",
    "RunStopped",
    "StoreError",
    "VersionConflict",
]


def _restore(cls: type[CardAnalysisError], args: tuple[object, ...], state: dict[str, Any]) -> CardAnalysisError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class CardAnalysisError(Exception):
    """The root of every error raised on purpose.

    Attributes:
        code: A stable word for programs, such as ``too_large``.
    """

    code: str = "error"

    def __reduce__(self) -> tuple[Any, ...]:
        # The constructors take data, so the default (cls, args) would call them with the finished message.
        return _restore, (type(self), self.args, self.__dict__)


class ConfigurationError(CardAnalysisError, ValueError):
    """An argument, key, model or setting is wrong in a way that no retry mends.

    It is raised before any item starts; where only the API can tell, it stops the run and leaves the items pending.

    Args:
        message: What is wrong and what to do.
        code: A stable word for programs.
    """

    code = "configuration"

    def __init__(self, message: str, *, code: str = "configuration") -> None:
        super().__init__(message)
        self.code = code


class InvalidValue(ConfigurationError):
    """A value does not fit the field of a model. From an analyzer or a loader it fails that upload alone.

    Args:
        message: Which field it is and what fits; not the value, which may be secret.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, code="invalid_value")


class FingerprintMismatch(ConfigurationError):
    """A run was to be resumed with another analyzer, model, prompt, option or context than it was begun with.

    Args:
        run_id: The run.
        differences: The names of what differs.
    """

    def __init__(self, run_id: str, differences: Iterable[str]) -> None:
        self.run_id = run_id
        self.differences = tuple(differences)
        super().__init__(
            f"Run {run_id!r} was begun with another {', '.join(self.differences)}. Ask the same as before, choose "
            "another run_id, or pass accept_changes=True (--accept-changes) to finish this run with what is asked now.",
            code="fingerprint_mismatch",
        )


class DocumentError(CardAnalysisError):
    """One upload cannot be read; the others are not touched.

    Args:
        upload: The upload's name.
        problem: What is wrong with it, as a clause: ``it is empty``.
        remedy: What its owner can do, as a sentence.
        code: A stable word: ``not_found``, ``empty``, ``too_large``, ``unknown_type``, ``undecodable``, ``malformed``,
            ``encrypted``, ``unsafe``, ``timeout``, ``memory``, ``crashed``, ``no_process``, ``missing_extra``,
            ``cancelled`` or ``changed``.
    """

    def __init__(self, upload: str, problem: str, remedy: str, *, code: str) -> None:
        super().__init__(f"{upload}: {problem}. {remedy}")
        self.upload = upload
        self.problem = problem
        self.remedy = remedy
        self.code = code


class AnalyzerError(CardAnalysisError):
    """One document was read, but its analysis failed; the others are not touched.

    Args:
        message: What went wrong and what to do.
        code: A stable word, such as ``refused``, ``truncated``, ``invalid_answer``, ``rate_limited``.
        usage: What the failed attempt cost, so that it is counted all the same.
    """

    def __init__(self, message: str, *, code: str = "analyzer", usage: Usage | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.usage = usage


class RunStopped(CardAnalysisError):
    """The run reached a bound that its caller set. What is finished is kept, and what is left is pending.

    Args:
        message: Which bound it is and how to go on.
        code: ``max_cost`` or ``run_timeout``.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class StoreError(CardAnalysisError):
    """What is kept cannot be read or written.

    Args:
        message: What went wrong and what to do.
        code: A stable word for programs.
    """

    default_code: ClassVar[str] = "store"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.default_code


class RunNotFound(StoreError, LookupError):
    """The store holds no run with that id."""

    default_code = "run_not_found"

    def __init__(self, run_id: str) -> None:
        super().__init__(f"There is no run {run_id!r} in this store. Check the id and that it is the right store.")
        self.run_id = run_id


class ItemNotFound(StoreError, LookupError):
    """The run holds no item with that id."""

    default_code = "item_not_found"

    def __init__(self, run_id: str, item_id: str) -> None:
        super().__init__(f"Run {run_id!r} has no item {item_id!r}. Take the id from store.items(run_id).")
        self.run_id = run_id
        self.item_id = item_id


class VersionConflict(StoreError):
    """The row was changed by somebody else since it was read; nothing was written.

    Args:
        what: What was to be changed, such as ``item 'a1'``.
        expected: The version the caller had read.
        current: The version that is stored.
    """

    default_code = "version_conflict"

    def __init__(self, what: str, *, expected: int, current: int) -> None:
        super().__init__(f"{what} is at version {current}, not {expected}. Read it again and decide anew.")
        self.expected = expected
        self.current = current


class IllegalMove(StoreError):
    """A status was asked for that cannot follow the present one; nothing was written.

    Args:
        what: What was to be changed, such as ``item 'a1'``.
        old: The status it has.
        new: The status that was asked for.
    """

    default_code = "illegal_move"

    def __init__(self, what: str, *, old: str, new: str) -> None:
        super().__init__(f"{what} cannot go from {old} to {new}. Read it again and choose a move that exists.")
        self.old = old
        self.new = new


class CommitUnknown(StoreError):
    """The commit failed in a way that does not tell whether it happened.

    Completing or failing an item under the same token may simply be called again: it happens once.

    Args:
        what: What was written to, such as the file's name.
        reason: The backend's word for what happened.
    """

    default_code = "commit_unknown"

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(
            f"{what}: the commit failed ({reason}), and whether it was written cannot be known. Check the disk, and "
            "read what is stored before you write it again."
        )
        self.reason = reason


class LeaseLost(StoreError):
    """The caller's claim on an item is no longer the newest one; nothing was written.

    Args:
        run_id: The run.
        item_id: The item.
        token: The fencing token that the caller holds.
    """

    default_code = "lease_lost"

    def __init__(self, run_id: str, item_id: str, *, token: int) -> None:
        super().__init__(
            f"Claim {token} on item {item_id!r} of run {run_id!r} is over: the item was released, finished or "
            "claimed by another worker. Its result must be dropped."
        )
        self.run_id = run_id
        self.item_id = item_id
        self.token = token
