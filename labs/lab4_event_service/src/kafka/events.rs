//! The events: one struct each, tagged with its `event_type`. `EVENTS.md` shows each in full.

use crate::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// `user_events`: a user signed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event_type", rename = "user_created")]
pub struct UserCreatedEvent {
    /// The event's own id; the same in every copy of it
    pub event_id: Uuid,
    /// Milliseconds since 1970
    pub occurred_at: i64,
    /// The new user; the message's key
    pub user_id: i64,
    /// The user's name
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
}

/// `feed_events`: a feed was posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event_type", rename = "created")]
pub struct FeedCreatedEvent {
    /// The event's own id; the same in every copy of it
    pub event_id: Uuid,
    /// Milliseconds since 1970
    pub occurred_at: i64,
    /// The feed; the message's key
    pub feed_id: i64,
    /// The user who posted it
    pub user_id: i64,
    /// The text
    #[schemars(length(min = 1, max = 280))]
    pub content: String,
}

/// `feed_events`: a user likes a feed, for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event_type", rename = "liked")]
pub struct FeedLikedEvent {
    /// The event's own id; the same in every copy of it
    pub event_id: Uuid,
    /// Milliseconds since 1970
    pub occurred_at: i64,
    /// The feed; the message's key
    pub feed_id: i64,
    /// The user who likes it
    pub user_id: i64,
}

/// `feed_events`: a user wrote a comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event_type", rename = "commented")]
pub struct FeedCommentedEvent {
    /// The event's own id; the same in every copy of it
    pub event_id: Uuid,
    /// Milliseconds since 1970
    pub occurred_at: i64,
    /// The feed; the message's key
    pub feed_id: i64,
    /// The user who commented
    pub user_id: i64,
    /// The comment
    pub comment_id: i64,
    /// The text
    #[schemars(length(min = 1, max = 280))]
    pub text: String,
}

/// `feed_events`: a user viewed a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event_type", rename = "viewed")]
pub struct FeedViewedEvent {
    /// The event's own id; the same in every copy of it
    pub event_id: Uuid,
    /// Milliseconds since 1970
    pub occurred_at: i64,
    /// The feed; the message's key
    pub feed_id: i64,
    /// The user who viewed it
    pub user_id: i64,
}

impl UserCreatedEvent {
    pub fn new(user_id: i64, name: String) -> Self {
        Self { event_id: Uuid::new_v4(), occurred_at: now(), user_id, name }
    }
}

impl FeedCreatedEvent {
    pub fn new(feed_id: i64, user_id: i64, content: String) -> Self {
        Self { event_id: Uuid::new_v4(), occurred_at: now(), feed_id, user_id, content }
    }
}

impl FeedLikedEvent {
    pub fn new(feed_id: i64, user_id: i64) -> Self {
        Self { event_id: Uuid::new_v4(), occurred_at: now(), feed_id, user_id }
    }
}

impl FeedCommentedEvent {
    pub fn new(feed_id: i64, user_id: i64, comment_id: i64, text: String) -> Self {
        Self { event_id: Uuid::new_v4(), occurred_at: now(), feed_id, user_id, comment_id, text }
    }
}

impl FeedViewedEvent {
    pub fn new(feed_id: i64, user_id: i64) -> Self {
        Self { event_id: Uuid::new_v4(), occurred_at: now(), feed_id, user_id }
    }
}

/// The common part of all events.
pub trait Event: Serialize + JsonSchema {
    /// As it stands in the JSON.
    const EVENT_TYPE: &str;
    const STREAM: Stream;

    fn event_id(&self) -> Uuid;

    /// The feed's or the user's id. Messages with the same key keep their order.
    fn key(&self) -> i64;
}

macro_rules! events {
    ($($type:ty: $name:literal in $stream:ident, key $key:ident;)*) => {
        $(impl Event for $type {
            const EVENT_TYPE: &str = $name;
            const STREAM: Stream = Stream::$stream;

            fn event_id(&self) -> Uuid {
                self.event_id
            }

            fn key(&self) -> i64 {
                self.$key
            }
        })*

        /// All of them, as they stand in the JSON.
        pub const EVENT_TYPES: &[&str] = &[$($name),*];
    };
}

events! {
    UserCreatedEvent: "user_created" in Users, key user_id;
    FeedCreatedEvent: "created" in Feeds, key feed_id;
    FeedLikedEvent: "liked" in Feeds, key feed_id;
    FeedCommentedEvent: "commented" in Feeds, key feed_id;
    FeedViewedEvent: "viewed" in Feeds, key feed_id;
}

/// An event of `feed_events`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "event_type", rename_all = "snake_case")]
pub enum FeedEvent {
    Created(FeedCreatedEvent),
    Liked(FeedLikedEvent),
    Commented(FeedCommentedEvent),
    Viewed(FeedViewedEvent),
}

/// An event of `user_events`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "event_type", rename_all = "snake_case")]
pub enum UserEvent {
    UserCreated(UserCreatedEvent),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedEventType {
    Created,
    Liked,
    Commented,
    Viewed,
}

impl FeedEvent {
    pub fn event_type(&self) -> FeedEventType {
        match self {
            Self::Created(_) => FeedEventType::Created,
            Self::Liked(_) => FeedEventType::Liked,
            Self::Commented(_) => FeedEventType::Commented,
            Self::Viewed(_) => FeedEventType::Viewed,
        }
    }

    pub fn event_id(&self) -> Uuid {
        match self {
            Self::Created(event) => event.event_id,
            Self::Liked(event) => event.event_id,
            Self::Commented(event) => event.event_id,
            Self::Viewed(event) => event.event_id,
        }
    }
}

impl FeedEventType {
    pub const ALL: [Self; 4] = [Self::Created, Self::Liked, Self::Commented, Self::Viewed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Created => FeedCreatedEvent::EVENT_TYPE,
            Self::Liked => FeedLikedEvent::EVENT_TYPE,
            Self::Commented => FeedCommentedEvent::EVENT_TYPE,
            Self::Viewed => FeedViewedEvent::EVENT_TYPE,
        }
    }
}

impl fmt::Display for FeedEventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads a message of `feed_events`. The type also comes apart from the event, for code that only matches on it.
pub fn parse_feed_event(payload: &str) -> serde_json::Result<(FeedEventType, FeedEvent)> {
    let event: FeedEvent = serde_json::from_str(payload)?;
    Ok((event.event_type(), event))
}

/// Reads a message of `user_events`.
pub fn parse_user_event(payload: &str) -> serde_json::Result<UserEvent> {
    serde_json::from_str(payload)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_back_as_it_was_sent() {
        let event = FeedCommentedEvent::new(1, 2, 3, "first!".to_owned());
        let json = serde_json::to_string(&event).unwrap();
        assert!(json.starts_with(r#"{"event_type":"commented","event_id":""#), "{json}");
        let parsed = parse_feed_event(&json).unwrap();
        assert_eq!(parsed, (FeedEventType::Commented, FeedEvent::Commented(event)));
    }

    #[test]
    fn what_is_no_event_is_refused_with_a_reason() {
        let reason = |payload| parse_feed_event(payload).unwrap_err().to_string();
        assert!(reason("hello").starts_with("expected value"), "{}", reason("hello"));
        assert!(reason("{}").contains("missing field `event_type`"));
        assert!(reason(r#"{"event_type":"shared"}"#).contains("unknown variant `shared`"));
        assert!(reason(r#"{"event_type":"liked"}"#).contains("missing field `event_id`"));
    }

    #[test]
    fn a_consumer_reads_on_when_a_field_was_added() {
        let mut event = serde_json::to_value(FeedLikedEvent::new(1, 2)).unwrap();
        event["mood"] = "happy".into();
        assert_eq!(parse_feed_event(&event.to_string()).unwrap().0, FeedEventType::Liked);
    }
}
