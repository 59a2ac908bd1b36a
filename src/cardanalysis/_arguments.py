"""Checks of what callers pass, so that a mistake is told before anything is stored. Pure."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, Iterable, Sequence
from typing import cast

from anyio import CapacityLimiter

from ._errors import AnalyzerError, ConfigurationError
from ._models import Analysis
from ._uploads import Upload
from .abc import CheckpointStore, Housekeeping

__all__ = [
    "as_limiter",
    "as_seconds",
    "check_analysis",
    "check_analyzer",
    "check_callable",
    "check_housekeeping",
    "check_run_id",
    "check_store",
    "check_upload",
    "check_uploads",
    "checkpoint_store",
]


def as_limiter(limit: int | CapacityLimiter) -> CapacityLimiter:
    """Return the caller's limiter, or a new one for a number.

    Raises:
        ConfigurationError: It is neither a whole number of at least 1 nor a limiter.
    """
    if isinstance(limit, CapacityLimiter):
        return limit
    if type(limit) is not int or limit < 1:
        raise ConfigurationError(f"limit must be a whole number of at least 1 or a CapacityLimiter, not {limit!r}.")
    return CapacityLimiter(limit)


def as_seconds(value: float, name: str) -> float:
    """Return a duration that makes sense.

    Raises:
        ConfigurationError: It is not a finite number above 0.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= sys.float_info.max:
        raise ConfigurationError(f"{name} must be a number of seconds above 0, not {value!r}.")
    return float(value)


def check_uploads(uploads: Iterable[Upload] | AsyncIterable[Upload]) -> None:
    """Check what can be checked without reading an iterator.

    Raises:
        ConfigurationError: It is no iterable of uploads.
    """
    if isinstance(uploads, (str, bytes, Upload)) or not isinstance(uploads, (Iterable, AsyncIterable)):
        raise ConfigurationError(
            f"uploads must be an iterable of Upload, such as a list, not {type(uploads).__name__}. "
            "Make uploads with Upload.from_path, from_bytes or from_text."
        )
    if isinstance(uploads, Sequence):
        for upload in uploads:
            check_upload(upload)


def check_upload(upload: object) -> None:
    """Check one element.

    Raises:
        ConfigurationError: It is no upload.
    """
    if not isinstance(upload, Upload):
        raise ConfigurationError(f"uploads must hold Upload objects, not {type(upload).__name__}: Upload.from_path(…).")


def check_store(store: object) -> None:
    """Check that a store was given.

    Raises:
        ConfigurationError: It is something else, such as the path of one, or the class and not an object of it.
    """
    if isinstance(store, type) or not callable(getattr(store, "create_run", None)):
        given = store.__name__ if isinstance(store, type) else f"a {type(store).__name__}"
        raise ConfigurationError(
            f"store must be an open store, not {given}: async with SQLiteStore('cards.db') as store: …"
        )


def check_housekeeping(store: object, what: str) -> Housekeeping:
    """Return a store if it can look after its runs, which `what` needs.

    Raises:
        ConfigurationError: It cannot.
    """
    check_store(store)
    if missing := _lacking(store, _HOUSEKEEPING):
        message = (
            f"{what} needs a store with the methods of cardanalysis.abc.Housekeeping; {type(store).__name__} lacks"
        )
        raise ConfigurationError(f"{message} {', '.join(missing)}.")
    return cast("Housekeeping", store)


def checkpoint_store(store: object) -> CheckpointStore | None:
    """Return a store if it can keep checkpoints."""
    return None if _lacking(store, ("save_checkpoint", "checkpoints")) else cast("CheckpointStore", store)


def _lacking(store: object, methods: Iterable[str]) -> list[str]:
    """The methods that a store does not have."""
    # Not isinstance: from Python 3.12 on that does not see the methods of a store which hands calls on to another one.
    return [name for name in methods if not callable(getattr(store, name, None))]


_HOUSEKEEPING = ("runs", "delete_run", "find_completed", "restore_run")


def check_analyzer(analyzer: object) -> None:
    """Check that an analyzer was given.

    Raises:
        ConfigurationError: It is a class and not an object of it, or has no name or no `analyze`.
    """
    if isinstance(analyzer, type):
        raise ConfigurationError(f"analyzer must be an object, not a class: {analyzer.__name__}().")
    named = isinstance(getattr(analyzer, "name", None), str)
    if not named or not callable(getattr(analyzer, "analyze", None)):
        kind = type(analyzer).__name__
        raise ConfigurationError(f"analyzer must have a name and a method analyze(document, request); {kind} has not.")


def check_callable(value: object, name: str) -> None:
    """Check that something that is called later can be.

    Raises:
        ConfigurationError: It cannot.
    """
    if value is not None and not callable(value):
        raise ConfigurationError(f"{name} must be a function or None, not {type(value).__name__}.")


def check_run_id(run_id: object) -> str:
    """Return a run's name if it is one.

    Raises:
        ConfigurationError: It is not text, empty, or cannot be encoded.
    """
    if not isinstance(run_id, str) or not run_id:
        raise ConfigurationError(f"run_id must be text that is not empty, not {run_id!r}.")
    try:
        run_id.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"run_id {run_id!r} holds half of a surrogate pair. Choose another.") from None
    return run_id


def check_analysis(analysis: object) -> Analysis:
    """Return what an analyzer returned if it is an analysis.

    Raises:
        AnalyzerError: It is not.
    """
    if not isinstance(analysis, Analysis):
        message = f"The analyzer returned {type(analysis).__name__} where an Analysis is expected."
        raise AnalyzerError(message, code="invalid_analysis")
    return analysis
