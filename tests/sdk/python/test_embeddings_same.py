"""OpenAI's Embeddings: the same vectors directly, on a miss, in part stored and on a hit, in every form of asking."""

import asyncio

import pytest

from kit import FAKE_URL, PROXY_URL, assert_same_thrice, async_gpt, dump, fresh, gpt, nameless

# The SDK's own type says that an embedding is no text, and warns of the base64 that it was asked for.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")

MODEL = "text-embedding-3-small"

INPUTS = {
    "text": lambda: fresh("Hello"),
    "texts": lambda: [fresh("one"), fresh("Grüße 🦀 \"quoted\" \\ back\n\ttab"), fresh("three")],
    "tokens": lambda: list(fresh("tokens").encode()),
    "token_lists": lambda: [list(fresh("a").encode()), list(fresh("b").encode())],
}

# The SDK asks for base64 by itself and unpacks it; either way the caller gets a list of floats unless it says base64.
FORMS = {
    "default": {},
    "float": {"encoding_format": "float"},
    "base64": {"encoding_format": "base64"},
    "short": {"dimensions": 8},
    "short_float": {"dimensions": 8, "encoding_format": "float"},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", INPUTS)
def test_same_result(fake, kind, form):
    ask = {"model": MODEL, "input": INPUTS[kind](), **FORMS[form]}
    result = assert_same_thrice(fake, gpt, lambda client: client.embeddings.create(**ask))
    assert [item["index"] for item in result["data"]] == list(range(len(result["data"])))


@pytest.mark.parametrize("form", FORMS)
def test_stored_and_new_items_stand_in_the_callers_order(fake, form):
    texts = [fresh(word) for word in ("one", "two", "three", "four")]
    order = [texts[2], texts[0], texts[3], texts[1], texts[0]]

    def ask(way, input):
        return dump(gpt(way).embeddings.create(model=MODEL, input=input, **FORMS[form]))

    ask(PROXY_URL, texts[:2])
    part = ask(PROXY_URL, order)
    hit = ask(PROXY_URL, order)
    assert fake.calls == 2
    assert part == hit
    assert nameless(ask(FAKE_URL, order)) == nameless(hit)


def test_either_form_is_its_own_entry(fake):
    text = fresh("forms")
    for _ in range(2):
        unpacked = gpt(PROXY_URL).embeddings.create(model=MODEL, input=text)
        floats = gpt(PROXY_URL).embeddings.create(model=MODEL, input=text, encoding_format="float")
        assert fake.calls == 2
        assert len(unpacked.data[0].embedding) == len(floats.data[0].embedding) == 1536


def test_response_says_what_was_stored(fake):
    one, two = fresh("one"), fresh("two")

    def status(input):
        raw = gpt(PROXY_URL).embeddings.with_raw_response.create(model=MODEL, input=input)
        return raw.headers["cache-status"]

    assert status([one]) == "llmcache; fwd=miss; stored"
    assert status([one, two]) == "llmcache; fwd=miss; stored; detail=partial"
    assert status([two, one]).startswith("llmcache; hit; ttl=")


def test_identical_calls_at_once_are_one(fake):
    texts = [fresh("one"), fresh("two")]
    fake.script({"think_ms": 150})

    async def ask():
        async with async_gpt(PROXY_URL) as client:
            calls = [client.embeddings.create(model=MODEL, input=texts) for _ in range(10)]
            return [dump(result) for result in await asyncio.gather(*calls)]

    results = asyncio.run(ask())
    assert fake.calls == 1
    assert all(result == results[0] for result in results)
