"""Anthropic's Messages: the same result objects directly, on a miss and on a hit, in every way of asking."""

import pytest

from kit import CLAUDE, FAKE_URL, PROXY_URL, answer, ask_thrice, assert_same_thrice, claude, dump, fresh, nameless
from kit import text, thinking, tool

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
LONG = text("Fourteen syllables make a line, and twenty lines a letter. " * 8)


def user(content):
    return [{"role": "user", "content": content}]


def image():
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    return [{"type": "image", "source": source}, {"type": "text", "text": fresh("What is on it?")}]


def document():
    source = {"type": "text", "media_type": "text/plain", "data": "A short page."}
    return [{"type": "document", "source": source, "title": "Page"}, {"type": "text", "text": fresh("Sum it up.")}]


def tool_history():
    return [
        *user(fresh("Weather in Oslo?")),
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "snow"}]},
    ]


CASES = {
    "text": lambda: ({"messages": user(fresh("Hello"))}, answer(LONG)),
    "unicode": lambda: ({"messages": user(fresh("Grüße 🦀 \\u0000?"))}, answer(text('Ça va: "quoted" \\ back\n\ttab 🦀'))),
    "system": lambda: (
        {"messages": user(fresh("Hi")), "system": "Be brief.", "stop_sequences": ["STOP"], "metadata": {"user_id": "u-1"}},
        answer(text("Some words STOP never seen")),
    ),
    "system_blocks": lambda: (
        {"messages": user(fresh("Hi")), "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
        answer(LONG),
    ),
    "two_texts": lambda: ({"messages": user(fresh("Twice"))}, answer(text("one"), text("two"))),
    "tool_call": lambda: (
        {"messages": user(fresh("Weather?")), "tools": [WEATHER]},
        answer(text("I look."), tool("weather", city="Oslo", days=[1, 2.5, None])),
    ),
    "tool_without_input": lambda: (
        {"messages": user(fresh("Go")), "tools": [WEATHER], "tool_choice": {"type": "auto"}}, answer(tool("weather")),
    ),
    "tool_result": lambda: ({"messages": tool_history(), "tools": [WEATHER]}, answer(text("It snows."))),
    "image": lambda: ({"messages": user(image())}, answer(text("A pixel."))),
    "document": lambda: ({"messages": user(document())}, answer(text("A page."))),
    "thinking": lambda: (
        {"messages": user(fresh("Think")), "thinking": {"type": "adaptive"}}, answer(thinking("Long thoughts. " * 9), LONG),
    ),
    "hidden_thinking": lambda: (
        {"messages": user(fresh("Think")), "thinking": {"type": "adaptive", "display": "omitted"}},
        answer(thinking("Not shown. " * 9), LONG),
    ),
}


def plain(client, ask):
    return client.messages.create(**ask)


def helper(client, ask):
    with client.messages.stream(**ask) as stream:
        texts = "".join(stream.text_stream)
        return [texts, stream.get_final_message()]


def helper_events(client, ask):
    with client.messages.stream(**ask) as stream:
        # Each delta comes twice, as it is and as the helper's own event; the first is what `raw` looks at.
        return merged([dump(event) for event in stream if event.type != "content_block_delta"])


def raw(client, ask):
    return merged([dump(event) for event in client.messages.create(**ask, stream=True)])


def merged(events):
    """Events as they came, but neighbouring deltas of one kind joined and pings left out: their cut is the network's."""
    result = []
    for event in events:
        if event["type"] == "ping":
            continue
        kind, piece = delta_of(event)
        if kind and result and result[-1].get("kind") == kind:
            result[-1]["piece"] += piece
        elif kind:
            result.append({"kind": kind, "piece": piece})
        else:
            result.append(event)
    return [event for event in result if event.get("piece") != ""]


def delta_of(event):
    if event["type"] == "content_block_delta":
        for field in ("text", "thinking", "partial_json", "signature"):
            if event["delta"].get(field) is not None:
                return f"{event['index']} {field}", event["delta"][field]
    if event["type"] in ("text", "thinking", "signature"):
        return event["type"], event[event["type"]]
    if event["type"] == "input_json":
        return "input_json", event["partial_json"]
    return None, None


@pytest.mark.parametrize("way", [plain, helper, raw, helper_events], ids=lambda way: way.__name__)
@pytest.mark.parametrize("case", CASES)
def test_same_result(fake, case, way):
    ask, said = CASES[case]()
    result = assert_same_thrice(fake, claude, lambda client: way(client, {"model": CLAUDE, "max_tokens": 1024, **ask}), said)
    assert result, "nothing was said"


@pytest.mark.parametrize("case", CASES)
def test_a_plain_answer_serves_a_stream_and_the_other_way_round(fake, case):
    for first, second in ((plain, final), (final, plain)):
        ask, said = CASES[case]()
        ask = {"model": CLAUDE, "max_tokens": 1024, **ask}
        fake.reset()
        fake.answer(said)
        told = dump(first(claude(PROXY_URL), ask))
        retold = dump(second(claude(PROXY_URL), ask))
        assert fake.calls == 1
        assert message(retold) == message(told)


def final(client, ask):
    with client.messages.stream(**ask) as stream:
        return stream.get_final_message()


def message(dumped):
    """The helper's message has two more fields of its own class, which are no part of the answer."""
    blocks = [{key: item for key, item in block.items() if key != "parsed_output"} for block in dumped["content"]]
    return {**dumped, "content": blocks, "parsed_output": None}


def test_the_same_prompt_with_reordered_keys_is_a_hit(fake):
    words = fresh("Order")
    first = claude(PROXY_URL).messages.create(model=CLAUDE, max_tokens=64, messages=user(words))
    body = {"messages": [{"content": words, "role": "user"}], "max_tokens": 64, "model": CLAUDE}
    again = claude(PROXY_URL).post("/v1/messages", cast_to=type(first), body=body)
    assert (dump(again), fake.calls) == (dump(first), 1)


def test_a_conversation_is_replayed_turn_by_turn_with_its_thinking(fake):
    asked = user(fresh("First question"))
    options = {"model": CLAUDE, "max_tokens": 2048, "thinking": {"type": "adaptive"}, "tools": [WEATHER]}
    said = [
        answer(thinking("Which city?"), text("I look it up."), tool("weather", city="Oslo")),
        answer(thinking("Snow, then."), text("It snows in Oslo.")),
    ]

    def converse(client):
        first = client.messages.create(messages=asked, **options)
        result = {"type": "tool_result", "tool_use_id": first.content[-1].id, "content": "snow"}
        turns = [*asked, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        return [first, client.messages.create(messages=turns, **options)]

    fake.answer(*said)
    direct = dump(converse(claude(FAKE_URL)))
    fake.reset()
    fake.answer(*said)
    miss = dump(converse(claude(PROXY_URL)))
    assert fake.calls == 2
    hit = dump(converse(claude(PROXY_URL)))
    assert fake.calls == 2, "a turn of the replayed conversation went to the provider"
    assert (nameless(miss), hit) == (nameless(direct), miss)
    assert [block["type"] for block in hit[0]["content"]] == ["thinking", "text", "tool_use"]


def test_an_answer_cut_by_the_token_limit_is_the_same_and_asked_again(fake):
    ask = {"model": CLAUDE, "max_tokens": 5, "messages": user(fresh("Long"))}
    fake.answer(answer(LONG))
    direct = claude(FAKE_URL).messages.create(**ask)
    fake.reset()
    fake.answer(answer(LONG), answer(LONG))
    through = [claude(PROXY_URL).messages.create(**ask) for _ in range(2)]
    assert [nameless(dump(result)) for result in through] == [nameless(dump(direct))] * 2
    assert direct.stop_reason == "max_tokens"
    assert fake.calls == 2, "a truncated answer was kept"


def test_token_counts_and_models_pass_through(fake):
    ask = {"model": CLAUDE, "messages": user(fresh("How many tokens?"))}
    for question in (
        lambda client: client.messages.count_tokens(**ask),
        lambda client: list(client.models.list()),
        lambda client: client.models.retrieve(CLAUDE),
        lambda client: client.post("/v1/unknown/path?a=1&b=2", cast_to=object, body={"z": 1, "a": [1.0, "é"]}),
    ):
        assert dump(question(claude(PROXY_URL))) == dump(question(claude(FAKE_URL)))


def test_two_keys_and_two_users_never_share(fake):
    ask = {"model": CLAUDE, "max_tokens": 64, "messages": user(fresh("Mine"))}
    answers = [
        claude(PROXY_URL, api_key="sk-a").messages.create(**ask),
        claude(PROXY_URL, api_key="sk-b").messages.create(**ask),
        claude(PROXY_URL, api_key="sk-a").messages.create(**ask, metadata={"user_id": "1"}),
        claude(PROXY_URL, api_key="sk-a").messages.create(**ask, metadata={"user_id": "2"}),
    ]
    assert (len({answer.id for answer in answers}), fake.calls) == (4, 4)


def test_hits_of_a_long_prompt_keep_the_usage_the_provider_reported(fake):
    system = [{"type": "text", "text": "A handbook of many words. " * 200}]
    ask = {"model": CLAUDE, "max_tokens": 64, "system": system, "messages": user(fresh("Which?"))}
    _, miss, hit = ask_thrice(fake, claude, lambda client: client.messages.create(**ask), answer(text("That one.")))
    assert hit["usage"] == miss["usage"]
    assert miss["usage"]["cache_creation_input_tokens"] > 512, "a long system prompt was not marked"
