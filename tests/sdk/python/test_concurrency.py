"""Fifty calls at once, and clients that leave in the middle."""

import asyncio

import pytest

from kit import PROXY_URL, answer, fresh, text
from providers import ENDPOINTS

CALLERS = 50
# Long enough that every caller has asked before the first answer begins.
THINK = {"think_ms": 1500}

endpoints = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)


async def all_at_once(endpoint, ask):
    async with endpoint.make_async(PROXY_URL) as client:
        return await asyncio.gather(*[ask(client, number) for number in range(CALLERS)])


@endpoints
def test_fifty_identical_calls_are_one_call(fake, endpoint):
    words = fresh("Same")
    fake.script(THINK)
    results = asyncio.run(all_at_once(endpoint, lambda client, _: endpoint.create(client, words)))
    assert fake.calls == 1
    assert all(result == results[0] for result in results)


@endpoints
def test_fifty_identical_streams_are_one_call(fake, endpoint):
    words = fresh("Same stream")
    fake.script(THINK)

    async def ask(client, _):
        return endpoint.heard([event async for event in await endpoint.stream(client, words)])

    heard = asyncio.run(all_at_once(endpoint, ask))
    assert fake.calls == 1
    assert heard[0] and set(heard) == {heard[0]}


@endpoints
def test_plain_and_streamed_callers_share_one_call(fake, endpoint):
    words = fresh("Both")
    fake.script(THINK)

    async def ask(client, number):
        if number % 2:
            return endpoint.heard([event async for event in await endpoint.stream(client, words)])
        return endpoint.said(await endpoint.create(client, words))

    heard = asyncio.run(all_at_once(endpoint, ask))
    assert fake.calls == 1
    assert heard[0] and set(heard) == {heard[0]}


@endpoints
def test_fifty_different_calls_each_get_their_own_answer(fake, endpoint):
    words = [fresh(f"{number:02} is mine") for number in range(CALLERS)]

    async def ask(client, number):
        return endpoint.said(await endpoint.create(client, words[number]))

    said = asyncio.run(all_at_once(endpoint, ask))
    assert fake.calls == CALLERS
    assert all(f"{number:02} is mine" in answer for number, answer in enumerate(said))


@endpoints
def test_when_the_one_call_fails_the_next_caller_leads(fake, endpoint):
    words = fresh("Fail once")
    fake.fail(400)

    async def ask(client, _):
        try:
            return endpoint.said(await endpoint.create(client, words))
        except endpoint.sdk.BadRequestError:
            return None

    said = asyncio.run(all_at_once(endpoint, ask))
    assert said.count(None) == 1, "an error was shared"
    assert len(set(said) - {None}) == 1


@endpoints
def test_a_client_that_leaves_in_mid_stream_spoils_nothing(fake, endpoint):
    words = fresh("Leave")
    said = answer(text("A sentence that is long enough to be left in the middle. " * 4))
    fake.answer(said, said)
    fake.script({"stall_after": 6})
    client = endpoint.make(PROXY_URL)
    with endpoint.stream(client, words) as stream:
        events = iter(stream)
        begun = next(event for event in events if endpoint.heard([event]))
    assert said["parts"][0]["text"].startswith(endpoint.heard([begun]))
    fake.release()
    # The call that was left may still be under way or be over: whoever asks now gets the whole answer.
    assert endpoint.said(endpoint.create(client, words, timeout=20)) == said["parts"][0]["text"]
    assert endpoint.heard(endpoint.stream(client, words)) == said["parts"][0]["text"]
    assert fake.calls <= 2


@endpoints
def test_a_follower_gets_the_whole_answer_when_the_leader_leaves(fake, endpoint):
    words = fresh("Follow")
    whole = "A sentence that is long enough to be left in the middle. " * 4
    fake.answer(answer(text(whole)), answer(text(whole)))
    fake.script({"stall_after": 6})

    async def leave_and_stay():
        async with endpoint.make_async(PROXY_URL) as client:
            leader = await endpoint.stream(client, words)
            events = aiter(leader)
            await anext(events)
            follower = await endpoint.stream(client, words)
            heard = [await anext(aiter(follower))]
            await leader.close()
            fake.release()
            return heard + [event async for event in follower]

    assert endpoint.heard(asyncio.run(leave_and_stay())) == whole
    assert fake.calls <= 2
