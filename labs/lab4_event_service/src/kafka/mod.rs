//! Everything that knows Kafka: the [`events`], how they are sent ([`producer`]) and received ([`consumer`]), the messages
//! that nobody can handle ([`dead_letters`]), and the [`lag`] of a group.
//!
//! The names and signatures of producer and consumer are given. Where a plain implementation would lose a message, or
//! hold a lock while it waits, this one differs. Each file says where, and the README why.

pub mod consumer;
pub mod dead_letters;
pub mod events;
pub mod lag;
pub mod producer;
pub mod reader;

pub use consumer::{KafkaConsumer, Message};
pub use events::{
    FeedCommentedEvent, FeedCreatedEvent, FeedEvent, FeedEventType, FeedLikedEvent,
    FeedViewedEvent, UserCreatedEvent, UserEvent, parse_feed_event, parse_user_event,
};
pub use producer::KafkaProducer;
