"""What llmcache says in headers, and what a caller can ask for by them."""

import re

import pytest

from kit import FAKE_URL, PROXY_URL, fresh
from providers import ENDPOINTS

endpoints = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)


@endpoints
def test_a_plain_miss_and_its_hit_say_what_they_are(fake, endpoint):
    words = fresh("Headers")
    client = endpoint.make(PROXY_URL)
    miss, hit = endpoint.raw(client, words), endpoint.raw(client, words)
    model = endpoint.ask(words)["model"]
    assert miss.headers["cache-status"] == "llmcache; fwd=miss; stored"
    assert "age" not in miss.headers
    found = re.fullmatch(r"llmcache; hit; ttl=(\d+); detail=result", hit.headers["cache-status"])
    assert found and 3590 <= int(found[1]) <= 3600
    assert 0 <= int(hit.headers["age"]) <= 10
    for said in (miss, hit):
        assert said.headers["x-llmcache-model"] == model
        assert re.search(r"\bresult_cache=[a-z_-]+", said.headers["x-llmcache-reason"])
        assert re.fullmatch(r"-?\d+\.\d{9}", said.headers["x-llmcache-saved-usd"])
    assert float(hit.headers["x-llmcache-saved-usd"]) > 0
    ids = [said.headers["x-llmcache-request-id"] for said in (miss, hit)]
    assert all(ids) and ids[0] != ids[1]
    assert dict(miss.parse()) == dict(hit.parse())


@endpoints
def test_a_streamed_miss_promises_nothing_it_cannot_know(fake, endpoint):
    words = fresh("Stream headers")
    client = endpoint.make(PROXY_URL)
    seen = []
    for _ in range(2):
        with endpoint.stream(client, words) as stream:
            seen.append(stream.response.headers)
            list(stream)
    miss, hit = seen
    assert miss["cache-status"] == "llmcache; fwd=miss"
    assert "x-llmcache-saved-usd" not in miss and "x-llmcache-request-id" in miss
    assert hit["cache-status"].startswith("llmcache; hit; ttl=")
    assert hit["content-type"].startswith("text/event-stream")


@endpoints
def test_the_providers_own_headers_stay_on_a_miss_and_go_on_a_hit(fake, endpoint):
    words = fresh("Limits")
    client = endpoint.make(PROXY_URL)
    direct = endpoint.raw(endpoint.make(FAKE_URL), words)
    miss, hit = endpoint.raw(client, words), endpoint.raw(client, words)
    limits = [name for name in direct.headers if "ratelimit" in name]
    assert limits and all(miss.headers.get(name) for name in limits)
    assert not [name for name in hit.headers if "ratelimit" in name]
    named = "request-id" if "request-id" in direct.headers else "x-request-id"
    assert miss.headers[named] and hit.headers[named]
    assert miss.headers[named] != hit.headers[named]


@endpoints
def test_no_store_is_neither_read_nor_kept(fake, endpoint):
    words = fresh("No store")
    client = endpoint.make(PROXY_URL)
    said = endpoint.raw(client, words, extra_headers={"cache-control": "no-store"})
    assert said.headers["cache-status"].startswith("llmcache; fwd=bypass; detail=")
    first = endpoint.create(client, words)
    endpoint.create(client, words, extra_headers={"cache-control": "no-store"})
    assert fake.calls == 3
    assert endpoint.create(client, words).id == first.id


@endpoints
def test_no_cache_asks_again_and_replaces_the_answer(fake, endpoint):
    words = fresh("No cache")
    client = endpoint.make(PROXY_URL)
    old = endpoint.create(client, words)
    new = endpoint.create(client, words, extra_headers={"cache-control": "no-cache"})
    assert fake.calls == 2 and new.id != old.id
    assert endpoint.create(client, words).id == new.id
    assert fake.calls == 2


@endpoints
def test_max_age_zero_asks_again(fake, endpoint):
    words = fresh("Fresh only")
    client = endpoint.make(PROXY_URL)
    endpoint.create(client, words)
    endpoint.create(client, words, extra_headers={"cache-control": "max-age=0"})
    endpoint.create(client, words, extra_headers={"cache-control": "max-age=3600"})
    assert fake.calls == 2


@endpoints
def test_control_headers_do_not_reach_the_provider(fake, endpoint):
    client = endpoint.make(PROXY_URL)
    ours = {"x-llmcache-tags": "doc:1", "x-llmcache-pin": "requested", "x-llmcache-semantic": "off"}
    endpoint.create(client, fresh("Ours"), extra_headers={**ours, "x-app": "kept"})
    headers = dict(fake.log[-1]["headers"])
    assert headers["x-app"] == "kept"
    assert not [name for name in headers if name.startswith("x-llmcache-")]
