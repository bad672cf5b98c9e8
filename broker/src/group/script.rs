//! Runs the scripts in `scripts/`: what clients say to one group, and what they hear.
//!
//! Scripts name clients; the runner remembers the member id and the generation that each was told, as a
//! real client does. `UPDATE_GOLDENFILES=1 cargo test -p mini-kafka group` records the answers anew.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;

use super::classic::properties::{assert_invariants, parked};
use super::*;
use crate::time::{Millis, Moment};

test_each_file::test_each_path! { in "./broker/src/group/scripts" as scripts => run }

fn run(path: &Path) {
    goldenscript::run(&mut Runner::default(), path).unwrap();
}

/// What a script can say. Where `id` or `generation` is left out it is what the client was told last.
#[derive(goldenscript::Command)]
enum Command {
    /// The broker's settings; makes a new group.
    Settings {
        #[arg(key)]
        delay: Option<Millis>,
        #[arg(key)]
        max_size: Option<usize>,
        #[arg(key)]
        metadata_max: Option<usize>,
    },
    /// JoinGroup. `version=3` gives out the member id at once, from 4 on the client must come back with it.
    Join {
        client: String,
        #[arg(key)]
        id: Option<String>,
        #[arg(key)]
        instance: Option<String>,
        #[arg(key)]
        version: Option<i16>,
        #[arg(key)]
        session: Option<Millis>,
        #[arg(key)]
        rebalance: Option<Millis>,
        #[arg(key = "type")]
        protocol_type: Option<String>,
        #[arg(key)]
        protocols: Option<String>,
        #[arg(key)]
        topics: Option<String>,
    },
    /// SyncGroup. A leader says what each client gets: `sync m1 m1=orders/0 m2=orders/1`.
    Sync {
        client: String,
        #[arg(key)]
        id: Option<String>,
        #[arg(key)]
        instance: Option<String>,
        #[arg(key)]
        generation: Option<i32>,
        #[arg(key)]
        protocol_type: Option<String>,
        #[arg(key)]
        protocol: Option<String>,
        #[arg(key, many, optional)]
        assignments: Vec<(String, String)>,
    },
    Heartbeat {
        client: String,
        #[arg(key)]
        id: Option<String>,
        #[arg(key)]
        instance: Option<String>,
        #[arg(key)]
        generation: Option<i32>,
    },
    /// LeaveGroup for one or more clients.
    Leave(Vec<String>),
    /// LeaveGroup by instance id: `leave_instance i1`, with a member id to be fenced: `id=…`.
    LeaveInstance {
        instance: String,
        #[arg(key)]
        id: Option<String>,
    },
    /// OffsetCommit: `commit m1 orders/0=5`. A client that never joined is a simple consumer.
    Commit {
        client: String,
        #[arg(key)]
        id: Option<String>,
        #[arg(key)]
        instance: Option<String>,
        #[arg(key)]
        generation: Option<i32>,
        #[arg(key)]
        metadata: Option<String>,
        #[arg(key, many)]
        offsets: Vec<(String, i64)>,
    },
    /// OffsetFetch for one partition.
    Fetch(String),
    /// OffsetFetch for all.
    FetchAll,
    /// OffsetDelete for one partition.
    DeleteOffset(String),
    /// The topic is deleted.
    ForgetTopic(String),
    Describe,
    Delete,
    /// What has happened since the last time.
    Events,
    /// It is that late now.
    Tick(Millis),
}

struct Runner {
    group: Group,
    now: Moment,
    clients: HashMap<String, Client>,
    /// Who waits for the answer to which request.
    requests: BTreeMap<RequestId, String>,
    last_request: RequestId,
    events: Vec<String>,
}

/// What a client remembers.
#[derive(Clone)]
struct Client {
    member_id: String,
    generation: i32,
}

impl Default for Client {
    fn default() -> Self {
        Client { member_id: String::new(), generation: -1 }
    }
}

impl Default for Runner {
    fn default() -> Self {
        Runner {
            group: Group::new("g", GroupSettings::default()),
            now: Moment(0),
            clients: HashMap::new(),
            requests: BTreeMap::new(),
            last_request: 0,
            events: Vec::new(),
        }
    }
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(
        &mut self,
        command: &Command,
        _: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        let mut out = String::new();
        match command {
            Command::Settings { delay, max_size, metadata_max } => {
                let defaults = GroupSettings::default();
                let settings = GroupSettings {
                    initial_rebalance_delay: delay.unwrap_or(defaults.initial_rebalance_delay),
                    max_size: max_size.unwrap_or(defaults.max_size),
                    offset_metadata_max: metadata_max.unwrap_or(defaults.offset_metadata_max),
                    ..defaults
                };
                self.group = Group::new("g", settings);
            }
            Command::Join {
                client,
                id,
                instance,
                version,
                session,
                rebalance,
                protocol_type,
                protocols,
                topics,
            } => {
                let version = version.unwrap_or(3);
                let request = self.request(client);
                let protocol = |name: &str| Protocol {
                    name: name.to_owned(),
                    metadata: subscription(topics.as_deref().unwrap_or("orders")),
                };
                let join = JoinRequest {
                    member_id: id.clone().unwrap_or_else(|| self.client(client).member_id),
                    instance_id: instance.clone(),
                    client_id: client.clone(),
                    client_host: "/127.0.0.1".to_owned(),
                    session_timeout: session.unwrap_or(45_000),
                    rebalance_timeout: rebalance.unwrap_or(60_000),
                    protocol_type: protocol_type.clone().unwrap_or_else(|| "consumer".to_owned()),
                    protocols: list(protocols.as_deref().unwrap_or("range"))
                        .map(protocol)
                        .collect(),
                    needs_member_id: version >= 4,
                    can_skip_assignment: version >= 9,
                    uuid: request.to_string(),
                };
                match join.check(&self.group.settings) {
                    Ok(()) => self.group.join(join, request, self.now),
                    Err(refused) => self.group.answer(request, Answer::Join(Err(refused))),
                }
                self.hear(&mut out)?;
                self.say_if_waiting(request, &mut out)?;
            }
            Command::Sync {
                client,
                id,
                instance,
                generation,
                protocol_type,
                protocol,
                assignments,
            } => {
                let request = self.request(client);
                let (member_id, generation) = self.member(client, id.as_ref(), *generation);
                let assignments = assignments.iter().map(|(client, assignment)| {
                    let id = self.clients.get(client).map_or(client, |client| &client.member_id);
                    (id.clone(), Bytes::from(assignment.clone()))
                });
                let sync = SyncRequest {
                    member_id,
                    instance_id: instance.clone(),
                    generation,
                    protocol_type: protocol_type.clone(),
                    protocol_name: protocol.clone(),
                    assignments: assignments.collect(),
                };
                self.group.sync(sync, request, self.now);
                self.hear(&mut out)?;
                self.say_if_waiting(request, &mut out)?;
            }
            Command::Heartbeat { client, id, instance, generation } => {
                let (member_id, generation) = self.member(client, id.as_ref(), *generation);
                let result =
                    self.group.heartbeat(&member_id, instance.as_deref(), generation, self.now);
                writeln!(out, "{client} ← Heartbeat {}", said(result))?;
            }
            Command::Leave(clients) => {
                let leaving = clients.iter().map(|client| Leaving {
                    member_id: self.client(client).member_id,
                    instance_id: None,
                });
                self.leave(leaving.collect(), &mut out)?;
            }
            Command::LeaveInstance { instance, id } => {
                let member_id = id.clone().unwrap_or_default();
                self.leave(
                    vec![Leaving { member_id, instance_id: Some(instance.clone()) }],
                    &mut out,
                )?;
            }
            Command::Commit { client, id, instance, generation, metadata, offsets } => {
                let (member_id, generation) = self.member(client, id.as_ref(), *generation);
                let committer = Committer { member_id, instance_id: instance.clone(), generation };
                let mut new = Vec::new();
                for (partition, offset) in offsets {
                    let (topic, partition) = topic_partition(partition)?;
                    let metadata = metadata.clone().unwrap_or_default();
                    new.push(NewOffset {
                        topic: topic.into(),
                        partition,
                        offset: *offset,
                        leader_epoch: 0,
                        metadata,
                    });
                }
                match self.group.commit(&committer, new, self.now) {
                    Err(error) => writeln!(out, "{client} ← OffsetCommit {error}")?,
                    Ok(results) => {
                        for ((partition, _), result) in offsets.iter().zip(results) {
                            writeln!(out, "{client} ← OffsetCommit {partition} {}", said(result))?;
                        }
                    }
                }
            }
            Command::Fetch(partition) => {
                let (topic, index) = topic_partition(partition)?;
                match self.group.committed(&topic, index) {
                    Some(committed) => writeln!(out, "{partition} = {}", offset(committed))?,
                    None => writeln!(out, "{partition} is not committed")?,
                }
            }
            Command::FetchAll => {
                for (topic, partitions) in self.group.all_committed() {
                    for (partition, committed) in partitions {
                        writeln!(out, "{topic}/{partition} = {}", offset(committed))?;
                    }
                }
            }
            Command::DeleteOffset(partition) => {
                let (topic, index) = topic_partition(partition)?;
                let result = self.group.delete_offsets(&[(topic.into(), index)]);
                let result = result.and_then(|results| results[0]);
                writeln!(out, "← OffsetDelete {}", said(result))?;
            }
            Command::ForgetTopic(topic) => {
                let topic = topic.clone();
                self.group.topics_changed(&[TopicEvent { topic, change: TopicChange::Deleted }]);
            }
            Command::Events => {
                for event in self.events.drain(..) {
                    writeln!(out, "{event}")?;
                }
            }
            Command::Describe => {
                let group = self.group.describe();
                writeln!(
                    out,
                    "{} type={:?} protocol={:?}",
                    group.state, group.protocol_type, group.protocol
                )?;
                for member in group.members {
                    let instance =
                        member.instance_id.map(|id| format!(" instance={id}")).unwrap_or_default();
                    writeln!(
                        out,
                        "  {}{instance} client={} host={} subscription={:?} assignment={:?}",
                        member.id,
                        member.client_id,
                        member.client_host,
                        super::subscription::topics(&member.metadata).unwrap_or_default(),
                        String::from_utf8_lossy(&member.assignment),
                    )?;
                }
            }
            Command::Delete => {
                let result = self.group.delete();
                writeln!(out, "← DeleteGroups {}", said(result))?;
                self.hear(&mut out)?;
            }
            Command::Tick(now) => {
                self.now = Moment(*now);
                self.group.tick(self.now);
                self.hear(&mut out)?;
            }
        }
        assert_invariants(&self.group, self.now);
        assert_eq!(parked(&self.group), self.requests.keys().copied().collect());
        Ok(out)
    }

    fn end_block(&mut self, _: &goldenscript::Block) -> Result<String, Box<dyn Error>> {
        let Kind::Classic(classic) = &self.group.kind;
        let mut out = format!("{} generation={}", self.group.state_name(), classic.generation());
        if let Some(leader) = classic.leader() {
            write!(out, " leader={leader}")?;
        }
        if let Some(at) = self.group.next_deadline() {
            write!(out, " next={at}")?;
        }
        Ok(out + "\n")
    }
}

impl Runner {
    fn request(&mut self, client: &str) -> RequestId {
        self.last_request += 1;
        self.requests.insert(self.last_request, client.to_owned());
        self.last_request
    }

    fn client(&self, name: &str) -> Client {
        self.clients.get(name).cloned().unwrap_or_default()
    }

    fn member(&self, client: &str, id: Option<&String>, generation: Option<i32>) -> (String, i32) {
        let client = self.client(client);
        (id.cloned().unwrap_or(client.member_id), generation.unwrap_or(client.generation))
    }

    fn leave(&mut self, leaving: Vec<Leaving>, out: &mut String) -> Result<(), Box<dyn Error>> {
        match self.group.leave(leaving, self.now) {
            Err(error) => writeln!(out, "← LeaveGroup {error}")?,
            Ok(left) => {
                for Left { member_id, instance_id, result } in left {
                    let instance =
                        instance_id.map(|id| format!(" instance={id}")).unwrap_or_default();
                    writeln!(out, "← LeaveGroup {member_id:?}{instance} {}", said(result))?;
                }
                self.hear(out)?;
            }
        }
        Ok(())
    }

    fn say_if_waiting(&self, request: RequestId, out: &mut String) -> Result<(), Box<dyn Error>> {
        if let Some(client) = self.requests.get(&request) {
            writeln!(out, "{client} waits")?;
        }
        Ok(())
    }

    /// Hands answers to the clients, who remember what they are told.
    fn hear(&mut self, out: &mut String) -> Result<(), Box<dyn Error>> {
        for effect in self.group.take_effects() {
            let (request, answer) = match effect {
                Effect::Answer(request, answer) => (request, answer),
                Effect::Happened(event) => {
                    self.events.push(event.to_string());
                    continue;
                }
            };
            let name = self.requests.remove(&request).expect("a request is answered once");
            match answer {
                Answer::Join(Err(JoinError { error, member_id })) => {
                    writeln!(out, "{name} ← JoinGroup {error} member_id={member_id:?}")?;
                    if error == ErrorCode::MemberIdRequired {
                        self.clients.entry(name).or_default().member_id = member_id;
                    }
                }
                Answer::Join(Ok(joined)) => {
                    let Joined {
                        member_id,
                        generation,
                        protocol_name,
                        leader,
                        skip_assignment,
                        members,
                        ..
                    } = joined;
                    write!(
                        out,
                        "{name} ← JoinGroup generation={generation} member_id={member_id} leader={leader}"
                    )?;
                    write!(out, " protocol={}", protocol_name.unwrap_or_default())?;
                    if skip_assignment {
                        write!(out, " skip_assignment")?;
                    }
                    if !members.is_empty() {
                        let ids: Vec<String> =
                            members.into_iter().map(|member| member.id).collect();
                        write!(out, " members=[{}]", ids.join(", "))?;
                    }
                    writeln!(out)?;
                    self.clients.insert(name, Client { member_id, generation });
                }
                Answer::Sync(Err(error)) => writeln!(out, "{name} ← SyncGroup {error}")?,
                Answer::Sync(Ok(synced)) => {
                    writeln!(
                        out,
                        "{name} ← SyncGroup {:?}",
                        String::from_utf8_lossy(&synced.assignment)
                    )?;
                }
            }
        }
        Ok(())
    }
}

fn said(result: Result<(), ErrorCode>) -> &'static str {
    result.map_or_else(ErrorCode::name, |()| "ok")
}

fn offset(committed: &CommittedOffset) -> String {
    let CommittedOffset { offset, leader_epoch, metadata, commit_time } = committed;
    format!("{offset} epoch={leader_epoch} metadata={metadata:?} at={commit_time}")
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|item| !item.is_empty())
}

fn topic_partition(text: &str) -> Result<(String, i32), Box<dyn Error>> {
    let (topic, partition) = text.split_once('/').ok_or("a partition is written topic/0")?;
    Ok((topic.to_owned(), partition.parse()?))
}

/// A consumer's subscription, version 0.
fn subscription(topics: &str) -> Bytes {
    let topics: Vec<&str> = list(topics).collect();
    let mut bytes = vec![0, 0];
    bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        bytes.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1_i32).to_be_bytes());
    Bytes::from(bytes)
}
