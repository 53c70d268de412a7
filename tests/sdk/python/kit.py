"""What the tests share: the fake provider's controls, clients on both ways to it, and when two results are the same."""

import json
import os
import urllib.request
import uuid

import anthropic
import openai

FAKE_URL = os.environ["FAKE_URL"]
PROXY_URL = os.environ["LLMCACHE_URL"]

KEY = "sk-test-sdk-suite"
CLAUDE = "claude-sonnet-5-5"
GPT = "gpt-5.1"

# What names one call or one moment: two calls of the provider differ in it, a hit and its miss do not.
NAMES = {"id", "request_id", "item_id", "created", "created_at", "completed_at", "encrypted_content"}


class Fake:
    """The controls of the fake provider."""

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(FAKE_URL + path, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def reset(self):
        self.ask("/fake/release", {})
        self.ask("/fake/reset", {})

    def script(self, *troubles):
        self.ask("/fake/script", [{"trouble": trouble} for trouble in troubles])

    def fail(self, status, times=1, **more):
        self.script(*[{"status": {"status": status, **more}}] * times)

    def answer(self, *answers):
        self.ask("/fake/answers", list(answers))

    def release(self):
        self.ask("/fake/release", {})

    @property
    def calls(self):
        """Model calls accepted."""
        return self.ask("/fake/stats")["calls"]

    @property
    def received(self):
        """Requests of any kind, refused ones included."""
        return self.ask("/fake/stats")["received"]

    @property
    def log(self):
        return self.ask("/fake/log")


def text(text):
    return {"text": text}


def thinking(text):
    return {"thinking": text}


def tool(name, **input):
    return {"tool": {"name": name, "input": input, "id": "toolu_01fixed"}}


def answer(*parts, **more):
    return {"parts": list(parts), **more}


def claude(way, **options):
    """An Anthropic client; `way` is the fake's or the proxy's address."""
    base = way if way == FAKE_URL else f"{way}/anthropic"
    return anthropic.Anthropic(**{"base_url": base, "api_key": KEY, "max_retries": 0, **options})


def async_claude(way, **options):
    base = way if way == FAKE_URL else f"{way}/anthropic"
    return anthropic.AsyncAnthropic(**{"base_url": base, "api_key": KEY, "max_retries": 0, **options})


def gpt(way, **options):
    """An OpenAI client."""
    base = f"{way}/v1" if way == FAKE_URL else f"{way}/openai/v1"
    return openai.OpenAI(**{"base_url": base, "api_key": KEY, "max_retries": 0, **options})


def async_gpt(way, **options):
    base = f"{way}/v1" if way == FAKE_URL else f"{way}/openai/v1"
    return openai.AsyncOpenAI(**{"base_url": base, "api_key": KEY, "max_retries": 0, **options})


def fresh(words):
    """A prompt that no other test has asked."""
    return f"{words} ({uuid.uuid4()})"


def dump(value):
    """A result object of an SDK as plain data."""
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if isinstance(value, (list, tuple)):
        return [dump(item) for item in value]
    return value


def nameless(value):
    """The same data without what names one call of the provider."""
    if isinstance(value, dict):
        return {key: "…" if key in NAMES else nameless(item) for key, item in value.items()}
    if isinstance(value, list):
        return [nameless(item) for item in value]
    return value


def ask_thrice(fake, make, ask, *answers):
    """Asks directly, through llmcache on a miss and on a hit; gives the direct, the missed and the hit result."""
    results = []
    for way in (FAKE_URL, PROXY_URL):
        fake.reset()
        fake.answer(*answers)
        results.append(dump(ask(make(way))))
    assert fake.calls == 1, "the question was not new"
    hit = dump(ask(make(PROXY_URL)))
    assert fake.calls == 1, "a repeat went to the provider"
    return *results, hit


def assert_same_thrice(fake, make, ask, *answers):
    """Direct and miss are the same but for names of the call; miss and hit are the same altogether."""
    direct, miss, hit = ask_thrice(fake, make, ask, *answers)
    assert nameless(miss) == nameless(direct)
    assert hit == miss
    return hit


def wire(make, way, **options):
    """A client and a list that gains every request the SDK puts on the wire, retries included."""
    sent = []
    client = make(way, **options)
    client._client.event_hooks = {"request": [sent.append], "response": []}
    return client, sent
