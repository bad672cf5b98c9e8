import pytest
from kafka import OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)

from conftest import eventually, ready, take, unique, values


def topic_of(partitions=1, replicas=1, **configs):
    return {"num_partitions": partitions, "replication_factor": replicas, "configs": configs}


def test_topics_are_made_described_and_deleted(admin):
    topic = unique("t")
    admin.create_topics({topic: topic_of()}, validate_only=True)
    assert topic not in admin.list_topics()
    admin.create_topics({topic: topic_of(2)})
    ready(admin, topic, 2)
    assert topic in admin.list_topics()
    with pytest.raises(TopicAlreadyExistsError):
        admin.create_topics({topic: topic_of()})

    [described] = admin.describe_topics([topic])
    broker = admin.describe_cluster()["controller_id"]
    assert sorted(
        (found["partition_index"], found["leader_id"], found["replica_nodes"], found["isr_nodes"])
        for found in described["partitions"]
    ) == [(0, broker, [broker], [broker]), (1, broker, [broker], [broker])]

    admin.delete_topics([topic])
    eventually(admin.list_topics, lambda topics: topic not in topics)
    with pytest.raises(UnknownTopicOrPartitionError):
        admin.delete_topics([topic])


@pytest.mark.parametrize(
    ("name", "topic", "error"),
    [
        (None, topic_of(partitions=0), InvalidPartitionsError),
        (None, topic_of(replicas=3), InvalidReplicationFactorError),
        ("no spaces", topic_of(), InvalidTopicError),
        ("a" * 250, topic_of(), InvalidTopicError),
        (None, topic_of(**{"no.such.setting": "1"}), InvalidConfigurationError),
        (None, topic_of(**{"retention.ms": "soon"}), InvalidConfigurationError),
    ],
)
def test_impossible_topics_are_refused(admin, name, topic, error):
    with pytest.raises(error):
        admin.create_topics({name or unique("t"): topic})


def test_partitions_can_be_added_but_not_taken_away(admin, new_topic):
    topic = new_topic(2)
    admin.create_partitions({topic: 4})
    ready(admin, topic, 4)
    with pytest.raises(InvalidPartitionsError):
        admin.create_partitions({topic: 3})
    with pytest.raises(UnknownTopicOrPartitionError):
        admin.create_partitions({unique("nobody"): 3})


def test_settings_are_described(admin, new_topic):
    topic = new_topic(retention_ms="60000")
    asked = ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": None, "cleanup.policy": None})
    described = admin.describe_configs([asked], config_filter="all")["topic"][topic]
    assert described["retention.ms"]["value"] == "60000"
    assert described["cleanup.policy"]["value"] == "delete"


def test_records_can_be_deleted(admin, new_topic, fill, consumer):
    topic = new_topic()
    here = TopicPartition(topic, 0)
    fill(topic, 0, 5)
    assert admin.delete_records({here: 3})[here]["low_watermark"] == 3
    assert consumer().beginning_offsets([here]) == {here: 3}
    assert values(take(consumer(topic), 2)) == ["3", "4"]
    with pytest.raises(OffsetOutOfRangeError):
        admin.delete_records({here: 6})
    assert admin.delete_records({here: -1})[here]["low_watermark"] == 5


def test_groups_are_listed_described_and_deleted(admin, new_topic, fill, member):
    topic, group = new_topic(2), unique("g")
    fill(topic, 0, 1)
    one = member(topic, group, client_id="reader")
    eventually(lambda: len(one.records), lambda count: count == 1)

    listed = {found["group_id"]: found for found in admin.list_groups()}
    assert listed[group]["protocol_type"] == "consumer"
    described = admin.describe_groups([group])[group]
    assert (described["error"], described["group_state"], described["protocol_type"]) == (None, "Stable", "consumer")
    assert described["protocol_data"] == "range"
    [found] = described["members"]
    assert found["client_id"] == "reader"
    assert found["member_id"].startswith("reader-")
    assert admin.delete_groups([group]) == {group: "NonEmptyGroupError"}

    one.stop()
    assert admin.describe_groups([group])[group]["group_state"] == "Empty"
    assert admin.delete_groups([group]) == {group: "OK"}
    assert group not in {found["group_id"] for found in admin.list_groups()}
    assert admin.describe_groups([group])[group]["group_state"] == "Dead"


def test_the_offsets_of_a_group(admin, new_topic, fill, consumer):
    topic, group = new_topic(2), unique("g")
    here = TopicPartition(topic, 0)
    fill(topic, 0, 5)
    assert admin.list_group_offsets(group)[group] == {}
    admin.alter_group_offsets(group, {here: OffsetAndMetadata(3, "by hand", -1)})
    offsets = admin.list_group_offsets(group)[group]
    assert (offsets[here].offset, offsets[here].metadata) == (3, "by hand")
    assert values(take(consumer(topic, group_id=group), 2)) == ["3", "4"]


def test_the_cluster(admin):
    cluster = admin.describe_cluster()
    [broker] = cluster["brokers"]
    assert cluster["controller_id"] == broker["broker_id"]
    assert len(cluster["cluster_id"]) == 22
