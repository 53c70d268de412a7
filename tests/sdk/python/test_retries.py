"""Retries and timeouts belong to the SDK: llmcache adds none, hides none and says when they are pointless."""

import pytest

from kit import FAKE_URL, PROXY_URL, fresh, wire
from providers import ENDPOINTS

endpoints = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)


@endpoints
@pytest.mark.parametrize("status", [429, 500, 529])
def test_the_sdk_retries_as_often_as_without_llmcache(fake, endpoint, status):
    seen = []
    for way in (FAKE_URL, PROXY_URL):
        fake.reset()
        fake.fail(status, times=2)
        client, sent = wire(endpoint.make, way, max_retries=2)
        endpoint.create(client, fresh("Again"))
        seen.append((len(sent), fake.received, fake.calls))
    assert seen == [(3, 3, 1)] * 2


@endpoints
def test_retry_after_reaches_the_sdk_and_is_obeyed(fake, endpoint):
    fake.fail(429, retry_after=1)
    client, sent = wire(endpoint.make, PROXY_URL, max_retries=1)
    waits = []
    parse = client._parse_retry_after_header
    client._parse_retry_after_header = lambda *given: waits.append(parse(*given)) or waits[-1]
    endpoint.create(client, fresh("Later"))
    assert (set(waits), len(sent), fake.received) == ({1.0}, 2, 2)


@endpoints
def test_a_client_error_is_not_retried(fake, endpoint):
    fake.fail(400, times=3)
    client, sent = wire(endpoint.make, PROXY_URL, max_retries=2)
    with pytest.raises(endpoint.sdk.BadRequestError):
        endpoint.create(client, fresh("Bad"))
    assert (len(sent), fake.received) == (1, 1)


@endpoints
def test_only_if_cached_is_a_504_that_is_not_retried(fake, endpoint):
    client, sent = wire(endpoint.make, PROXY_URL, max_retries=2)
    with pytest.raises(endpoint.sdk.InternalServerError) as info:
        endpoint.create(client, fresh("Cached?"), extra_headers={"cache-control": "only-if-cached"})
    error = info.value
    assert (error.status_code, error.response.headers["x-should-retry"]) == (504, "false")
    body = error.body if "error" not in error.body else error.body["error"]
    assert body["message"].startswith("llmcache: ")
    assert body["type"] == "timeout_error" or body["code"] == "llmcache_not_cached"
    assert (len(sent), fake.received) == (1, 0)


@endpoints
def test_only_if_cached_is_answered_from_the_cache(fake, endpoint):
    words = fresh("Cached!")
    client = endpoint.make(PROXY_URL)
    first = endpoint.create(client, words)
    again = endpoint.create(client, words, extra_headers={"cache-control": "only-if-cached"})
    assert (again.id, fake.calls) == (first.id, 1)


@endpoints
def test_a_reset_connection_is_healed_by_the_sdks_retry(fake, endpoint):
    fake.script("reset", "reset")
    client, _ = wire(endpoint.make, PROXY_URL, max_retries=2)
    assert endpoint.said(endpoint.create(client, fresh("Reset")))


@endpoints
def test_a_silent_provider_times_out_the_same_and_is_asked_again(fake, endpoint):
    words = fresh("Silence")
    fake.script({"stall_after": 0}, {"stall_after": 0})
    for way in (FAKE_URL, PROXY_URL):
        with pytest.raises(endpoint.sdk.APITimeoutError):
            endpoint.create(endpoint.make(way, timeout=0.5), words)
    fake.release()
    assert endpoint.said(endpoint.create(endpoint.make(PROXY_URL), words))


@endpoints
def test_a_retry_after_a_timeout_gets_the_answer(fake, endpoint):
    fake.script({"stall_after": 0})
    client, sent = wire(endpoint.make, PROXY_URL, max_retries=1, timeout=1.0)
    assert endpoint.said(endpoint.create(client, fresh("Twice")))
    assert len(sent) == 2
