const assert = require('node:assert/strict');
const { test } = require('node:test');
const { CompressionCodecs, CompressionTypes } = require('kafkajs');
const lz4 = require('lz4-napi');
const snappy = require('snappyjs');
const zstd = require('@bokuweb/zstd-wasm');
const { PATIENCE, admin, consume, newTopic, producer, unique } = require('../kafka');

// KafkaJS has gzip built in and takes the other codecs as plug-ins.
CompressionCodecs[CompressionTypes.Snappy] = () => ({
  compress: async (encoder) => Buffer.from(snappy.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(snappy.uncompress(buffer)),
});
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: async (buffer) => lz4.decompressFrame(buffer),
});
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => (await zstd.init(), Buffer.from(zstd.compress(encoder.buffer, 3))),
  decompress: async (buffer) => (await zstd.init(), Buffer.from(zstd.decompress(buffer))),
});

const values = ({ messages }) => messages.map(({ value }) => value);

test('records get consecutive offsets', { timeout: PATIENCE }, async (t) => {
  const topic = await newTopic(t);
  const client = await producer(t);
  for (const [acks, baseOffset] of [[-1, '0'], [1, '2']]) {
    const [sent] = await client.send({ topic, acks, messages: [{ value: 'a' }, { value: 'b' }] });
    assert.deepEqual([sent.partition, sent.errorCode, sent.baseOffset], [0, 0, baseOffset]);
  }
  assert.deepEqual(values(await (await consume(t, topic)).received(4)), ['a', 'b', 'a', 'b']);
});

test('acks 0 has no answer and is stored all the same', { timeout: PATIENCE }, async (t) => {
  const topic = await newTopic(t);
  const client = await producer(t);
  await client.send({ topic, acks: 0, messages: [{ value: 'fire' }] });
  await client.send({ topic, acks: 0, messages: [{ value: 'and forget' }] });
  assert.deepEqual(values(await (await consume(t, topic)).received(2)), ['fire', 'and forget']);
});

test('a key always leads to the same partition', { timeout: PATIENCE }, async (t) => {
  const topic = await newTopic(t, 3);
  const client = await producer(t);
  for (let round = 0; round < 3; round++) {
    const messages = ['u1', 'u2', 'u3', 'u4', 'u5', 'u6'].map((key) => ({ key, value: `${round}` }));
    await client.send({ topic, messages });
  }
  const { messages } = await (await consume(t, topic)).received(18);
  const places = new Map();
  for (const { key, partition, value } of messages) {
    const place = places.get(key) ?? { partition, rounds: '' };
    assert.equal(partition, place.partition, `${key} stays where it was`);
    places.set(key, { partition, rounds: place.rounds + value });
  }
  assert.equal(places.size, 6);
  for (const { rounds } of places.values()) assert.equal(rounds, '012', 'in the order of sending');
});

test('headers, timestamps, null keys and null values', { timeout: PATIENCE }, async (t) => {
  const topic = await newTopic(t);
  const client = await producer(t);
  await client.send({
    topic,
    messages: [
      { key: 'k', value: 'v', headers: { trace: 'abc', many: ['1', '2'] }, timestamp: '1234567' },
      { key: null, value: null },
      { key: '', value: '' },
    ],
  });
  const { messages } = await (await consume(t, topic)).received(3);
  assert.deepEqual(messages.map(({ key, value }) => [key, value]), [['k', 'v'], [null, null], ['', '']]);
  assert.equal(messages[0].timestamp, '1234567');
  assert.equal(messages[0].headers.trace.toString(), 'abc');
  assert.deepEqual(messages[0].headers.many.map(String), ['1', '2']);
});

for (const [name, compression] of Object.entries(CompressionTypes)) {
  test(`compression: ${name}`, { timeout: PATIENCE }, async (t) => {
    const topic = await newTopic(t);
    const client = await producer(t);
    const expected = Array.from({ length: 50 }, (_, index) => `${name} ${index} `.repeat(20));
    const [sent] = await client.send({ topic, compression, messages: expected.map((value) => ({ value })) });
    assert.equal(sent.baseOffset, '0');
    assert.deepEqual(values(await (await consume(t, topic)).received(50)), expected);
  });
}

test('an idempotent producer', { timeout: PATIENCE }, async (t) => {
  const topic = await newTopic(t, 2);
  const client = await producer(t, { idempotent: true, maxInFlightRequests: 1 });
  for (let index = 0; index < 20; index++) {
    await client.send({ topic, messages: [{ partition: 0, value: `${index}` }, { partition: 1, value: `${index}` }] });
  }
  const { messages } = await (await consume(t, topic)).received(40);
  for (const partition of [0, 1]) {
    const own = messages.filter((message) => message.partition === partition);
    assert.deepEqual(own.map(({ value }) => value), Array.from({ length: 20 }, (_, index) => `${index}`));
    assert.deepEqual(own.map(({ offset }) => offset), Array.from({ length: 20 }, (_, index) => `${index}`));
  }
});

test('a batch over several topics', { timeout: PATIENCE }, async (t) => {
  const [one, two] = [await newTopic(t), await newTopic(t)];
  const client = await producer(t);
  const sent = await client.sendBatch({
    topicMessages: [{ topic: one, messages: [{ value: '1' }] }, { topic: two, messages: [{ value: '2' }] }],
  });
  assert.deepEqual(sent.map(({ errorCode, baseOffset }) => [errorCode, baseOffset]), [[0, '0'], [0, '0']]);
  assert.deepEqual(values(await (await consume(t, one)).received(1)), ['1']);
  assert.deepEqual(values(await (await consume(t, two)).received(1)), ['2']);
});

test('a topic is made when it is first written to', { timeout: PATIENCE }, async (t) => {
  const topic = unique('made-on-use');
  const client = await producer(t);
  await client.send({ topic, messages: [{ key: 'k', value: 'v' }] });
  const { topics } = await (await admin(t)).fetchTopicMetadata({ topics: [topic] });
  assert.equal(topics[0].partitions.length, 3, 'num.partitions');
});

test('a record that is too large is refused', { timeout: PATIENCE }, async (t) => {
  const topic = await newTopic(t, 1, [{ name: 'max.message.bytes', value: '1000' }]);
  const client = await producer(t, { retry: { retries: 0 } });
  await assert.rejects(client.send({ topic, messages: [{ value: 'x'.repeat(2000) }] }), { type: 'MESSAGE_TOO_LARGE' });
  const [sent] = await client.send({ topic, messages: [{ value: 'x'.repeat(900) }] });
  assert.equal(sent.baseOffset, '0');
});
