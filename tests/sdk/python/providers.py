"""The three typed endpoints behind one face, for what they have in common: errors, retries, concurrency, headers."""

from dataclasses import dataclass
from typing import Any, Callable

import anthropic
import openai

from kit import CLAUDE, GPT, async_claude, async_gpt, claude, gpt


@dataclass(frozen=True)
class Endpoint:
    name: str
    sdk: Any
    make: Callable
    make_async: Callable
    resource: Callable
    ask: Callable
    said: Callable
    pieces: Callable

    def __str__(self):
        return self.name

    def create(self, client, words, **options):
        return self.resource(client).create(**self.ask(words), **options)

    def raw(self, client, words, **options):
        """The response with its headers."""
        return self.resource(client).with_raw_response.create(**self.ask(words), **options)

    def stream(self, client, words, **options):
        return self.resource(client).create(**self.ask(words), stream=True, **options)

    def heard(self, events):
        """The text of a stream's events."""
        return "".join(piece for event in events for piece in self.pieces(event))


MESSAGES = Endpoint(
    name="messages",
    sdk=anthropic,
    make=claude,
    make_async=async_claude,
    resource=lambda client: client.messages,
    ask=lambda words: {"model": CLAUDE, "max_tokens": 1024, "messages": [{"role": "user", "content": words}]},
    said=lambda result: result.content[0].text,
    pieces=lambda event: [event.delta.text] if event.type == "content_block_delta" else [],
)

CHAT = Endpoint(
    name="chat",
    sdk=openai,
    make=gpt,
    make_async=async_gpt,
    resource=lambda client: client.chat.completions,
    ask=lambda words: {"model": GPT, "messages": [{"role": "user", "content": words}]},
    said=lambda result: result.choices[0].message.content,
    pieces=lambda chunk: [choice.delta.content or "" for choice in chunk.choices],
)

RESPONSES = Endpoint(
    name="responses",
    sdk=openai,
    make=gpt,
    make_async=async_gpt,
    resource=lambda client: client.responses,
    ask=lambda words: {"model": GPT, "store": False, "input": words},
    said=lambda result: result.output_text,
    pieces=lambda event: [event.delta] if event.type == "response.output_text.delta" else [],
)

ENDPOINTS = [MESSAGES, CHAT, RESPONSES]
