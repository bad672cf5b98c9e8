"""aiokafka against the broker: an asyncio client with a protocol implementation of its own."""

import asyncio
import os
import uuid

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

SERVERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")

# How long anything may take before it counts as missing, in seconds.
PATIENCE = 30


def unique(name):
    return f"{name}-{uuid.uuid4().hex[:8]}"


async def eventually(ask, test):
    """Asks until the answer is as wished."""

    async def asking():
        while not test(await ask()):
            await asyncio.sleep(0)  # lets the clients go on

    await asyncio.wait_for(asking(), PATIENCE)


async def new_topic(partitions=1):
    """Makes a topic that is ready for use: Kafka answers CreateTopics before all of it knows the topic."""
    topic = unique("t")
    admin = AIOKafkaAdminClient(bootstrap_servers=SERVERS)
    await admin.start()
    await admin.create_topics([NewTopic(topic, partitions, 1)])
    reader = AIOKafkaConsumer(bootstrap_servers=SERVERS)
    await reader.start()

    async def known():
        try:
            return await reader.end_offsets([TopicPartition(topic, partition) for partition in range(partitions)])
        except KafkaError:
            return {}

    await eventually(known, lambda ends: len(ends) == partitions)
    await reader.stop()
    await admin.close()
    return topic


async def produce(topic, values, partition=0, **options):
    """Sends values and gives the offsets that they got."""
    async with AIOKafkaProducer(bootstrap_servers=SERVERS, **options) as producer:
        sent = [await producer.send(topic, value.encode(), partition=partition) for value in values]
        return [(await delivery).offset for delivery in sent]


async def take(reader, count):
    """Reads the next records' values."""
    return [(await asyncio.wait_for(reader.getone(), PATIENCE)).value.decode() for _ in range(count)]


def consumer(*topics, **options):
    defaults = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "heartbeat_interval_ms": 200}
    return AIOKafkaConsumer(*topics, bootstrap_servers=SERVERS, **{**defaults, **options})


@pytest.mark.asyncio
@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
async def test_every_codec(codec):
    topic = await new_topic()
    values = [f"{codec} {number} " * 20 for number in range(50)]
    assert await produce(topic, values, compression_type=codec, linger_ms=20) == list(range(50))
    async with consumer(topic) as reader:
        assert await take(reader, 50) == values


@pytest.mark.asyncio
async def test_an_idempotent_producer():
    topic = await new_topic()
    values = [str(number) for number in range(100)]
    assert await produce(topic, values, enable_idempotence=True) == list(range(100))


@pytest.mark.asyncio
async def test_two_members_share_the_partitions_and_one_takes_over():
    topic, group = await new_topic(4), unique("g")
    one, two = consumer(topic, group_id=group), consumer(topic, group_id=group)
    await one.start()

    async def shares():
        return [len(one.assignment()), len(two.assignment())]

    await eventually(shares, lambda found: found == [4, 0])
    await two.start()
    await eventually(shares, lambda found: found == [2, 2])
    assert one.assignment() | two.assignment() == {TopicPartition(topic, number) for number in range(4)}
    await two.stop()
    await eventually(shares, lambda found: found[0] == 4)
    for partition in range(4):
        await produce(topic, [str(partition)], partition)
    assert sorted(await take(one, 4)) == ["0", "1", "2", "3"]
    await one.stop()


@pytest.mark.asyncio
async def test_a_group_goes_on_where_it_committed():
    topic, group = await new_topic(), unique("g")
    here = TopicPartition(topic, 0)
    await produce(topic, ["a", "b", "c"])
    async with consumer(topic, group_id=group) as first:
        assert await take(first, 2) == ["a", "b"]
        await first.commit()
        assert await first.committed(here) == 2
    async with consumer(topic, group_id=group) as second:
        assert await take(second, 1) == ["c"]
        second.seek(here, 1)
        assert await take(second, 2) == ["b", "c"]
        assert await second.beginning_offsets([here]) == {here: 0}
        assert await second.end_offsets([here]) == {here: 3}


@pytest.mark.asyncio
async def test_offsets_by_time():
    topic = await new_topic()
    here = TopicPartition(topic, 0)
    async with AIOKafkaProducer(bootstrap_servers=SERVERS) as producer:
        for time in (1000, 2000, 3000):
            await producer.send_and_wait(topic, b"x", timestamp_ms=time)
    async with consumer(topic) as reader:
        found = await reader.offsets_for_times({here: 1500})
        assert (found[here].offset, found[here].timestamp) == (1, 2000)
        assert await reader.offsets_for_times({here: 3001}) == {here: None}
