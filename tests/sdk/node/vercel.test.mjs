// Vercel's AI SDK: the same results directly, on a miss and on a hit, its own errors and retries, both ways of naming us.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { APICallError, Output, embedMany, generateText, isStepCount, jsonSchema, streamText, tool as define } from 'ai';

import {
  CLAUDE, FAKE, GPT, KEY, PROXY,
  answer, assertSameThrice, collect, fake, fresh, nameless, text, thinking, tool,
} from './kit.mjs';

const SENTENCES = 'A sentence that is long enough to be cut in the middle. '.repeat(4);
const SCHEMA = jsonSchema({
  type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false,
});
const WEATHER = { weather: define({ inputSchema: SCHEMA, execute: async ({ city }) => `snow in ${city}` }) };
const STATUSES = [400, 401, 403, 404, 413, 429, 500, 529];

beforeEach(fake.reset);
afterEach(fake.reset);

/** A provider whose base URL is given to it, as the documentation writes it: with the version, Anthropic's too. */
const base = (way, path) => ({ apiKey: KEY, baseURL: way === FAKE ? `${way}/v1` : `${way}/${path}/v1` });
const anthropic = (way) => createAnthropic(base(way, 'anthropic'));
const openai = (way) => createOpenAI(base(way, 'openai'));

const ENDPOINTS = {
  messages: { model: (way) => anthropic(way)(CLAUDE) },
  chat: { model: (way) => openai(way).chat(GPT) },
  // Responses are kept by the provider unless told otherwise, and what it keeps is never replayed.
  responses: { model: (way) => openai(way)(GPT), more: { providerOptions: { openai: { store: false } } } },
};

const CASES = {
  text: () => [{ prompt: fresh('Hello') }, answer(text(SENTENCES))],
  unicode: () => [{ prompt: fresh('Grüße 🦀') }, answer(text('Ça va: "quoted" \\ back\n\ttab 🦀'))],
  settings: () => [
    { instructions: 'Be brief.', messages: [{ role: 'user', content: fresh('Hi') }], maxOutputTokens: 500 },
    answer(text(SENTENCES)),
  ],
  tool_call: () => [
    { prompt: fresh('Weather?'), tools: { weather: define({ inputSchema: SCHEMA }) } },
    answer(text('I look.'), tool('weather', { city: 'Oslo' })),
  ],
  structured: () => [{ prompt: fresh('Where?'), output: Output.object({ schema: SCHEMA }) }, answer(text('{"city": "Oslo"}'))],
  thinking: () => [{ prompt: fresh('Think'), reasoning: 'medium' }, answer(thinking('Long thoughts. '.repeat(9)), text(SENTENCES))],
};

const WAYS = {
  generateText: async (ask) => told(await generateText({ maxRetries: 0, ...ask }), ask),
  streamText: async (ask) => {
    const result = streamText({ maxRetries: 0, onError: () => {}, ...ask });
    const heard = (await collect(result.textStream)).join('');
    assert.equal(heard, await result.text);
    return told(result, ask);
  },
};

/** What an application reads of a result; the clock and the headers belong to the call. */
async function told(result, ask) {
  const { id, modelId } = await result.response;
  const seen = { id, modelId };
  for (const field of ['text', 'reasoningText', 'content', 'toolCalls', 'toolResults', 'finishReason', 'rawFinishReason']) {
    seen[field] = await result[field];
  }
  for (const field of ['usage', 'totalUsage', 'providerMetadata', 'warnings']) seen[field] = await result[field];
  if (ask.output) seen.output = await result.output;
  return seen;
}

/** The `Cache-Status` of a call, plain or streamed. */
async function status(way, ask) {
  const call = way === 'generateText' ? generateText : streamText;
  const result = await call({ maxRetries: 0, ...ask });
  if (way === 'streamText') await result.consumeStream();
  return (await result.response).headers['cache-status'];
}

for (const [name, { model, more = {} }] of Object.entries(ENDPOINTS)) {
  const asked = (way, ask) => ({ model: model(way), ...more, ...ask });

  describe(`ai, ${name}: results`, () => {
    for (const [kind, build] of Object.entries(CASES)) {
      for (const [way, call] of Object.entries(WAYS)) {
        test(`${kind}, ${way}`, async () => {
          const [ask, said] = build();
          const hit = await assertSameThrice((to) => asked(to, ask), call, said);
          if (kind === 'structured') assert.deepEqual(hit.output, { city: 'Oslo' });
          if (kind === 'thinking' && name === 'messages') assert.match(hit.reasoningText, /Long thoughts/);
          if (kind === 'tool_call') assert.deepEqual(hit.toolCalls[0].input, { city: 'Oslo' });
        });
      }
    }

    for (const [way, call] of Object.entries(WAYS)) {
      test(`a tool is called and its result sent back, ${way}`, async () => {
        const ask = { prompt: fresh('Weather?'), tools: WEATHER, stopWhen: isStepCount(2) };
        const results = [];
        for (const to of [FAKE, PROXY, PROXY]) {
          if (results.length < 2) await fake.reset();
          await fake.answer(answer(tool('weather', { city: 'Oslo' })), answer(text('Take a coat.')));
          results.push(await call(asked(to, ask)));
        }
        assert.equal(await fake.calls(), 2, 'a step of the repeated loop went to the provider');
        const [direct, miss, hit] = results;
        assert.deepEqual(nameless(miss), nameless(direct));
        assert.deepEqual(hit, miss);
        assert.equal(hit.text, 'Take a coat.');
      });
    }

    test('the second call is a hit and says so, and one entry serves both ways', async () => {
      const ask = asked(PROXY, { prompt: fresh('Twice') });
      assert.equal(await status('generateText', ask), 'llmcache; fwd=miss; stored');
      for (const way of Object.keys(WAYS)) assert.match(await status(way, ask), /^llmcache; hit; ttl=\d+; detail=result$/);
      assert.equal(await fake.calls(), 1);
    });
  });

  describe(`ai, ${name}: errors and retries`, () => {
    for (const code of STATUSES) {
      test(`${code} is the same error and is not kept`, async () => {
        const ask = { prompt: fresh('Fail') };
        await fake.fail(code, 4, code === 429 ? { retry_after: 7 } : {});
        const seen = [];
        for (const to of [FAKE, PROXY]) {
          for (const fails of [plainError, streamError]) seen.push(await fails(asked(to, ask)));
        }
        assert.deepEqual(seen.slice(2), seen.slice(0, 2));
        assert.equal(await fake.received(), 4);
        await generateText(asked(PROXY, ask));
        assert.equal(await fake.calls(), 1, 'an error was kept');
      });
    }

    test('the SDK retries as often as without llmcache', async () => {
      for (const code of [429, 500, 529]) {
        for (const to of [FAKE, PROXY]) {
          await fake.reset();
          await fake.fail(code, 2, { retry_after: 0 });
          await generateText(asked(to, { prompt: fresh('Again'), maxRetries: 2 }));
          assert.deepEqual([await fake.received(), await fake.calls()], [3, 1], `${code}`);
        }
      }
    });

    test('a cut stream is an error, never a short answer', async () => {
      const ask = asked(PROXY, { prompt: fresh('Cut') });
      await fake.answer(answer(text(SENTENCES)), answer(text(SENTENCES)));
      await fake.script({ cut_after: 5 });
      const cut = streamText({ maxRetries: 0, onError: () => {}, ...ask });
      const parts = await collect(cut.stream);
      const broken = parts.find((part) => part.type === 'error');
      assert.match(JSON.stringify([broken?.error, `${broken?.error?.message}`]), /llmcache: /);
      assert.equal(await streamText({ maxRetries: 0, ...ask }).text, SENTENCES);
      assert.equal(await fake.calls(), 2, 'a broken stream was kept');
    });

    test('a client that leaves in mid-stream spoils nothing', async () => {
      const ask = asked(PROXY, { prompt: fresh('Leave') });
      await fake.answer(answer(text(SENTENCES)), answer(text(SENTENCES)));
      await fake.script({ stall_after: 6 });
      const leave = new AbortController();
      const left = streamText({ maxRetries: 0, onError: () => {}, abortSignal: leave.signal, ...ask });
      for await (const part of left.stream) {
        if (part.type === 'text-delta') break;
      }
      leave.abort();
      await fake.release();
      assert.equal((await generateText(ask)).text, SENTENCES);
      assert.ok((await fake.calls()) <= 2);
    });
  });
}

/** What an application can see of an error of the SDK. */
function seenOf(error) {
  assert.ok(APICallError.isInstance(error), `${error}`);
  const { statusCode, message, isRetryable, data, responseHeaders } = error;
  const body = error.responseBody.replaceAll(/req_[0-9a-f]+/g, '…');
  const retry = ['retry-after', 'x-should-retry'].map((name) => responseHeaders[name]);
  return nameless({ statusCode, message: message.replaceAll(/req_[0-9a-f]+/g, '…'), isRetryable, data, body, retry });
}

async function plainError(ask) {
  return seenOf(await generateText({ maxRetries: 0, ...ask }).then(() => assert.fail('no error'), (error) => error));
}

async function streamError(ask) {
  const parts = await collect(streamText({ maxRetries: 0, onError: () => {}, ...ask }).stream);
  return seenOf(parts.find((part) => part.type === 'error').error);
}

describe('ai: the base URL of the environment', () => {
  const named = { ANTHROPIC_BASE_URL: `${PROXY}/anthropic`, OPENAI_BASE_URL: `${PROXY}/openai/v1` };

  beforeEach(() => Object.assign(process.env, named));
  afterEach(() => Object.keys(named).forEach((name) => delete process.env[name]));

  // This SDK appends its path to ANTHROPIC_BASE_URL as it is, so the version that Anthropic's own SDK adds is missing.
  test('what the official SDKs are given serves this one too', async () => {
    const models = [createAnthropic({ apiKey: KEY })(CLAUDE), createOpenAI({ apiKey: KEY }).chat(GPT)];
    for (const model of models) {
      await fake.reset();
      const ask = { model, prompt: fresh('Environment') };
      assert.equal(await status('generateText', ask), 'llmcache; fwd=miss; stored');
      for (const way of Object.keys(WAYS)) assert.match(await status(way, ask), /^llmcache; hit; /);
      assert.equal(await fake.calls(), 1);
    }
  });

  test('both ways of writing the base URL share one entry', async () => {
    const prompt = fresh('Same');
    assert.match(await status('generateText', { model: createAnthropic({ apiKey: KEY })(CLAUDE), prompt }), /stored/);
    assert.match(await status('generateText', { model: anthropic(PROXY)(CLAUDE), prompt }), /hit/);
  });
});

test('ai: embeddings are the same', async () => {
  const embed = async (way) => {
    const { embeddings, usage } = await embedMany({
      model: openai(way).embedding('text-embedding-3-small'), values: ['one', 'two'], maxRetries: 0,
    });
    return { embeddings, usage };
  };
  const direct = await embed(FAKE);
  for (let turn = 0; turn < 2; turn += 1) assert.deepEqual(await embed(PROXY), direct);
});
