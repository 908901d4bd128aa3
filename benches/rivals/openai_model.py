"""`Model` behind the real OpenAI SDK: libraries that patch that SDK see an ordinary client.

The transport answers inside the process, so no request leaves the machine.
"""

from __future__ import annotations

import httpx
import openai

from rivals.usage import Model

NAME = "bench-model"
TOKENS = 1_000
DOLLARS_PER_1000_TOKENS = 0.10
MESSAGES = [{"role": "user", "content": "hello"}]

_ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": NAME,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": TOKENS, "completion_tokens": 0, "total_tokens": TOKENS},
}


def client(model: Model) -> openai.AsyncOpenAI:
    async def answer(_: httpx.Request) -> httpx.Response:
        await model.call_async()
        return httpx.Response(200, json=_ANSWER)

    transport = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return openai.AsyncOpenAI(api_key="none", max_retries=0, http_client=transport)


def blocking_client(model: Model) -> openai.OpenAI:
    def answer(_: httpx.Request) -> httpx.Response:
        model.call()
        return httpx.Response(200, json=_ANSWER)

    transport = httpx.Client(transport=httpx.MockTransport(answer))
    return openai.OpenAI(api_key="none", max_retries=0, http_client=transport)
