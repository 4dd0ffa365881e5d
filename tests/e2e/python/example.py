"""
Run an example of the docs, as it stands there: example.py CODE URL

URL: the C{http} URL of a relay. The example has a C{client} of C{openai}, and a C{session} of
C{aiohttp} and a C{url} for it, of a model that is refused.
"""

from __future__ import annotations

import ast
import asyncio
import sys

import aiohttp
import openai

REFUSED = "fault-quota"


async def main(code: str, plain: str) -> None:
    told = code.replace("gpt-realtime", REFUSED)
    compiled = compile(told, "example", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    async with aiohttp.ClientSession() as session:
        names = {
            "client": openai.AsyncOpenAI(base_url=f"{plain}/v1", api_key="anything"),
            "session": session,
            "url": f"{plain}/v1/realtime?model={REFUSED}",
        }
        await eval(compiled, names)


asyncio.run(main(*sys.argv[1:]))
