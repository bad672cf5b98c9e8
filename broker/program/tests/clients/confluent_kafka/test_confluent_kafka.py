"""confluent-kafka (librdkafka) against the broker: the ways in which it differs from the Rust binding's tests."""

import os
import time
import uuid

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType

SERVERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")

# How long anything may take before it counts as missing, in seconds.
PATIENCE = 30


def unique(name):
    return f"{name}-{uuid.uuid4().hex[:8]}"


def eventually(ask, test):
    """Asks until the answer is as wished, and gives it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = ask()
        if test(answer):
            return answer
        assert time.monotonic() < deadline, f"still {answer!r}"


@pytest.fixture(scope="module")
def admin():
    return AdminClient({"bootstrap.servers": SERVERS})


@pytest.fixture
def new_topic(admin):
    """Makes a topic that is ready for use: Kafka answers CreateTopics before all of it knows the topic."""

    def new_topic(partitions=1):
        topic = unique("t")
        admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(PATIENCE)
        ends = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in range(partitions)}

        def known():
            admin.list_topics(topic, PATIENCE)  # list_offsets goes by the metadata that the client has
            return all(found.exception(PATIENCE) is None for found in admin.list_offsets(ends).values())

        eventually(known, bool)
        return topic

    return new_topic


@pytest.fixture
def consumer():
    """Makes consumers that are gone after the test."""
    clients = []

    def consumer(group=None, **options):
        settings = {
            "bootstrap.servers": SERVERS,
            "group.id": group or unique("g"),
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 50,
        }
        settings.update({name.replace("_", "."): value for name, value in options.items()})
        clients.append(Consumer(settings))
        return clients[-1]

    yield consumer
    for client in clients:
        client.close()


def produce(topic, values, partition=0, **options):
    """Sends values and gives the offsets that they got."""
    offsets = []

    def delivered(error, message):
        assert error is None, error
        offsets.append(message.offset())

    settings = {name.replace("_", "."): value for name, value in options.items()}
    producer = Producer({"bootstrap.servers": SERVERS, **settings})
    for value in values:
        producer.produce(topic, value, partition=partition, on_delivery=delivered)
    assert producer.flush(PATIENCE) == 0
    return offsets


def take(client, count):
    """Reads the next records' values."""
    values = []
    deadline = time.monotonic() + PATIENCE
    while len(values) < count:
        message = client.poll(0.1)
        assert message is None or message.error() is None, message.error()
        if message is not None:
            values.append(message.value().decode())
        assert time.monotonic() < deadline, f"{values} of {count}"
    return values


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_codec(new_topic, consumer, codec):
    topic = new_topic()
    values = [f"{codec} {number} " * 20 for number in range(50)]
    offsets = produce(topic, values, compression_type=codec, enable_idempotence=True)
    assert offsets == list(range(50))
    reader = consumer()
    reader.assign([TopicPartition(topic, 0, 0)])
    assert take(reader, 50) == values


def test_partitions_move_one_by_one_with_the_cooperative_protocol(new_topic, consumer):
    topic, group = new_topic(4), unique("g")
    members = []

    def join():
        client = consumer(group, partition_assignment_strategy="cooperative-sticky", heartbeat_interval_ms=200)
        lost = []
        client.subscribe([topic], on_revoke=lambda _, partitions: lost.extend(p.partition for p in partitions))
        members.append((client, lost))

    def shares():
        for client, _ in members:
            assert client.poll(0.05) is None
        return sorted(len(client.assignment()) for client, _ in members)

    join()
    eventually(shares, lambda found: found == [4])
    before = {partition.partition for partition in members[0][0].assignment()}
    join()
    eventually(shares, lambda found: found == [2, 2])
    kept = {partition.partition for partition in members[0][0].assignment()}
    assert sorted(members[0][1]) == sorted(before - kept), "only what moves is given up"
    taken = {partition.partition for partition in members[1][0].assignment()}
    assert kept | taken == {0, 1, 2, 3}


def test_a_group_is_described_and_its_offsets_altered(admin, new_topic, consumer):
    topic, group = new_topic(), unique("g")
    produce(topic, ["a", "b", "c"])
    reader = consumer(group, client_id="reader")
    reader.subscribe([topic])
    assert take(reader, 3) == ["a", "b", "c"]
    reader.commit(asynchronous=False)
    described = admin.describe_consumer_groups([group])[group].result(PATIENCE)
    assert (described.state.name, described.partition_assignor) == ("STABLE", "range")
    [member] = described.members
    assert member.client_id == "reader"
    assert [found.topic for found in member.assignment.topic_partitions] == [topic]
    reader.close()

    ask = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0)])
    committed = admin.list_consumer_group_offsets([ask])[group].result(PATIENCE)
    assert committed.topic_partitions[0].offset == 3
    wish = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 1)])
    admin.alter_consumer_group_offsets([wish])[group].result(PATIENCE)
    again = consumer(group)
    again.subscribe([topic])
    assert take(again, 2) == ["b", "c"]
    again.close()

    groups = admin.list_consumer_groups().result(PATIENCE)
    assert group in {found.group_id for found in groups.valid}
    admin.delete_consumer_groups([group])[group].result(PATIENCE)
    groups = admin.list_consumer_groups().result(PATIENCE)
    assert group not in {found.group_id for found in groups.valid}


def test_offsets_are_listed(admin, new_topic):
    topic = new_topic()
    produce(topic, ["a", "b", "c"])
    here = TopicPartition(topic, 0)
    for spec, offset in [(OffsetSpec.earliest(), 0), (OffsetSpec.latest(), 3), (OffsetSpec.for_timestamp(0), 0)]:
        assert admin.list_offsets({here: spec})[here].result(PATIENCE).offset == offset


def test_topics_and_settings(admin, new_topic):
    topic = new_topic(2)
    with pytest.raises(KafkaException, match="TOPIC_ALREADY_EXISTS"):
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(PATIENCE)
    admin.create_partitions([NewPartitions(topic, 3)])[topic].result(PATIENCE)
    eventually(lambda: len(admin.list_topics(topic).topics[topic].partitions), lambda count: count == 3)
    resource = ConfigResource(ResourceType.TOPIC, topic)
    settings = admin.describe_configs([resource])[resource].result(PATIENCE)
    assert settings["cleanup.policy"].value == "delete"
    assert settings["max.message.bytes"].value == "1048588"
    cluster = admin.describe_cluster().result(PATIENCE)
    assert [node.id for node in cluster.nodes] == [cluster.controller.id]
    admin.delete_topics([topic])[topic].result(PATIENCE)
    eventually(lambda: admin.list_topics().topics, lambda topics: topic not in topics)


def test_records_are_deleted(admin, new_topic, consumer):
    topic = new_topic()
    produce(topic, ["a", "b", "c"])
    here = TopicPartition(topic, 0, 2)
    assert admin.delete_records([here])[here].result(PATIENCE).low_watermark == 2
    reader = consumer()
    assert reader.get_watermark_offsets(TopicPartition(topic, 0), PATIENCE) == (2, 3)
