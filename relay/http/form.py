"""
Forms of several parts: C{multipart/form-data}.

Source: RFC 7578; RFC 2046, 5.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from email.message import Message
from email.parser import BytesParser
from secrets import token_hex


class NoForm(ValueError):
    """The body is no such form. The text says why, and quotes nothing of it."""


def fields_in(kind: str, body: bytes) -> dict[str, bytes]:
    """
    The fields of a form, by their names.

    @param kind: its C{Content-Type}, which has the boundary.
    @raise NoForm: if it is none, or two fields have the same name.
    """
    if not kind.isascii() or "\r" in kind or "\n" in kind:
        raise NoForm("its Content-Type is malformed")
    whole = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode("ascii") + body)
    parts = whole.get_payload()
    if not isinstance(parts, list) or whole.defects:
        raise NoForm("it is no whole form of several parts")
    found: dict[str, bytes] = {}
    for part in parts:
        assert isinstance(part, Message), "a form of several parts has parts"
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(value, bytes) or name in found:
            raise NoForm("each part needs a name of its own")
        found[name] = value
    return found


def form_of(fields: Iterable[tuple[str, str, bytes]]) -> tuple[str, bytes]:
    """
    A form.

    @param fields: the name, the type and the value of each.
    @return: the C{Content-Type}, and the body.
    """
    boundary = token_hex(16)  # no value has it in it, but by a chance of 1 in 2 ** 128
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n".encode("ascii")
        + value
        + b"\r\n"
        for name, kind, value in fields
    ]
    end = f"--{boundary}--\r\n".encode("ascii")
    return f"multipart/form-data; boundary={boundary}", b"".join([*parts, end])
