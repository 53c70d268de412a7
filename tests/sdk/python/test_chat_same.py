"""OpenAI's Chat Completions: the same result objects directly, on a miss and on a hit, in every way of asking."""

import pytest

from kit import FAKE_URL, GPT, PROXY_URL, answer, assert_same_thrice, dump, fresh, gpt, nameless, text, thinking, tool

LONG = text("Fourteen syllables make a line, and twenty lines a letter. " * 8)
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def user(content):
    return [{"role": "user", "content": content}]


def image():
    return user([{"type": "image_url", "image_url": {"url": PIXEL}}, {"type": "text", "text": fresh("What is on it?")}])


def tool_history():
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    return [
        *user(fresh("Weather in Oslo?")),
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "snow"},
    ]


CASES = {
    "text": lambda: ({"messages": user(fresh("Hello"))}, [answer(LONG)]),
    "unicode": lambda: ({"messages": user(fresh("Grüße 🦀"))}, [answer(text('Ça va: "quoted" \\ back\n\ttab 🦀'))]),
    "system": lambda: (
        {"messages": [{"role": "developer", "content": "Brief."}, *user(fresh("Hi"))], "stop": ["STOP"], "user": "u-1", "seed": 7},
        [answer(text("Some words STOP never seen"))],
    ),
    "sampling": lambda: ({"messages": user(fresh("Hi")), "temperature": 0.30000000000000004, "top_p": 1}, [answer(LONG)]),
    "two_choices": lambda: ({"messages": user(fresh("Two")), "n": 2}, [answer(text("one " * 9)), answer(text("two " * 9))]),
    "logprobs": lambda: ({"messages": user(fresh("Sure?")), "logprobs": True, "top_logprobs": 2}, [answer(text("Quite sure."))]),
    "tool_calls": lambda: (
        {"messages": user(fresh("Weather?")), "tools": [WEATHER]},
        [answer(tool("weather", city="Oslo", days=[1, 2.5, None]), {"tool": {"name": "weather", "input": {}, "id": "call_2"}})],
    ),
    "tool_result": lambda: ({"messages": tool_history(), "tools": [WEATHER]}, [answer(text("It snows."))]),
    "image": lambda: ({"messages": image()}, [answer(text("A pixel."))]),
    "reasoning": lambda: (
        {"messages": user(fresh("Think")), "reasoning_effort": "low", "max_completion_tokens": 4000},
        [answer(thinking("Counted, not shown. " * 9), LONG)],
    ),
    "metadata": lambda: ({"messages": user(fresh("Hi")), "metadata": {"a": "b"}, "service_tier": "flex"}, [answer(LONG)]),
}


def plain(client, ask):
    return client.chat.completions.create(**ask)


def helper(client, ask):
    with client.chat.completions.stream(**ask) as stream:
        kinds = [event.type for event in stream]
        # How many deltas there are is the network's affair, which kinds there are is not.
        return [sorted(set(kinds)), stream.get_final_completion()]


def raw(client, ask):
    return merged([dump(chunk) for chunk in client.chat.completions.create(**ask, stream=True)])


def raw_with_usage(client, ask):
    options = {"include_usage": True}
    return merged([dump(chunk) for chunk in client.chat.completions.create(**ask, stream=True, stream_options=options)])


def merged(chunks):
    """What the chunks say: their common head, each choice put together in order, and the usage with its place."""
    said, heads, usage = {}, [], []
    for place, chunk in enumerate(chunks):
        head = {key: value for key, value in chunk.items() if key not in ("choices", "usage", "obfuscation")}
        if head not in heads:
            heads.append(head)
        if chunk["usage"] is not None:
            usage.append({"usage": chunk["usage"], "choices": chunk["choices"], "last": place == len(chunks) - 1})
        for choice in chunk["choices"]:
            whole = said.setdefault(choice["index"], {"content": "", "tools": {}, "finish": [], "roles": []})
            delta = choice["delta"]
            whole["content"] += delta["content"] or ""
            whole["roles"] += [delta["role"]] if delta["role"] else []
            whole["finish"] += [choice["finish_reason"]] if choice["finish_reason"] else []
            for call in delta["tool_calls"] or []:
                known = whole["tools"].setdefault(call["index"], {"name": call["function"]["name"], "id": call["id"], "arguments": ""})
                known["arguments"] += call["function"]["arguments"] or ""
    return [heads, said, usage]


@pytest.mark.parametrize("way", [plain, helper, raw, raw_with_usage], ids=lambda way: way.__name__)
@pytest.mark.parametrize("case", CASES)
def test_same_result(fake, case, way):
    ask, said = CASES[case]()
    result = assert_same_thrice(fake, gpt, lambda client: way(client, {"model": GPT, **ask}), *said)
    if way in (raw, raw_with_usage):
        heads, _, usage = result
        assert len(heads) == 1
        assert len(usage) == (1 if way is raw_with_usage else 0)
        assert all(entry["last"] and entry["choices"] == [] for entry in usage)


@pytest.mark.parametrize("case", CASES)
def test_a_plain_answer_serves_a_stream_and_the_other_way_round(fake, case):
    for first, second in ((plain, final), (final, plain)):
        ask, said = CASES[case]()
        fake.reset()
        fake.answer(*said)
        told, retold = [spoken(way(gpt(PROXY_URL), {"model": GPT, **ask})) for way in (first, second)]
        assert fake.calls == 1
        assert retold == told


def final(client, ask):
    with client.chat.completions.stream(**ask) as stream:
        return stream.get_final_completion()


def spoken(completion):
    choices = [
        {
            "content": choice.message.content or "",
            "tools": [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or []],
            "finish": choice.finish_reason,
        }
        for choice in completion.choices
    ]
    return {"id": completion.id, "model": completion.model, "created": completion.created, "choices": choices}


def test_stream_options_do_not_make_another_key(fake):
    ask = {"model": GPT, "messages": user(fresh("Usage?"))}
    without = raw(gpt(PROXY_URL), ask)
    with_usage = raw_with_usage(gpt(PROXY_URL), ask)
    assert fake.calls == 1
    assert with_usage[1] == without[1]
    assert with_usage[2][0]["usage"]["completion_tokens"] > 0 and without[2] == []


def test_answer_affecting_fields_make_another_key(fake):
    ask = {"model": GPT, "messages": user(fresh("Key"))}
    for more in ({}, {"n": 2}, {"logprobs": True}, {"seed": 1}, {"temperature": 0.5}, {"max_completion_tokens": 99}):
        gpt(PROXY_URL).chat.completions.create(**ask, **more)
    assert fake.calls == 6


def test_the_callers_own_fields_make_no_other_key(fake):
    ask = {"model": GPT, "messages": user(fresh("Own"))}
    for more in ({}, {"metadata": {"a": "1"}}, {"prompt_cache_key": "k"}, {"service_tier": "flex"}):
        gpt(PROXY_URL).chat.completions.create(**ask, **more)
    assert fake.calls == 1


def test_a_conversation_is_replayed_turn_by_turn(fake):
    asked = user(fresh("First question"))
    said = [answer(tool("weather", city="Oslo")), answer(text("It snows in Oslo."))]

    def converse(client):
        first = client.chat.completions.create(model=GPT, messages=asked, tools=[WEATHER])
        reply = first.choices[0].message
        result = {"role": "tool", "tool_call_id": reply.tool_calls[0].id, "content": "snow"}
        return [first, client.chat.completions.create(model=GPT, messages=[*asked, reply, result], tools=[WEATHER])]

    fake.answer(*said)
    direct = dump(converse(gpt(FAKE_URL)))
    fake.reset()
    fake.answer(*said)
    miss = dump(converse(gpt(PROXY_URL)))
    hit = dump(converse(gpt(PROXY_URL)))
    assert fake.calls == 2, "a turn of the replayed conversation went to the provider"
    assert (nameless(miss), hit) == (nameless(direct), miss)


def test_an_answer_cut_by_the_token_limit_is_the_same_and_asked_again(fake):
    ask = {"model": GPT, "max_completion_tokens": 5, "messages": user(fresh("Long"))}
    results = []
    for way in (FAKE_URL, PROXY_URL, PROXY_URL):
        fake.answer(answer(LONG))
        results.append(nameless(dump(gpt(way).chat.completions.create(**ask))))
    assert results[1:] == results[:1] * 2 and results[0]["choices"][0]["finish_reason"] == "length"
    assert fake.calls == 3, "a truncated answer was kept"


def test_models_pass_through(fake):
    for question in (
        lambda client: list(client.models.list()),
        lambda client: client.models.retrieve(GPT),
        lambda client: client.post("/unknown/path?a=1&b=2", cast_to=object, body={"z": 1, "a": [1.0, "é"]}),
    ):
        assert dump(question(gpt(PROXY_URL))) == dump(question(gpt(FAKE_URL)))
