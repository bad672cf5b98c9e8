//! Everything that knows Kafka: what is said ([`events`]), how it is sent ([`producer`]) and received ([`consumer`]),
//! what becomes of a message that nobody can handle ([`dead_letters`]), and how far behind a group is ([`lag`]).
//!
//! The names and signatures are the seed's. What they do inside differs where the seed's would lose a message or hold
//! a lock while it waits; each file says where, and the README why.

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
