//! The properties that librdkafka knows: whose they are, whether a value will do, and what to say when it will not.

use super::{Client, Setting};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

/// `NAME SCOPE` per line, where the scope is `P` (producer), `C` (consumer) or `*` (any client), as in librdkafka's
/// CONFIGURATION.md. What takes a function or a pointer is left out: a file cannot set it.
const PROPERTIES: &str = include_str!("properties.txt");

/// Java's names that librdkafka has under another name or not at all, with what to do instead.
const JAVA: &[(&str, &str)] = &[
    (
        "auto.create.topics.enable",
        "a broker's setting; the clients' one is allow.auto.create.topics",
    ),
    ("buffer.memory", "librdkafka calls it queue.buffering.max.kbytes, in KiB"),
    ("default.api.timeout.ms", "librdkafka has socket.timeout.ms, and a time limit per call"),
    ("fetch.max.wait.ms", "librdkafka calls it fetch.wait.max.ms"),
    ("interceptor.classes", "there are none here: wrap the client instead"),
    ("key.deserializer", "rdkafka hands over bytes: decode them where you read the message"),
    ("key.serializer", "rdkafka sends bytes: encode the key before you send it"),
    ("max.block.ms", "rdkafka answers QueueFull at once instead of blocking"),
    ("max.poll.records", "rdkafka hands over one message at a time: make batches in your loop"),
    ("max.request.size", "librdkafka calls it message.max.bytes"),
    ("metric.reporters", "librdkafka has statistics.interval.ms"),
    (
        "partitioner.class",
        "librdkafka calls it partitioner, and Java's default hash is murmur2_random",
    ),
    ("partitioner.ignore.keys", "send the message without a key"),
    ("receive.buffer.bytes", "librdkafka calls it socket.receive.buffer.bytes"),
    ("sasl.jaas.config", "librdkafka has sasl.username and sasl.password"),
    ("send.buffer.bytes", "librdkafka calls it socket.send.buffer.bytes"),
    ("ssl.truststore.location", "librdkafka has ssl.ca.location, a PEM file"),
    ("value.deserializer", "rdkafka hands over bytes: decode them where you read the message"),
    ("value.serializer", "rdkafka sends bytes: encode the value before you send it"),
];

/// Whose property it is: of one kind of client, or of all (`None`).
///
/// # Errors
/// A sentence when librdkafka has no such property.
pub(super) fn owner(name: &str) -> Result<Option<Client>, String> {
    let scopes: Vec<&str> =
        known().filter(|(known, _)| *known == name).map(|(_, scope)| scope).collect();
    match scopes[..] {
        [] => Err(unknown(name)),
        ["P"] => Ok(Some(Client::Producer)),
        ["C"] => Ok(Some(Client::Consumer)),
        _ => Ok(None),
    }
}

/// Asks librdkafka itself whether it takes the value.
///
/// # Errors
/// A sentence with librdkafka's own words.
pub(super) fn check(name: &str, value: &str) -> Result<(), String> {
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => Ok(()),
        // The name is right in the table, but this build of librdkafka lacks it (SASL without its library, say).
        Err(KafkaError::ClientConfig(_, reason, _, _)) => {
            let hint = match (name, value) {
                ("partitioner", "roundrobin" | "round_robin" | "round-robin") => {
                    "; librdkafka has no round robin: set mode = \"roundrobin\" in [lab] instead"
                }
                ("compression.type" | "compression.codec", _) => {
                    "; there are none, gzip, snappy, lz4 and zstd"
                }
                _ => "",
            };
            // Some of librdkafka's reasons end in a line break.
            Err(format!("{name} = {value}: {}{hint}", reason.trim_end()))
        }
        Err(error) => Err(format!("{name} = {value}: {error}")),
    }
}

/// A property that librdkafka takes without a value, though nothing works then: an example of one.
pub(super) fn needs_a_value(name: &str) -> Option<&'static str> {
    match name {
        "bootstrap.servers" | "metadata.broker.list" => Some("127.0.0.1:9092"),
        "group.id" => Some("lab1-keyed"),
        _ => None,
    }
}

/// Is it what librdkafka does anyway? It knows that `acks = all` is `-1`.
pub(crate) fn is_default(name: &str, value: &str) -> bool {
    let set = ClientConfig::new().set(name, value).create_native_config();
    set.ok().and_then(|set| set.get(name).ok()) == default_of(name)
}

/// librdkafka's value when nobody sets one.
pub(crate) fn default_of(name: &str) -> Option<String> {
    // The properties of topics can be asked for only after one of them was set: here to its default.
    ClientConfig::new()
        .set("message.timeout.ms", "300000")
        .create_native_config()
        .ok()?
        .get(name)
        .ok()
}

/// The value as it may be shown: passwords and keys are not.
pub(crate) fn shown<'a>(name: &str, setting: &'a Setting) -> &'a str {
    let secret =
        ["password", "secret", "passphrase", ".pem"].iter().any(|word| name.contains(word));
    if secret { "********" } else { &setting.value }
}

/// The name in `names` that was probably meant.
pub(super) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let longest = name.len().max(3);
    names
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, _)| *distance <= longest / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

fn unknown(name: &str) -> String {
    if let Some((_, translation)) = JAVA.iter().find(|(java, _)| *java == name) {
        return format!("{name} is a name of the Java client; {translation}");
    }
    // `group` is the beginning of some names, and the shortest of them is `group.id`.
    let longer = known()
        .map(|(known, _)| known)
        .filter(|known| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
    let near = longer.min_by_key(|known| known.len());
    match near.or_else(|| nearest(name, known().map(|(known, _)| known))) {
        Some(near) => format!("librdkafka has no property {name}; did you mean {near}?"),
        None => format!("librdkafka has no property {name}"),
    }
}

fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
    PROPERTIES.lines().filter_map(|line| line.split_once(' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::types::RDKafkaConfRes;

    #[test]
    fn librdkafka_knows_every_name_of_the_table_and_none_of_javas() {
        let unknown = |name: &str| {
            let set = ClientConfig::new().set(name, "?").create_native_config();
            matches!(set, Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)))
        };
        assert!(known().all(|(name, _)| !unknown(name)));
        // Some of Java's names it knows well enough to refuse them.
        assert!(
            JAVA.iter().all(|(name, _)| ClientConfig::new()
                .set(*name, "?")
                .create_native_config()
                .is_err())
        );
        assert_eq!(default_of("message.timeout.ms").as_deref(), Some("300000"));
        assert!(is_default("acks", "all") && !is_default("acks", "1"));
        assert!(is_default("linger.ms", "5.0") && !is_default("linger.ms", "50"));
    }

    #[test]
    fn a_name_has_an_owner() {
        assert_eq!(owner("linger.ms"), Ok(Some(Client::Producer)));
        assert_eq!(owner("group.id"), Ok(Some(Client::Consumer)));
        assert_eq!(owner("client.id"), Ok(None));
        // Given for producers (codec) and for topics (inherit): still the producer's.
        assert_eq!(owner("compression.type"), Ok(Some(Client::Producer)));
        assert_eq!(
            owner("lingr.ms").unwrap_err(),
            "librdkafka has no property lingr.ms; did you mean linger.ms?"
        );
        assert_eq!(
            owner("completely.different").unwrap_err(),
            "librdkafka has no property completely.different"
        );
        assert_eq!(
            owner("group").unwrap_err(),
            "librdkafka has no property group; did you mean group.id?"
        );
        assert!(owner("buffer.memory").unwrap_err().contains("queue.buffering.max.kbytes"));
    }

    #[test]
    fn a_bad_value_is_refused_in_librdkafkas_words() {
        assert_eq!(check("linger.ms", "5"), Ok(()));
        assert!(check("linger.ms", "-7").unwrap_err().starts_with("linger.ms = -7: "));
        assert!(check("compression.type", "brotli").unwrap_err().ends_with("lz4 and zstd"));
        assert!(check("partitioner", "roundrobin").unwrap_err().contains("mode = \"roundrobin\""));
    }
}
