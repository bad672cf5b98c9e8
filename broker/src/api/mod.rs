//! From a request to its answer: one table, and one file for each API, in families.
//!
//! The table below is all there is: it dispatches requests, and ApiVersions tells it to clients. Handlers only
//! translate. They read fields, ask the `cluster`, and build the answer.

#![allow(clippy::needless_pass_by_value, reason = "a handler owns its request")]

mod admin;
mod cluster;
mod groups;
mod records;
mod session;

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

pub(crate) use self::session::{Session, Software};
use crate::{
    cluster::Cluster,
    error_code::ErrorCode,
    wire::{self, ApiKey, Frame, Request, StrBytes, Unreadable},
};

/// Writes the dispatch and the list of APIs from one table.
///
/// The versions are those of the codec's message types. `advertised 0` stands where the list names
/// an older version than can be served, as Kafka's does (see [`records::produce`]).
macro_rules! apis {
    ($($key:ident $min:literal..=$max:literal $(advertised $advertised:literal)? => $($module:ident)::+ $how:ident;)*) => {
        /// Every API that is served.
        pub(crate) const APIS: &[ServedApi] = &[$(ServedApi {
            name: stringify!($key),
            key: ApiKey::$key,
            min: $min,
            max: $max,
            advertised: apis!(@first $($advertised)? $min),
        },)*];

        /// Answers a request with the handler of the table.
        async fn dispatch(cx: &Context<'_>, request: &mut Request) -> Result<Answered, Unreadable> {
            match (request.key, request.version) {
                $((ApiKey::$key, $min..=$max) => {
                    let message = request.decode()?;
                    let reply = apis!(@call $how $($module)::+::answer(cx, message));
                    answered(request, reply)
                })*
                (ApiKey::ApiVersions, _) => {
                    request.version = 0; // The layout that every client can read (KIP-511).
                    answered(request, Reply::Answer(cluster::api_versions::unsupported()))
                }
                (key, version) => Err(Unreadable(format!(
                    "{key:?} version {version} is not served here"
                ))),
            }
        }
    };
    (@first $first:literal $($rest:literal)?) => { $first };
    (@call answers $call:expr) => { Reply::Answer($call) };
    (@call waits $call:expr) => { Reply::Answer($call.await) };
    (@call replies $call:expr) => { $call.await };
}

apis! {
    // API              versions            handler                       how
    Produce             3..=13 advertised 0 => records::produce           replies;
    Fetch               4..=18              => records::fetch             waits;
    ListOffsets         1..=10              => records::list_offsets      waits;
    Metadata            0..=13              => cluster::metadata          answers;
    OffsetCommit        2..=9               => groups::offset_commit      answers;
    OffsetFetch         1..=9               => groups::offset_fetch       answers;
    FindCoordinator     0..=6               => groups::find_coordinator   answers;
    JoinGroup           0..=9               => groups::join_group         waits;
    Heartbeat           0..=4               => groups::heartbeat          answers;
    LeaveGroup          0..=5               => groups::leave_group        answers;
    SyncGroup           0..=5               => groups::sync_group         waits;
    DescribeGroups      0..=6               => groups::describe_groups    answers;
    ListGroups          0..=5               => groups::list_groups        answers;
    ApiVersions         0..=4               => cluster::api_versions      answers;
    CreateTopics        2..=7               => admin::create_topics       answers;
    DeleteTopics        1..=6               => admin::delete_topics       answers;
    DeleteRecords       0..=2               => records::delete_records    answers;
    InitProducerId      0..=5               => records::init_producer_id  answers;
    OffsetForLeaderEpoch 2..=4              => records::offset_for_leader_epoch answers;
    DescribeConfigs     1..=4               => admin::describe_configs    answers;
    CreatePartitions    0..=3               => admin::create_partitions   answers;
    DeleteGroups        0..=2               => groups::delete_groups      answers;
    OffsetDelete        0..=0               => groups::offset_delete      answers;
    DescribeCluster     0..=2               => cluster::describe_cluster  answers;
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServedApi {
    pub(crate) name: &'static str,
    pub(crate) key: ApiKey,
    pub(crate) min: i16,
    pub(crate) max: i16,
    /// The oldest version that ApiVersions names.
    pub(crate) advertised: i16,
}

/// What a handler may know besides its request.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) cluster: &'a Arc<Cluster>,
    pub(crate) session: &'a Session,
    pub(crate) client_id: Option<StrBytes>,
    pub(crate) version: i16,
}

impl Context<'_> {
    /// Host and port to tell the client: `advertised.listeners`, or else the address that it used itself, which
    /// is the one that certainly works.
    pub(crate) fn advertised(&self) -> (StrBytes, i32) {
        let (host, port) = self.cluster.settings.advertised().unwrap_or_else(|| {
            let local = self.session.local;
            (local.ip().to_canonical().to_string(), local.port())
        });
        (StrBytes::from_string(host), port.into())
    }
}

/// What a handler makes of a request.
#[derive(Debug)]
pub(crate) enum Reply<A> {
    Answer(A),
    /// The client does not want to hear of it (acks=0).
    Nothing,
    /// The client would not hear of its mistake otherwise: the connection ends, for the reason given.
    Close(String),
}

/// What the connection is to do.
#[derive(Debug)]
pub(crate) struct Answered {
    /// `None` means that the client expects no answer.
    pub(crate) frame: Option<Frame>,
    pub(crate) then: Then,
}

/// What becomes of the connection when the answer is written.
#[derive(Debug)]
pub(crate) enum Then {
    Keep,
    /// It ends, for the reason given.
    Close(String),
}

/// Answers one request.
///
/// # Errors
///
/// Bytes that make no sense, or an API or version that is not served: the connection must end.
pub(crate) async fn answer(
    cluster: &Arc<Cluster>,
    session: &Session,
    mut request: Request,
) -> Result<Answered, Unreadable> {
    let client_id = request.client_id.clone();
    let Request { key, version, correlation_id, .. } = request;
    tracing::debug!(
        remote = %session.remote,
        client_id = client_id.as_deref(),
        api = ?key,
        version,
        correlation_id,
        "a request"
    );
    let cx = Context { cluster, session, client_id, version: request.version };
    let answered = without_panic(pin!(dispatch(&cx, &mut request))).await;
    match answered {
        Some(answered) => answered,
        None => refuse(&request, ErrorCode::UnknownServerError),
    }
}

/// The answer to a request of any API that says nothing but an error.
///
/// # Errors
///
/// A request that cannot be read.
fn refuse(request: &Request, code: ErrorCode) -> Result<Answered, Unreadable> {
    let frame = request.refuse(code)?;
    let then = match frame {
        Some(_) => Then::Keep,
        None => Then::Close(format!("a request that expects no answer failed with {code}")),
    };
    Ok(Answered { frame, then })
}

/// A handler that panics has a bug, and the panic has told where. The client is told UNKNOWN_SERVER_ERROR, as Kafka does
/// for an exception that it did not expect: `None`.
async fn without_panic<T>(mut handler: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
        Ok(Poll::Ready(done)) => Poll::Ready(Some(done)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(None),
    })
    .await
}

fn answered<A: wire::Answer>(request: &Request, reply: Reply<A>) -> Result<Answered, Unreadable> {
    Ok(match reply {
        Reply::Answer(body) => {
            let Request { key, version, correlation_id, .. } = *request;
            let frame = wire::answer(key, version, correlation_id, &body)?;
            Answered { frame: Some(frame), then: Then::Keep }
        }
        Reply::Nothing => Answered { frame: None, then: Then::Keep },
        Reply::Close(reason) => Answered { frame: None, then: Then::Close(reason) },
    })
}

#[cfg(test)]
mod tests;
