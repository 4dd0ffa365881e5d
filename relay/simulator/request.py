"""
What an answer is to be: the session's settings, and for one answer those of its C{response.create}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from relay.simulator import fields, items
from relay.simulator.audio import Format, at_speed, converted
from relay.simulator.fields import Event
from relay.simulator.items import Item
from relay.simulator.session import ANSWERING, OUTPUT, input_format, output_format
from relay.simulator.shapes import Shape, array, mapping, one_of, or_null, table, text, whatever
from relay.simulator.tools import chosen
from relay.simulator.utterances import (
    NOTHING_TO_SAY,
    FunctionCall,
    Speech,
    Text,
    Utterance,
    words_for,
)
from relay.simulator.voice import spoken

REQUEST: Shape = table(
    {
        **ANSWERING,
        "audio": table({"output": table(OUTPUT)}),
        "conversation": one_of("auto", "none"),
        "input": array(whatever),
        "metadata": or_null(mapping(text, 16)),
    }
)
"""What C{response.create} may say."""


@frozen
class Request:
    """
    What an answer is to be.

    @ivar modality: C{audio} or C{text}.
    @ivar output: C{audio.output}: format, voice, speed.
    @ivar instructions: what the answer alone was told; C{""} if it was told nothing.
    @ivar standing: the instructions of the session.
    @ivar most: the most tokens that it may say; C{inf} for as many as there are.
    @ivar in_conversation: whether it becomes an item of the conversation.
    @ivar context: what it answers instead of the conversation's items; L{None} for those.
    """

    modality: str
    output: Event
    tools: list[Event]
    tool_choice: Any
    instructions: str
    standing: str
    most: int | str
    metadata: Event | None
    in_conversation: bool
    context: list[Item] | None


def requested(
    given: Event, session: Event, new_id: Callable[[str], str], find: Callable[[str, str], Item]
) -> Request:
    """
    What C{response.create} asks for, in a session.

    @param given: its C{response}.
    @param find: finds the item of an id, and names the field in its error.
    @raise ClientError: if it asks for something that is wrong.
    """
    asked: Event = REQUEST(given, "response")
    wanted = {**session, **asked}
    return Request(
        modality=wanted["output_modalities"][0],
        output={**session["audio"]["output"], **asked.get("audio", {}).get("output", {})},
        tools=wanted["tools"],
        tool_choice=wanted["tool_choice"],
        instructions=asked.get("instructions", ""),
        standing=session["instructions"],
        most=wanted["max_output_tokens"],
        metadata=asked.get("metadata") or None,
        in_conversation=asked.get("conversation") != "none",
        context=_context(asked.get("input"), input_format(session), new_id, find),
    )


def _context(
    given: list[Event] | None,
    form: Format,
    new_id: Callable[[str], str],
    find: Callable[[str, str], Item],
) -> list[Item] | None:
    if given is None:
        return None
    found = []
    for at, each in enumerate(given):
        param = f"response.input[{at}]"
        if each.get("type") == "item_reference":
            found.append(find(fields.required(each, "id", str, f"{param}."), f"{param}.id"))
        else:
            found.append(items.created(each, new_id("item"), param, form))
    return found


def answer(request: Request, turn: list[Item], call_id: str) -> Utterance:
    """
    What the parrot says, or which function it calls.

    It says the audio of the turn; or what the response alone was told to do; or the last text. What
    a function gave is said, and calls no other function.

    @param turn: what the client said, or functions gave, since the last answer.
    """
    words = turn[-1].text() if turn else ""
    audible = [item for item in turn if item.audio]
    if not turn or turn[-1].role == "user":
        call = chosen(request.tools, request.tool_choice, words)
        if call is not None:
            return FunctionCall(call_id, call.name, call.arguments)
    if audible:
        return _repeated(request, audible)
    return _read(request, request.instructions or words or NOTHING_TO_SAY)


def _repeated(request: Request, turn: list[Item]) -> Utterance:
    target = output_format(request.output)
    audio = b"".join(converted(item.samples(), item.form, target) for item in turn)
    if request.modality == "text":
        return Text(words_for(len(audio), target.bytes_per_second))
    return Speech(at_speed(audio, target, request.output["speed"]), target)


def _read(request: Request, words: str) -> Utterance:
    if request.modality == "text":
        return Text(words)
    target = output_format(request.output)
    said = spoken(words, target, request.output["voice"])
    return Speech(at_speed(said, target, request.output["speed"]), target, words)
