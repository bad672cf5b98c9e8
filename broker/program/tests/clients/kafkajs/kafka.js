// The broker under test and its clients. Every test has topics and groups of its own, so all of them may run at once.
const { randomUUID } = require('node:crypto');
const { Kafka, Partitioners, logLevel } = require('kafkajs');

const brokers = (process.env.KAFKA_BOOTSTRAP_SERVERS ?? 'localhost:9092').split(',');
const kafka = new Kafka({ clientId: 'kafkajs-tests', brokers, logLevel: logLevel.NOTHING });

/** How long anything may take before it counts as missing, in milliseconds. */
const PATIENCE = 60_000;

const unique = (name) => `${name}-${randomUUID().slice(0, 8)}`;

/** An admin client that is gone after the test. */
async function admin(t) {
  const client = kafka.admin();
  await client.connect();
  t.after(() => client.disconnect());
  return client;
}

/** A producer that is gone after the test. */
async function producer(t, options = {}) {
  const client = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...options });
  await client.connect();
  t.after(() => client.disconnect());
  return client;
}

/** A new topic that is ready for use: Kafka answers CreateTopics before all of it knows the topic. */
async function newTopic(t, numPartitions = 1, configEntries = []) {
  const topic = unique('t');
  const client = await admin(t);
  await client.createTopics({ topics: [{ topic, numPartitions, configEntries }], waitForLeaders: false });
  await ready(client, topic, numPartitions);
  return topic;
}

/** Waits until every partition of a topic can be asked for its offsets. */
function ready(client, topic, numPartitions) {
  return eventually(
    () => client.fetchTopicOffsets(topic).catch(() => []),
    (offsets) => offsets.length === numPartitions,
  );
}

/**
 * Runs a consumer until the end of the test. It keeps what it read in `messages`, and where it starts, by partition,
 * in `assignment`; `received(n)` and `assigned(test)` wait.
 */
async function consume(t, topic, { groupId = unique('g'), fromBeginning = true, run = {}, ...options } = {}) {
  const consumer = kafka.consumer({ groupId, heartbeatInterval: 200, maxWaitTimeInMs: 500, ...options });
  const state = { consumer, groupId, messages: [], assignment: null };
  const waiting = new Set();
  const look = () => waiting.forEach((check) => check());
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    state.assignment = payload.memberAssignment[topic] ?? [];
    state.memberId = payload.memberId;
    look();
  });

  const until = (what, test) => new Promise((resolve, reject) => {
    const giveUp = setTimeout(() => {
      waiting.delete(check);
      reject(new Error(`${what} did not happen; ${state.messages.length} messages, assigned ${state.assignment}`));
    }, PATIENCE / 2).unref();
    const check = () => {
      if (!test()) return;
      clearTimeout(giveUp);
      waiting.delete(check);
      resolve(state);
    };
    waiting.add(check);
    check();
  });
  state.received = (count) => until(`receiving ${count}`, () => state.messages.length >= count);
  state.assigned = (test) => until('the assignment', () => state.assignment && test(state.assignment));
  state.stop = async () => {
    if (!state.stopped) await consumer.disconnect();
    state.stopped = true;
  };

  await consumer.connect();
  t.after(state.stop);
  await consumer.subscribe({ topic, fromBeginning });
  await consumer.run({
    ...run,
    eachMessage: async ({ partition, message }) => {
      state.messages.push({
        partition,
        offset: message.offset,
        key: message.key?.toString() ?? null,
        value: message.value?.toString() ?? null,
        headers: message.headers,
        timestamp: message.timestamp,
      });
      look();
    },
  });
  return state;
}

/** Asks until the answer is as wished. */
async function eventually(ask, test) {
  const deadline = Date.now() + PATIENCE / 2;
  for (;;) {
    const answer = await ask();
    if (test(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(answer)}`);
  }
}

module.exports = { PATIENCE, admin, brokers, consume, eventually, kafka, newTopic, producer, ready, unique };
