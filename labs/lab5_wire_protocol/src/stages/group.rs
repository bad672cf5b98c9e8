//! Stage 7: you join a group by hand, become its leader, and a real consumer does what your bytes say.
//!
//! A classic group is led by one of its members, not by the broker. The broker (its coordinator) collects everybody's
//! JoinGroup, gives the list to the leader, and passes on the assignment that the leader sends with SyncGroup. It does
//! not read the assignment.

use crate::Lab;
use crate::connection::{Connection, Header, LIMIT};
use crate::errors;
use crate::wire::{Decoder, Encoder, Frame, count};
use anyhow::{Context as _, bail, ensure};
use rdkafka::consumer::Consumer as _;
use shared::client::{self, Rebalance};
use shared::config::Client;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};

/// How long members may take to come back in a rebalance, and the broker to notice those that are gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// What JoinGroup asks for, in ms.
const SESSION_TIMEOUT: i32 = 6_000;
const REBALANCE_TIMEOUT: i32 = 20_000;
/// Often enough to be quick here; real clients take 3 s.
const BETWEEN_HEARTBEATS: Duration = Duration::from_millis(200);

const MEMBER_ID_REQUIRED: i16 = 79;
const REBALANCE_IN_PROGRESS: i16 = 27;

/// What JoinGroup answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    pub error: i16,
    pub generation: i32,
    pub leader: String,
    pub member: String,
    /// For the leader: who is there, and the topics of each.
    pub members: Vec<(String, Vec<String>)>,
}

pub async fn run(lab: &mut Lab) -> anyhow::Result<()> {
    let topic = lab.topic();
    let partitions = lab.config.topic.partitions;
    let (mut to, mine) = become_leader(lab).await?;

    lab.story.say("You are the leader, so you make the assignment: all partitions for you.");
    let all: Vec<i32> = (0..partitions).collect();
    let got = lab.sync(&mut to, &mine, &[(mine.member.clone(), all.clone())]).await?;
    alone(lab, got.0)?;
    lab.story.check(
        got == (0, all.clone()),
        format!("SyncGroup gives you what you wrote: partitions {all:?}"),
        format!("SyncGroup gives you {got:?}"),
    );
    let error = lab.heartbeat(&mut to, mine.generation, &mine.member).await?;
    lab.story.check(
        error == 0,
        "a heartbeat is answered with 0: nothing has changed",
        format!("a heartbeat is answered with {}", errors::named(error)),
    );

    lab.story.say(format!("A real consumer (rdkafka) joins group {}.", lab.group()));
    let (consumer, mut rebalances) = client::consumer(&lab.config, None)?;
    consumer.subscribe(&[&topic])?;
    // librdkafka does its part of a rebalance only while somebody reads.
    let reading = tokio::spawn(async move {
        loop {
            // Records are not what this is about, and librdkafka comes back from errors by itself.
            let _ = consumer.recv().await;
        }
    });
    let led = lead(lab, &mut to, &mine, &mut rebalances).await;
    reading.abort();
    // Its end takes the consumer out of the group.
    let _ = reading.await;
    led
}

/// Everything up to the first generation.
async fn become_leader(lab: &mut Lab) -> anyhow::Result<(Connection, Joined)> {
    let mut to = lab.coordinator().await?;
    lab.story.say("JoinGroup without a member id, like every new member.");
    let newcomer = lab.join(&mut to, "").await?;
    lab.story.check(
        newcomer.error == MEMBER_ID_REQUIRED && !newcomer.member.is_empty(),
        "the broker gives you a member id and asks you to join with it (KIP-394): 79 MEMBER_ID_REQUIRED",
        format!("the broker answers {} and the member id {:?}", errors::named(newcomer.error), newcomer.member),
    );
    lab.story.say("JoinGroup again, with that id. The broker waits for others (group.initial.rebalance.delay.ms).");
    let joined = lab.join(&mut to, &newcomer.member).await?;
    ensure!(joined.error == 0, "JoinGroup: the broker answers {}", errors::named(joined.error));
    if joined.leader != joined.member {
        lab.leave(&mut to, &joined.member).await?;
        bail!(
            "Group {} has other members, and one of them leads. Stop them first, or use -X group.id=another.",
            lab.group()
        );
    }
    lab.story.check(true, format!("generation {}, and you lead it", joined.generation), "");
    Ok((to, joined))
}

/// The second generation, with the real consumer, and the third, without you.
async fn lead(
    lab: &mut Lab,
    to: &mut Connection,
    mine: &Joined,
    rebalances: &mut UnboundedReceiver<Rebalance>,
) -> anyhow::Result<()> {
    wait_for_rebalance(lab, to, mine).await?;
    lab.story.say("So you join again, with your member id.");
    let joined = lab.join(to, &mine.member).await?;
    ensure!(joined.error == 0, "JoinGroup: the broker answers {}", errors::named(joined.error));
    let others: Vec<_> =
        joined.members.iter().filter(|(member, _)| *member != mine.member).collect();
    let [(other, topics)] = others[..] else {
        bail!("Group {} has {} members, not 2.", lab.group(), joined.members.len())
    };
    lab.story.check(
        joined.generation > mine.generation
            && joined.leader == mine.member
            && *topics == [lab.topic()],
        format!("generation {}: two members, and the other wants {topics:?}", joined.generation),
        format!(
            "generation {}, leader {}, and the other wants {topics:?}",
            joined.generation, joined.leader
        ),
    );

    let keep: Vec<i32> = lab.exercise.keep.to_vec();
    let rest: Vec<i32> =
        (0..lab.config.topic.partitions).filter(|partition| !keep.contains(partition)).collect();
    lab.story.say(format!("You keep {keep:?} and write {rest:?} for the other."));
    let got = lab
        .sync(to, &joined, &[(mine.member.clone(), keep.clone()), (other.clone(), rest.clone())])
        .await?;
    alone(lab, got.0)?;
    lab.story.check(
        got == (0, keep.clone()),
        format!("SyncGroup gives you {keep:?}"),
        format!("SyncGroup gives you {got:?}"),
    );
    let theirs = assigned(lab, rebalances).await?;
    lab.story.observed = Some(if theirs == rest { 'b' } else { 'a' });
    lab.story.check(
        theirs == rest,
        format!("the real consumer reads {theirs:?}: you decided that"),
        format!("the real consumer reads {theirs:?}, and you wrote {rest:?}"),
    );

    lab.story.say("You leave. Who leads now?");
    lab.leave(to, &mine.member).await?;
    let theirs = assigned(lab, rebalances).await?;
    lab.story.check(
        theirs.len() == usize::try_from(lab.config.topic.partitions)?,
        format!("the real consumer leads, and gives itself {theirs:?}"),
        format!("the real consumer reads {theirs:?}"),
    );
    Ok(())
}

/// Another member changes what this stage shows, so the error says so.
fn alone(lab: &Lab, error: i16) -> anyhow::Result<()> {
    ensure!(
        error != REBALANCE_IN_PROGRESS,
        "SyncGroup: the broker answers {}. Somebody else has joined group {}; stop them first, or use -X group.id=another.",
        errors::named(error),
        lab.group()
    );
    Ok(())
}

/// Sends heartbeats until the answer says that the group changes. Only the last one is shown.
async fn wait_for_rebalance(
    lab: &mut Lab,
    to: &mut Connection,
    mine: &Joined,
) -> anyhow::Result<()> {
    let beating = async {
        loop {
            lab.story.hushed = true;
            let error = lab.heartbeat(to, mine.generation, &mine.member).await?;
            lab.story.hushed = false;
            if error != 0 {
                return anyhow::Ok(error);
            }
            sleep(BETWEEN_HEARTBEATS).await;
        }
    };
    timeout(PATIENCE, beating).await.context("The real consumer does not join")??;
    // The rebalance lasts until everybody is back, so the same heartbeat gets the same answer.
    let error = lab.heartbeat(to, mine.generation, &mine.member).await?;
    lab.story.check(
        error == REBALANCE_IN_PROGRESS,
        "a heartbeat is answered with 27 REBALANCE_IN_PROGRESS: this is how members learn about a rebalance",
        format!("a heartbeat is answered with {}", errors::named(error)),
    );
    Ok(())
}

/// The partitions that the real consumer gets next. Those that it gives up before are shown.
async fn assigned(
    lab: &mut Lab,
    rebalances: &mut UnboundedReceiver<Rebalance>,
) -> anyhow::Result<Vec<i32>> {
    loop {
        let event = timeout(PATIENCE, rebalances.recv())
            .await
            .context("The real consumer gets no assignment")?;
        match event.context("The real consumer has ended")? {
            Rebalance::Assigned(partitions) => {
                let mut numbers: Vec<i32> =
                    partitions.into_iter().map(|(_, partition)| partition).collect();
                numbers.sort_unstable();
                lab.story.say(format!("rdkafka: assigned {numbers:?}"));
                return Ok(numbers);
            }
            Rebalance::Revoked(partitions) | Rebalance::Lost(partitions) => {
                let numbers: Vec<i32> =
                    partitions.into_iter().map(|(_, partition)| partition).collect();
                lab.story.say(format!("rdkafka: revoked {numbers:?}"));
            }
            Rebalance::Failed(why) => bail!("The real consumer could not take part: {why}."),
        }
    }
}

impl Lab {
    pub fn group(&self) -> String {
        self.config
            .property(Client::Consumer, "group.id")
            .map_or_else(|| "lab5".to_owned(), |setting| setting.value.clone())
    }

    /// A connection to the broker that coordinates the group.
    ///
    /// # Errors
    /// When none does.
    pub async fn coordinator(&mut self) -> anyhow::Result<Connection> {
        let mut to = Connection::open(self.config.bootstrap_servers()).await?;
        let request = find_coordinator(self.next_id(), &self.group());
        let asked = self.ask(&mut to, request, Header::Classic, LIMIT, parse_coordinator).await;
        let (error, address) = asked?;
        ensure!(error == 0, "FindCoordinator: the broker answers {}", errors::named(error));
        Connection::open(&address).await
    }

    /// # Errors
    /// When there is no answer, or one that does not fit.
    pub async fn join(&mut self, to: &mut Connection, member: &str) -> anyhow::Result<Joined> {
        let request = join(self.next_id(), &self.group(), member, &self.topic());
        self.ask(to, request, Header::Classic, PATIENCE, parse_join).await
    }

    /// Hands in an assignment (a follower's is empty), and gives the error and one's own partitions.
    ///
    /// # Errors
    /// When there is no answer, or one that does not fit.
    pub async fn sync(
        &mut self,
        to: &mut Connection,
        joined: &Joined,
        assignments: &[(String, Vec<i32>)],
    ) -> anyhow::Result<(i16, Vec<i32>)> {
        let request = sync(self.next_id(), &self.group(), joined, assignments, &self.topic());
        self.ask(to, request, Header::Classic, PATIENCE, parse_sync).await
    }

    /// # Errors
    /// When there is no answer, or one that does not fit.
    pub async fn heartbeat(
        &mut self,
        to: &mut Connection,
        generation: i32,
        member: &str,
    ) -> anyhow::Result<i16> {
        let mut request = Encoder::request("Heartbeat version 2", 12, 2, self.next_id(), "lab5");
        request.string("group_id", &self.group(), "");
        request.i32("generation_id", generation, "the one you joined");
        request.string("member_id", member, "");
        self.ask(to, request.finish(), Header::Classic, LIMIT, throttle_and_error).await
    }

    /// # Errors
    /// When there is no answer, or one that does not fit.
    pub async fn leave(&mut self, to: &mut Connection, member: &str) -> anyhow::Result<i16> {
        let mut request = Encoder::request("LeaveGroup version 2", 13, 2, self.next_id(), "lab5");
        request.string("group_id", &self.group(), "");
        request.string("member_id", member, "");
        self.ask(to, request.finish(), Header::Classic, LIMIT, throttle_and_error).await
    }
}

fn find_coordinator(id: i32, group: &str) -> Frame {
    let mut to = Encoder::request("FindCoordinator version 2", 10, 2, id, "lab5");
    to.string("key", group, "the group");
    to.i8("key_type", 0, "0: a group, 1: a transactional id");
    to.finish()
}

fn parse_coordinator(from: &mut Decoder) -> anyhow::Result<(i16, String)> {
    from.i32("throttle_time_ms", "")?;
    let error = from.error()?;
    from.string("error_message", "")?;
    from.i32("node_id", "")?;
    let host = from.string("host", "")?;
    let port = from.i32("port", "")?;
    Ok((error, format!("{host}:{port}")))
}

fn join(id: i32, group: &str, member: &str, topic: &str) -> Frame {
    let mut to = Encoder::request("JoinGroup version 4", 11, 4, id, "lab5");
    to.string("group_id", group, "");
    to.i32("session_timeout_ms", SESSION_TIMEOUT, "without a heartbeat for so long you are out");
    to.i32(
        "rebalance_timeout_ms",
        REBALANCE_TIMEOUT,
        "how long the group waits for you in a rebalance",
    );
    let whose = if member.is_empty() { "empty: new here" } else { "as the broker gave it" };
    to.string("member_id", member, whose);
    to.string("protocol_type", "consumer", "what the bytes below are; Connect has another");
    to.i32("protocols", 1, "an array: the assignors you know");
    to.string("name", "range", "all members must have one in common");
    // For the broker these are bytes. Members read them.
    let mut subscription = Encoder::part("subscription");
    subscription.i16("version", 0, "of the subscription");
    subscription.i32("topics", 1, "an array with 1 element");
    subscription.string("topic", topic, "what you want to read");
    subscription.i32("user_data", -1, "null");
    to.bytes("metadata", &subscription.done(), "bytes for the leader");
    to.finish()
}

fn parse_join(from: &mut Decoder) -> anyhow::Result<Joined> {
    from.i32("throttle_time_ms", "")?;
    let error = from.error()?;
    let generation = from.i32("generation_id", "grows with each rebalance")?;
    from.string("protocol_name", "the assignor that all members know")?;
    let leader = from.string("leader", "the member that assigns")?;
    let member = from.string("member_id", "you")?;
    let mut members = Vec::new();
    for n in 0..from.array("members", "only the leader gets to know them")? {
        from.enter(format!("member {n}"));
        let id = from.string("member_id", "")?;
        let metadata = from.i32("metadata", "bytes: its subscription")?;
        let end = from.at() + usize::try_from(metadata.max(0))?;
        from.i16("version", "")?;
        let mut topics = Vec::new();
        for _ in 0..from.array("topics", "")? {
            topics.push(from.string("topic", "")?);
        }
        // user_data, and what later versions add: owned partitions, generation, rack.
        from.take("the rest", end.saturating_sub(from.at()), "")?;
        from.leave();
        members.push((id, topics));
    }
    Ok(Joined { error, generation, leader, member, members })
}

fn sync(
    id: i32,
    group: &str,
    joined: &Joined,
    assignments: &[(String, Vec<i32>)],
    topic: &str,
) -> Frame {
    let mut to = Encoder::request("SyncGroup version 2", 14, 2, id, "lab5");
    to.string("group_id", group, "");
    to.i32("generation_id", joined.generation, "");
    to.string("member_id", &joined.member, "you");
    to.i32("assignments", count(assignments.len()), "an array, from the leader only");
    for (member, partitions) in assignments {
        to.string("member_id", member, "");
        let mut assignment = Encoder::part("assignment");
        assignment.i16("version", 0, "of the assignment");
        assignment.i32("topics", 1, "an array with 1 element");
        assignment.string("topic", topic, "");
        assignment.i32("partitions", count(partitions.len()), "an array");
        for partition in partitions {
            assignment.i32("partition", *partition, "");
        }
        assignment.i32("user_data", -1, "null");
        to.bytes("assignment", &assignment.done(), "bytes for this member");
    }
    to.finish()
}

fn parse_sync(from: &mut Decoder) -> anyhow::Result<(i16, Vec<i32>)> {
    let error = throttle_and_error(from)?;
    let mut partitions = Vec::new();
    if from.i32("assignment", "bytes, as the leader wrote them")? > 0 {
        from.i16("version", "")?;
        for _ in 0..from.array("topics", "")? {
            from.string("topic", "")?;
            partitions.extend(from.numbers("partitions", false)?);
        }
        from.i32("user_data", "null")?;
    }
    Ok((error, partitions))
}

fn throttle_and_error(from: &mut Decoder) -> anyhow::Result<i16> {
    from.i32("throttle_time_ms", "")?;
    from.error()
}
