import pytest
from kafka import TopicPartition
from kafka.errors import MessageSizeTooLargeError

from conftest import PATIENCE, take, unique, values


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_every_kind_of_acknowledgement_stores_the_record(new_topic, producer, consumer, acks):
    topic = new_topic()
    client = producer(acks=acks, enable_idempotence=acks == "all")
    for number in range(10):
        delivery = client.send(topic, str(number).encode()).get(PATIENCE)
        assert delivery.partition == 0
        if acks != 0:
            assert delivery.offset == number
    assert "".join(values(take(consumer(topic), 10))) == "0123456789"


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
def test_every_codec_gives_back_what_was_put_in(new_topic, producer, consumer, codec):
    topic = new_topic()
    client = producer(compression_type=codec, linger_ms=50)
    expected = [f"{codec} {number} " * 20 for number in range(100)]
    sent = [client.send(topic, value.encode()) for value in expected]
    assert [delivery.get(PATIENCE).offset for delivery in sent] == list(range(100))
    assert values(take(consumer(topic), 100)) == expected


def test_a_key_always_leads_to_the_same_partition(new_topic, producer, consumer):
    topic = new_topic(3)
    client = producer()
    for value in range(5):
        for user in range(10):
            client.send(topic, str(value).encode(), key=f"user-{user}".encode())
    client.flush(PATIENCE)
    places = {}
    for record in take(consumer(topic), 50):
        places.setdefault(record.key, []).append((record.partition, record.value))
    assert len(places) == 10
    for key, found in places.items():
        assert len({partition for partition, _ in found}) == 1, key
        assert [value for _, value in found] == [b"0", b"1", b"2", b"3", b"4"], key


def test_headers_timestamps_and_nulls(new_topic, producer, consumer):
    topic = new_topic()
    client = producer()
    headers = [("trace", b"1"), ("trace", b"2"), ("empty", b"")]
    client.send(topic, b"v", key=b"k", headers=headers, timestamp_ms=1_234_567)
    client.send(topic, None, key=b"tombstone")
    client.send(topic, b"")
    client.flush(PATIENCE)
    full, tombstone, empty = take(consumer(topic), 3)
    assert (full.key, full.value, full.timestamp, list(full.headers)) == (b"k", b"v", 1_234_567, headers)
    assert (tombstone.key, tombstone.value) == (b"tombstone", None)
    assert (empty.key, empty.value) == (None, b"")


def test_an_idempotent_producer_keeps_order(new_topic, producer, consumer):
    topic = new_topic()
    client = producer(enable_idempotence=True, batch_size=100, max_in_flight_requests_per_connection=5)
    sent = [client.send(topic, str(number).encode()) for number in range(500)]
    assert [delivery.get(PATIENCE).offset for delivery in sent] == list(range(500))
    assert values(take(consumer(topic), 500)) == [str(number) for number in range(500)]


def test_a_topic_is_made_when_it_is_first_written_to(producer, consumer):
    topic = unique("made-on-use")
    client = producer()
    assert client.send(topic, b"v", key=b"k").get(PATIENCE).offset == 0
    assert client.partitions_for(topic) == {0, 1, 2}, "num.partitions"
    reader = consumer()
    reader.assign([TopicPartition(topic, partition) for partition in range(3)])
    assert values(take(reader, 1)) == ["v"]


def test_a_record_that_is_too_large_is_refused(new_topic, producer):
    topic = new_topic(max_message_bytes="1000")
    with pytest.raises(MessageSizeTooLargeError):
        producer().send(topic, b"x" * 2000).get(PATIENCE)
    assert producer().send(topic, b"x" * 900).get(PATIENCE).offset == 0
