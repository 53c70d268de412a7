"""`curl --compressed`: whoever offers encodings gets the same answer as whoever does not, on a miss, a hit and beside both."""

import gzip
import json
import subprocess
from dataclasses import dataclass

import pytest

from kit import FAKE_URL, KEY, PROXY_URL, answer, fresh, nameless, text
from providers import CHAT, ENDPOINTS, MESSAGES

LONG = "Fourteen syllables make a line, and twenty lines a letter. " * 40
PLAIN, COMPRESSED = [], ["--compressed"]
VERSION = "anthropic-version: 2023-06-01"
PATHS = {"messages": "v1/messages", "chat": "v1/chat/completions", "responses": "v1/responses"}

endpoints = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
streamed = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
first = pytest.mark.parametrize("first", [PLAIN, COMPRESSED], ids=["without", "with"])


@dataclass(frozen=True)
class Heard:
    status: int
    headers: dict
    body: bytes

    @property
    def cache(self):
        return self.headers.get("cache-status", "")


@pytest.fixture
def curl(tmp_path):
    """Runs curl; the body is what it wrote after its own decoding, the headers are as they came."""

    def run(flags, url, body=None, headers=()):
        written = body if body is None or isinstance(body, str) else json.dumps(body)
        asked = [] if body is None else ["--data-binary", written, "-H", "content-type: application/json"]
        version = [VERSION] if "/messages" in url else []
        for header in (f"authorization: Bearer {KEY}", *version, *headers):
            asked += ["-H", header]
        files = {"-D": tmp_path / "head", "-o": tmp_path / "body"}
        command = ["curl", "-q", "-sS", "--no-buffer", "--max-time", "20", *flags, *asked]
        for flag, file in files.items():
            file.write_bytes(b"")
            command += [flag, str(file)]
        done = subprocess.run([*command, url], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        status, *lines = files["-D"].read_text().strip().splitlines()
        pairs = [line.split(":", 1) for line in lines]
        return Heard(int(status.split()[1]), {name.lower(): value.strip() for name, value in pairs}, files["-o"].read_bytes())

    return run


def address(way, endpoint):
    provider = "anthropic" if endpoint is MESSAGES else "openai"
    return f"{way}/{PATHS[endpoint.name]}" if way == FAKE_URL else f"{way}/{provider}/{PATHS[endpoint.name]}"


def spoken(endpoint, heard, streamed):
    """The text of an answer, from either form."""
    if not streamed:
        said = json.loads(heard.body)
        if endpoint is MESSAGES:
            return said["content"][0]["text"]
        return said["choices"][0]["message"]["content"] if endpoint is CHAT else said["output"][0]["content"][0]["text"]
    events = [json.loads(line[len(b"data: ") :]) for line in heard.body.splitlines() if line.startswith(b"data: {")]
    if endpoint is MESSAGES:
        return "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")
    if endpoint is CHAT:
        return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


@endpoints
@streamed
@first
def test_a_miss_and_its_hits_are_the_same_with_and_without_the_flag(fake, curl, endpoint, streamed, first):
    ask = endpoint.ask(fresh("Squeeze")) | ({"stream": True} if streamed else {})
    url = address(PROXY_URL, endpoint)
    fake.answer(answer(text(LONG)))
    miss = curl(first, url, ask)
    hits = [curl(flags, url, ask) for flags in (PLAIN, COMPRESSED)]
    assert fake.calls == 1
    assert miss.cache.startswith("llmcache; fwd=miss")
    for heard in (miss, *hits):
        assert heard.status == 200
        assert spoken(endpoint, heard, streamed) == LONG
    assert all(hit.cache.startswith("llmcache; hit; ") for hit in hits)
    assert hits[0].body == hits[1].body
    assert "content-encoding" not in hits[0].headers, "an encoding that was not asked for"
    if not streamed:
        assert json.loads(miss.body) == json.loads(hits[0].body)


@endpoints
def test_the_provider_is_asked_for_bytes_that_can_be_read(fake, curl, endpoint):
    curl(COMPRESSED, address(PROXY_URL, endpoint), endpoint.ask(fresh("Identity")))
    assert dict(fake.log[-1]["headers"])["accept-encoding"] == "identity"


@endpoints
@streamed
def test_a_call_that_may_not_be_kept_is_the_same_with_the_flag(fake, curl, endpoint, streamed):
    ask = endpoint.ask(fresh("No store")) | ({"stream": True} if streamed else {})
    for flags in (PLAIN, COMPRESSED):
        fake.answer(answer(text(LONG)))
        heard = curl(flags, address(PROXY_URL, endpoint), ask, ["cache-control: no-store"])
        assert heard.cache.startswith("llmcache; fwd=bypass")
        assert spoken(endpoint, heard, streamed) == LONG
    assert fake.calls == 2


@endpoints
@pytest.mark.parametrize("status", [400, 429, 529])
def test_an_error_is_the_same_with_the_flag(fake, curl, endpoint, status):
    ask = endpoint.ask(fresh("Fail"))
    fake.fail(status, times=3)
    seen = []
    for way, flags in ((FAKE_URL, PLAIN), (PROXY_URL, PLAIN), (PROXY_URL, COMPRESSED)):
        heard = curl(flags, address(way, endpoint), ask)
        seen.append((heard.status, nameless(json.loads(heard.body))))
    assert seen == [seen[0]] * 3 and seen[0][0] == status


@endpoints
@streamed
def test_what_is_not_understood_passes_through_in_the_encoding_it_came_in(fake, curl, endpoint, streamed):
    ask = endpoint.ask(fresh("Doubled")) | ({"stream": True} if streamed else {})
    model = json.dumps(ask["model"])
    doubled = json.dumps(ask).replace(f'"model": {model}', f'"model": {model}, "model": {model}', 1)
    for flags, encoding in ((PLAIN, None), (COMPRESSED, "gzip")):
        fake.answer(answer(text(LONG)))
        heard = curl(flags, address(PROXY_URL, endpoint), doubled)
        assert heard.cache.startswith("llmcache; fwd=bypass")
        assert heard.headers.get("content-encoding") == encoding
        assert spoken(endpoint, heard, streamed) == LONG


@pytest.mark.parametrize("path", ["openai/v1/models", "openai/v1/unknown/path?a=1", "openai/v1/embeddings"])
def test_other_endpoints_answer_the_same_with_the_flag(fake, curl, path):
    ask = {"model": "text-embedding-3-small", "input": fresh("Vector")} if path.endswith("embeddings") else None
    asked = [(FAKE_URL, COMPRESSED), *[(f"{PROXY_URL}/openai", flags) for flags in (PLAIN, COMPRESSED, COMPRESSED)]]
    seen = [curl(flags, base + path.removeprefix("openai"), ask) for base, flags in asked]
    assert [(heard.status, json.loads(heard.body)) for heard in seen] == [(200, json.loads(seen[0].body))] * 4


def test_a_compressed_question_passes_through_whole(fake, curl, tmp_path):
    """Content-Encoding is the client's word to the provider: such a body is not opened, so it is not cached either."""
    packed = tmp_path / "question"
    packed.write_bytes(gzip.compress(json.dumps(CHAT.ask(fresh("Packed"))).encode()))
    flags = ["--compressed", "--data-binary", f"@{packed}", "-H", "content-encoding: gzip", "-H", "content-type: application/json"]
    through = curl(flags, address(PROXY_URL, CHAT))
    direct = curl(flags, address(FAKE_URL, CHAT))
    assert through.cache == "llmcache; fwd=bypass; detail=compressed"
    assert (through.status, nameless(json.loads(through.body))) == (direct.status, nameless(json.loads(direct.body)))
