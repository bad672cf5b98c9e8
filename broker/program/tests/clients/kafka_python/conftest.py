"""The broker under test and its clients. Every test has topics and groups of its own."""

import os
import threading
import time
import uuid

import pytest
from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

SERVERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(",")

# How long anything may take before it counts as missing, in seconds.
PATIENCE = 30

# How long one poll may take, in milliseconds. Not shorter: kafka-python 3.0.12 loses an assignment that arrives
# while no poll is waiting for it.
POLL = 3000

# Members tell here what happened to them.
NEWS = threading.Condition()


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
        with NEWS:
            NEWS.wait(0.05)


@pytest.fixture
def admin():
    client = KafkaAdminClient(bootstrap_servers=SERVERS)
    yield client
    client.close()


@pytest.fixture
def new_topic(admin):
    """Makes a topic that is ready for use: Kafka answers CreateTopics before all of it knows the topic."""

    def new_topic(partitions=1, **configs):
        topic = unique("t")
        settings = {name.replace("_", "."): value for name, value in configs.items()}
        admin.create_topics({topic: {"num_partitions": partitions, "replication_factor": 1, "configs": settings}})
        ready(admin, topic, partitions)
        return topic

    return new_topic


def ready(admin, topic, partitions):
    """Waits until every partition of a topic can be asked for its offsets."""

    def offsets():
        try:
            return admin.list_partition_offsets({TopicPartition(topic, p): -1 for p in range(partitions)})
        except KafkaError:
            return {}

    eventually(offsets, lambda found: len(found) == partitions)


@pytest.fixture
def producer():
    """Makes producers that are gone after the test."""
    clients = []

    def producer(**options):
        clients.append(KafkaProducer(bootstrap_servers=SERVERS, **options))
        return clients[-1]

    yield producer
    for client in clients:
        client.close(timeout=5)


@pytest.fixture
def consumer():
    """Makes consumers that are gone after the test. They start at the beginning and commit only when told."""
    clients = []

    def consumer(*topics, **options):
        defaults = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "fetch_max_wait_ms": 200}
        clients.append(KafkaConsumer(*topics, bootstrap_servers=SERVERS, **{**defaults, **options}))
        return clients[-1]

    yield consumer
    for client in clients:
        client.close(autocommit=False)


@pytest.fixture
def fill(producer):
    """Writes the numbers from `start` to `end` to a partition."""

    def fill(topic, start, end, partition=0):
        client = producer()
        sent = [client.send(topic, str(number).encode(), partition=partition) for number in range(start, end)]
        return [delivery.get(PATIENCE).offset for delivery in sent]

    return fill


def take(consumer, count):
    """Reads the next records."""
    records = []
    deadline = time.monotonic() + PATIENCE
    while len(records) < count:
        for batch in consumer.poll(timeout_ms=POLL, max_records=count - len(records)).values():
            records.extend(batch)
        assert time.monotonic() < deadline, f"{len(records)} of {count} records came"
    return records


def values(records):
    return [record.value.decode() for record in records]


class Member(threading.Thread, ConsumerRebalanceListener):
    """A member of a group that reads in its own thread until it is stopped."""

    def __init__(self, topic, group, **options):
        super().__init__(daemon=True)
        self.consumer = KafkaConsumer(
            bootstrap_servers=SERVERS,
            group_id=group,
            auto_offset_reset="earliest",
            heartbeat_interval_ms=200,
            fetch_max_wait_ms=200,
            **options,
        )
        self.records = []
        self.partitions = set()
        self.stopping = threading.Event()
        self.failure = None
        self.consumer.subscribe([topic], listener=self)
        self.start()

    def run(self):
        try:
            while not self.stopping.is_set():
                for batch in self.consumer.poll(timeout_ms=POLL).values():
                    self.records.extend(batch)
                with NEWS:
                    NEWS.notify_all()
        except Exception as error:  # told by whoever waits for this member
            self.failure = error
        finally:
            self.consumer.close()

    def on_partitions_revoked(self, revoked):
        self.moved(self.partitions - {partition.partition for partition in revoked})

    def on_partitions_assigned(self, assigned):
        self.moved(self.partitions | {partition.partition for partition in assigned})

    def moved(self, partitions):
        with NEWS:
            self.partitions = partitions
            NEWS.notify_all()

    def stop(self):
        self.stopping.set()
        self.join(PATIENCE)
        assert self.failure is None, self.failure


@pytest.fixture
def member():
    """Makes members of groups that have left after the test."""
    members = []

    def member(topic, group, **options):
        members.append(Member(topic, group, **options))
        return members[-1]

    yield member
    for one in members:
        one.stop()
