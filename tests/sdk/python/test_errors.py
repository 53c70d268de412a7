"""Errors of the provider: the same exception, message, body and request id as without llmcache, and never kept."""

import re

import pytest

from kit import FAKE_URL, PROXY_URL, answer, fresh, nameless, text
from providers import ENDPOINTS, MESSAGES, RESPONSES

endpoints = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)

SENTENCES = answer(text("A sentence that is long enough to be cut in the middle. " * 4))
TROUBLES = {
    "400": {"status": 400},
    "401": {"status": 401},
    "403": {"status": 403},
    "404": {"status": 404},
    "413": {"status": 413},
    "429": {"status": 429, "retry_after": 7},
    "429_spend_limit": {"status": 429, "code": "enforced_spend_limit_reached"},
    "500": {"status": 500},
    "529": {"status": 529},
}


def caught(endpoint, call):
    """What an application can see of the exception a call raises."""
    with pytest.raises(endpoint.sdk.APIError) as info:
        call()
    error = info.value
    seen = {"class": type(error), "message": error.message, "body": error.body}
    if isinstance(error, endpoint.sdk.APIStatusError):
        request_id = error.request_id
        assert request_id, "the provider's request id is lost"
        assert request_id == error.response.headers.get("request-id", error.response.headers.get("x-request-id"))
        seen["message"] = re.sub(r"req_[0-9a-f]+", "…", error.message)
        seen |= {"status": error.status_code, "type": error.response.headers["content-type"]}
        seen["retry"] = [error.response.headers.get(name) for name in ("retry-after", "x-should-retry")]
    return nameless(seen)


@endpoints
@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_a_status_raises_the_same_exception(fake, endpoint, trouble, streamed):
    words = fresh("Fail")
    ask = endpoint.stream if streamed else endpoint.create
    fake.fail(**TROUBLES[trouble], times=3)
    direct = caught(endpoint, lambda: ask(endpoint.make(FAKE_URL), words))
    for _ in range(2):
        assert caught(endpoint, lambda: ask(endpoint.make(PROXY_URL), words)) == direct
    assert fake.received == 3
    endpoint.create(endpoint.make(PROXY_URL), words)
    assert fake.calls == 1, "an error was kept"


@endpoints
def test_a_request_the_provider_refuses_raises_the_same_exception(fake, endpoint):
    def refused(way):
        client = endpoint.make(way)
        yield lambda: endpoint.create(client, "Hi", extra_body={"model": "no-such-model"})
        yield lambda: endpoint.create(client, "Hi", extra_body={"messages": "not a list", "input": None})

    for direct, through in zip(refused(FAKE_URL), refused(PROXY_URL)):
        assert caught(endpoint, through) == caught(endpoint, direct)
    assert fake.calls == 0


def end_of_stream(endpoint, way, words):
    """The exception that ends a stream; Responses hands out the error event as its last instead."""
    stream = endpoint.stream(endpoint.make(way), words)
    if endpoint is not RESPONSES:
        return caught(endpoint, lambda: list(stream))
    last = list(stream)[-1].model_dump()
    assert last.pop("sequence_number") is not None
    return last


@endpoints
def test_an_error_inside_a_stream_is_the_same_and_is_not_kept(fake, endpoint):
    words = fresh("Break")
    fake.answer(*[SENTENCES] * 3)
    fake.script({"error_event_after": 5}, {"error_event_after": 5})
    direct = end_of_stream(endpoint, FAKE_URL, words)
    assert end_of_stream(endpoint, PROXY_URL, words) == direct
    assert endpoint.said(endpoint.create(endpoint.make(PROXY_URL), words)) == SENTENCES["parts"][0]["text"]
    assert fake.calls == 3, "an error was kept"


@endpoints
def test_a_cut_stream_ends_in_an_error_and_is_never_a_short_answer(fake, endpoint):
    words = fresh("Cut")
    fake.answer(SENTENCES, SENTENCES)
    fake.script({"cut_after": 5})
    with pytest.raises(endpoint.sdk.APIError, match="llmcache: "):
        list(endpoint.stream(endpoint.make(PROXY_URL), words))
    assert endpoint.heard(endpoint.stream(endpoint.make(PROXY_URL), words)) == SENTENCES["parts"][0]["text"]
    assert fake.calls == 2, "a broken stream was kept"


@endpoints
def test_garbage_in_a_stream_is_an_error_and_not_kept(fake, endpoint):
    words = fresh("Garbage")
    fake.answer(SENTENCES, SENTENCES)
    fake.script({"garbage_after": 5})
    try:
        events = list(endpoint.stream(endpoint.make(PROXY_URL), words))
        assert endpoint is RESPONSES and events[-1].type == "error", "garbage ended a stream as if it were whole"
    except (endpoint.sdk.APIError, ValueError):
        pass  # ValueError: the SDK itself met the bytes, as it does without llmcache.
    assert endpoint.heard(endpoint.stream(endpoint.make(PROXY_URL), words)) == SENTENCES["parts"][0]["text"]
    assert fake.calls == 2, "a broken stream was kept"


@endpoints
def test_a_plain_answer_cut_half_way_is_an_exception(fake, endpoint):
    words = fresh("Half")
    fake.script({"cut_after": 1})
    with pytest.raises(endpoint.sdk.APIError):
        endpoint.create(endpoint.make(PROXY_URL), words)
    endpoint.create(endpoint.make(PROXY_URL), words)
    assert fake.calls == 2


def test_a_refused_answer_is_the_same_and_not_kept(fake):
    words = fresh("Refuse")
    fake.script(*["refusal"] * 3)
    results = [MESSAGES.create(MESSAGES.make(way), words) for way in (FAKE_URL, PROXY_URL, PROXY_URL)]
    assert [nameless(result.model_dump()) for result in results[1:]] == [nameless(results[0].model_dump())] * 2
    assert (results[0].stop_reason, fake.calls) == ("refusal", 3)
