//! What goes over the wire, in words: every request with its answer, for people or for tools.
//!
//! One table of the protocol's messages ([`wire::schema`](crate::wire::schema)) guards the broker against
//! hostile frames and names every byte here. This room turns bytes into words; it knows no state.

mod about;
mod dates;
mod decode;
mod json;
mod listing;
mod places;
mod records;
mod short;
mod text;
mod words;

use std::{
    collections::HashMap,
    io::{self, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use uuid::Uuid;

pub use self::decode::{Decoded, decode};
use self::{
    listing::{Field, Listing, Seen, Value},
    words::Words,
};
use crate::wire::schema;

/// Shows requests and answers. It says which ones, in which format, and where to write them.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), mini_kafka::Error> {
/// use mini_kafka::{Broker, Trace};
///
/// let trace = Trace::to(std::io::stderr()).api("Produce").api("Fetch").topic("orders");
/// let broker = Broker::builder().trace(trace).start().await?;
/// # broker.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "hand it to Builder::trace()"]
pub struct Trace {
    out: Arc<Mutex<dyn Write + Send>>,
    format: Format,
    filter: Filter,
    style: Style,
    /// Names of topics by id, learned from the answers that went by: newer requests say only the id (KIP-516).
    topics: TopicNames,
    connections: Arc<AtomicU64>,
}

type TopicNames = Arc<Mutex<HashMap<Uuid, String>>>;

/// The format of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// All fields, on indented lines.
    #[default]
    Text,
    /// One line for each request and its answer.
    Short,
    /// One JSON object for each request and its answer, on a line of its own.
    Json,
}

#[derive(Clone, Debug, Default)]
struct Filter {
    apis: Vec<String>,
    except_apis: Vec<String>,
    client: Option<String>,
    topic: Option<String>,
}

/// How much of a message is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// The most characters of one string or of one run of bytes, and the most records of a message.
    limit: usize,
    /// Whether each field comes with its bytes and what it is for.
    bytes: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { limit: 120, bytes: false }
    }
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { format, filter, style, .. } = self;
        f.debug_struct("Trace")
            .field("format", format)
            .field("filter", filter)
            .field("style", style)
            .finish()
    }
}

impl Trace {
    /// A trace of all requests and answers, as text. If the writer fails, the text is lost, but the broker goes on.
    ///
    /// The broker writes each request with its answer in one call, and waits for this call. Pass a writer that does not block.
    pub fn to(out: impl Write + Send + 'static) -> Self {
        let out = Arc::new(Mutex::new(out));
        Self {
            out,
            format: Format::Text,
            filter: Filter::default(),
            style: Style::default(),
            topics: TopicNames::default(),
            connections: Arc::default(),
        }
    }

    /// Sets the format: all fields, one line for each request, or JSON for tools.
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Shows only this API, by Kafka's name (`Produce`, in upper or lower case). Several calls show several APIs.
    pub fn api(mut self, name: impl Into<String>) -> Self {
        self.filter.apis.push(name.into());
        self
    }

    /// Hides this API, such as `ApiVersions`. Several calls hide several APIs.
    pub fn except_api(mut self, name: impl Into<String>) -> Self {
        self.filter.except_apis.push(name.into());
        self
    }

    /// Shows only clients with this `client.id`. A `*` at the end stands for any text.
    pub fn client(mut self, id: impl Into<String>) -> Self {
        self.filter.client = Some(id.into());
        self
    }

    /// Shows only requests that name this topic, or whose answer names it.
    pub fn topic(mut self, name: impl Into<String>) -> Self {
        self.filter.topic = Some(name.into());
        self
    }

    /// Shows at most so many characters of a string or of bytes, and so many records of a message: 120 unless set.
    pub fn limit(mut self, count: usize) -> Self {
        self.style.limit = count;
        self
    }

    /// Shows each field's range of bytes, its bytes, and what the field is for.
    pub fn bytes(mut self, shown: bool) -> Self {
        self.style.bytes = shown;
        self
    }

    /// A trace of one connection.
    pub(crate) fn connection(&self, remote: SocketAddr) -> Connection {
        let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        Connection { trace: self.clone(), number, remote, software: None }
    }

    fn write(&self, shown: &str) {
        let mut out = self.out.lock();
        // A reader that has gone, such as a closed pager, must not end the broker.
        let _: io::Result<()> = out.write_all(shown.as_bytes()).and_then(|()| out.flush());
    }
}

/// What the trace remembers of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    trace: Trace,
    number: u64,
    remote: SocketAddr,
    /// Name and version, once the client said them in ApiVersions (KIP-511).
    software: Option<(String, String)>,
}

/// A request and what came of it; frames without their four bytes of length.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) request: &'a [u8],
    pub(crate) outcome: Outcome<'a>,
    pub(crate) took: Duration,
}

/// What came of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome<'a> {
    Answer(&'a [u8]),
    /// The client does not want one (acks=0).
    NoAnswer,
    /// The connection was ended, for this reason.
    Ended(&'a str),
}

impl Connection {
    /// Shows one exchange, if the filter lets it through.
    pub(crate) fn show(&mut self, exchange: &Exchange) {
        let Some(request) = Message::request(exchange.request, 0) else {
            return self.show_unreadable(exchange);
        };
        if request.api == "ApiVersions" {
            self.learn_software(&request);
        }
        let answer = match exchange.outcome {
            Outcome::Answer(frame) => Some(Message::answer(frame, 0, request.key, request.version)),
            Outcome::NoAnswer | Outcome::Ended(_) => None,
        };
        let mut topics = self.trace.topics.lock();
        topics.extend(answer.iter().flat_map(Message::topics_with_ids));
        if !self.trace.filter.passes(&request, answer.as_ref(), &topics) {
            return;
        }
        let Self { number, remote, software, .. } = self;
        let shown = Shown {
            connection: *number,
            remote: *remote,
            software: software.as_ref(),
            request: &request,
            answer: answer.as_ref(),
            ended: match exchange.outcome {
                Outcome::Ended(reason) => Some(reason),
                Outcome::Answer(_) | Outcome::NoAnswer => None,
            },
            took: exchange.took,
            words: Words { topics: &topics, style: self.trace.style },
        };
        let shown = match self.trace.format {
            Format::Text => text::exchange(&shown),
            Format::Short => short::exchange(&shown),
            Format::Json => json::exchange(&shown),
        };
        drop(topics);
        self.trace.write(&shown);
    }

    /// Shows that something came which is no request of an API that is served.
    fn show_unreadable(&self, exchange: &Exchange) {
        let Outcome::Ended(reason) = exchange.outcome else { return };
        if !self.trace.filter.passes_everything() {
            return;
        }
        let Self { number, remote, .. } = self;
        let bytes = exchange.request.len();
        let shown = match self.trace.format {
            Format::Text => text::unreadable(*number, *remote, bytes, reason),
            Format::Short => short::unreadable(*number, *remote, bytes, reason),
            Format::Json => json::unreadable(*number, *remote, bytes, reason),
        };
        self.trace.write(&shown);
    }

    fn learn_software(&mut self, request: &Message) {
        if let (Some(name), Some(version)) =
            (request.string("client_software_name"), request.string("client_software_version"))
        {
            self.software = Some((name.to_owned(), version.to_owned()));
        }
    }
}

/// All that is shown of one exchange.
struct Shown<'a> {
    connection: u64,
    remote: SocketAddr,
    software: Option<&'a (String, String)>,
    request: &'a Message<'a>,
    answer: Option<&'a Message<'a>>,
    /// Why the connection was ended instead.
    ended: Option<&'a str>,
    took: Duration,
    words: Words<'a>,
}

/// One frame as its fields.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    api: &'static str,
    /// `FetchRequest`, `FetchResponse`, …
    name: &'static str,
    key: i16,
    version: i16,
    is_answer: bool,
    frame: &'a [u8],
    /// Where the message begins: behind the length, if the frame has one.
    from: usize,
    header: Vec<Field<'a>>,
    body: Vec<Field<'a>>,
    /// What is wrong with the rest of the bytes, if anything.
    flaw: Option<String>,
}

impl<'a> Message<'a> {
    /// The request that begins at `from`, whole or up to where it stops to make sense; `None` if its API is unknown.
    fn request(frame: &'a [u8], from: usize) -> Option<Self> {
        let parsed = schema::parse_header(frame.get(from..)?).ok()?;
        let (key, version) = (parsed.api_key, parsed.api_version);
        let api = schema::api(key)?;
        let header_version = schema::request_header_version(key, version)?;
        let (header, _) = Listing::of(&schema::REQUEST_HEADER, header_version, frame, from);
        let mut message = Self::new(api, &api.request, version, frame, from + parsed.body);
        (message.header, message.from) = (header, from);
        Some(message)
    }

    /// The answer to a request of this API and version.
    fn answer(frame: &'a [u8], from: usize, key: i16, version: i16) -> Self {
        let api = schema::api(key).expect("the API is known");
        // The answer to an ApiVersions request of an unknown version is in the layout of version 0 (KIP-511).
        let version = if api.response.has(version) { version } else { 0 };
        let header_version =
            schema::response_header_version(key, version).expect("the API is known");
        let (header, end) = Listing::of(&schema::RESPONSE_HEADER, header_version, frame, from);
        let mut message = Self::new(api, &api.response, version, frame, end.unwrap_or(frame.len()));
        (message.header, message.from, message.is_answer) = (header, from, true);
        message
    }

    /// A message whose body begins at `body`.
    fn new(
        api: &schema::ApiSchema,
        message: &schema::Message,
        version: i16,
        frame: &'a [u8],
        body: usize,
    ) -> Self {
        let (body, end) = Listing::of(message, version, frame, body);
        let flaw = match end {
            Err(malformed) => Some(malformed),
            Ok(end) if end < frame.len() => {
                Some(format!("{} bytes follow that mean nothing", frame.len() - end))
            }
            Ok(_) => None,
        };
        Self {
            api: api_name(api),
            name: message.name,
            key: api.key,
            version,
            is_answer: false,
            frame,
            from: 0,
            header: Vec::new(),
            body,
            flaw,
        }
    }

    /// How long the message is, without the length in front.
    fn len(&self) -> usize {
        self.frame.len() - self.from
    }

    fn int(&self, name: &str) -> Option<i64> {
        match self.header.iter().chain(&self.body).find(|field| field.is(name))?.value {
            Seen::Value(Value::Int(value)) => Some(value),
            _ => None,
        }
    }

    fn string(&self, name: &str) -> Option<&'a str> {
        self.header.iter().chain(&self.body).find(|field| field.is(name))?.string()
    }

    /// The topics whose name and id stand side by side, as in an answer to Metadata or CreateTopics.
    fn topics_with_ids(&self) -> impl Iterator<Item = (Uuid, String)> {
        self.body.windows(2).filter_map(|pair| match (pair[0].string(), &pair[1].value) {
            (Some(name), Seen::Value(Value::Uuid(id)))
                if pair[0].is("name") && pair[1].is("topic_id") =>
            {
                Some((*id, name.to_owned()))
            }
            _ => None,
        })
    }

    fn mentions(&self, topic: &str, topics: &HashMap<Uuid, String>) -> bool {
        self.body.iter().any(|field| match &field.value {
            Seen::Value(Value::String(name)) => is_topic_name(field) && *name == topic,
            Seen::Value(Value::Uuid(id)) => topics.get(id).is_some_and(|name| name == topic),
            _ => false,
        })
    }
}

fn is_topic_name(field: &Field) -> bool {
    ["name", "topic", "topic_name", "resource_name"].iter().any(|name| field.is(name))
}

fn api_name(api: &schema::ApiSchema) -> &'static str {
    api.request.name.trim_end_matches("Request")
}

impl Filter {
    fn passes_everything(&self) -> bool {
        let Self { apis, except_apis: _, client, topic } = self;
        apis.is_empty() && client.is_none() && topic.is_none()
    }

    fn passes(
        &self,
        request: &Message,
        answer: Option<&Message>,
        topics: &HashMap<Uuid, String>,
    ) -> bool {
        let client_id = request.string("client_id").unwrap_or_default();
        let is_client = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => client_id.starts_with(start),
            None => client_id == pattern,
        };
        let names = |apis: &[String]| apis.iter().any(|api| api.eq_ignore_ascii_case(request.api));
        (self.apis.is_empty() || names(&self.apis))
            && !names(&self.except_apis)
            && self.client.as_deref().is_none_or(is_client)
            && self.topic.as_deref().is_none_or(|topic| {
                request.mentions(topic, topics)
                    || answer.is_some_and(|answer| answer.mentions(topic, topics))
            })
    }
}
