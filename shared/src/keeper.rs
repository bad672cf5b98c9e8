//! A broker that comes back empty: noticed, repaired, and told.
//!
//! The embedded broker keeps everything in memory. After `kill -9` and `make up` the same address answers again, but the
//! topics, the groups and their offsets are gone, and no client of Kafka says so by itself. Three things together bring a
//! running lab back within seconds:
//!
//! * A [`Keeper`] looks at the topics whenever a connection was lost. What is missing is made anew, and told.
//! * A consumer that asks for a missing topic gets no partitions. It finds the new topic with its next look at the
//!   metadata, which the labs' configuration lets it take every two seconds.
//! * The group does not know its members any more. They join it again by themselves:
//!   [`Rebalance::Lost`](crate::client::Rebalance::Lost).

use crate::client::Cluster;
use crate::config::Topic;
use crate::topic::{self, Provisioned};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

/// The pause between two looks for a broker that is away. Each look waits for an answer, too.
const PAUSE: Duration = Duration::from_millis(500);

/// Keeps topics there. Its work ends when it is dropped.
#[derive(Debug)]
pub struct Keeper {
    look: Arc<Notify>,
    news: mpsc::UnboundedReceiver<String>,
}

impl Keeper {
    /// Begins to watch these topics, which are there now.
    pub fn start(cluster: &Cluster, topics: &[Topic]) -> Self {
        let look = Arc::new(Notify::new());
        let (sender, news) = mpsc::unbounded_channel();
        let task = Task {
            cluster: cluster.clone(),
            topics: topics.to_vec(),
            id: cluster.first_id.clone(),
            look: look.clone(),
            news: sender,
        };
        tokio::spawn(task.run());
        Self { look, news }
    }

    /// Asks for a look at the topics: somebody was told that one is missing.
    pub fn look(&self) {
        self.look.notify_one();
    }

    /// Waits for the next sentence. Nothing is lost when the future is dropped.
    pub async fn news(&mut self) -> String {
        match self.news.recv().await {
            Some(sentence) => sentence,
            None => std::future::pending().await,
        }
    }
}

struct Task {
    cluster: Cluster,
    topics: Vec<Topic>,
    /// The cluster that has the topics.
    id: Option<String>,
    look: Arc<Notify>,
    news: mpsc::UnboundedSender<String>,
}

impl Task {
    async fn run(mut self) {
        let news = self.news.clone();
        tokio::select! {
            () = self.watch() => {}
            () = news.closed() => {}
        }
    }

    async fn watch(&mut self) {
        loop {
            tokio::select! {
                () = self.look.notified() => {}
                () = self.cluster.lost_connection() => {}
            }
            let id = self.answer().await;
            let forgot = id != self.id;
            self.id = id;
            for topic in &self.topics {
                let sentence = match topic::ensure(&self.cluster, topic).await {
                    Ok(provisioned) => sentence(&provisioned, forgot),
                    Err(error) => Some(format!("{error:#}")),
                };
                if let Some(sentence) = sentence {
                    // The select above ends this task when nobody listens.
                    let _ = self.news.send(sentence);
                }
            }
        }
    }

    /// The cluster's id, as soon as somebody answers.
    async fn answer(&self) -> Option<String> {
        loop {
            match self.cluster.id().await {
                Ok(id) => return id,
                Err(error) => tracing::debug!("{error:#}"),
            }
            sleep(PAUSE).await;
        }
    }
}

/// What there is to tell about a topic; nothing when all is as before.
fn sentence(provisioned: &Provisioned, forgot: bool) -> Option<String> {
    let count = |n: i32| crate::report::count(u64::try_from(n).unwrap_or(0), "partition");
    Some(match (provisioned, forgot) {
        (Provisioned::Created { topic, partitions }, true) => format!(
            "The topic {topic} is gone: the broker forgot everything. Made it anew, with {}.",
            count(*partitions)
        ),
        (Provisioned::Created { topic, partitions }, false) => format!(
            "The topic {topic} is gone: somebody deleted it. Made it anew, with {}.",
            count(*partitions)
        ),
        (Provisioned::Existing { topic, partitions }, true) => format!(
            "The topic {topic} was gone: the broker forgot everything. It is there again, with {}.",
            count(*partitions)
        ),
        (Provisioned::Different { topic, .. }, true) => {
            format!("The topic {topic} was gone: the broker forgot everything. {provisioned}")
        }
        (Provisioned::Existing { .. } | Provisioned::Different { .. }, false) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_told() {
        let topic = || "lab1".to_owned();
        let created = Provisioned::Created { topic: topic(), partitions: 3 };
        let existing = Provisioned::Existing { topic: topic(), partitions: 3 };
        let told = |provisioned, forgot| sentence(provisioned, forgot);
        assert_eq!(
            told(&created, true).as_deref(),
            Some(
                "The topic lab1 is gone: the broker forgot everything. Made it anew, with 3 partitions."
            )
        );
        assert!(told(&created, false).is_some_and(|told| told.contains("somebody deleted it")));
        assert!(told(&existing, true).is_some_and(|told| told.contains("It is there again")));
        assert_eq!(told(&existing, false), None);
    }
}
