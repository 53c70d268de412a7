// Errors, retries, timeouts, many calls at once, clients that leave, and what headers say.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { ENDPOINTS, FAKE, PROXY, answer, collect, fake, fresh, nameless, plain, text, wire } from './kit.mjs';

const CALLERS = 50;
// Long enough that every caller has asked before the first answer begins.
const THINK = { think_ms: 1500 };
const SENTENCES = 'A sentence that is long enough to be cut in the middle. '.repeat(4);
const STATUSES = [400, 401, 403, 404, 413, 429, 500, 529];

beforeEach(fake.reset);
afterEach(fake.reset);

/** What an application can see of the error that a promise ends in. */
async function caught(sdk, promise) {
  const error = await promise.then(() => assert.fail('no error was thrown'), (error) => error);
  assert.ok(error instanceof sdk.APIError, `${error}`);
  if (error.status) assert.match(error.requestID ?? '', /^req_/);
  const seen = { class: error.constructor.name, status: error.status, type: error.type, code: error.code, body: plain(error.error) };
  seen.message = error.message.replaceAll(/req_[0-9a-f]+/g, '…');
  seen.retry = ['retry-after', 'x-should-retry'].map((name) => error.headers?.get(name));
  return nameless(seen);
}

for (const endpoint of ENDPOINTS) {
  const { name, sdk, make, create, stream, said, heard } = endpoint;
  const listen = async (client, words, options) => heard(await collect(await stream(client, words, options)));

  describe(`${name}: errors`, () => {
    for (const status of STATUSES) {
      test(`${status} is the same error, plain and streamed, and is not kept`, async () => {
        for (const ask of [create, stream]) {
          const words = fresh('Fail');
          await fake.reset();
          await fake.fail(status, 3, status === 429 ? { retry_after: 7 } : {});
          const direct = await caught(sdk, ask(make(FAKE), words));
          for (let turn = 0; turn < 2; turn += 1) assert.deepEqual(await caught(sdk, ask(make(PROXY), words)), direct);
          assert.equal(await fake.received(), 3);
          await create(make(PROXY), words);
          assert.equal(await fake.calls(), 1, 'an error was kept');
        }
      });
    }

    test('a cut stream is an error, never a short answer', async () => {
      const words = fresh('Cut');
      await fake.answer(answer(text(SENTENCES)), answer(text(SENTENCES)));
      await fake.script({ cut_after: 5 });
      // Responses hands out the error event instead of throwing it.
      const end = await stream(make(PROXY), words).then(collect).then((events) => events.at(-1), (error) => error);
      assert.ok(end instanceof sdk.APIError || end.type === 'error', `${end}`);
      assert.equal(await listen(make(PROXY), words), SENTENCES);
      assert.equal(await fake.calls(), 2, 'a broken stream was kept');
    });
  });

  describe(`${name}: retries and timeouts`, () => {
    for (const status of [429, 500, 529]) {
      test(`the SDK retries a ${status} as often as without llmcache`, async () => {
        for (const way of [FAKE, PROXY]) {
          await fake.reset();
          await fake.fail(status, 2);
          const [client, sent] = wire(make, way, { maxRetries: 2 });
          await create(client, fresh('Again'));
          assert.deepEqual([sent.length, await fake.received(), await fake.calls()], [3, 3, 1]);
        }
      });
    }

    test('only-if-cached is a 504 that is not retried, or a hit', async () => {
      const words = fresh('Cached?');
      const [client, sent] = wire(make, PROXY, { maxRetries: 2 });
      const options = { headers: { 'cache-control': 'only-if-cached' } };
      const error = await create(client, words, options).then(() => assert.fail('no error'), (error) => error);
      assert.equal(error.status, 504);
      assert.match(error.message, /llmcache: /);
      assert.deepEqual([sent.length, await fake.received()], [1, 0]);
      const first = await create(client, words);
      assert.equal((await create(client, words, options)).id, first.id);
    });

    test('a silent provider times out the same, and the next call is right', async () => {
      const words = fresh('Silence');
      await fake.script({ stall_after: 0 }, { stall_after: 0 });
      for (const way of [FAKE, PROXY]) {
        await assert.rejects(create(make(way, { timeout: 500 }), words), sdk.APIConnectionTimeoutError);
      }
      await fake.release();
      assert.ok(said(await create(make(PROXY), words)));
    });
  });

  describe(`${name}: at once`, () => {
    const many = (ask) => Promise.all(Array.from({ length: CALLERS }, (_, number) => ask(number)));

    test('fifty identical calls, plain and streamed, are one call', async () => {
      const words = fresh('Same');
      const client = make(PROXY);
      await fake.script(THINK);
      const results = await many(async (number) =>
        number % 2 ? said(await create(client, words)) : listen(client, words));
      assert.equal(await fake.calls(), 1);
      assert.ok(results[0]);
      assert.deepEqual([...new Set(results)], [results[0]]);
    });

    test('fifty different calls each get their own answer', async () => {
      const client = make(PROXY);
      const words = Array.from({ length: CALLERS }, (_, number) => fresh(`number ${number} is mine`));
      const results = await many(async (number) => said(await create(client, words[number])));
      assert.equal(await fake.calls(), CALLERS);
      results.forEach((result, number) => assert.match(result, new RegExp(`number ${number} is mine`)));
    });

    test('a client that leaves in mid-stream spoils nothing', async () => {
      const words = fresh('Leave');
      await fake.answer(answer(text(SENTENCES)), answer(text(SENTENCES)));
      await fake.script({ stall_after: 6 });
      const events = await stream(make(PROXY), words);
      for await (const event of events) {
        if (heard([event])) break;
      }
      events.controller.abort();
      await fake.release();
      assert.equal(said(await create(make(PROXY), words, { timeout: 20_000 })), SENTENCES);
      assert.equal(await listen(make(PROXY), words), SENTENCES);
      assert.ok((await fake.calls()) <= 2);
    });
  });

  describe(`${name}: headers`, () => {
    test('a miss and its hit say what they are', async () => {
      const words = fresh('Headers');
      const seen = [];
      for (let turn = 0; turn < 2; turn += 1) {
        const { data, response } = await create(make(PROXY), words).withResponse();
        seen.push({ id: data.id, headers: response.headers });
      }
      const [miss, hit] = seen;
      assert.equal(miss.headers.get('cache-status'), 'llmcache; fwd=miss; stored');
      assert.match(hit.headers.get('cache-status'), /^llmcache; hit; ttl=\d+; detail=result$/);
      assert.match(hit.headers.get('age'), /^\d+$/);
      assert.match(hit.headers.get('x-llmcache-saved-usd'), /^\d+\.\d{9}$/);
      assert.ok(hit.headers.get('x-llmcache-model'));
      assert.notEqual(miss.headers.get('x-llmcache-request-id'), hit.headers.get('x-llmcache-request-id'));
      assert.equal(hit.id, miss.id);
    });

    test('no-store is neither read nor kept, no-cache replaces', async () => {
      const words = fresh('Control');
      const client = make(PROXY);
      const under = (control) => create(client, words, { headers: { 'cache-control': control } });
      await under('no-store');
      const first = await create(client, words);
      await under('no-store');
      assert.equal((await create(client, words)).id, first.id);
      const renewed = await under('no-cache');
      assert.notEqual(renewed.id, first.id);
      assert.equal((await create(client, words)).id, renewed.id);
      assert.equal(await fake.calls(), 4);
    });
  });
}
