//! One result for each partition that a request names, in the order of the request.

use std::sync::Arc;

use crate::{api::Context, error_code::ErrorCode, wire::messages::TopicName};

type Result = std::result::Result<(), ErrorCode>;

/// The results by topic and partition.
#[derive(Debug)]
pub(super) struct Results(Vec<(TopicName, Vec<(i32, Result)>)>);

impl Results {
    /// Answers those partitions that do not exist with `UNKNOWN_TOPIC_OR_PARTITION`, and returns the others, to be
    /// decided on.
    pub(super) fn of_existing<P>(
        cx: &Context,
        asked: impl IntoIterator<Item = (TopicName, Vec<P>)>,
        index_of: impl Fn(&P) -> i32,
    ) -> (Self, Vec<(Arc<str>, P)>) {
        let mut existing = Vec::new();
        let mut results = Vec::new();
        for (name, partitions) in asked {
            let topic = cx.cluster.topics.named(&name);
            let shared: Arc<str> = name.as_str().into();
            let mut of_topic = Vec::with_capacity(partitions.len());
            for partition in partitions {
                let index = index_of(&partition);
                let exists = topic.as_ref().is_some_and(|topic| topic.partition(index).is_some());
                if exists {
                    existing.push((Arc::clone(&shared), partition));
                }
                let unknown = Err(ErrorCode::UnknownTopicOrPartition);
                of_topic.push((index, if exists { Ok(()) } else { unknown }));
            }
            results.push((name, of_topic));
        }
        (Self(results), existing)
    }

    /// Takes over what was decided on those that exist, in their order.
    pub(super) fn fill(&mut self, decided: impl IntoIterator<Item = Result>) {
        let existing = self.0.iter_mut().flat_map(|(_, partitions)| partitions);
        let existing = existing.filter(|(_, result)| result.is_ok());
        for ((_, result), decided) in existing.zip(decided) {
            *result = decided;
        }
    }
}

impl IntoIterator for Results {
    type Item = (TopicName, Vec<(i32, Result)>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
