//! Reads the topics out of a consumer's subscription, the metadata that consumers send with JoinGroup.
//!
//! For Kafka's coordinator the metadata is opaque but for this: all versions of the consumer protocol begin
//! with the version (int16) and the array of topics (int32 count; each an int16 length and UTF-8).

use std::collections::BTreeSet;

use bytes::Buf;

/// The topics that a group's members read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Subscribed {
    Topics(BTreeSet<String>),
    /// Unknown, so it might be any: a subscription cannot be read, or no generation has begun.
    Anything,
}

impl Subscribed {
    /// The topics of all these subscriptions.
    pub(super) fn read(subscriptions: impl IntoIterator<Item: AsRef<[u8]>>) -> Self {
        let mut all = BTreeSet::new();
        for subscription in subscriptions {
            match topics(subscription.as_ref()) {
                Some(topics) => all.extend(topics),
                None => return Self::Anything,
            }
        }
        Self::Topics(all)
    }

    pub(super) fn contains(&self, topic: &str) -> bool {
        match self {
            Self::Topics(topics) => topics.contains(topic),
            Self::Anything => true,
        }
    }
}

/// The topics subscribed to; `None` if the bytes are no subscription.
pub(super) fn topics(mut metadata: &[u8]) -> Option<Vec<String>> {
    if metadata.try_get_i16().ok()? < 0 {
        return None;
    }
    // Nothing is allocated by the count: it comes from the wire.
    let count = metadata.try_get_i32().ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(metadata.try_get_i16().ok()?).ok()?;
        let name = metadata.get(..length)?;
        topics.push(String::from_utf8(name.to_vec()).ok()?);
        metadata.advance(length);
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::topics;

    #[test]
    fn reads_the_topics_and_ignores_the_rest() {
        let metadata =
            b"\x00\x03\x00\x00\x00\x02\x00\x06orders\x00\x01a\xff\xff\xff\xff\x00\x00\x00\x00";
        assert_eq!(topics(metadata), Some(vec!["orders".to_owned(), "a".to_owned()]));
    }

    #[test]
    fn refuses_what_is_no_subscription() {
        assert_eq!(topics(b""), None);
        assert_eq!(
            topics(b"\x00\x00\x7f\xff\xff\xff\x00\x01a"),
            None,
            "fewer topics than announced"
        );
        assert_eq!(topics(b"\x00\x00\x00\x00\x00\x01\xff\xff"), None, "a negative length");
        assert_eq!(topics(b"\x00\x00\x00\x00\x00\x01\x00\x01\xff"), None, "not UTF-8");
    }
}
