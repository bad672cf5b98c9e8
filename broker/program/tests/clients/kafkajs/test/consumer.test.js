const assert = require('node:assert/strict');
const { test } = require('node:test');
const { PATIENCE, admin, consume, eventually, newTopic, producer, unique } = require('../kafka');

const values = ({ messages }) => messages.map(({ value }) => value);
const numbers = (from, to) => Array.from({ length: to - from }, (_, index) => `${from + index}`);

/** Writes the numbers from `from` to `to`, one after the other. */
async function fill(t, topic, from, to, partition = 0) {
  const client = await producer(t);
  await client.send({ topic, messages: numbers(from, to).map((value) => ({ value, partition })) });
}

test('from the beginning, or from the end', { timeout: PATIENCE }, async (t) => {
  const topic = await newTopic(t);
  await fill(t, topic, 0, 5);
  const fromStart = await consume(t, topic);
  assert.deepEqual(values(await fromStart.received(5)), numbers(0, 5));

  const fromEnd = await consume(t, topic, { fromBeginning: false });
  await fromEnd.assigned(() => true);
  // The end is looked up after the assignment; what is written until then may be missed.
  let next = 5;
  await eventually(async () => {
    await fill(t, topic, next, next + 1);
    next += 1;
    return fromEnd.messages.length;
  }, (count) => count > 0);
  assert.ok(Number(fromEnd.messages[0].value) >= 5, 'nothing old');
  await fromStart.received(next);
  assert.deepEqual(values(fromStart), numbers(0, next), 'the long poll brings every new one, once');
});

test('two members share the partitions, and one takes over when the other leaves', { timeout: PATIENCE }, async (t) => {
  const topic = await newTopic(t, 4);
  const groupId = unique('g');
  const one = await consume(t, topic, { groupId });
  await one.assigned((partitions) => partitions.length === 4);
  const two = await consume(t, topic, { groupId });
  await two.assigned((partitions) => partitions.length === 2);
  await one.assigned((partitions) => partitions.length === 2);
  assert.deepEqual([...one.assignment, ...two.assignment].sort(), [0, 1, 2, 3], 'each partition has one reader');

  for (const partition of [0, 1, 2, 3]) await fill(t, topic, 0, 3, partition);
  await one.received(6);
  await two.received(6);
  const seen = (member) => [...new Set(member.messages.map(({ partition }) => partition))].sort();
  assert.deepEqual(seen(one), [...one.assignment].sort());
  assert.deepEqual(seen(two), [...two.assignment].sort());

  const before = one.messages.length;
  await two.stop();
  await one.assigned((partitions) => partitions.length === 4);
  for (const partition of [0, 1, 2, 3]) await fill(t, topic, 3, 4, partition);
  await one.received(before + 4);
  assert.deepEqual(seen(one), [0, 1, 2, 3]);
});

test('more members than partitions: one has nothing to do', { timeout: PATIENCE }, async (t) => {
  const topic = await newTopic(t, 1);
  const groupId = unique('g');
  const one = await consume(t, topic, { groupId });
  await one.assigned((partitions) => partitions.length === 1);
  const two = await consume(t, topic, { groupId });
  await two.assigned(() => true);
  await one.assigned((partitions) => partitions.length !== two.assignment.length);
  assert.equal(one.assignment.length + two.assignment.length, 1);
});

test('a group goes on where it committed', { timeout: PATIENCE }, async (t) => {
  const topic = await newTopic(t);
  await fill(t, topic, 0, 10);
  const groupId = unique('g');
  const first = await consume(t, topic, { groupId, run: { autoCommit: false } });
  await first.received(10);
  await first.consumer.commitOffsets([{ topic, partition: 0, offset: '4', metadata: 'half way' }]);
  await first.stop();

  const second = await consume(t, topic, { groupId });
  assert.deepEqual(values(await second.received(6)), numbers(4, 10));
  await second.stop();

  // Leaving commits what was read.
  await fill(t, topic, 10, 12);
  const third = await consume(t, topic, { groupId });
  assert.deepEqual(values(await third.received(2)), numbers(10, 12));
});

test('seek', { timeout: PATIENCE }, async (t) => {
  const topic = await newTopic(t);
  await fill(t, topic, 0, 10);
  const reader = await consume(t, topic);
  await reader.received(10);
  reader.consumer.seek({ topic, partition: 0, offset: '7' });
  await reader.received(13);
  assert.deepEqual(values(reader).slice(10), numbers(7, 10));
});

test('pause and resume', { timeout: PATIENCE }, async (t) => {
  const topic = await newTopic(t);
  await fill(t, topic, 0, 2);
  const reader = await consume(t, topic);
  await reader.received(2);
  reader.consumer.pause([{ topic }]);
  await fill(t, topic, 2, 4);
  reader.consumer.resume([{ topic }]);
  assert.deepEqual(values(await reader.received(4)), numbers(0, 4));
});

test('an offset that is gone leads to the reset policy', { timeout: PATIENCE }, async (t) => {
  const topic = await newTopic(t);
  await fill(t, topic, 0, 5);
  const client = await admin(t);
  await client.fetchTopicOffsets(topic); // deleteTopicRecords wants a client that knows the topic
  await client.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '3' }] });
  const reader = await consume(t, topic);
  assert.deepEqual(values(await reader.received(2)), numbers(3, 5));
});

test('groups do not share records', { timeout: PATIENCE }, async (t) => {
  const topic = await newTopic(t);
  await fill(t, topic, 0, 3);
  const readers = [await consume(t, topic), await consume(t, topic)];
  for (const reader of readers) assert.deepEqual(values(await reader.received(3)), numbers(0, 3));
});
