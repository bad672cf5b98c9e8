//! One connection: read a frame, have it answered, write the answer, in order.
//!
//! One request at a time, as Kafka does: the next one is answered when this one is. Meanwhile the socket is
//! still read, so that a request that waits is given up when its client goes.

use std::{io, net::SocketAddr, sync::Arc, time::Instant};

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
    cluster::Cluster,
    wire::{Frame, Malformed, Request},
};

/// How much is read at least, and how much of what comes next while a request is being answered.
const READ_AHEAD: usize = 64 * 1024;
/// The largest buffer that an idle connection keeps.
const KEPT: usize = 1024 * 1024;

/// Why a connection was ended from this side.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("{0}")]
    BadLength(String),
    #[error("the client left in the middle of a frame")]
    CutOff,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Serves a connection until the client leaves.
pub(super) async fn serve(
    stream: TcpStream,
    remote: SocketAddr,
    cluster: &Arc<Cluster>,
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
        let bytes_in = frame.len();
        let started = Instant::now();
        let request = Request::parse(&frame)?;
        let (key, version, correlation_id) = (request.key, request.version, request.correlation_id);
        let client_id = request.client_id.clone();

        let answer = tokio::select! {
            biased;
            answer = api::answer(cluster, &connection, request) => answer?,
            gone = incoming.client_gone() => return gone.map_err(Ended::from),
        };
        let bytes_out = match answer {
            Some(frame) => write_frame(&mut write, frame).await?,
            None => 0,
        };
        tracing::debug!(
            api = ?key, version, correlation_id, client_id = client_id.as_deref().unwrap_or_default(),
            bytes_in, bytes_out, micros = started.elapsed().as_micros(), "answered"
        );
    }
    Ok(())
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
                return if self.buffer.is_empty() { Ok(None) } else { Err(Ended::CutOff) };
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
