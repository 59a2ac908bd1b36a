"""The endpoints below ``/v1/messages/batches``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ._batch_checks import check_batch, check_params
from ._batches import Batch, BatchBook, batch_json, is_archived
from ._paging import page_json
from ._prompt_cache import NO_CACHE_USE, CacheUse, PromptCache
from ._recorded import RecordedRequest
from ._replies import RawBody, Reply
from ._request_checks import check_model
from ._responses import batch_result, content_of, reported_usage, without_stream
from ._routes import MESSAGES_PATH, RequestRefused, batch_route

__all__ = ["BatchEndpoints"]


class BatchEndpoints:
    """Creates batches, answers their requests when they end, and tells of them.

    Args:
        reply_to: Tells what a request of a batch is answered.
        models: The models that are known; None takes any.
        cache: The API's prompt cache.
        epoch: What to add to a time to have seconds since 1970.

    Attributes:
        records: Every request of a batch that was answered or refused, in that order.
    """

    def __init__(
        self,
        reply_to: Callable[[RecordedRequest], Reply],
        *,
        models: tuple[str, ...] | None,
        cache: PromptCache,
        epoch: float,
    ) -> None:
        self._reply_to = reply_to
        self._models = models
        self._cache = cache
        self._epoch = epoch
        self._book = BatchBook(self._answer)
        self.records: list[RecordedRequest] = []

    def serve(self, request: RecordedRequest, now: float, base_url: str, *, seconds: float, hidden: float) -> Reply:
        """Answer a request that is about batches.

        Args:
            request: The request, whose route and headers are good.
            now: The time.
            base_url: The API's address.
            seconds: How long a batch takes that is created by it.
            hidden: For how long such a batch cannot be found.

        Raises:
            RequestRefused: The API would not take it.
        """
        self._book.end_due(now)
        route = batch_route(request.path)
        if route is not None:
            return self._serve_one(self._find(route[0], now), route[1] or request.method, now, base_url)
        if request.method == "GET":
            return self._list(request.query, now, base_url)
        requests = check_batch(request.headers, request.body)
        batch = self._book.create(requests, request.headers, now, seconds=seconds, hidden=hidden)
        return self._tell(batch, now, base_url)

    def end(self, batch_id: str, now: float, *, answered: int | None = None) -> None:
        """Have a batch end now; see `FakeMessagesAPI.end_batch`.

        Raises:
            KeyError: There is no such batch.
            RuntimeError: It has ended.
        """
        batch = self._book.get(batch_id)
        if batch.has_ended:
            raise RuntimeError(f"The batch {batch_id} has ended already.")
        batch.answered = len(batch.requests) if answered is None else answered
        batch.ends_at = now

    def _find(self, batch_id: str, now: float) -> Batch:
        batch = next((batch for batch in self._book.visible(now) if batch.id == batch_id), None)
        if batch is None:
            raise RequestRefused(f"Message Batch {batch_id} not found", status=404, type="not_found_error")
        return batch

    def _serve_one(self, batch: Batch, asked: str, now: float, base_url: str) -> Reply:
        if asked == "results":
            return _results(batch, now)
        if asked == "DELETE":
            if not batch.has_ended:
                raise RequestRefused(f"Message Batch {batch.id} cannot be deleted while it is in progress")
            self._book.delete(batch)
            return Reply.message({"id": batch.id, "type": "message_batch_deleted"})
        if asked == "cancel":
            if batch.has_ended:
                raise RequestRefused(f"Message Batch {batch.id} cannot be canceled: it has ended")
            self._book.cancel(batch, now)
        return self._tell(batch, now, base_url)

    def _list(self, query: str, now: float, base_url: str) -> Reply:
        batches = {batch.id: batch for batch in self._book.visible(now)}

        def to_json(batch_id: str) -> dict[str, Any]:
            return batch_json(batches[batch_id], now, epoch=self._epoch, base_url=base_url)

        try:
            return Reply.message(page_json(list(batches), query, to_json))
        except ValueError as error:
            raise RequestRefused(str(error)) from None

    def _tell(self, batch: Batch, now: float, base_url: str) -> Reply:
        return Reply.message(batch_json(batch, now, epoch=self._epoch, base_url=base_url))

    # --- the requests of a batch --------------------------------------------------------------------------------------

    def _answer(self, batch: Batch, index: int) -> Mapping[str, Any]:
        request = RecordedRequest(
            method="POST",
            path=MESSAGES_PATH,
            headers=batch.headers,
            body=batch.requests[index]["params"],
            arrived=batch.created_at,
            finished=batch.ends_at,
            request_id=f"req_batch{batch.number:07d}{index + 1:012d}",
            custom_id=batch.requests[index]["custom_id"],
            batch_id=batch.id,
        )
        reply, use = self._decide(request, batch.ends_at)
        content = content_of(reply, request, use)
        result = batch_result(reply, content, request)
        succeeded = result["type"] == "succeeded"
        if succeeded:
            self._cache.keep(use)
            self._cache.write(use)
        status = reply.status if succeeded or reply.status != 200 else None
        usage = reported_usage(content) if succeeded else None
        self.records.append(attrs.evolve(request, status=status, usage=usage))
        return result

    def _decide(self, request: RecordedRequest, now: float) -> tuple[Reply, CacheUse]:
        """What to answer, and what the request has to do with the cache."""
        try:
            check_params(request.headers, request.body)
            check_model(request.body["model"], self._models)
            use = self._cache.look_up(request.body, now)
            _ = request.input_tokens  # counted once, and here, where nesting may be too deep for it
        except RequestRefused as refused:
            return Reply.error(refused.status, refused.type, str(refused)), NO_CACHE_USE
        except RecursionError:
            return Reply.error(400, message="The params are nested too deeply."), NO_CACHE_USE
        return without_stream(self._reply_to(request)), use


def _results(batch: Batch, now: float) -> Reply:
    if batch.lines is None:
        raise RequestRefused(f"Message Batch {batch.id} has no results yet: it has not ended")
    if is_archived(batch, now):
        raise RequestRefused(f"The results of Message Batch {batch.id} are gone", status=404, type="not_found_error")
    data = b"".join(line + b"\n" for line in batch.lines)
    return Reply(body=RawBody(data=data, media_type="application/x-jsonl"))
