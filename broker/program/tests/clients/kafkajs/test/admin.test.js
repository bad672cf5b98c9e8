const assert = require('node:assert/strict');
const { test } = require('node:test');
const { ConfigResourceTypes } = require('kafkajs');
const { PATIENCE, admin, consume, eventually, kafka, newTopic, producer, ready, unique } = require('../kafka');

async function fill(t, topic, messages) {
  const client = await producer(t);
  await client.send({ topic, messages });
}

test('topics are made, listed and deleted', { timeout: PATIENCE }, async (t) => {
  const client = await admin(t);
  const topic = unique('t');
  assert.equal(await client.createTopics({ validateOnly: true, waitForLeaders: false, topics: [{ topic }] }), true);
  assert.equal(await client.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: false }), true);
  await ready(client, topic, 2);
  assert.equal(await client.createTopics({ waitForLeaders: false, topics: [{ topic }] }), false, 'it is there already');
  assert.ok((await client.listTopics()).includes(topic));

  const { topics: [{ name, partitions }] } = await client.fetchTopicMetadata({ topics: [topic] });
  assert.equal(name, topic);
  assert.deepEqual(partitions.map(({ partitionId }) => partitionId).sort(), [0, 1]);
  for (const { leader, replicas, isr, partitionErrorCode } of partitions) {
    assert.deepEqual([replicas, isr, partitionErrorCode], [[leader], [leader], 0]);
  }

  await client.deleteTopics({ topics: [topic] });
  await eventually(() => client.listTopics(), (topics) => !topics.includes(topic));
});

test('impossible topics are refused', { timeout: PATIENCE }, async (t) => {
  const client = await admin(t);
  const refused = async (topic, type) => {
    const error = await client.createTopics({ topics: [topic] }).then(() => null, (error) => error);
    assert.equal(error?.errors?.[0]?.type ?? error?.type, type, JSON.stringify(topic));
  };
  await refused({ topic: unique('t'), numPartitions: 0 }, 'INVALID_PARTITIONS');
  await refused({ topic: unique('t'), replicationFactor: 3 }, 'INVALID_REPLICATION_FACTOR');
  await refused({ topic: 'no spaces' }, 'INVALID_TOPIC_EXCEPTION');
  await refused({ topic: unique('t'), configEntries: [{ name: 'no.such.setting', value: '1' }] }, 'INVALID_CONFIG');
});

test('partitions can be added', { timeout: PATIENCE }, async (t) => {
  const client = await admin(t);
  const topic = await newTopic(t, 1);
  await client.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
  await eventually(
    () => client.fetchTopicMetadata({ topics: [topic] }),
    ({ topics }) => topics[0].partitions.length === 3,
  );
  await assert.rejects(client.createPartitions({ topicPartitions: [{ topic, count: 2 }] }));
});

test('offsets of a topic, now and at a time', { timeout: PATIENCE }, async (t) => {
  const client = await admin(t);
  const topic = await newTopic(t, 2);
  await fill(t, topic, [1000, 2000, 3000].map((time) => ({ partition: 0, value: 'x', timestamp: `${time}` })));
  const sorted = (offsets) => offsets.sort((a, b) => a.partition - b.partition);
  assert.deepEqual(sorted(await client.fetchTopicOffsets(topic)), [
    { partition: 0, offset: '3', high: '3', low: '0' },
    { partition: 1, offset: '0', high: '0', low: '0' },
  ]);
  assert.deepEqual(sorted(await client.fetchTopicOffsetsByTimestamp(topic, 1500)), [
    { partition: 0, offset: '1' },
    { partition: 1, offset: '0' },
  ]);
  assert.deepEqual(sorted(await client.fetchTopicOffsetsByTimestamp(topic, 3001)), [
    { partition: 0, offset: '3' },
    { partition: 1, offset: '0' },
  ]);
});

test('the cluster', { timeout: PATIENCE }, async (t) => {
  const { brokers, controller, clusterId } = await (await admin(t)).describeCluster();
  assert.equal(brokers.length, 1);
  assert.equal(controller, brokers[0].nodeId);
  assert.match(clusterId, /^[\w-]{22}$/);
  assert.ok(brokers[0].port > 0);
});

test('groups are listed, described and deleted', { timeout: PATIENCE }, async (t) => {
  const client = await admin(t);
  const topic = await newTopic(t);
  await fill(t, topic, [{ value: 'x' }]);
  const reader = await consume(t, topic);
  await reader.received(1);

  const { groups } = await client.listGroups();
  assert.deepEqual(groups.find(({ groupId }) => groupId === reader.groupId)?.protocolType, 'consumer');
  const { groups: [described] } = await client.describeGroups([reader.groupId]);
  assert.deepEqual(
    [described.errorCode, described.state, described.protocolType, described.protocol],
    [0, 'Stable', 'consumer', 'RoundRobinAssigner'],
  );
  assert.equal(described.members.length, 1);
  assert.equal(described.members[0].memberId, reader.memberId);
  assert.equal(described.members[0].clientId, 'kafkajs-tests');

  const refused = await client.deleteGroups([reader.groupId]).then(() => null, (error) => error);
  assert.equal(refused?.groups?.[0]?.error?.type, 'NON_EMPTY_GROUP');
  await reader.stop();
  const { groups: [empty] } = await client.describeGroups([reader.groupId]);
  assert.deepEqual([empty.state, empty.members], ['Empty', []]);
  assert.deepEqual(await client.deleteGroups([reader.groupId]), [{ groupId: reader.groupId, errorCode: 0 }]);
  const { groups: [dead] } = await client.describeGroups([reader.groupId]);
  assert.equal(dead.state, 'Dead');
});

test('the offsets of a group can be read, set and reset', { timeout: PATIENCE }, async (t) => {
  const client = await admin(t);
  const topic = await newTopic(t);
  await fill(t, topic, [0, 1, 2, 3, 4].map((index) => ({ value: `${index}` })));
  const groupId = unique('g');
  const offset = async () => {
    const [{ partitions }] = await client.fetchOffsets({ groupId, topics: [topic] });
    return partitions[0].offset;
  };
  assert.equal(await offset(), '-1', 'nothing was committed');
  await client.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '3' }] });
  assert.equal(await offset(), '3');
  const reader = await consume(t, topic, { groupId });
  await reader.received(2);
  assert.deepEqual(reader.messages.map(({ value }) => value), ['3', '4']);
  await reader.stop();
  assert.equal(await offset(), '5');

  // -1 and -2 stand for the end and the beginning.
  await client.resetOffsets({ groupId, topic, earliest: true });
  const again = await consume(t, topic, { groupId });
  await again.received(5);
});

test('records can be deleted', { timeout: PATIENCE }, async (t) => {
  const client = await admin(t);
  const topic = await newTopic(t);
  await fill(t, topic, [0, 1, 2, 3].map((index) => ({ value: `${index}` })));
  await client.fetchTopicOffsets(topic); // deleteTopicRecords wants a client that knows the topic
  await client.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '3' }] });
  assert.deepEqual(await client.fetchTopicOffsets(topic), [{ partition: 0, offset: '4', high: '4', low: '3' }]);
  await client.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '-1' }] });
  assert.deepEqual(await client.fetchTopicOffsets(topic), [{ partition: 0, offset: '4', high: '4', low: '4' }]);
});

test('settings of a topic', { timeout: PATIENCE }, async (t) => {
  const topic = await newTopic(t, 1, [{ name: 'retention.ms', value: '60000' }]);
  const { resources: [resource] } = await (await admin(t)).describeConfigs({
    includeSynonyms: false,
    resources: [
      { type: ConfigResourceTypes.TOPIC, name: topic, configNames: ['retention.ms', 'cleanup.policy'] },
    ],
  });
  const settings = Object.fromEntries(resource.configEntries.map(({ configName, configValue }) => [configName, configValue]));
  assert.deepEqual(settings, { 'retention.ms': '60000', 'cleanup.policy': 'delete' });
});

test('a broker that is not there is an error, not a hang', { timeout: PATIENCE }, async () => {
  const { Kafka, logLevel } = require('kafkajs');
  assert.ok(kafka);
  const nobody = new Kafka({ brokers: ['127.0.0.1:1'], logLevel: logLevel.NOTHING, retry: { retries: 0 } });
  await assert.rejects(nobody.admin().connect(), { name: 'KafkaJSNumberOfRetriesExceeded' });
});
