//! DescribeConfigs, versions 1–4: the settings of topics and of the broker (KIP-133).
//!
//! * The answer says where each value comes from: the topic, the broker's settings or the default.
//! * A topic that does not exist is `UNKNOWN_TOPIC_OR_PARTITION`. Another node's id is `INVALID_REQUEST`.
//! * Synonyms and documentation are sent if the request asks for them (KIP-569). The documentation is our own.
//! * A resource that is named twice is answered once, at its first mention. Kafka answers each mention. So a small
//!   request can get a very long answer from Kafka.
//!
//! Left out: broker loggers, groups and client metrics are `INVALID_REQUEST`. The answer lists the settings that this
//! broker knows. Kafka has many more.

use std::collections::HashSet;

use super::text;
use crate::{
    api::Context,
    cluster::{Refusal, Topic},
    error_code::ErrorCode,
    settings::{Described, Kind},
    wire::{
        StrBytes,
        messages::{
            DescribeConfigsRequest, DescribeConfigsResponse,
            describe_configs_request::DescribeConfigsResource,
            describe_configs_response::{
                DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
            },
        },
    },
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Kafka's numbers for where a value is from.
mod source {
    pub(super) const TOPIC: i8 = 1;
    pub(super) const STATIC_BROKER: i8 = 4;
    pub(super) const DEFAULT: i8 = 5;
}

/// A setting with where its value is from.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) setting: Described,
    pub(super) source: i8,
    read_only: bool,
}

pub(crate) fn answer(cx: &Context, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let mut seen = HashSet::new();
    let once = request
        .resources
        .iter()
        .filter(|resource| seen.insert((resource.resource_type, &resource.resource_name)));
    let results = once.map(|resource| {
        let result = DescribeConfigsResult::default().with_resource_type(resource.resource_type);
        let result = match describe(cx, resource) {
            Err(refusal) => result
                .with_error_code(refusal.code.code())
                .with_error_message(text(refusal.message)),
            Ok(configs) => {
                let keys = resource.configuration_keys.as_ref();
                let keys: Option<HashSet<&str>> =
                    keys.map(|keys| keys.iter().map(|key| &**key).collect());
                let is_asked = |config: &Config| {
                    keys.as_ref().is_none_or(|keys| keys.contains(config.setting.name))
                };
                let asked = configs.into_iter().filter(is_asked);
                result.with_configs(asked.map(|config| entry(cx, config, &request)).collect())
            }
        };
        result.with_resource_name(resource.resource_name.clone())
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn describe(cx: &Context, resource: &DescribeConfigsResource) -> Result<Vec<Config>, Refusal> {
    let name = &*resource.resource_name;
    let invalid = |message: String| Err(Refusal { code: ErrorCode::InvalidRequest, message });
    match resource.resource_type {
        TOPIC => {
            crate::cluster::check_name(name)?;
            let Some(topic) = cx.cluster.topics.named(name) else {
                let message = format!("Topic {name} does not exist.");
                return Err(Refusal { code: ErrorCode::UnknownTopicOrPartition, message });
            };
            Ok(topic_settings(cx, &topic))
        }
        BROKER if name.is_empty() => Ok(Vec::new()),
        BROKER if *name == *cx.cluster.settings.broker_id.to_string() => Ok(broker_settings(cx)),
        BROKER => {
            let node = cx.cluster.settings.broker_id;
            invalid(format!(
                "Unexpected broker id, expected {node} or empty string, but received {name}."
            ))
        }
        other => invalid(format!(
            "This broker describes topics (2) and brokers (4), not resource type {other}."
        )),
    }
}

/// The settings of a topic.
pub(super) fn topic_settings(cx: &Context, topic: &Topic) -> Vec<Config> {
    let inherited = cx.cluster.settings.topic_defaults().describe();
    let settings = topic.settings.describe().into_iter().zip(inherited);
    let config = |(setting, inherited): (Described, Described)| {
        let source = if topic.overrides.contains_key(setting.name) {
            source::TOPIC
        } else if inherited.is_default {
            source::DEFAULT
        } else {
            source::STATIC_BROKER
        };
        Config { setting, source, read_only: false }
    };
    settings.map(config).collect()
}

fn broker_settings(cx: &Context) -> Vec<Config> {
    let config = |setting: Described| {
        let source = if setting.is_default { source::DEFAULT } else { source::STATIC_BROKER };
        Config { setting, source, read_only: true }
    };
    cx.cluster.settings.describe().into_iter().map(config).collect()
}

fn entry(
    cx: &Context,
    config: Config,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResourceResult {
    let Config { setting, source, read_only } = config;
    let name = StrBytes::from_static_str(setting.name);
    let mut entry = DescribeConfigsResourceResult::default()
        .with_name(name.clone())
        .with_value(text(setting.value.clone()))
        .with_config_source(source)
        .with_read_only(read_only);
    if request.include_synonyms {
        entry = entry.with_synonyms(vec![
            DescribeConfigsSynonym::default()
                .with_name(name)
                .with_value(text(setting.value))
                .with_source(source),
        ]);
    }
    if cx.version >= 3 {
        entry = entry.with_config_type(type_number(setting.kind));
        let documentation =
            request.include_documentation.then(|| StrBytes::from_static_str(setting.about));
        entry = entry.with_documentation(documentation);
    }
    entry
}

fn type_number(kind: Kind) -> i8 {
    match kind {
        Kind::Boolean => 1,
        Kind::String => 2,
        Kind::Int => 3,
        Kind::Long => 5,
        Kind::Double => 6,
        Kind::List => 7,
    }
}
