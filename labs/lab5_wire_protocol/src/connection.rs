//! The socket, and one question with its answer.

use crate::Lab;
use crate::story::Event;
use crate::wire::{Decoder, Frame};
use anyhow::{Context as _, bail};
use shared::client::{FIRST_ANSWER, NoBroker};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take, if nothing has to happen first.
pub const LIMIT: Duration = Duration::from_secs(10);

/// The largest answer that this lab expects. The length comes from the other side, so it must not decide alone how much
/// memory is reserved.
const LARGEST: usize = 8 << 20;

/// A plain TCP connection to a broker.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    pub peer: String,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A frame, with its length.
    Frame(Vec<u8>),
    /// The broker has closed the connection.
    Closed,
    /// Nothing, within the limit.
    Silence,
}

impl Connection {
    /// To the first that answers of `host:port,host:port`.
    ///
    /// # Errors
    /// [`NoBroker`] when none does. Another error when one of them is not an address.
    pub async fn open(addresses: &str) -> anyhow::Result<Self> {
        let mut reason = "no address".to_owned();
        for address in addresses.split(',').map(str::trim) {
            // As Kafka's clients: a protocol in front is for configurations, not for sockets.
            let address = address.rsplit("://").next().unwrap_or(address);
            match timeout(FIRST_ANSWER, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true).context("The socket takes no options")?;
                    return Ok(Self { stream, peer: address.to_owned() });
                }
                Ok(Err(error)) if error.kind() == ErrorKind::InvalidInput => {
                    bail!("`{address}` is not an address. Write host:port, as in 127.0.0.1:9092.")
                }
                Ok(Err(error)) => reason = error.to_string(),
                Err(_) => reason = format!("no answer within {FIRST_ANSWER:?}"),
            }
        }
        let reason = reason.split(" (os error").next().unwrap_or_default().to_owned();
        Err(NoBroker { address: addresses.to_owned(), reason }.into())
    }

    pub async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).await.context("The broker accepts no more bytes")
    }

    /// The next frame: four bytes of length, and as many as they say.
    pub async fn receive(&mut self, limit: Duration) -> anyhow::Result<Reply> {
        match timeout(limit, self.frame()).await {
            Ok(Ok(frame)) => Ok(Reply::Frame(frame)),
            Ok(Err(error)) => match error.downcast_ref::<std::io::Error>() {
                Some(_) => Ok(Reply::Closed),
                None => Err(error),
            },
            Err(_) => Ok(Reply::Silence),
        }
    }

    async fn frame(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).await?;
        let n = match usize::try_from(i32::from_be_bytes(length)) {
            Ok(n) if n <= LARGEST => n,
            _ => bail!(
                "The answer's length is {}. This is not a Kafka broker.",
                crate::batch::hex(&length)
            ),
        };
        let mut frame = length.to_vec();
        frame.resize(4 + n, 0);
        self.stream.read_exact(&mut frame[4..]).await?;
        Ok(frame)
    }
}

/// Which header an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Version 0: the correlation id.
    Classic,
    /// Version 1: and tagged fields.
    Flexible,
}

impl Lab {
    /// Sends a request and reads its answer with `parse`.
    ///
    /// # Errors
    /// When there is no answer, or when it does not fit the layout.
    pub async fn ask<T>(
        &mut self,
        to: &mut Connection,
        request: Frame,
        header: Header,
        limit: Duration,
        parse: impl FnOnce(&mut Decoder) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let title = request.title.clone();
        let id = request.bytes.get(8..12).map(<[u8]>::to_vec);
        to.send(&request.bytes).await?;
        self.story.tell(Event::Sent(request));
        let bytes = match to.receive(limit).await? {
            Reply::Frame(bytes) => bytes,
            Reply::Closed => bail!(
                "{title}: the broker closed the connection. It could not read the request, or it was stopped."
            ),
            Reply::Silence => {
                bail!(
                    "{title}: no answer within {} s. The broker may still wait for bytes, because the length says that more follow.",
                    limit.as_secs()
                )
            }
        };
        self.read(&format!("answer to {title}"), bytes, id.as_deref(), header, parse)
    }

    /// Reads an answer, and tells it as far as it could be read.
    ///
    /// # Errors
    /// When it does not fit the layout.
    pub fn read<T>(
        &mut self,
        title: &str,
        bytes: Vec<u8>,
        id: Option<&[u8]>,
        header: Header,
        parse: impl FnOnce(&mut Decoder) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let repeated = bytes.get(4..8).map(<[u8]>::to_vec);
        let mut from = Decoder::new(title, bytes);
        let value = (|| {
            from.i32("length", "of everything after it")?;
            from.i32("correlation_id", "the one of the request that it answers")?;
            if header == Header::Flexible {
                from.tags()?;
            }
            let value = parse(&mut from)?;
            from.end()?;
            Ok(value)
        })();
        self.story.tell(Event::Received(from.into_frame()));
        if id != repeated.as_deref() {
            bail!("{title}: it repeats another correlation id than the request's.");
        }
        value
    }
}
