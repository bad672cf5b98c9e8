//! What a consumer without partitions waits for, as far as a broker tells it.
//!
//! A new member waits until all other members have answered. One of them may have died without a word: then everybody
//! waits until its session ends. DescribeGroups tells the members and the state of the group. It does not tell who is
//! missing, or when a member was heard last.

use crate::client::{Cluster, GroupState, Rebalance};
use crate::config::{Client, Config};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// So long nothing is said: most groups need less.
const PATIENCE: Duration = Duration::from_secs(2);

/// librdkafka's `session.timeout.ms`.
const DEFAULT_SESSION: u64 = 45_000;

/// Tells what is waited for, from the start until the first rebalance, and again after each loss of the partitions.
#[derive(Debug)]
pub struct Waiting {
    cluster: Cluster,
    group: String,
    session: Duration,
    sender: mpsc::UnboundedSender<String>,
    news: mpsc::UnboundedReceiver<String>,
    task: Option<AbortHandle>,
}

impl Waiting {
    /// A consumer with this configuration has just subscribed.
    pub fn start<L>(cluster: &Cluster, config: &Config<L>) -> Self {
        let property =
            |name| config.property(Client::Consumer, name).map(|setting| setting.value.clone());
        let session = property("session.timeout.ms").and_then(|value| value.parse().ok());
        let (sender, news) = mpsc::unbounded_channel();
        let mut waiting = Self {
            cluster: cluster.clone(),
            group: property("group.id").unwrap_or_default(),
            session: Duration::from_millis(session.unwrap_or(DEFAULT_SESSION)),
            sender,
            news,
            task: None,
        };
        waiting.begin();
        waiting
    }

    /// Tells it what happened to the consumer.
    pub fn rebalanced(&mut self, rebalance: &Rebalance) {
        match rebalance {
            Rebalance::Assigned(_) => self.end(),
            Rebalance::Revoked(_) | Rebalance::Lost(_) | Rebalance::Failed(_) => self.begin(),
        }
    }

    /// Waits for the next sentence. Nothing is lost when the future is dropped.
    pub async fn news(&mut self) -> String {
        match self.news.recv().await {
            Some(sentence) => sentence,
            None => std::future::pending().await,
        }
    }

    fn begin(&mut self) {
        self.end();
        let (cluster, group) = (self.cluster.clone(), self.group.clone());
        let (session, sender) = (self.session, self.sender.clone());
        let telling = tokio::spawn(async move {
            sleep(PATIENCE).await;
            // A broker that is away has nothing to tell, and the consumer says that itself.
            let told = loop {
                match cluster.group(&group).await {
                    Ok(state) => break state,
                    Err(error) => tracing::debug!("{error:#}"),
                }
                sleep(PATIENCE).await;
            };
            let _ = sender.send(sentence(&group, told.as_ref(), session));
            // A member that had died is dropped by then.
            sleep(session).await;
            let _ = sender.send(format!(
                "Still no partitions: a member of group {group} is alive but does not answer. The group waits for it \
                 for max.poll.interval.ms, 5 minutes by default. Stop that program."
            ));
        });
        self.task = Some(telling.abort_handle());
    }

    fn end(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        // What was said already is out of date.
        while self.news.try_recv().is_ok() {}
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.end();
    }
}

fn sentence(group: &str, told: Option<&GroupState>, session: Duration) -> String {
    let Some(GroupState { state, members }) = told else {
        return format!("No partitions yet: the broker does not know group {group} yet.");
    };
    let count = crate::report::count(members.len() as u64, "member");
    match (state.as_str(), members.len()) {
        ("PreparingRebalance" | "CompletingRebalance", 2..) => format!(
            "No partitions yet: group {group} waits for one of its {count} ({}). If that one has died, the group drops it \
             when its session ends: in {} s at the latest (session.timeout.ms = {}).",
            members.join(", "),
            session.saturating_sub(PATIENCE).as_secs(),
            session.as_millis(),
        ),
        _ => format!(
            "No partitions yet: group {group} has {count} and is in the state {state}. This consumer is still joining."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_member_is_named_with_the_end_of_its_session() {
        let state = GroupState {
            state: "PreparingRebalance".to_owned(),
            members: vec!["a at 127.0.0.1".to_owned(), "b at 127.0.0.1".to_owned()],
        };
        assert_eq!(
            sentence("g", Some(&state), Duration::from_secs(6)),
            "No partitions yet: group g waits for one of its 2 members (a at 127.0.0.1, b at 127.0.0.1). If that one has \
             died, the group drops it when its session ends: in 4 s at the latest (session.timeout.ms = 6000)."
        );
        let alone = GroupState { state: "Empty".to_owned(), members: Vec::new() };
        assert!(sentence("g", Some(&alone), Duration::from_secs(6)).contains("still joining"));
    }
}
