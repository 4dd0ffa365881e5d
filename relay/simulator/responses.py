"""
The answers that are being said, and the rate limits they use up.
"""

from __future__ import annotations

from collections.abc import Callable

from relay.simulator.fields import ClientError, Event
from relay.simulator.history import History
from relay.simulator.items import Item
from relay.simulator.request import Request, answer
from relay.simulator.response import Response, new_item
from relay.simulator.session import output_format
from relay.simulator.utterances import input_token_details, within_tokens

MAX_ACTIVE = 8
"""Most answers at a time, for each holds its audio."""

REQUESTS_A_MINUTE = 1_000
TOKENS_A_MINUTE = 1_000_000


class Responses:
    """
    The answers of one session. At most one at a time is the conversation's; any others are out of
    band.

    @param history: the conversation's items.
    @param new_id: makes an unused id that begins with the given word.
    """

    def __init__(self, history: History, new_id: Callable[[str], str]) -> None:
        self._history = history
        self._new_id = new_id
        self._conversation_id = new_id("conv")
        self._active: dict[str, Response] = {}
        self._count = 0
        self._tokens = 0

    def __bool__(self) -> bool:
        return bool(self._active)

    @property
    def current(self) -> Response | None:
        """The answer that is the conversation's."""
        return next((each for each in self._active.values() if each.in_conversation), None)

    def open(self, request: Request) -> list[Event]:
        """
        Begin an answer.

        @raise ClientError: if it has to wait for another.
        """
        if request.in_conversation and self.current is not None:
            message = "Wait for 'response.done', or cancel the response in progress."
            raise ClientError("conversation_already_has_active_response", message)
        if len(self._active) >= MAX_ACTIVE:
            message = f"Wait for 'response.done': {MAX_ACTIVE} responses are in progress."
            raise ClientError("rate_limit_exceeded", message)
        turn = self._turn(request)
        utterance = answer(request, turn, self._new_id("call"))
        end = within_tokens(utterance, request.most)
        item = new_item(self._new_id("item"), utterance, output_format(request.output))
        previous = self._history.items.add(item) if request.in_conversation else None
        frame = self._frame(request)
        response = Response(frame, item, utterance, end, _heard(request, turn), previous)
        self._active[response.id] = response
        return response.opening()

    def _turn(self, request: Request) -> list[Item]:
        if request.context is not None:
            return [item for item in request.context if item.is_input]
        turn = [item for item in self._history.items if item.is_input and not item.answered]
        for item in turn if request.in_conversation else ():
            item.answered = True
        return turn

    def _frame(self, request: Request) -> Event:
        output = {name: request.output[name] for name in ("format", "voice")}
        return {
            "object": "realtime.response",
            "id": self._new_id("resp"),
            "conversation_id": self._conversation_id if request.in_conversation else None,
            "output_modalities": [request.modality],
            "max_output_tokens": request.most,
            "audio": {"output": output},
            "metadata": request.metadata,
        }

    def advance(self) -> list[Event]:
        """Say the next part of each answer: a delta, or all the events that close it."""
        events = []
        for response in list(self._active.values()):
            events += self._close(response) if response.finished else response.deltas()
        return events

    def cancel(self, response_id: str) -> list[Event]:
        """
        Cancel an answer for the client.

        @param response_id: which; C{""} is the conversation's.
        @raise ClientError: if there is none.
        """
        response = self._active.get(response_id) if response_id else self.current
        if response is None:
            message = "There is no active response to cancel."
            raise ClientError("response_cancel_not_active", message)
        return self._close(response, "client_cancelled")

    def interrupt(self) -> list[Event]:
        """Cancel the conversation's answer, if there is one: somebody speaks."""
        return [] if self.current is None else self._close(self.current, "turn_detected")

    def _close(self, response: Response, cancelled: str | None = None) -> list[Event]:
        del self._active[response.id]
        events = response.closing(cancelled)
        self._history.items.weigh(response.item)
        self._count += 1
        self._tokens += response.usage()["total_tokens"]
        return [*events, self._rate_limits()]

    def _rate_limits(self) -> Event:
        used = (
            ("requests", REQUESTS_A_MINUTE, self._count),
            ("tokens", TOKENS_A_MINUTE, self._tokens),
        )
        limits = [
            {"name": name, "limit": limit, "remaining": max(0, limit - n), "reset_seconds": 60.0}
            for name, limit, n in used
        ]
        return {"type": "rate_limits.updated", "rate_limits": limits}


def _heard(request: Request, turn: list[Item]) -> Event:
    seconds = sum(len(item.samples()) / item.form.bytes_per_second for item in turn)
    texts = [request.instructions or request.standing, *(item.text() for item in turn)]
    return input_token_details(seconds, "".join(texts))
