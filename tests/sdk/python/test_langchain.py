"""LangChain: the same messages directly, on a miss and on a hit, in every way of asking, and the variables it reads."""

import asyncio
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Callable

import anthropic
import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from kit import CLAUDE, FAKE_URL, GPT, KEY, PROXY_URL, answer, assert_same_thrice, dump, fresh, nameless, text, thinking, tool

LONG = text("Fourteen syllables make a line, and twenty lines a letter. " * 8)


class City(BaseModel):
    """A city."""

    city: str


@dataclass(frozen=True)
class Endpoint:
    name: str
    sdk: object
    make: Callable
    clients: Callable

    def __str__(self):
        return self.name


def claude(way=None, **options):
    """A chat model; `way` is the fake's or the proxy's address, absent = what the environment says."""
    base = {} if way is None else {"base_url": way if way == FAKE_URL else f"{way}/anthropic"}
    return ChatAnthropic(**{"model": CLAUDE, "api_key": KEY, "max_retries": 0, **base, **options})


def gpt(way=None, **options):
    base = {} if way is None else {"base_url": f"{way}/v1" if way == FAKE_URL else f"{way}/openai/v1"}
    return ChatOpenAI(**{"model": GPT, "api_key": KEY, "max_retries": 0, "stream_usage": True, **base, **options})


def responses(way=None, **options):
    return gpt(way, use_responses_api=True, store=False, **options)


ENDPOINTS = [
    Endpoint("messages", anthropic, claude, lambda model: model._client),
    Endpoint("chat", openai, gpt, lambda model: model.root_client),
    Endpoint("responses", openai, responses, lambda model: model.root_client),
]
endpoints = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)

CASES = {
    "text": lambda: (fresh("Hello"), {}, [answer(LONG)]),
    "unicode": lambda: (fresh("Grüße 🦀"), {}, [answer(text('Ça va: "quoted" \\ back\n\ttab 🦀'))]),
    "system": lambda: ([("system", "Be brief."), ("human", fresh("Hi"))], {"stop": ["STOP"]}, [answer(text("Some words STOP no"))]),
    "tools": lambda: (fresh("Weather?"), {"tools": [City]}, [answer(text("I look."), tool("City", city="Oslo"))]),
}


@pytest.fixture(scope="module")
def loop():
    """One event loop: LangChain keeps its asynchronous clients for the life of the process."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def told(message):
    """A message as data; an id of LangChain's own run belongs to the call."""
    said = dump(message)
    return said | {"id": "…"} if str(said.get("id")).startswith("lc_run") else said


def merged(chunks):
    return told(reduce(add, chunks))


def invoke(loop, model, ask, options):
    return told(model.invoke(ask, **options))


def ainvoke(loop, model, ask, options):
    return told(loop.run_until_complete(model.ainvoke(ask, **options)))


def stream(loop, model, ask, options):
    return merged(list(model.stream(ask, **options)))


def astream(loop, model, ask, options):
    async def heard():
        return [chunk async for chunk in model.astream(ask, **options)]

    return merged(loop.run_until_complete(heard()))


WAYS = [invoke, ainvoke, stream, astream]


def bound(model, options):
    """The model with the case's tools, and the options left for the call."""
    rest = dict(options)
    tools = rest.pop("tools", None)
    return (model.bind_tools(tools) if tools else model), rest


@endpoints
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("case", CASES)
def test_same_message(fake, loop, endpoint, case, way):
    ask, options, said = CASES[case]()
    if endpoint.make is responses:
        options.pop("stop", None)  # Responses has no stop sequences.
    hit = assert_same_thrice(fake, endpoint.make, lambda model: way(loop, *bound_ask(model, ask, options)), *said)
    assert hit["usage_metadata"]["output_tokens"] > 0
    if case == "tools":
        assert [call["args"] for call in hit["tool_calls"]] == [{"city": "Oslo"}]


def bound_ask(model, ask, options):
    model, rest = bound(model, options)
    return model, ask, rest


@endpoints
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_the_same(fake, endpoint, method):
    said = text('{"city": "Oslo"}') if method == "json_schema" else tool("City", city="Oslo")
    # An older model: the newest think, and LangChain warns of forcing a tool on those.
    options = {"model": "claude-haiku-4-5"} if endpoint.make is claude else {}
    ask = fresh("Where?")

    def where(model):
        return model.with_structured_output(City, method=method).invoke(ask)

    hit = assert_same_thrice(fake, lambda way: endpoint.make(way, **options), where, answer(said))
    assert hit == {"city": "Oslo"}


def test_thinking_is_the_same(fake, loop):
    for way in WAYS:
        ask = fresh("Think")
        said = answer(thinking("Long thoughts. " * 9), LONG)
        make = lambda to: claude(to, thinking={"type": "adaptive"})
        hit = assert_same_thrice(fake, make, lambda model: way(loop, model, ask, {}), said)
        assert [block["type"] for block in hit["content"]] == ["thinking", "text"]


@endpoints
def test_a_conversation_with_a_tool_is_replayed_turn_by_turn(fake, endpoint):
    asked = [("human", fresh("Weather in Oslo?"))]

    def converse(model):
        model = model.bind_tools([City])
        first = model.invoke(asked)
        result = {"role": "tool", "tool_call_id": first.tool_calls[0]["id"], "content": "snow"}
        return [told(first), told(model.invoke([*asked, first, result]))]

    results = []
    for way in (FAKE_URL, PROXY_URL, PROXY_URL):
        if len(results) < 2:
            fake.reset()
        fake.answer(answer(tool("City", city="Oslo")), answer(text("It snows.")))
        results.append(converse(endpoint.make(way)))
    direct, miss, hit = results
    assert fake.calls == 2, "a turn of the replayed conversation went to the provider"
    assert (nameless(miss), hit) == (nameless(direct), miss)


@endpoints
def test_a_batch_is_the_same_and_asked_once(fake, loop, endpoint):
    asks = [fresh(f"Number {number}") for number in range(6)]

    def batch(model):
        return [told(message) for message in model.batch(asks)]

    def abatch(model):
        return [told(message) for message in loop.run_until_complete(model.abatch(asks))]

    direct = batch(endpoint.make(FAKE_URL))
    fake.reset()
    miss = batch(endpoint.make(PROXY_URL))
    assert nameless(miss) == nameless(direct)
    for again in (batch, abatch):
        assert again(endpoint.make(PROXY_URL)) == miss
    assert fake.calls == len(asks)


@endpoints
def test_the_second_call_says_that_it_is_a_hit(fake, endpoint):
    ask, (model, _, heard) = fresh("Twice"), watched(endpoint, PROXY_URL)
    model.invoke(ask)
    model.invoke(ask)
    list(model.stream(ask))
    said = [response.headers["cache-status"] for response in heard]
    assert said[0] == "llmcache; fwd=miss; stored"
    assert len(said) == 3 and all(status.startswith("llmcache; hit; ttl=") for status in said[1:])
    assert fake.calls == 1


def watched(endpoint, way, **options):
    """A model, and lists that gain every request put on the wire and every response."""
    model, sent, heard = endpoint.make(way, **options), [], []
    endpoint.clients(model)._client.event_hooks = {"request": [sent.append], "response": [heard.append]}
    return model, sent, heard


@endpoints
@pytest.mark.parametrize("status", [400, 401, 404, 413, 429, 500, 529])
def test_an_error_is_the_same_and_is_not_kept(fake, endpoint, status):
    ask = fresh("Fail")
    fake.fail(status, times=4)

    def caught(call):
        with pytest.raises(endpoint.sdk.APIStatusError) as info:
            call()
        error = info.value
        return type(error), error.status_code, nameless(error.body), error.response.headers.get("x-should-retry")

    seen = []
    for way in (FAKE_URL, PROXY_URL):
        model = endpoint.make(way)
        seen.append([caught(lambda: model.invoke(ask)), caught(lambda: list(model.stream(ask)))])
    assert seen[0] == seen[1]
    endpoint.make(PROXY_URL).invoke(ask)
    assert (fake.received, fake.calls) == (5, 1)


@endpoints
def test_it_retries_as_often_as_without_llmcache(fake, endpoint):
    seen = []
    for way in (FAKE_URL, PROXY_URL):
        fake.reset()
        fake.fail(529)
        model, sent, _ = watched(endpoint, way, max_retries=1)
        model.invoke(fresh("Again"))
        seen.append((len(sent), fake.received, fake.calls))
    assert seen == [(2, 2, 1)] * 2


@endpoints
def test_a_cut_stream_is_an_error_and_never_a_short_answer(fake, endpoint):
    ask = fresh("Cut")
    fake.answer(answer(LONG), answer(LONG))
    fake.script({"cut_after": 5})
    model = endpoint.make(PROXY_URL)
    with pytest.raises(endpoint.sdk.APIError, match="llmcache: "):
        list(model.stream(ask))
    assert reduce(add, model.stream(ask)).text == LONG["text"]
    assert fake.calls == 2, "a broken stream was kept"


BASES = {
    "ANTHROPIC_API_URL": (claude, f"{PROXY_URL}/anthropic"),
    "ANTHROPIC_BASE_URL": (claude, f"{PROXY_URL}/anthropic"),
    "OPENAI_API_BASE": (gpt, f"{PROXY_URL}/openai/v1"),
    "OPENAI_BASE_URL": (gpt, f"{PROXY_URL}/openai/v1"),
}


@pytest.mark.parametrize("name", BASES)
def test_each_variable_it_reads_leads_to_the_proxy(fake, monkeypatch, name):
    make, value = BASES[name]
    monkeypatch.setenv(name, value)
    ask = fresh("Environment")
    first = make().invoke(ask)
    assert told(make().invoke(ask)) == told(first)
    assert told(make(PROXY_URL).invoke(ask)) == told(first), "the variable's way is another key"
    assert fake.calls == 1


def test_usage_of_a_stream_has_to_be_asked_for_under_any_base_url(fake, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{PROXY_URL}/openai/v1")
    ask = fresh("Usage")
    # LangChain's own default: off as soon as a base URL is set, whoever is behind it.
    assert merged(list(gpt(stream_usage=None).stream(ask)))["usage_metadata"] is None
    assert merged(list(gpt(stream_usage=True).stream(ask)))["usage_metadata"]["output_tokens"] > 0
    assert fake.calls == 1


def test_embeddings_are_the_same(fake):
    def embed(base):
        # Without the check texts go out as they are; with it LangChain fetches a tokenizer from the network.
        model = OpenAIEmbeddings(base_url=base, api_key=KEY, check_embedding_ctx_length=False, max_retries=0)
        return [model.embed_documents(["one", "two"]), model.embed_query("three")]

    direct = embed(f"{FAKE_URL}/v1")
    for _ in range(2):
        assert embed(f"{PROXY_URL}/openai/v1") == direct
