"""
Answers to offers of WebRTC. They are valid, and lead nowhere: the simulator has no media.

Source: RFC 8866 (SDP); RFC 9429, 5.3 (JSEP: answers).
"""

from __future__ import annotations

import re

_HEAD = """v=0
o=- {number} 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE {mids}
a=msid-semantic:WMS *
a=fingerprint:sha-256 {fingerprint}
"""
_MEDIA = """{line}
c=IN IP4 127.0.0.1
a=mid:{mid}
a=ice-ufrag:simulatr
a=ice-pwd:simulated0simulated0simul
a=setup:active
"""
_AUDIO = """a=sendrecv
a=rtcp-mux
a=rtpmap:{format} opus/48000/2
"""
_CHANNEL = "a=sctp-port:5000\n"

_FINGERPRINT = ":".join(["5A"] * 32)
_OPUS = re.compile(r"(?im)^a=rtpmap:([0-9]{1,3}) opus/48000")
_MID = re.compile(r"(?m)^a=mid:([!-~]+)")


class NoOffer(ValueError):
    """The text is no offer of WebRTC."""


def answer_to(offer: str, number: int) -> str:
    """
    The answer to an offer: it takes the audio and the data channel, and nothing else.

    @param number: the id of the answer's session.
    @raise NoOffer: if it is none.
    """
    text = offer.replace("\r\n", "\n")
    head, *sections = re.split("(?m)^(?=m=)", text)
    if not head.startswith("v=0\n") or not sections:
        raise NoOffer
    answers, mids = [], []
    for place, section in enumerate(sections):
        named = _MID.search(section)
        mid = named[1] if named else str(place)
        taken = _taken(section, mid)
        answers.append(taken or _declined(section, mid))
        mids += [mid] if taken else []
    top = _HEAD.format(number=number, mids=" ".join(mids), fingerprint=_FINGERPRINT)
    return "".join([top, *answers]).replace("\n", "\r\n")


def _taken(section: str, mid: str) -> str | None:
    kind, _, protocol, *formats = _words(section)
    if kind == "m=audio":
        opus = _OPUS.search(section)
        form = opus[1] if opus else formats[0]
        line = f"{kind} 9 {protocol} {form}"
        return _MEDIA.format(line=line, mid=mid) + _AUDIO.format(format=form)
    if kind == "m=application":
        return _MEDIA.format(line=f"{kind} 9 {protocol} {formats[0]}", mid=mid) + _CHANNEL
    return None


def _declined(section: str, mid: str) -> str:
    kind, _, protocol, *formats = _words(section)
    return f"{kind} 0 {protocol} {formats[0]}\nc=IN IP4 127.0.0.1\na=mid:{mid}\na=inactive\n"


def _words(section: str) -> list[str]:
    words = section.partition("\n")[0].split()
    if len(words) < 4:
        raise NoOffer
    return words
