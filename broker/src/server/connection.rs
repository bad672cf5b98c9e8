//! One connection: read a frame, have it answered, write the answer, in order.
//!
//! One request at a time, as Kafka does: the next one is answered when this one is. Meanwhile the socket is
//! still read, so that a request that waits is given up when its client goes.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::greeting;
use crate::{
    api::{self, Connection},
    cluster::{Clock, Cluster},
    trace::{self, Exchange, Outcome},
    wire::{Frame, Malformed, Request},
};

/// How much is read at least, and how much of what comes next while a request is being answered.
const READ_AHEAD: usize = 64 * 1024;
/// The largest buffer that an idle connection keeps.
const KEPT: usize = 1024 * 1024;

/// Why a connection ended, other than by its client in good order.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("{0}")]
    BadLength(String),
    /// It went away in the middle of something, which is its own affair.
    #[error("{0}")]
    ByClient(#[from] io::Error),
}

/// Serves a connection until the client leaves.
pub(super) async fn serve(
    stream: TcpStream,
    remote: SocketAddr,
    cluster: &Arc<Cluster>,
    mut trace: Option<trace::Connection>,
) -> Result<(), Ended> {
    stream.set_nodelay(true)?;
    let connection = Connection { local: stream.local_addr()?, remote };
    let (read, mut write) = stream.into_split();
    let mut incoming = Incoming {
        socket: read,
        buffer: BytesMut::new(),
        limit: usize::try_from(cluster.settings.socket_request_max_bytes).unwrap_or(0),
        is_at_end: false,
    };
    while let Some(frame) = incoming.frame().await? {
        let started = Clock::real_now();
        let answered = tokio::select! {
            biased;
            answered = answer(cluster, &connection, &frame) => answered,
            gone = incoming.client_gone() => return gone.map_err(Ended::from),
        };
        let took = started.elapsed();
        if let Some(trace) = &mut trace {
            show(trace, &frame, &answered, took);
        }
        let bytes_out = match answered? {
            Some(answer) => write_frame(&mut write, answer).await?,
            None => 0,
        };
        tracing::debug!(%remote, bytes_in = frame.len(), bytes_out, micros = took.as_micros(), "answered");
    }
    Ok(())
}

async fn answer(
    cluster: &Arc<Cluster>,
    connection: &Connection,
    frame: &Bytes,
) -> Result<Option<Frame>, Malformed> {
    api::answer(cluster, connection, Request::parse(frame)?).await
}

/// Hands an exchange to the trace; the copy of the answer is made only for it.
fn show(
    trace: &mut trace::Connection,
    frame: &Bytes,
    answered: &Result<Option<Frame>, Malformed>,
    took: Duration,
) {
    let (bytes, reason);
    let outcome = match answered {
        Ok(Some(answer)) => {
            bytes = answer.to_vec();
            Outcome::Answer(&bytes)
        }
        Ok(None) => Outcome::NoAnswer,
        Err(malformed) => {
            reason = malformed.to_string();
            Outcome::Ended(&reason)
        }
    };
    trace.show(&Exchange { request: frame, outcome, took });
}

async fn write_frame(socket: &mut OwnedWriteHalf, frame: Frame) -> io::Result<usize> {
    let mut pieces = frame.into_pieces();
    loop {
        let slices = pieces.slices();
        if slices.is_empty() {
            return Ok(pieces.len());
        }
        let written = socket.write_vectored(&slices).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        pieces.advance(written);
    }
}

/// The reading side of a connection.
struct Incoming {
    socket: OwnedReadHalf,
    buffer: BytesMut,
    limit: usize,
    is_at_end: bool,
}

impl Incoming {
    /// The next frame without its length; `None` when the client has left.
    async fn frame(&mut self) -> Result<Option<Bytes>, Ended> {
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
            self.read().await?;
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
        let frame = self.buffer.split_to(4 + length).freeze();
        Ok(Some(frame.slice(4..)))
    }

    /// Reads what is there, into as much memory as has come so far: a length alone reserves nothing.
    async fn read(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT {
            self.buffer = BytesMut::new();
        }
        self.buffer.reserve(self.buffer.len().max(READ_AHEAD));
        if self.socket.read_buf(&mut self.buffer).await? == 0 {
            self.is_at_end = true;
        }
        Ok(())
    }

    /// Reads ahead a little while a request is being answered, and returns once the client has gone.
    async fn client_gone(&mut self) -> io::Result<()> {
        while self.buffer.len() < READ_AHEAD {
            self.read().await?;
            if self.is_at_end {
                return Ok(());
            }
        }
        std::future::pending().await
    }
}
