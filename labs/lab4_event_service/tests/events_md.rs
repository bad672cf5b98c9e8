//! `EVENTS.md` agrees with the types. `UPDATE=1 cargo test` writes it again.

#![allow(clippy::unwrap_used, reason = "a test")]

use lab4_event_service::kafka::events::{EVENT_TYPES, Event};
use lab4_event_service::kafka::{
    FeedCommentedEvent, FeedCreatedEvent, FeedLikedEvent, FeedViewedEvent, UserCreatedEvent,
    parse_feed_event, parse_user_event,
};
use lab4_event_service::{Stream, schema};
use serde_json::Value;
use std::fmt::Write;
use uuid::Uuid;

#[test]
fn events_md_agrees_with_the_types() {
    let written = std::fs::read_to_string("EVENTS.md").unwrap_or_default();
    let expected = document();
    if std::env::var("UPDATE").is_ok_and(|update| update == "1") {
        std::fs::write("EVENTS.md", expected).unwrap();
    } else {
        assert_eq!(
            written, expected,
            "`UPDATE=1 cargo test -p lab4_event_service --test events_md` writes it again"
        );
    }
}

#[test]
fn every_event_of_the_document_can_be_read() {
    let document = document();
    let examples: Vec<&str> = document
        .split("```json\n")
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap())
        .collect();
    assert_eq!(examples.len(), EVENT_TYPES.len());
    for example in examples {
        let json: Value = serde_json::from_str(example).unwrap();
        let event_type = json["event_type"].as_str().unwrap();
        assert_eq!(schema::problems(event_type, &json), [""; 0], "{example}");
        assert!(
            parse_feed_event(example).is_ok() || parse_user_event(example).is_ok(),
            "{example}"
        );
    }
}

fn document() -> String {
    let mut text = String::from(
        "# Events\n\n\
         The complete structure of every event of Lab 4. A test makes this file from the types in\n\
         [`src/kafka/events.rs`](src/kafka/events.rs), and fails if they differ. To write it again:\n\
         `UPDATE=1 cargo test -p lab4_event_service --test events_md`.\n\n\
         * The value of a message is one JSON object. `event_type` names the event.\n\
         * The key chooses the partition, so events with the same key keep their order.\n\
         * A message may come more than once. `event_id` is the same in every copy: handle it once.\n\
         * Readers must ignore fields that they do not know. So an event can get new fields.\n",
    );
    // The same each time.
    let id = Uuid::from_u128(0x0f3c_a5e1_7b42_4c1d_9e55_2d8f_6a90_b714);
    let at = 1_790_000_000_000;
    section(
        &mut text,
        &UserCreatedEvent { event_id: id, occurred_at: at, user_id: 1, name: "Ada".into() },
    );
    let content = "Hello, Kafka".into();
    section(
        &mut text,
        &FeedCreatedEvent { event_id: id, occurred_at: at, feed_id: 7, user_id: 1, content },
    );
    section(&mut text, &FeedLikedEvent { event_id: id, occurred_at: at, feed_id: 7, user_id: 2 });
    let commented = FeedCommentedEvent {
        event_id: id,
        occurred_at: at,
        feed_id: 7,
        user_id: 2,
        comment_id: 3,
        text: "First!".into(),
    };
    section(&mut text, &commented);
    section(&mut text, &FeedViewedEvent { event_id: id, occurred_at: at, feed_id: 7, user_id: 2 });
    text
}

fn section<E: Event>(text: &mut String, event: &E) {
    let schema = schema::of::<E>();
    let (topic, consumer, key) = match E::STREAM {
        Stream::Users => ("user_events", "job handler", "user_id"),
        Stream::Feeds => ("feed_events", "notification service", "feed_id"),
    };
    let description = schema["description"].as_str().unwrap();
    let meaning = description.split_once(": ").unwrap().1;
    let (first, rest) = meaning.split_at(1);
    let json = serde_json::to_value(event).unwrap();
    let example = serde_json::to_string_pretty(event).unwrap();
    write!(
        text,
        "\n## `{}`\n\n{}{rest}\n\nTopic `{topic}`, key `{key}`, read by the {consumer}.\n\n```json\n{example}\n```\n\n\
         | field | type | meaning |\n|---|---|---|\n",
        E::EVENT_TYPE,
        first.to_uppercase(),
    )
    .unwrap();
    let properties = schema["properties"].as_object().unwrap();
    // In the order in which they are sent.
    for name in json.as_object().unwrap().keys() {
        let property = &properties[name];
        let required =
            schema["required"].as_array().unwrap().iter().any(|required| required == name);
        assert!(required, "{name} is optional: say so in the table");
        let meaning = match name.as_str() {
            "event_type" => "The name of the event",
            _ => property["description"].as_str().unwrap(),
        };
        writeln!(text, "| `{name}` | {} | {meaning} |", kind(property)).unwrap();
    }
    assert_eq!(properties.len(), json.as_object().unwrap().len());
}

fn kind(property: &Value) -> String {
    if let Some(constant) = property["const"].as_str() {
        return format!("`\"{constant}\"`");
    }
    let kind = property["type"].as_str().unwrap();
    let detail = property["format"].as_str().map_or(kind.to_owned(), |format| match format {
        "int64" => "64-bit integer".to_owned(),
        "uuid" => "string, a UUID".to_owned(),
        other => panic!("say in words what {other} is"),
    });
    match (property["minLength"].as_u64(), property["maxLength"].as_u64()) {
        (Some(min), Some(max)) => format!("{detail}, {min} to {max} characters"),
        _ => detail,
    }
}
