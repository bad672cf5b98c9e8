// The example of the README runs as it is written, but for the address and for names that are this run's own.
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { test } = require('node:test');
const { PATIENCE, brokers, unique } = require('../kafka');

const folder = join(__dirname, '..');

/** Starts the example and gives what it prints as it grows. */
function start(t, script) {
  const child = spawn(process.execPath, ['-e', script], { cwd: folder, env: { ...process.env, NO_COLOR: '1' } });
  t.after(() => child.kill());
  const run = { output: '' };
  const waiting = new Set();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      run.output += data;
      waiting.forEach((check) => check());
    });
  }
  run.prints = (pattern) => new Promise((resolve, reject) => {
    const check = () => pattern.test(run.output) && resolve();
    waiting.add(check);
    setTimeout(() => reject(new Error(`${pattern} was not printed, only:\n${run.output}`)), PATIENCE / 2).unref();
    check();
  });
  return run;
}

test('the example of the README', { timeout: PATIENCE }, async (t) => {
  const topic = unique('test-topic');
  const script = readFileSync(join(folder, 'example.js'), 'utf8')
    .replace("'localhost:9092'", JSON.stringify(brokers[0]))
    .replaceAll("'test-topic'", JSON.stringify(topic))
    .replaceAll("'test-group'", JSON.stringify(unique('test-group')));

  // A consumer without committed offsets starts at the end, so the first run prints what the second one sends.
  const first = start(t, script);
  await first.prints(/Consumer has joined the group/);
  const second = start(t, script);
  await second.prints(/Consumer has joined the group/);
  const both = () => first.output + second.output;
  await Promise.race([
    Promise.all([first.prints(/Hello Kafka-RS!/), first.prints(/Educational implementation/)]),
    Promise.all([second.prints(/Hello Kafka-RS!/), second.prints(/Educational implementation/)]),
    Promise.all([first.prints(/Hello Kafka-RS!/), second.prints(/Educational implementation/)]),
    Promise.all([second.prints(/Hello Kafka-RS!/), first.prints(/Educational implementation/)]),
  ]);
  assert.match(both(), /partition: \d+,\s+offset: '\d+',\s+key: 'key1',\s+value: 'Hello Kafka-RS!'/);
  assert.match(both(), /partition: \d+,\s+offset: '\d+',\s+key: 'key2',\s+value: 'Educational implementation'/);
  assert.doesNotMatch(both(), /UnhandledPromiseRejection|KafkaJSNonRetriableError/);
});
