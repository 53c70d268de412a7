// The same result objects directly, on a miss and on a hit, in every way of asking.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import {
  CLAUDE, FAKE, GPT, PROXY,
  answer, assertSameThrice, claude, collect, fake, fresh, gpt, nameless, plain, text, thinking, tool, user,
} from './kit.mjs';

const LONG = text('Fourteen syllables make a line, and twenty lines a letter. '.repeat(8));
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const SCHEMA = { type: 'object', properties: { city: { type: 'string' } } };
const WEATHER = { name: 'weather', input_schema: SCHEMA };
const WEATHER_CHAT = { type: 'function', function: { name: 'weather', parameters: SCHEMA } };
const WEATHER_RESPONSES = { type: 'function', name: 'weather', parameters: SCHEMA, strict: false };

beforeEach(fake.reset);
afterEach(fake.reset);

/** Neighbouring items of one kind joined by `join`; how an answer is cut into deltas is the network's affair. */
function joined(items, kind, join) {
  const result = [];
  for (const item of items) {
    const last = result.at(-1);
    if (last && kind(item) && kind(item) === kind(last)) join(last, item);
    else result.push(structuredClone(item));
  }
  return result;
}

const MESSAGES = {
  make: claude,
  ask: { model: CLAUDE, max_tokens: 1024 },
  cases: {
    text: () => [{ messages: user(fresh('Hello')) }, answer(LONG)],
    unicode: () => [{ messages: user(fresh('Grüße 🦀')) }, answer(text('Ça va: "quoted" \\ back\n\ttab 🦀'))],
    system: () => [
      { messages: user(fresh('Hi')), system: 'Be brief.', stop_sequences: ['STOP'], metadata: { user_id: 'u-1' } },
      answer(text('Some words STOP never seen')),
    ],
    tool_call: () => [
      { messages: user(fresh('Weather?')), tools: [WEATHER] },
      answer(text('I look.'), tool('weather', { city: 'Oslo', days: [1, 2.5, null] })),
    ],
    image: () => [
      {
        messages: user([
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PIXEL } },
          { type: 'text', text: fresh('What is on it?') },
        ]),
      },
      answer(text('A pixel.')),
    ],
    thinking: () => [
      { messages: user(fresh('Think')), thinking: { type: 'adaptive' } },
      answer(thinking('Long thoughts. '.repeat(9)), LONG),
    ],
  },
  ways: {
    plain: (client, ask) => client.messages.create(ask),
    helper: (client, ask) => client.messages.stream(ask).finalMessage(),
    raw: async (client, ask) => {
      const events = await collect(await client.messages.create({ ...ask, stream: true }));
      const kind = (event) => event.delta && event.index !== undefined && `${event.index} ${event.delta.type}`;
      return joined(events.filter((event) => event.type !== 'ping'), kind, (last, event) => {
        for (const field of ['text', 'thinking', 'partial_json', 'signature']) {
          if (event.delta[field] !== undefined) last.delta[field] += event.delta[field];
        }
      });
    },
  },
};

const CHAT = {
  make: gpt,
  ask: { model: GPT },
  // Without this a stream tells no usage and is less than the plain answer.
  streamed: { stream_options: { include_usage: true } },
  cases: {
    text: () => [{ messages: user(fresh('Hello')) }, answer(LONG)],
    system: () => [
      { messages: [{ role: 'developer', content: 'Brief.' }, ...user(fresh('Hi'))], stop: ['STOP'], user: 'u-1', seed: 7 },
      answer(text('Some words STOP never seen')),
    ],
    two_choices: () => [{ messages: user(fresh('Two')), n: 2 }, answer(text('one '.repeat(9))), answer(text('two '.repeat(9)))],
    logprobs: () => [{ messages: user(fresh('Sure?')), logprobs: true, top_logprobs: 2 }, answer(text('Quite sure.'))],
    tool_calls: () => [
      { messages: user(fresh('Weather?')), tools: [WEATHER_CHAT] },
      answer(tool('weather', { city: 'Oslo', days: [1, 2.5, null] }), tool('weather', {}, 'call_2')),
    ],
    image: () => [
      {
        messages: user([
          { type: 'image_url', image_url: { url: `data:image/png;base64,${PIXEL}` } },
          { type: 'text', text: fresh('What is on it?') },
        ]),
      },
      answer(text('A pixel.')),
    ],
  },
  ways: {
    plain: (client, ask) => client.chat.completions.create(ask),
    helper: (client, ask) => client.chat.completions.stream(ask).finalChatCompletion(),
    raw: async (client, ask) => put(await collect(await client.chat.completions.create({ ...ask, stream: true })), 0),
    raw_with_usage: async (client, ask) => {
      const options = { include_usage: true };
      return put(await collect(await client.chat.completions.create({ ...ask, stream: true, stream_options: options })), 1);
    },
  },
};

/** What chunks say: each choice put together, and the usage, which `usages` chunks carry, the last one of all. */
function put(chunks, usages) {
  const choices = {};
  for (const { index, delta, finish_reason } of chunks.flatMap((chunk) => chunk.choices)) {
    const whole = (choices[index] ??= { role: '', content: '', tools: {}, finish: [] });
    whole.role += delta.role ?? '';
    whole.content += delta.content ?? '';
    if (finish_reason) whole.finish.push(finish_reason);
    for (const call of delta.tool_calls ?? []) {
      const known = (whole.tools[call.index] ??= { id: call.id, name: call.function.name, arguments: '' });
      known.arguments += call.function.arguments ?? '';
    }
  }
  const counted = chunks.filter((chunk) => chunk.usage);
  assert.deepEqual(counted, usages ? [chunks.at(-1)] : []);
  assert.ok(counted.every((chunk) => chunk.choices.length === 0));
  const { id, created, model } = chunks[0];
  return { id, created, model, choices, usage: counted.map((chunk) => chunk.usage) };
}

const RESPONSES = {
  make: gpt,
  ask: { model: GPT, store: false },
  cases: {
    text: () => [{ input: fresh('Hello') }, answer(LONG)],
    instructions: () => [{ input: fresh('Hi'), instructions: 'Be brief.', metadata: { a: 'b' } }, answer(LONG)],
    tool_call: () => [
      { input: fresh('Weather?'), tools: [WEATHER_RESPONSES] },
      answer(text('I look.'), tool('weather', { city: 'Oslo', days: [1, 2.5] })),
    ],
    reasoning: () => [
      { input: fresh('Think'), reasoning: { effort: 'low', summary: 'auto' }, include: ['reasoning.encrypted_content'] },
      answer(thinking('Long thoughts. '.repeat(9)), LONG),
    ],
  },
  ways: {
    plain: (client, ask) => client.responses.create(ask),
    helper: (client, ask) => client.responses.stream(ask).finalResponse(),
    raw: async (client, ask) => {
      const events = await collect(await client.responses.create({ ...ask, stream: true }));
      assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, number) => number));
      const bare = events.map(({ sequence_number, obfuscation, ...event }) => event);
      // Some of the provider's versions repeat the tool's name here; the SDK's type has no such field.
      for (const event of bare) if (event.type === 'response.function_call_arguments.done') delete event.name;
      const kind = (event) => event.type.endsWith('.delta') && event.type;
      return joined(bare, kind, (last, event) => (last.delta += event.delta));
    },
  },
};

for (const [name, { make, ask, streamed = {}, cases, ways }] of Object.entries({ MESSAGES, CHAT, RESPONSES })) {
  describe(name.toLowerCase(), () => {
    for (const [kind, build] of Object.entries(cases)) {
      for (const [way, call] of Object.entries(ways)) {
        test(`${kind}, ${way}`, async () => {
          const [more, ...said] = build();
          await assertSameThrice(make, (client) => call(client, { ...ask, ...more }), ...said);
        });
      }
      test(`${kind}: a plain answer serves a stream and the other way round`, async () => {
        for (const order of [['plain', 'helper'], ['helper', 'plain']]) {
          const [more, ...said] = build();
          await fake.reset();
          await fake.answer(...said);
          const told = [];
          for (const way of order) {
            const whole = { ...ask, ...more, ...(way === 'helper' ? streamed : {}) };
            told.push(spoken(plain(await ways[way](make(PROXY), whole))));
          }
          assert.equal(await fake.calls(), 1);
          assert.deepEqual(told[1], told[0]);
        }
      });
    }
  });
}

/** The answer without the fields that a helper's own class adds (`parsed`, `output_parsed`). */
function spoken(value) {
  if (Array.isArray(value)) return value.map(spoken);
  if (value === null || typeof value !== 'object') return value;
  const kept = Object.entries(value).filter(([key, item]) => !/parsed/.test(key) && item !== null && item !== undefined);
  return Object.fromEntries(kept.map(([key, item]) => [key, spoken(item)]).filter(([, item]) => !isEmpty(item)));
}

const isEmpty = (item) => Array.isArray(item) && item.length === 0;

test('a conversation is replayed turn by turn with its thinking', async () => {
  const asked = user(fresh('First question'));
  const options = { model: CLAUDE, max_tokens: 2048, thinking: { type: 'adaptive' }, tools: [WEATHER] };
  const said = [
    answer(thinking('Which city?'), text('I look it up.'), tool('weather', { city: 'Oslo' })),
    answer(thinking('Snow, then.'), text('It snows in Oslo.')),
  ];
  const converse = async (client) => {
    const first = await client.messages.create({ messages: asked, ...options });
    const result = { type: 'tool_result', tool_use_id: first.content.at(-1).id, content: 'snow' };
    const turns = [...asked, { role: 'assistant', content: first.content }, { role: 'user', content: [result] }];
    return plain([first, await client.messages.create({ messages: turns, ...options })]);
  };
  await fake.answer(...said);
  const direct = await converse(claude(FAKE));
  await fake.reset();
  await fake.answer(...said);
  const miss = await converse(claude(PROXY));
  const hit = await converse(claude(PROXY));
  assert.equal(await fake.calls(), 2, 'a turn of the replayed conversation went to the provider');
  assert.deepEqual(nameless(miss), nameless(direct));
  assert.deepEqual(hit, miss);
  assert.deepEqual(hit[0].content.map((block) => block.type), ['thinking', 'text', 'tool_use']);
});

test('a stored response is never replayed', async () => {
  const ask = { model: GPT, input: fresh('Store') };
  const ids = [];
  for (let turn = 0; turn < 2; turn += 1) ids.push((await gpt(PROXY).responses.create(ask)).id);
  assert.notEqual(ids[0], ids[1]);
  assert.equal(await fake.calls(), 2);
});

test('token counts, models and unknown paths pass through', async () => {
  const questions = [
    [claude, (client) => client.messages.countTokens({ model: CLAUDE, messages: user('How many?') })],
    [claude, (client) => collect(client.models.list())],
    [claude, (client) => client.post('/v1/unknown/path?a=1', { body: { z: 1, a: ['é'] } })],
    [gpt, (client) => collect(client.models.list())],
    [gpt, (client) => client.post('/unknown/path?a=1', { body: { z: 1, a: ['é'] } })],
  ];
  for (const [make, question] of questions) {
    assert.deepEqual(plain(await question(make(PROXY))), plain(await question(make(FAKE))));
  }
});
