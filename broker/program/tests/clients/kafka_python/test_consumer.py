import pytest
from kafka import OffsetAndMetadata, TopicPartition
from kafka.errors import OffsetOutOfRangeError

from conftest import eventually, take, unique, values


def numbers(start, end):
    return [str(number) for number in range(start, end)]


def test_two_members_share_the_partitions_and_one_takes_over(new_topic, fill, member):
    topic, group = new_topic(4), unique("g")
    one = member(topic, group)
    eventually(lambda: one.partitions, lambda found: found == {0, 1, 2, 3})
    two = member(topic, group)
    eventually(lambda: (len(one.partitions), len(two.partitions)), lambda found: found == (2, 2))
    assert one.partitions | two.partitions == {0, 1, 2, 3}

    shares = (set(one.partitions), set(two.partitions))
    for partition in range(4):
        fill(topic, 0, 3, partition)
    eventually(lambda: (len(one.records), len(two.records)), lambda found: found == (6, 6))
    for reader, share in zip((one, two), shares):
        assert {record.partition for record in reader.records} == share

    two.stop()
    eventually(lambda: one.partitions, lambda found: found == {0, 1, 2, 3})
    for partition in range(4):
        fill(topic, 3, 4, partition)
    eventually(lambda: len(one.records), lambda count: count == 10)


def test_three_members_and_two_partitions(new_topic, member):
    topic, group = new_topic(2), unique("g")
    members = [member(topic, group) for _ in range(3)]
    eventually(
        lambda: sorted(len(one.partitions) for one in members),
        lambda shares: shares == [0, 1, 1],
    )


def test_an_assignor_that_hands_over_step_by_step(new_topic, fill, member):
    from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

    topic, group = new_topic(4), unique("g")
    options = {"partition_assignment_strategy": [StickyPartitionAssignor]}
    one = member(topic, group, **options)
    eventually(lambda: one.partitions, lambda found: len(found) == 4)
    two = member(topic, group, **options)
    eventually(lambda: (len(one.partitions), len(two.partitions)), lambda found: found == (2, 2))
    assert one.partitions.isdisjoint(two.partitions)


def test_a_static_member_keeps_its_partitions_over_a_restart(new_topic, admin, member):
    topic, group = new_topic(2), unique("g")
    one = member(topic, group, group_instance_id="one")
    two = member(topic, group, group_instance_id="two")
    eventually(lambda: (len(one.partitions), len(two.partitions)), lambda found: found == (1, 1))
    instances = {found["group_instance_id"] for found in admin.describe_groups([group])[group]["members"]}
    assert instances == {"one", "two"}

    share = set(two.partitions)
    two.stop()
    again = member(topic, group, group_instance_id="two")
    eventually(lambda: again.partitions, lambda found: found == share)


def test_a_group_goes_on_where_it_committed(new_topic, fill, consumer):
    topic, group = new_topic(), unique("g")
    here = TopicPartition(topic, 0)
    fill(topic, 0, 10)
    first = consumer(topic, group_id=group)
    assert values(take(first, 10)) == numbers(0, 10)
    first.commit({here: OffsetAndMetadata(4, "half way", -1)})
    assert first.committed(here) == 4
    assert first.committed(here, metadata=True).metadata == "half way"
    first.close(autocommit=False)

    second = consumer(topic, group_id=group)
    assert values(take(second, 6)) == numbers(4, 10)
    second.commit()
    assert second.committed(here) == 10

    other = consumer(topic, group_id=unique("g"))
    assert other.committed(here) is None
    assert values(take(other, 10)) == numbers(0, 10)


def test_seek(new_topic, fill, consumer):
    topic = new_topic()
    here = TopicPartition(topic, 0)
    fill(topic, 0, 10)
    reader = consumer()
    reader.assign([here])
    assert values(take(reader, 10)) == numbers(0, 10)
    reader.seek(here, 7)
    assert values(take(reader, 3)) == numbers(7, 10)
    reader.seek_to_beginning(here)
    assert values(take(reader, 2)) == numbers(0, 2)
    assert reader.position(here) == 2
    reader.seek_to_end(here)
    assert reader.position(here) == 10
    fill(topic, 10, 11)
    assert values(take(reader, 1)) == ["10"]


def test_pause_and_resume(new_topic, fill, consumer):
    topic = new_topic(2)
    one, two = TopicPartition(topic, 0), TopicPartition(topic, 1)
    fill(topic, 0, 3, partition=0)
    fill(topic, 3, 6, partition=1)
    reader = consumer()
    reader.assign([one, two])
    reader.pause(one)
    assert values(take(reader, 3)) == numbers(3, 6)
    reader.resume(one)
    assert values(take(reader, 3)) == numbers(0, 3)


def test_offsets_by_time_beginning_and_end(new_topic, producer, consumer):
    topic = new_topic(2)
    here, empty = TopicPartition(topic, 0), TopicPartition(topic, 1)
    client = producer(linger_ms=100)
    for time in (1000, 2000, 3000):
        client.send(topic, b"x", partition=0, timestamp_ms=time)
    client.flush()
    reader = consumer()
    assert reader.beginning_offsets([here, empty]) == {here: 0, empty: 0}
    assert reader.end_offsets([here, empty]) == {here: 3, empty: 0}
    found = reader.offsets_for_times({here: 1500, empty: 1500})
    assert (found[here].offset, found[here].timestamp, found[empty]) == (1, 2000, None)
    assert reader.offsets_for_times({here: 1000})[here].offset == 0
    assert reader.offsets_for_times({here: 3001})[here] is None


def test_an_offset_that_is_gone_leads_to_the_reset_policy(new_topic, fill, admin, consumer):
    topic = new_topic()
    here = TopicPartition(topic, 0)
    fill(topic, 0, 5)
    admin.delete_records({here: 3})
    reader = consumer()
    reader.assign([here])
    reader.seek(here, 1)
    assert values(take(reader, 2)) == numbers(3, 5)
    strict = consumer(auto_offset_reset="none")
    strict.assign([here])
    strict.seek(here, 1)
    with pytest.raises(OffsetOutOfRangeError):
        take(strict, 1)


def test_a_small_fetch_still_brings_a_whole_batch(new_topic, producer, consumer):
    topic = new_topic()
    client = producer()
    for number in range(5):
        client.send(topic, f"{number}".encode() * 10_000).get(10)
    reader = consumer(topic, max_partition_fetch_bytes=1000, fetch_max_bytes=1000)
    assert [len(record.value) for record in take(reader, 5)] == [10_000] * 5
