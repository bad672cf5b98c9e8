//! One connection: read a frame, have it answered, write the answer, in order.
//!
//! One request at a time, as Kafka does: the next one is answered when this one is. Meanwhile the socket is
//! still read, so that a request that waits is given up when its client goes.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::yield_now,
    time::sleep,
};

use super::{Shared, greeting, idle::Idle, queued::Share};
use crate::{
    api::{self, Answered, Session, Then},
    cluster::Clock,
    trace::{self, Exchange, Outcome},
    wire::{Frame, Request, Unreadable},
};

/// How much is read at least, and how much of what comes next while a request is being answered.
const READ_AHEAD: usize = 64 * 1024;
/// How much is read at most before other connections have their turn.
const TURN: usize = 256 * 1024;
/// The largest buffer that an idle connection keeps.
const KEPT: usize = 1024 * 1024;
/// How long a client may take nothing of its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an answer may take when its client has shut down its sending side. One that closed the connection looks the
/// same, so waiting longer would keep requests of clients that have gone.
const HALF_CLOSED: Duration = Duration::from_secs(5);

/// Why a connection ended, other than by its client in good order.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    #[error("{0}")]
    BadLength(String),
    /// The answer says so.
    #[error("{0}")]
    Closed(String),
    /// `connections.max.idle.ms`: clients expect it and connect again.
    #[error("it was idle for {0:?}")]
    Idle(Duration),
    #[error("it did not read its answer for {0:?}")]
    ReadsNothing(Duration),
    #[error(
        "requests without an answer had more than queued.max.request.bytes={0} together, and this connection had the most"
    )]
    TooMuchQueued(usize),
    /// It disconnected in the middle of something. This is no error of the broker.
    #[error("{0}")]
    ByClient(#[from] io::Error),
}

/// Serves a connection until the client leaves.
pub(super) async fn serve(
    stream: TcpStream,
    remote: SocketAddr,
    shared: &Shared,
    trace: Option<trace::Connection>,
) -> Result<(), Ended> {
    stream.set_nodelay(true)?;
    let session = Arc::new(Session::plaintext(stream.local_addr()?, remote));
    let share = shared.queued.share();
    let gives_way = share.gives_way();
    tokio::select! {
        biased;
        ended = talk(stream, &session, shared, share, trace) => ended,
        () = gives_way.notified() => Err(Ended::TooMuchQueued(shared.queued.limit())),
    }
}

async fn talk(
    stream: TcpStream,
    session: &Arc<Session>,
    shared: &Shared,
    share: Share,
    mut trace: Option<trace::Connection>,
) -> Result<(), Ended> {
    let settings = &shared.cluster.settings;
    let max_idle = u64::try_from(settings.connections_max_idle_ms).map(Duration::from_millis);
    // Kafka takes a negative value for never.
    let mut idle = Idle::new(max_idle.unwrap_or(Duration::MAX));
    let (read, mut write) = stream.into_split();
    let mut incoming = Incoming {
        socket: read,
        buffer: BytesMut::new(),
        share,
        limit: usize::try_from(settings.socket_request_max_bytes).unwrap_or(0),
        is_at_end: false,
    };
    while let Some(frame) = incoming.frame(&mut idle).await? {
        let started = Clock::real_now();
        let answered = tokio::select! {
            biased;
            answered = answer(shared, session, &frame) => answered,
            gone = incoming.client_gone() => return gone.map_err(Ended::from),
        };
        let took = started.elapsed();
        if let Some(trace) = &mut trace {
            show(trace, &frame, &answered, took);
        }
        let Answered { frame: answer, then } = answered?;
        let bytes_out = match answer {
            Some(answer) => write_frame(&mut write, answer, WRITE_TIMEOUT.min(idle.max)).await?,
            None => 0,
        };
        tracing::debug!(remote = %session.remote, bytes_in = frame.len(), bytes_out, micros = took.as_micros(), "answered");
        if let Then::Close(reason) = then {
            return Err(Ended::Closed(reason));
        }
    }
    Ok(())
}

/// Has a request answered: here, or on other threads if it is long.
///
/// A handler does not give way, and while it runs its thread serves no other client. Further threads would not help: a
/// runtime's sleeping threads do not look at the sockets while the one that did is busy.
async fn answer(
    shared: &Shared,
    session: &Arc<Session>,
    frame: &Bytes,
) -> Result<Answered, Unreadable> {
    let mut request = Request::parse(frame)?;
    if !request.is_long() {
        return api::answer(&shared.cluster, session, request).await;
    }
    let (cluster, session) = (Arc::clone(&shared.cluster), Arc::clone(session));
    let answer = async move { api::answer(&cluster, &session, request).await };
    shared.cluster.threads.aside(answer).await
}

/// Hands an exchange to the trace; the copy of the answer is made only for it.
fn show(
    trace: &mut trace::Connection,
    frame: &Bytes,
    answered: &Result<Answered, Unreadable>,
    took: Duration,
) {
    let (bytes, reason);
    let outcome = match answered {
        Ok(Answered { frame: Some(answer), .. }) => {
            bytes = answer.to_vec();
            Outcome::Answer(&bytes)
        }
        Ok(Answered { frame: None, then: Then::Keep }) => Outcome::NoAnswer,
        Ok(Answered { frame: None, then: Then::Close(reason) }) => Outcome::Ended(reason),
        Err(unreadable) => {
            reason = unreadable.to_string();
            Outcome::Ended(&reason)
        }
    };
    trace.show(&Exchange { request: frame, outcome, took });
}

async fn write_frame(
    socket: &mut OwnedWriteHalf,
    frame: Frame,
    patience: Duration,
) -> Result<usize, Ended> {
    let mut pieces = frame.into_pieces();
    loop {
        let slices = pieces.slices();
        if slices.is_empty() {
            return Ok(pieces.len());
        }
        let written = tokio::select! {
            biased;
            written = socket.write_vectored(&slices) => written?,
            // The timer is made when the write has to wait.
            () = async { sleep(patience).await } => return Err(Ended::ReadsNothing(patience)),
        };
        if written == 0 {
            return Err(io::Error::from(io::ErrorKind::WriteZero).into());
        }
        pieces.advance(written);
    }
}

/// The reading side of a connection.
struct Incoming {
    socket: OwnedReadHalf,
    buffer: BytesMut,
    share: Share,
    limit: usize,
    is_at_end: bool,
}

impl Incoming {
    /// The next frame without its length; `None` when the client has left.
    async fn frame(&mut self, idle: &mut Idle) -> Result<Option<Bytes>, Ended> {
        loop {
            if let Some(frame) = self.take_frame()? {
                return Ok(Some(frame));
            }
            if self.is_at_end {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
                };
            }
            self.share.set(self.buffer.len());
            idle.begin();
            tokio::select! {
                biased;
                read = self.read() => read?,
                () = idle.too_long() => return Err(Ended::Idle(idle.max)),
            }
            if self.buffer.len() > TURN {
                yield_now().await;
            }
        }
    }

    fn take_frame(&mut self) -> Result<Option<Bytes>, Ended> {
        let Some(&first) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length =
            usize::try_from(i32::from_be_bytes(first)).ok().filter(|length| *length <= self.limit);
        let Some(length) = length else {
            return Err(Ended::BadLength(greeting::explain(first, self.limit)));
        };
        if self.buffer.len() - 4 < length {
            return Ok(None);
        }
        // It counts until it is answered and the next one is read.
        self.share.set(length);
        let frame = self.buffer.split_to(4 + length).freeze();
        Ok(Some(frame.slice(4..)))
    }

    /// Reads what is there, into as much memory as has come so far: a length alone reserves nothing.
    async fn read(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT {
            self.buffer = BytesMut::new();
        }
        self.buffer.reserve(self.buffer.len().max(READ_AHEAD));
        if self.socket.read_buf(&mut (&mut self.buffer).limit(TURN)).await? == 0 {
            self.is_at_end = true;
        }
        Ok(())
    }

    /// Reads ahead a little while a request is being answered, and returns once the client has gone.
    async fn client_gone(&mut self) -> io::Result<()> {
        while self.buffer.len() < READ_AHEAD && !self.is_at_end {
            self.read().await?;
        }
        if self.is_at_end {
            sleep(HALF_CLOSED).await;
            return Ok(());
        }
        std::future::pending().await
    }
}
