// Sends one record to a broker that has no room yet: it is sent when there is room.
const { kafka } = require('./kafka');
const { Partitioners } = require('kafkajs');

(async () => {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  await producer.send({ topic: 'orders', messages: [{ value: 'late' }] });
  await producer.disconnect();
})();
