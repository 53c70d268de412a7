"""OpenAI's Responses: the same result objects directly, on a miss and on a hit; stored ones are left alone."""

import pytest

from kit import FAKE_URL, GPT, PROXY_URL, answer, assert_same_thrice, dump, fresh, gpt, nameless, text, thinking, tool

LONG = text("Fourteen syllables make a line, and twenty lines a letter. " * 8)
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}


def image():
    parts = [{"type": "input_image", "image_url": PIXEL, "detail": "auto"}, {"type": "input_text", "text": fresh("What is on it?")}]
    return [{"role": "user", "content": parts}]


CASES = {
    "text": lambda: ({"input": fresh("Hello")}, answer(LONG)),
    "unicode": lambda: ({"input": fresh("Grüße 🦀")}, answer(text('Ça va: "quoted" \\ back\n\ttab 🦀'))),
    "instructions": lambda: ({"input": fresh("Hi"), "instructions": "Be brief.", "metadata": {"a": "b"}}, answer(LONG)),
    "image": lambda: ({"input": image()}, answer(text("A pixel."))),
    "tool_call": lambda: (
        {"input": fresh("Weather?"), "tools": [WEATHER]}, answer(text("I look."), tool("weather", city="Oslo", days=[1, 2.5])),
    ),
    "reasoning": lambda: (
        {"input": fresh("Think"), "reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]},
        answer(thinking("Long thoughts. " * 9), LONG),
    ),
}


def plain(client, ask):
    return client.responses.create(**ask)


def helper(client, ask):
    with client.responses.stream(**ask) as stream:
        kinds = [event.type for event in stream]
        return [[kind for at, kind in enumerate(kinds) if kinds[at - 1 : at] != [kind]], stream.get_final_response()]


def raw(client, ask):
    return merged([dump(event) for event in client.responses.create(**ask, stream=True)])


def merged(events):
    """Events in order, neighbouring deltas joined; their numbers must count up and are then left out."""
    numbers = [event.pop("sequence_number") for event in events]
    assert numbers == list(range(len(numbers)))
    result = []
    for event in events:
        event.pop("obfuscation", None)
        if event["type"] == "response.function_call_arguments.done":
            event.pop("name", None)  # Some of the provider's versions repeat it here; the SDK's type has no such field.
        last = result[-1] if result else {}
        if event["type"].endswith(".delta") and last.get("type") == event["type"]:
            last["delta"] += event["delta"]
        else:
            result.append(event)
    return result


@pytest.mark.parametrize("way", [plain, helper, raw], ids=lambda way: way.__name__)
@pytest.mark.parametrize("case", CASES)
def test_same_result(fake, case, way):
    ask, said = CASES[case]()
    assert_same_thrice(fake, gpt, lambda client: way(client, {"model": GPT, "store": False, **ask}), said)


@pytest.mark.parametrize("case", CASES)
def test_a_plain_answer_serves_a_stream_and_the_other_way_round(fake, case):
    for first, second in ((plain, final), (final, plain)):
        ask, said = CASES[case]()
        fake.reset()
        fake.answer(said)
        told, retold = [dump(way(gpt(PROXY_URL), {"model": GPT, "store": False, **ask})) for way in (first, second)]
        assert fake.calls == 1
        assert retold == told


def final(client, ask):
    last = list(client.responses.create(**ask, stream=True))[-1]
    return last.response


@pytest.mark.parametrize("way", [plain, final], ids=lambda way: way.__name__)
def test_a_stored_response_is_never_replayed(fake, way):
    ask = {"model": GPT, "input": fresh("Store")}
    ids = {way(gpt(PROXY_URL), ask).id for _ in range(2)}
    assert (len(ids), fake.calls) == (2, 2)


def test_a_stored_response_is_continued_and_fetched_at_the_provider(fake):
    def converse(client):
        first = client.responses.create(model=GPT, input="One")
        second = client.responses.create(model=GPT, input="Two", previous_response_id=first.id)
        fetched = client.responses.retrieve(second.id)
        client.responses.delete(first.id)
        return [first, second, fetched]

    results = []
    for way in (FAKE_URL, PROXY_URL):
        fake.reset()
        fake.answer(answer(text("one")), answer(text("two")))
        # What the provider keeps has the cache key that llmcache sent, and fetching it is not a typed call.
        own = {"previous_response_id": None, "prompt_cache_key": None}
        results.append([nameless({**item, **own}) for item in dump(converse(gpt(way)))])
    assert results[0] == results[1]
    assert fake.calls == 2


def test_a_stored_response_says_why_it_was_not_looked_up(fake):
    raw = gpt(PROXY_URL).responses.with_raw_response.create(model=GPT, input=fresh("Why"))
    assert raw.headers["cache-status"].startswith("llmcache; fwd=bypass; detail=")


def test_a_hit_repeats_the_callers_own_fields_not_the_first_callers(fake):
    words = fresh("Whose")
    first = gpt(PROXY_URL).responses.create(model=GPT, store=False, input=words, metadata={"who": "first"})
    second = gpt(PROXY_URL).responses.create(model=GPT, store=False, input=words, metadata={"who": "second"})
    third = gpt(PROXY_URL).responses.create(model=GPT, store=False, input=words)
    assert fake.calls == 1
    assert (first.metadata, second.metadata, third.metadata) == ({"who": "first"}, {"who": "second"}, {})
    assert first.output_text == second.output_text == third.output_text
