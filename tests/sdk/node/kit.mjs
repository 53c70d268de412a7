// What the tests share: the fake provider's controls, clients on both ways to it, and when two results are the same.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

export const FAKE = process.env.FAKE_URL;
export const PROXY = process.env.LLMCACHE_URL;
export const CLAUDE = 'claude-sonnet-5-5';
export const GPT = 'gpt-5.1';

export const KEY = 'sk-test-sdk-suite';

// What names one call or one moment: two calls of the provider differ in it, a hit and its miss do not.
const NAMES = new Set([
  'id', 'request_id', '_request_id', 'requestID', 'item_id', 'created', 'created_at', 'completed_at', 'encrypted_content',
  'itemId', 'responseId', 'reasoningEncryptedContent',
]);

async function control(path, body) {
  const init = body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(FAKE + path, init);
  assert.equal(response.status, 200, path);
  return response.json();
}

/** The controls of the fake provider. */
export const fake = {
  reset: async () => {
    await control('/fake/release', {});
    await control('/fake/reset', {});
  },
  script: (...troubles) => control('/fake/script', troubles.map((trouble) => ({ trouble }))),
  fail: (status, times = 1, more = {}) =>
    control('/fake/script', Array(times).fill({ trouble: { status: { status, ...more } } })),
  answer: (...answers) => control('/fake/answers', answers),
  release: () => control('/fake/release', {}),
  /** Model calls accepted. */
  calls: async () => (await control('/fake/stats')).calls,
  /** Requests of any kind, refused ones included. */
  received: async () => (await control('/fake/stats')).received,
};

export const text = (words) => ({ text: words });
export const thinking = (words) => ({ thinking: words });
export const tool = (name, input, id = 'toolu_01fixed') => ({ tool: { name, input, id } });
export const answer = (...parts) => ({ parts });

/** An Anthropic client; `way` is the fake's or the proxy's address. */
export function claude(way, options = {}) {
  const baseURL = way === FAKE ? way : `${way}/anthropic`;
  return new Anthropic({ baseURL, apiKey: KEY, maxRetries: 0, ...options });
}

/** An OpenAI client. */
export function gpt(way, options = {}) {
  const baseURL = way === FAKE ? `${way}/v1` : `${way}/openai/v1`;
  return new OpenAI({ baseURL, apiKey: KEY, maxRetries: 0, ...options });
}

/** A prompt that no other test has asked. */
export const fresh = (words) => `${words} (${randomUUID()})`;

export const user = (content) => [{ role: 'user', content }];

export async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** A result object of an SDK as plain data; the request id beside it belongs to the call, not to the answer. */
export function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([key]) => key !== '_request_id');
  return Object.fromEntries(entries.map(([key, item]) => [key, plain(item)]));
}

/** The same data without what names one call of the provider. */
export function nameless(value) {
  if (Array.isArray(value)) return value.map(nameless);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, NAMES.has(key) ? '…' : nameless(item)]));
}

/** Asks directly, on a miss and on a hit: the first two differ in names of the call alone, the last two in nothing. */
export async function assertSameThrice(make, ask, ...answers) {
  const results = [];
  for (const way of [FAKE, PROXY]) {
    await fake.reset();
    await fake.answer(...answers);
    results.push(plain(await ask(make(way))));
  }
  assert.equal(await fake.calls(), 1, 'the question was not new');
  const hit = plain(await ask(make(PROXY)));
  assert.equal(await fake.calls(), 1, 'a repeat went to the provider');
  const [direct, miss] = results;
  assert.deepEqual(nameless(miss), nameless(direct));
  assert.deepEqual(hit, miss);
  return hit;
}

/** A client and a list that gains the URL of every request the SDK puts on the wire, retries included. */
export function wire(make, way, options = {}) {
  const sent = [];
  const client = make(way, {
    ...options,
    fetch: (url, init) => {
      sent.push(String(url));
      return fetch(url, init);
    },
  });
  return [client, sent];
}

/** The three typed endpoints behind one face, for what they have in common. */
export const ENDPOINTS = [
  {
    name: 'messages',
    sdk: Anthropic,
    make: claude,
    resource: (client) => client.messages,
    ask: (words) => ({ model: CLAUDE, max_tokens: 1024, messages: user(words) }),
    said: (result) => result.content[0].text,
    piece: (event) => (event.type === 'content_block_delta' ? event.delta.text : ''),
  },
  {
    name: 'chat',
    sdk: OpenAI,
    make: gpt,
    resource: (client) => client.chat.completions,
    ask: (words) => ({ model: GPT, messages: user(words) }),
    said: (result) => result.choices[0].message.content,
    piece: (chunk) => chunk.choices[0]?.delta.content ?? '',
  },
  {
    name: 'responses',
    sdk: OpenAI,
    make: gpt,
    resource: (client) => client.responses,
    ask: (words) => ({ model: GPT, store: false, input: words }),
    said: (result) => result.output_text,
    piece: (event) => (event.type === 'response.output_text.delta' ? event.delta : ''),
  },
].map((endpoint) => ({
  ...endpoint,
  create: (client, words, options) => endpoint.resource(client).create(endpoint.ask(words), options),
  stream: (client, words, options) => endpoint.resource(client).create({ ...endpoint.ask(words), stream: true }, options),
  heard: (events) => events.map(endpoint.piece).join(''),
}));
