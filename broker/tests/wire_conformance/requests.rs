//! The commands of the scripts: one per API, and a few that set the scene.
//!
//! `TOPIC` is `orders` or `orders/1` (partition 1; without a number it is 0). A value in brackets is the default.
//! Every command takes `v=9` or `v=3-9`, the versions to send it in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::str::FromStr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use goldenscript::Argument;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Request, StrBytes};
use uuid::Uuid;

use crate::Session;
use crate::answer;
use crate::batch::{self, Batch, Record};
use crate::connection::{Connection, Frame, decode};

type Answer = Result<String, Box<dyn Error>>;

impl Session {
    /// Carries out one command in one version. `None` is the version of a present-day client.
    pub(crate) fn step(
        &mut self,
        prefix: &str,
        tags: &BTreeSet<String>,
        command: &str,
        mut args: Args,
        version: Option<i16>,
    ) -> Answer {
        let mut wire = Wire { session: self, prefix, tags };
        let args = &mut args;
        let answer = match command {
            // Scene.
            "create" => wire.create(args),
            "receive" => Ok(wire.receive()),
            "raw" => wire.raw(args),
            "header" => wire.header(args, version.unwrap_or(0)),
            // Cluster.
            "api_versions" => Ok(wire.api_versions(version.unwrap_or(4))),
            "metadata" => wire.metadata(args, version.unwrap_or(12)),
            "describe_cluster" => wire.describe_cluster(args, version.unwrap_or(1)),
            // Records.
            "produce" => wire.produce(args, version.unwrap_or(12)),
            "fetch" => wire.fetch(args, version.unwrap_or(12)),
            "list_offsets" => wire.list_offsets(args, version.unwrap_or(7)),
            "delete_records" => wire.delete_records(args, version.unwrap_or(2)),
            "init_producer_id" => wire.init_producer_id(args, version.unwrap_or(4)),
            "offset_for_leader_epoch" => wire.offset_for_leader_epoch(args, version.unwrap_or(4)),
            // Topics.
            "create_topics" => wire.create_topics(args, version.unwrap_or(7)),
            "delete_topics" => wire.delete_topics(args, version.unwrap_or(6)),
            "create_partitions" => wire.create_partitions(args, version.unwrap_or(3)),
            "describe_configs" => wire.describe_configs(args, version.unwrap_or(4)),
            // Groups.
            "find_coordinator" => wire.find_coordinator(args, version.unwrap_or(4)),
            "join_group" => wire.join_group(args, version.unwrap_or(9)),
            "sync_group" => wire.sync_group(args, version.unwrap_or(5)),
            "heartbeat" => wire.heartbeat(args, version.unwrap_or(4)),
            "leave_group" => wire.leave_group(args, version.unwrap_or(5)),
            "offset_commit" => wire.offset_commit(args, version.unwrap_or(9)),
            "offset_delete" => wire.offset_delete(args, version.unwrap_or(0)),
            "offset_fetch" => wire.offset_fetch(args, version.unwrap_or(8)),
            "describe_groups" => wire.describe_groups(args, version.unwrap_or(5)),
            "list_groups" => wire.list_groups(args, version.unwrap_or(5)),
            "delete_groups" => wire.delete_groups(args, version.unwrap_or(2)),
            other => Err(format!("there is no command {other}").into()),
        }?;
        args.reject_rest()?;
        Ok(answer)
    }
}

/// The connection that a command speaks on.
struct Wire<'a> {
    session: &'a mut Session,
    prefix: &'a str,
    tags: &'a BTreeSet<String>,
}

impl Wire<'_> {
    /// `create TOPIC [partitions=1] [config.NAME=VALUE…]`: makes a topic and waits until it can be used.
    fn create(&mut self, args: &mut Args) -> Answer {
        let name = args.word()?;
        let partitions = args.number("partitions", 1)?;
        let topic = CreatableTopic::default()
            .with_name(self.topic(&name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(args.configs());
        let request =
            CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let created = self.request(7, &request);
        if created.topics[0].error_code != 0 {
            return Err(format!("could not create {name}: {created:?}").into());
        }

        // Kafka answers CreateTopics before every part of it knows the topic.
        let deadline = Instant::now() + Duration::from_secs(20);
        for partition in 0..partitions {
            let request = self.offset_request(&name, partition, -1, -1);
            while self.request(7, &request).topics[0].partitions[0].error_code != 0 {
                assert!(Instant::now() < deadline, "{name}/{partition} has no leader yet");
            }
        }
        Ok(String::new())
    }

    /// `receive`: reads the answer of the command that was marked `[later]`.
    fn receive(&mut self) -> String {
        let describe = self.connection().awaited.take().expect("a command marked [later]");
        self.read(describe)
    }

    /// `raw HEX… [size=N]`: sends bytes as one frame (whose stated size may be another) and shows the bytes that
    /// come back.
    fn raw(&mut self, args: &mut Args) -> Answer {
        let mut frame = Vec::new();
        for word in args.words() {
            frame.extend(bytes_of(&word)?);
        }
        let size = args.number("size", i32::try_from(frame.len())?)?;
        let mut bytes = size.to_be_bytes().to_vec();
        bytes.extend(&frame);
        self.connection().send_bytes(&bytes);
        Ok(self.read(Box::new(|answer, _| {
            let words: Vec<_> = answer
                .chunks(2)
                .map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
                .collect();
            words.join(" ")
        })))
    }

    /// `header KEY v=N [flexible=false]`: sends a request's header alone, for APIs and versions that do not exist.
    fn header(&mut self, args: &mut Args, version: i16) -> Answer {
        let key = args.word()?.parse()?;
        let header_version = if args.flag("flexible", false)? { 2 } else { 1 };
        self.connection().send_header(key, version, header_version);
        Ok(self.read(Box::new(|answer, _| format!("an answer of {} bytes", answer.len()))))
    }

    /// `api_versions [v=4]`: what is advertised for ApiVersions itself and for Produce. A version that does not
    /// exist is answered in the layout of version 0 (KIP-511).
    fn api_versions(&mut self, version: i16) -> String {
        let known = (0..=4).contains(&version);
        let correlation_id = if known {
            let mut request = ApiVersionsRequest::default();
            if version >= 3 {
                request.client_software_name = StrBytes::from_static_str("wire");
                request.client_software_version = StrBytes::from_static_str("1.0");
            }
            self.connection().send(version, &request)
        } else {
            self.connection().send_header(ApiKey::ApiVersions as i16, version, 2)
        };
        let answered = if known { version } else { 0 };
        self.read(Box::new(move |frame, aliases| {
            let mut answer = decode::<ApiVersionsRequest>(frame, answered, correlation_id);
            let advertised: Vec<_> = answer.api_keys.iter().map(|api| api.api_key).collect();
            assert!(advertised.is_sorted(), "the list of APIs is in order: {advertised:?}");
            answer.api_keys.retain(|api| [0, 18].contains(&api.api_key));
            for api in &mut answer.api_keys {
                api.max_version = 0; // grows with every release
            }
            answer.supported_features.clear();
            answer.finalized_features.clear();
            answer.finalized_features_epoch = -1;
            answer::describe(&answer, aliases)
        }))
    }

    /// `describe_cluster [operations=false]`
    fn describe_cluster(&mut self, args: &mut Args, version: i16) -> Answer {
        let request = DescribeClusterRequest::default()
            .with_include_cluster_authorized_operations(args.flag("operations", false)?);
        Ok(self.ask(version, &request))
    }

    /// `metadata TOPIC… | all | none  [auto_create=false] [id=unknown|zero|TOPIC] [named=TOPIC] [operations=false]`:
    /// `named` is the name that stands beside the id; without it the name is null.
    fn metadata(&mut self, args: &mut Args, version: i16) -> Answer {
        let mut topics: Vec<MetadataRequestTopic> = Vec::new();
        let words = args.words();
        for word in words.iter().filter(|word| *word != "all" && *word != "none") {
            topics.push(MetadataRequestTopic::default().with_name(Some(self.topic(word))));
        }
        if let Some(name) = args.text("id") {
            let id = self.topic_id(&name);
            let name = args.text("named").map(|name| self.topic(&name));
            topics.push(MetadataRequestTopic::default().with_topic_id(id).with_name(name));
        }
        let all = words.iter().any(|word| word == "all");
        let mut request = MetadataRequest::default().with_topics((!all).then_some(topics));
        request.allow_auto_topic_creation = args.flag("auto_create", version < 4)?;
        if args.flag("operations", false)? {
            request.include_topic_authorized_operations = true;
            request.include_cluster_authorized_operations = (8..=10).contains(&version);
        }
        let suffix = self.session.suffix.clone();
        let correlation_id = self.connection().send(version, &request);
        Ok(self.read(Box::new(move |frame, aliases| {
            let mut answer = decode::<MetadataRequest>(frame, version, correlation_id);
            if all {
                // The other scripts' topics are none of this one's business.
                answer.topics.retain(|topic| {
                    topic.name.as_ref().is_some_and(|name| name.ends_with(&suffix))
                });
            }
            answer.topics.sort_by(|a, b| a.name.cmp(&b.name));
            for topic in &mut answer.topics {
                topic.partitions.sort_by_key(|partition| partition.partition_index);
            }
            answer::describe(&answer, aliases)
        })))
    }

    /// `produce TOPIC RECORD…`, where a record is `value`, `key/value` or `null`:
    ///  * of the request: `[acks=-1] [records=empty|set0|set1] [batches=1] [transactional=ID]`, where `set0` and
    ///    `set1` are the message sets of old clients;
    ///  * of the batch: `[time=1000] [codec=none] [magic=2] [crc=right|wrong] [count=N] [last=N] [length=N] [base=0]
    ///    [attributes=0] [pid=-1] [epoch=-1] [seq=-1] [max_time=N] [payload=HEX] [packed=true]`, and `size=N` makes a
    ///    record of N bytes. `time=now+N` counts from the clock, `packed=false` leaves out the compression.
    fn produce(&mut self, args: &mut Args, version: i16) -> Answer {
        let (topic, partition) = topic_and_partition(&args.word()?)?;
        let mut records: Vec<_> = args.words().iter().map(|word| Record::parse(word)).collect();
        if let Some(size) = args.text("size") {
            records.push(Record { key: None, value: Some("x".repeat(size.parse()?)) });
        }
        let pid = args.text("pid").unwrap_or("-1".into());
        let batch = Batch {
            records,
            base_offset: args.number("base", 0)?,
            timestamp: args.text("time").map_or(Ok(1000), |time| timestamp(&time))?,
            producer_id: self.session.aliases.id(&pid).parse()?,
            producer_epoch: args.number("epoch", -1)?,
            base_sequence: args.number("seq", -1)?,
            codec: batch::codec(&args.text("codec").unwrap_or("none".into())),
            extra_attributes: args.number("attributes", 0)?,
            magic: args.number("magic", 2)?,
            wrong_crc: args.text("crc").is_some_and(|crc| crc == "wrong"),
            record_count: args.optional("count")?,
            last_offset_delta: args.optional("last")?,
            batch_length: args.optional("length")?,
            max_timestamp: args.optional("max_time")?,
            payload: args.text("payload").map(|hex| bytes_of(&hex)).transpose()?,
            is_packed: args.flag("packed", true)?,
        };
        let bytes = match args.text("records").as_deref() {
            Some("empty") => Vec::new(),
            Some("set0") => batch::message_set(0, "a"),
            Some("set1") => batch::message_set(1, "a"),
            Some(other) => return Err(format!("records={other}?").into()),
            None => batch.encode().repeat(args.number("batches", 1)?),
        };

        let data =
            PartitionProduceData::default().with_index(partition).with_records(Some(bytes.into()));
        let mut topic_data = TopicProduceData::default().with_partition_data(vec![data]);
        if version >= 13 {
            topic_data.topic_id = self.topic_id(&topic);
        } else {
            topic_data.name = self.topic(&topic);
        }
        let acks = args.number("acks", -1)?;
        let transactional_id =
            args.text("transactional").map(|id| StrBytes::from_string(id).into());
        let request = ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(10_000)
            .with_transactional_id(transactional_id)
            .with_topic_data(vec![topic_data]);
        let only_refused = self.tags.contains("refused");
        if acks != 0 {
            let correlation_id = self.connection().send(version, &request);
            return Ok(self.read(Box::new(move |frame, aliases| {
                let mut answer = decode::<ProduceRequest>(frame, version, correlation_id);
                for partition in
                    answer.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses)
                {
                    if partition.error_code != 0 {
                        // Kafka fills it in or not, depending on where it found the mistake; no client reads it.
                        partition.log_start_offset = -1;
                    }
                    if partition.error_code != 0 && only_refused {
                        return "refused".into();
                    }
                }
                answer::describe(&answer, aliases)
            })));
        }

        // Without acknowledgement nothing comes back: the next answer belongs to the next request.
        self.connection().send(version, &request);
        let correlation_id = self.connection().send(0, &ApiVersionsRequest::default());
        Ok(self.read(Box::new(move |frame, _| {
            decode::<ApiVersionsRequest>(frame, 0, correlation_id);
            "no answer, as wished".into()
        })))
    }

    /// `fetch TOPIC offset=N [wait=0] [min=1] [max=1000000] [partition_max=1000000] [epoch=-1] [isolation=0]
    /// [session=0] [session_epoch=-1] [times=1]`, where `times` names the partition again, from one offset farther on
    /// each time.
    fn fetch(&mut self, args: &mut Args, version: i16) -> Answer {
        let (topic, partition) = topic_and_partition(&args.word()?)?;
        let mut wanted = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(args.number("offset", 0)?)
            .with_partition_max_bytes(args.number("partition_max", 1_000_000)?);
        let epoch = args.number("epoch", -1)?;
        if version >= 9 {
            wanted.current_leader_epoch = epoch;
        }
        let named = (0..args.number("times", 1)?).map(|n| {
            let wanted = wanted.clone();
            let offset = wanted.fetch_offset + n;
            wanted.with_fetch_offset(offset)
        });
        let mut fetch_topic = FetchTopic::default().with_partitions(named.collect());
        if version >= 13 {
            fetch_topic.topic_id = self.topic_id(&topic);
        } else {
            fetch_topic.topic = self.topic(&topic);
        }
        let mut request = FetchRequest::default()
            .with_max_wait_ms(args.number("wait", 0)?)
            .with_min_bytes(args.number("min", 1)?)
            .with_max_bytes(args.number("max", 1_000_000)?)
            .with_isolation_level(args.number("isolation", 0)?)
            .with_topics(vec![fetch_topic]);
        let session_id = args.number("session", 0)?;
        let session_epoch = args.number("session_epoch", -1)?;
        if version >= 7 {
            request.session_id = session_id;
            request.session_epoch = session_epoch;
        }
        Ok(self.ask(version, &request))
    }

    /// `list_offsets TOPIC time=latest|earliest|max|N [epoch=-1] [times=1]`, where `times` names the partition again
    fn list_offsets(&mut self, args: &mut Args, version: i16) -> Answer {
        let (topic, partition) = topic_and_partition(&args.word()?)?;
        let timestamp = match args.text("time").as_deref() {
            Some("latest") | None => -1,
            Some("earliest") => -2,
            Some("max") => -3,
            Some(number) => number.parse()?,
        };
        let epoch = args.number("epoch", -1)?;
        let mut request = self.offset_request(
            &topic,
            partition,
            timestamp,
            if version >= 4 { epoch } else { -1 },
        );
        if version >= 10 {
            request.timeout_ms = 10_000;
        }
        let partitions = &mut request.topics[0].partitions;
        *partitions = vec![partitions[0].clone(); args.number("times", 1)?];
        Ok(self.ask(version, &request))
    }

    fn offset_request(
        &self,
        topic: &str,
        partition: i32,
        timestamp: i64,
        epoch: i32,
    ) -> ListOffsetsRequest {
        let wanted = ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_timestamp(timestamp)
            .with_current_leader_epoch(epoch);
        let topic =
            ListOffsetsTopic::default().with_name(self.topic(topic)).with_partitions(vec![wanted]);
        ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic])
    }

    /// `delete_records TOPIC offset=N`, where -1 is the high watermark.
    fn delete_records(&mut self, args: &mut Args, version: i16) -> Answer {
        let (topic, partition) = topic_and_partition(&args.word()?)?;
        let wanted = DeleteRecordsPartition::default()
            .with_partition_index(partition)
            .with_offset(args.number("offset", -1)?);
        let topic = DeleteRecordsTopic::default()
            .with_name(self.topic(&topic))
            .with_partitions(vec![wanted]);
        let request =
            DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        Ok(self.ask(version, &request))
    }

    /// `init_producer_id [transactional=ID] [timeout=60000] [pid=-1] [epoch=-1]`
    fn init_producer_id(&mut self, args: &mut Args, version: i16) -> Answer {
        let pid = args.text("pid").unwrap_or("-1".into());
        let transactional_id = args.text("transactional").map(|id| self.name(&id).into());
        let request = InitProducerIdRequest::default()
            .with_transactional_id(transactional_id)
            .with_transaction_timeout_ms(args.number("timeout", 60_000)?)
            .with_producer_id(self.session.aliases.id(&pid).parse::<i64>()?.into())
            .with_producer_epoch(args.number("epoch", -1)?);
        Ok(self.ask(version, &request))
    }

    /// `offset_for_leader_epoch TOPIC epoch=N [current=-1]`
    fn offset_for_leader_epoch(&mut self, args: &mut Args, version: i16) -> Answer {
        let (topic, partition) = topic_and_partition(&args.word()?)?;
        let wanted = OffsetForLeaderPartition::default()
            .with_partition(partition)
            .with_leader_epoch(args.number("epoch", 0)?)
            .with_current_leader_epoch(args.number("current", -1)?);
        let topic = OffsetForLeaderTopic::default()
            .with_topic(self.topic(&topic))
            .with_partitions(vec![wanted]);
        let mut request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        if version >= 3 {
            request.replica_id = BrokerId(-1);
        }
        Ok(self.ask(version, &request))
    }

    /// `create_topics TOPIC… [partitions=1] [replication=1] [validate_only=false] [config.NAME=VALUE…]`, where
    /// `a*250` is a name of 250 letters.
    fn create_topics(&mut self, args: &mut Args, version: i16) -> Answer {
        let partitions = args.number("partitions", 1)?;
        let replication = args.number("replication", 1)?;
        let configs = args.configs();
        let names = args.words();
        let topics = names.iter().map(|name| {
            CreatableTopic::default()
                .with_name(self.topic(name))
                .with_num_partitions(partitions)
                .with_replication_factor(replication)
                .with_configs(configs.clone())
        });
        let request = CreateTopicsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(10_000)
            .with_validate_only(args.flag("validate_only", false)?);
        let correlation_id = self.connection().send(version, &request);
        Ok(self.read(Box::new(move |frame, aliases| {
            let mut answer = decode::<CreateTopicsRequest>(frame, version, correlation_id);
            answer.topics.sort_by(|a, b| a.name.cmp(&b.name));
            for topic in &mut answer.topics {
                // The list of settings grows with every release; DescribeConfigs has its own script.
                topic.configs = None;
            }
            answer::describe(&answer, aliases)
        })))
    }

    /// `delete_topics TOPIC… [id=unknown|TOPIC]`
    fn delete_topics(&mut self, args: &mut Args, version: i16) -> Answer {
        let mut request = DeleteTopicsRequest::default().with_timeout_ms(10_000);
        for name in args.words() {
            let name = self.topic(&name);
            if version >= 6 {
                request.topics.push(DeleteTopicState::default().with_name(Some(name)));
            } else {
                request.topic_names.push(name);
            }
        }
        if let Some(name) = args.text("id") {
            request.topics.push(
                DeleteTopicState::default().with_name(None).with_topic_id(self.topic_id(&name)),
            );
        }
        let correlation_id = self.connection().send(version, &request);
        Ok(self.read(Box::new(move |frame, aliases| {
            let mut answer = decode::<DeleteTopicsRequest>(frame, version, correlation_id);
            answer.responses.sort_by(|a, b| a.name.cmp(&b.name));
            answer::describe(&answer, aliases)
        })))
    }

    /// `create_partitions TOPIC count=N [assign=N/N…] [validate_only=false]`: `assign` names the node of each new partition.
    fn create_partitions(&mut self, args: &mut Args, version: i16) -> Answer {
        let topic = CreatePartitionsTopic::default()
            .with_name(self.topic(&args.word()?))
            .with_count(args.number("count", 1)?)
            .with_assignments(args.text("assign").map(|nodes| {
                let on = |node: &str| {
                    CreatePartitionsAssignment::default()
                        .with_broker_ids(vec![BrokerId(node.parse().unwrap())])
                };
                nodes.split('/').map(on).collect()
            }));
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(10_000)
            .with_validate_only(args.flag("validate_only", false)?);
        Ok(self.ask(version, &request))
    }

    /// `describe_configs NAME KEY… [type=2]`: type 2 is a topic, 4 a broker.
    fn describe_configs(&mut self, args: &mut Args, version: i16) -> Answer {
        let name = args.word()?;
        let resource_type = args.number("type", 2)?;
        let name = if resource_type == 2 { self.name(&name) } else { StrBytes::from_string(name) };
        let keys = args.words().into_iter().map(StrBytes::from_string).collect();
        let resource = DescribeConfigsResource::default()
            .with_resource_type(resource_type)
            .with_resource_name(name)
            .with_configuration_keys(Some(keys));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let correlation_id = self.connection().send(version, &request);
        Ok(self.read(Box::new(move |frame, aliases| {
            let mut answer = decode::<DescribeConfigsRequest>(frame, version, correlation_id);
            for result in &mut answer.results {
                result.configs.sort_by(|a, b| a.name.cmp(&b.name));
            }
            answer::describe(&answer, aliases)
        })))
    }

    /// `find_coordinator GROUP… [type=0]`
    fn find_coordinator(&mut self, args: &mut Args, version: i16) -> Answer {
        let keys: Vec<_> = args.words().iter().map(|key| self.name(key)).collect();
        let key_type = args.number("type", 0)?;
        let mut request = FindCoordinatorRequest::default();
        if version >= 1 {
            request.key_type = key_type;
        }
        if version >= 4 {
            request.coordinator_keys = keys;
        } else {
            request.key = keys[0].clone();
        }
        Ok(self.ask(version, &request))
    }

    /// `join_group GROUP [member=""] [session=30000] [rebalance=30000] [type=consumer] [protocols=range] [metadata=""]
    /// [instance=ID]`
    fn join_group(&mut self, args: &mut Args, version: i16) -> Answer {
        let group = self.group(&args.word()?);
        let metadata = Bytes::from(args.text("metadata").unwrap_or_default());
        let protocols = args.text("protocols").unwrap_or("range".into());
        let protocols = protocols.split('/').filter(|name| !name.is_empty()).map(|name| {
            JoinGroupRequestProtocol::default()
                .with_name(name.to_owned().into())
                .with_metadata(metadata.clone())
        });
        let mut request = JoinGroupRequest::default()
            .with_group_id(group)
            .with_session_timeout_ms(args.number("session", 30_000)?)
            .with_member_id(self.member(args))
            .with_group_instance_id(args.text("instance").map(StrBytes::from_string))
            .with_protocol_type(args.text("type").unwrap_or("consumer".into()).into())
            .with_protocols(protocols.collect());
        request.rebalance_timeout_ms = args.number("rebalance", 30_000)?;
        if version < 1 {
            request.rebalance_timeout_ms = -1;
        }
        let correlation_id = self.connection().send(version, &request);
        Ok(self.read(Box::new(move |frame, aliases| {
            let mut answer = decode::<JoinGroupRequest>(frame, version, correlation_id);
            answer.members.sort_by_key(|member| aliases.name('m', &member.member_id));
            answer::describe(&answer, aliases)
        })))
    }

    /// `sync_group GROUP generation=N member=m1 [m1/ASSIGNMENT…] [instance=ID] [type=consumer] [protocol=range]`
    fn sync_group(&mut self, args: &mut Args, version: i16) -> Answer {
        let group = self.group(&args.word()?);
        let mut assignments = Vec::new();
        for word in args.words() {
            let (member, assignment) = word.split_once('/').ok_or("an assignment is m1/TEXT")?;
            let member_id = StrBytes::from_string(self.session.aliases.id(member));
            assignments.push(
                SyncGroupRequestAssignment::default()
                    .with_member_id(member_id)
                    .with_assignment(assignment.to_owned().into()),
            );
        }
        let mut request = SyncGroupRequest::default()
            .with_group_id(group)
            .with_generation_id(args.number("generation", 1)?)
            .with_member_id(self.member(args))
            .with_group_instance_id(args.text("instance").map(StrBytes::from_string))
            .with_assignments(assignments);
        let protocol_type = args.text("type").unwrap_or("consumer".into());
        let protocol_name = args.text("protocol").unwrap_or("range".into());
        if version >= 5 {
            request.protocol_type = Some(protocol_type.into());
            request.protocol_name = Some(protocol_name.into());
        }
        Ok(self.ask(version, &request))
    }

    /// `heartbeat GROUP generation=N member=m1 [instance=ID]`
    fn heartbeat(&mut self, args: &mut Args, version: i16) -> Answer {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group(&args.word()?))
            .with_generation_id(args.number("generation", 1)?)
            .with_member_id(self.member(args))
            .with_group_instance_id(args.text("instance").map(StrBytes::from_string));
        Ok(self.ask(version, &request))
    }

    /// `leave_group GROUP m1… [instance=ID]`: from version 3 on several members may be named.
    fn leave_group(&mut self, args: &mut Args, version: i16) -> Answer {
        let mut request = LeaveGroupRequest::default().with_group_id(self.group(&args.word()?));
        let instance = args.text("instance").map(StrBytes::from_string);
        for word in args.words() {
            let member_id = StrBytes::from_string(self.session.aliases.id(&word));
            if version >= 3 {
                request.members.push(
                    MemberIdentity::default()
                        .with_member_id(member_id)
                        .with_group_instance_id(instance.clone()),
                );
            } else {
                request.member_id = member_id;
            }
        }
        Ok(self.ask(version, &request))
    }

    /// `offset_commit GROUP TOPIC offset=N [generation=-1] [member=""] [metadata=""] [instance=ID]`
    fn offset_commit(&mut self, args: &mut Args, version: i16) -> Answer {
        let group = self.group(&args.word()?);
        let (topic, partition) = topic_and_partition(&args.word()?)?;
        let metadata = args.text("metadata").unwrap_or_default();
        let metadata = match metadata.split_once('*') {
            Some((letter, times)) => letter.repeat(times.parse()?),
            None => metadata,
        };
        let commit = OffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(args.number("offset", 0)?)
            .with_committed_metadata(Some(metadata.into()));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(self.topic(&topic))
            .with_partitions(vec![commit]);
        let request = OffsetCommitRequest::default()
            .with_group_id(group)
            .with_generation_id_or_member_epoch(args.number("generation", -1)?)
            .with_member_id(self.member(args))
            .with_group_instance_id(args.text("instance").map(StrBytes::from_string))
            .with_topics(vec![topic]);
        Ok(self.ask(version, &request))
    }

    /// `offset_delete GROUP TOPIC[/PARTITION]…`
    fn offset_delete(&mut self, args: &mut Args, version: i16) -> Answer {
        let group = self.group(&args.word()?);
        let mut topics = Vec::new();
        for word in args.words() {
            let (topic, index) = topic_and_partition(&word)?;
            let partition = OffsetDeleteRequestPartition::default().with_partition_index(index);
            topics.push(
                OffsetDeleteRequestTopic::default()
                    .with_name(self.topic(&topic))
                    .with_partitions(vec![partition]),
            );
        }
        let request = OffsetDeleteRequest::default().with_group_id(group).with_topics(topics);
        let correlation_id = self.connection().send(version, &request);
        Ok(self.read(Box::new(move |frame, aliases| {
            let mut answer = decode::<OffsetDeleteRequest>(frame, version, correlation_id);
            answer.topics.sort_by(|a, b| a.name.cmp(&b.name));
            answer::describe(&answer, aliases)
        })))
    }

    /// `offset_fetch GROUP TOPIC… | all  [require_stable=false]`
    fn offset_fetch(&mut self, args: &mut Args, version: i16) -> Answer {
        let group = self.group(&args.word()?);
        let words = args.words();
        let mut names = Vec::new();
        for word in words.iter().filter(|word| *word != "all") {
            let (topic, partition) = topic_and_partition(word)?;
            names.push((self.topic(&topic), vec![partition]));
        }
        let all = words.iter().any(|word| word == "all");
        let mut request = OffsetFetchRequest::default();
        let require_stable = args.flag("require_stable", false)?;
        if version >= 7 {
            request.require_stable = require_stable;
        }
        if version >= 8 {
            let topics = names.into_iter().map(|(name, partitions)| {
                OffsetFetchRequestTopics::default()
                    .with_name(name)
                    .with_partition_indexes(partitions)
            });
            let group = OffsetFetchRequestGroup::default()
                .with_group_id(group)
                .with_topics((!all).then(|| topics.collect()));
            request.groups.push(group);
        } else {
            let topics = names.into_iter().map(|(name, partitions)| {
                OffsetFetchRequestTopic::default()
                    .with_name(name)
                    .with_partition_indexes(partitions)
            });
            request.group_id = group;
            request.topics = (!all).then(|| topics.collect());
        }
        Ok(self.ask(version, &request))
    }

    /// `describe_groups GROUP… [operations=true]`
    fn describe_groups(&mut self, args: &mut Args, version: i16) -> Answer {
        let operations = args.text("operations").is_some();
        let groups = args.words().iter().map(|group| self.group(group)).collect();
        let request = DescribeGroupsRequest::default()
            .with_groups(groups)
            .with_include_authorized_operations(operations);
        let correlation_id = self.connection().send(version, &request);
        Ok(self.read(Box::new(move |frame, aliases| {
            let mut answer = decode::<DescribeGroupsRequest>(frame, version, correlation_id);
            for group in &mut answer.groups {
                group.members.sort_by_key(|member| aliases.name('m', &member.member_id));
                for member in &mut group.members {
                    member.client_host = "…".to_owned().into();
                }
            }
            answer::describe(&answer, aliases)
        })))
    }

    /// `list_groups [states=Stable/Empty] [types=classic]`: of all groups those of this script.
    fn list_groups(&mut self, args: &mut Args, version: i16) -> Answer {
        let mut list = |key| -> Vec<StrBytes> {
            let text = args.text(key).unwrap_or_default();
            text.split('/')
                .filter(|word| !word.is_empty())
                .map(|word| word.to_owned().into())
                .collect()
        };
        let request = ListGroupsRequest::default()
            .with_states_filter(list("states"))
            .with_types_filter(list("types"));
        let suffix = self.session.suffix.clone();
        let correlation_id = self.connection().send(version, &request);
        Ok(self.read(Box::new(move |frame, aliases| {
            let mut answer = decode::<ListGroupsRequest>(frame, version, correlation_id);
            answer.groups.retain(|group| group.group_id.ends_with(&suffix));
            answer.groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
            answer::describe(&answer, aliases)
        })))
    }

    /// `delete_groups GROUP…`
    fn delete_groups(&mut self, args: &mut Args, version: i16) -> Answer {
        let groups = args.words().iter().map(|group| self.group(group)).collect();
        let request = DeleteGroupsRequest::default().with_groups_names(groups);
        let correlation_id = self.connection().send(version, &request);
        Ok(self.read(Box::new(move |frame, aliases| {
            let mut answer = decode::<DeleteGroupsRequest>(frame, version, correlation_id);
            answer.results.sort_by(|a, b| a.group_id.cmp(&b.group_id));
            answer::describe(&answer, aliases)
        })))
    }
}

/// How a command speaks.
impl Wire<'_> {
    fn connection(&mut self) -> &mut Connection {
        let Session { address, connections, .. } = &mut *self.session;
        connections.entry(self.prefix.to_owned()).or_insert_with(|| Connection::open(address))
    }

    /// Sends a request and describes the answer.
    fn ask<R>(&mut self, version: i16, request: &R) -> String
    where
        R: Request + 'static,
        R::Response: std::fmt::Debug,
    {
        let correlation_id = self.connection().send(version, request);
        self.read(Box::new(move |frame, aliases| {
            answer::describe(&decode::<R>(frame, version, correlation_id), aliases)
        }))
    }

    /// Reads the next answer, or leaves it to `receive`.
    fn read(&mut self, describe: crate::connection::Describe) -> String {
        if self.tags.contains("later") {
            self.connection().awaited = Some(describe);
            return String::new();
        }
        match self.connection().receive() {
            Frame::Answer(frame) => describe(frame, &mut self.session.aliases),
            Frame::Closed => {
                self.session.connections.remove(self.prefix);
                "the broker closes the connection".into()
            }
        }
    }

    /// Sends a request and gives back the answer itself.
    fn request<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let correlation_id = self.connection().send(version, request);
        match self.connection().receive() {
            Frame::Answer(frame) => decode::<R>(frame, version, correlation_id),
            Frame::Closed => panic!("the broker closed the connection"),
        }
    }

    /// A name that is this run's own. Names that are invalid, or Kafka's, stay as they are.
    fn name(&self, name: &str) -> StrBytes {
        if let Some((letter, times)) = name.split_once('*') {
            return letter.repeat(times.parse().unwrap()).into();
        }
        let ordinary = !name.is_empty()
            && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '-');
        if ordinary {
            format!("{name}{}", self.session.suffix).into()
        } else {
            name.to_owned().into()
        }
    }

    fn topic(&self, name: &str) -> TopicName {
        TopicName(self.name(name))
    }

    fn group(&self, name: &str) -> GroupId {
        GroupId(self.name(name))
    }

    fn member(&self, args: &mut Args) -> StrBytes {
        self.session.aliases.id(&args.text("member").unwrap_or_default()).into()
    }

    /// The id of a topic; an id that no topic has for `unknown`, and the one that means none for `zero`.
    fn topic_id(&mut self, name: &str) -> Uuid {
        if name == "zero" {
            return Uuid::nil();
        }
        if name == "unknown" {
            return Uuid::from_u128(0x1234_5678_9abc_def0);
        }
        let topic = MetadataRequestTopic::default().with_name(Some(self.topic(name)));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![topic]))
            .with_allow_auto_topic_creation(false);
        self.request(12, &request).topics[0].topic_id
    }
}

/// What stands behind a command's name. What a command does not take is an error in the script.
#[derive(Clone)]
pub(crate) struct Args {
    words: VecDeque<String>,
    keys: BTreeMap<String, String>,
}

impl Args {
    pub(crate) fn new(command: &goldenscript::Command) -> Self {
        let mut args = Self { words: VecDeque::new(), keys: BTreeMap::new() };
        for arg in &command.args {
            match arg {
                Argument::Positional(word) => args.words.push_back(word.clone()),
                Argument::KeyValue(key, value) => _ = args.keys.insert(key.clone(), value.clone()),
                other => panic!("{other}?"),
            }
        }
        args
    }

    /// `v=9` and `v=3-9`; without it, the version that the command chooses.
    pub(crate) fn versions(&mut self) -> Result<Vec<Option<i16>>, Box<dyn Error>> {
        let Some(versions) = self.text("v") else { return Ok(vec![None]) };
        let (first, last) = versions.split_once('-').unwrap_or((&versions, &versions));
        Ok((first.parse()?..=last.parse()?).map(Some).collect())
    }

    fn word(&mut self) -> Result<String, Box<dyn Error>> {
        self.words.pop_front().ok_or_else(|| "a word is missing".into())
    }

    pub(crate) fn words(&mut self) -> Vec<String> {
        self.words.drain(..).collect()
    }

    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        self.keys.remove(key)
    }

    fn optional<T: FromStr>(&mut self, key: &str) -> Result<Option<T>, Box<dyn Error>> {
        let Some(text) = self.text(key) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("{key}={text} is out of place").into())
    }

    fn number<T: FromStr>(&mut self, key: &str, default: T) -> Result<T, Box<dyn Error>> {
        Ok(self.optional(key)?.unwrap_or(default))
    }

    pub(crate) fn flag(&mut self, key: &str, default: bool) -> Result<bool, Box<dyn Error>> {
        self.number(key, default)
    }

    /// `config.NAME=VALUE…`
    fn configs(&mut self) -> Vec<CreatableTopicConfig> {
        let of_topic = |key: &String| key.starts_with("config.");
        let (configs, rest) =
            std::mem::take(&mut self.keys).into_iter().partition(|(key, _)| of_topic(key));
        self.keys = rest;
        let configs: BTreeMap<String, String> = configs;
        let config = |(key, value): (String, String)| {
            let name = key.trim_start_matches("config.").to_owned();
            CreatableTopicConfig::default().with_name(name.into()).with_value(Some(value.into()))
        };
        configs.into_iter().map(config).collect()
    }

    pub(crate) fn reject_rest(&self) -> Result<(), Box<dyn Error>> {
        if self.words.is_empty() && self.keys.is_empty() {
            return Ok(());
        }
        Err(format!("not understood: {:?} {:?}", self.words, self.keys).into())
    }
}

/// The bytes of a hexadecimal text.
fn bytes_of(hex: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let pairs = (0..hex.len()).step_by(2);
    pairs.map(|at| Ok(u8::from_str_radix(&hex[at..at + 2], 16)?)).collect()
}

/// `1000`, or `now+5000` for a time in the future.
fn timestamp(text: &str) -> Result<i64, Box<dyn Error>> {
    let Some(after) = text.strip_prefix("now") else { return Ok(text.parse()?) };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
    Ok(i64::try_from(now)? + after.trim_start_matches('+').parse::<i64>().unwrap_or(0))
}

fn topic_and_partition(word: &str) -> Result<(String, i32), Box<dyn Error>> {
    match word.split_once('/') {
        Some((topic, partition)) => Ok((topic.to_owned(), partition.parse()?)),
        None => Ok((word.to_owned(), 0)),
    }
}
