// OpenAI's Embeddings: the same vectors directly, on a miss, in part stored and on a hit, in every form of asking.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { FAKE, PROXY, assertSameThrice, fake, fresh, gpt, nameless, plain } from './kit.mjs';

const MODEL = 'text-embedding-3-small';

const INPUTS = {
  text: () => fresh('Hello'),
  texts: () => [fresh('one'), fresh('Grüße 🦀 "quoted" \\ back\n\ttab'), fresh('three')],
  tokens: () => [...Buffer.from(fresh('tokens'))],
  'token lists': () => [[...Buffer.from(fresh('a'))], [...Buffer.from(fresh('b'))]],
};

// The SDK asks for base64 by itself and unpacks it, unless the caller says which form it wants.
const FORMS = {
  default: {},
  float: { encoding_format: 'float' },
  base64: { encoding_format: 'base64' },
  short: { dimensions: 8 },
};

beforeEach(fake.reset);
afterEach(fake.reset);

for (const [form, fields] of Object.entries(FORMS)) {
  describe(form, () => {
    for (const [kind, build] of Object.entries(INPUTS)) {
      test(`${kind}: same result`, async () => {
        const ask = { model: MODEL, input: build(), ...fields };
        const result = await assertSameThrice(gpt, (client) => client.embeddings.create(ask));
        assert.deepEqual(result.data.map((item) => item.index), [...result.data.keys()]);
      });
    }

    test('stored and new items stand in the order of the caller', async () => {
      const texts = ['one', 'two', 'three', 'four'].map(fresh);
      const order = [texts[2], texts[0], texts[3], texts[1], texts[0]];
      const ask = async (way, input) => plain(await gpt(way).embeddings.create({ model: MODEL, input, ...fields }));
      await ask(PROXY, texts.slice(0, 2));
      const part = await ask(PROXY, order);
      const hit = await ask(PROXY, order);
      assert.equal(await fake.calls(), 2);
      assert.deepEqual(part, hit);
      assert.deepEqual(nameless(await ask(FAKE, order)), nameless(hit));
    });
  });
}
