//! JSON Schemas, made from the types, and the check of an event before it is written to the outbox.
//!
//! Where many services in several languages share events, a schema registry holds their schemas. Here one crate owns the
//! types, so the schemas come from them.

use crate::kafka::events::{
    Event, FeedCommentedEvent, FeedCreatedEvent, FeedLikedEvent, FeedViewedEvent, UserCreatedEvent,
};
use jsonschema::Validator;
use schemars::JsonSchema;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The schema of every event, by its type.
pub fn all() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        entry::<UserCreatedEvent>(),
        entry::<FeedCreatedEvent>(),
        entry::<FeedLikedEvent>(),
        entry::<FeedCommentedEvent>(),
        entry::<FeedViewedEvent>(),
    ])
}

fn entry<E: Event + JsonSchema>() -> (&'static str, Value) {
    (E::EVENT_TYPE, of::<E>())
}

/// The schema of an event's JSON.
pub fn of<E: Event + JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(E).to_value();
    // serde writes the tag. It is no field, so schemars does not see it.
    schema["title"] = E::EVENT_TYPE.into();
    schema["properties"]["event_type"] = json!({ "const": E::EVENT_TYPE });
    if let Some(required) = schema["required"].as_array_mut() {
        required.insert(0, "event_type".into());
    }
    schema
}

/// Says in words what is wrong with an event. An event that fits its schema has no problems.
pub fn problems(event_type: &str, event: &Value) -> Vec<String> {
    let Some(validator) = VALIDATORS.get(event_type) else {
        return vec![format!("there is no event type {event_type}")];
    };
    validator
        .iter_errors(event)
        .map(|error| match error.instance_path().to_string().trim_start_matches('/') {
            "" => error.to_string(),
            field => format!("{field}: {error}"),
        })
        .collect()
}

static VALIDATORS: LazyLock<BTreeMap<&str, Validator>> = LazyLock::new(|| {
    let compile = |(event_type, schema)| {
        let validator = jsonschema::validator_for(&schema).expect("schemars writes valid schemas");
        (event_type, validator)
    };
    all().into_iter().map(compile).collect()
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::events::EVENT_TYPES;

    #[test]
    fn every_event_has_a_schema() {
        let mut types = EVENT_TYPES.to_vec();
        types.sort_unstable();
        assert_eq!(all().into_keys().collect::<Vec<_>>(), types);
    }

    #[test]
    fn what_serde_writes_is_what_the_schema_says() {
        let user = serde_json::to_value(UserCreatedEvent::new(1, "Ada".to_owned())).unwrap();
        assert_eq!(problems("user_created", &user), [""; 0]);
        assert_ne!(problems("created", &user), [""; 0]);
    }

    #[test]
    fn a_problem_names_its_field() {
        let empty = serde_json::to_value(FeedCreatedEvent::new(1, 2, String::new())).unwrap();
        assert_eq!(problems("created", &empty), ["content: \"\" is shorter than 1 character"]);
        let long = serde_json::to_value(FeedCreatedEvent::new(1, 2, "x".repeat(281))).unwrap();
        assert!(problems("created", &long)[0].ends_with("is longer than 280 characters"));
    }
}
