//! Reads the batches in the broker's log, with their sizes.
//!
//! A consumer never sees batches, because its library unpacks them. So this module sends a Fetch request over its own socket
//! and reads the heads of the batches. A broker stores a batch as the producer sent it, unless the topic's `compression.type`
//! or a compaction changes it. So these are the bytes that were sent, and the bytes on Kafka's disk.
//!
//! Fetch version 4 is the oldest that Kafka 4 serves and the shortest to write: no topic ids, no sessions. Left out:
//! TLS and SASL.

use anyhow::{Context as _, bail, ensure};
use bytes::{Buf, BufMut as _, Bytes, TryGetError};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::Metadata;
use shared::client::{Cluster, FIRST_ANSWER};
use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// How long a broker may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much is asked for at once. A batch that is larger comes alone.
const PIECE: i32 = 8 * 1024 * 1024;
/// No answer that is larger is read: no batch is nearly so large.
const LARGEST: usize = 256 * 1024 * 1024;

/// A batch of records, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    pub partition: i32,
    /// The offset of its first record.
    pub offset: i64,
    pub records: u64,
    pub codec: Codec,
    /// All of it, its head of 61 bytes too.
    pub bytes: u64,
}

/// Three bits of a batch's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As `compression.type` names them.
        f.pad(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

/// All batches of the topic, by partition, from offset `from` on.
pub async fn stored(cluster: &Cluster, topic: &str, from: i64) -> anyhow::Result<Vec<Batch>> {
    let (cluster, topic) = (cluster.clone(), topic.to_owned());
    // librdkafka's calls block their thread, and so does our socket.
    tokio::task::spawn_blocking(move || read_all(&cluster, &topic, from)).await?
}

fn read_all(cluster: &Cluster, topic: &str, from: i64) -> anyhow::Result<Vec<Batch>> {
    // A client that ends here. The cluster's own is a producer: once it knows a topic, it asks for it again and again, and
    // a broker may then make a topic that was deleted.
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.brokers.join(","))
        .create()
        .context("librdkafka refuses to make a consumer")?;
    let metadata = client
        .fetch_metadata(Some(topic), FIRST_ANSWER)
        .context("The broker did not answer which partitions the topic has")?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let mut batches = Vec::new();
    for partition in found.with_context(|| format!("There is no topic {topic}"))?.partitions() {
        let id = partition.id();
        let (low, high) = client.fetch_watermarks(topic, id, FIRST_ANSWER).with_context(|| {
            format!("The broker did not answer which offsets {topic}[{id}] has")
        })?;
        let mut next = low.max(from);
        if next >= high {
            continue;
        }
        // Only its leader serves a partition.
        let mut leader = Leader::connect(&metadata, partition.leader())?;
        while next < high {
            let records = leader.fetch(topic, id, next)?;
            let read = heads(id, records)
                .with_context(|| format!("{topic}[{id}] holds a batch that cannot be read"))?;
            let last = read.last().with_context(|| format!("{topic}[{id}]@{next} did not come"))?;
            next = last.next;
            batches.extend(read.into_iter().map(|head| head.batch));
        }
    }
    Ok(batches)
}

struct Leader(TcpStream);

impl Leader {
    fn connect(metadata: &Metadata, id: i32) -> anyhow::Result<Self> {
        let broker = metadata.brokers().iter().find(|broker| broker.id() == id);
        let broker = broker.context("A partition has no leader")?;
        let address = format!("{}:{}", broker.host(), broker.port());
        let stream = TcpStream::connect((broker.host(), u16::try_from(broker.port())?))
            .with_context(|| format!("{address} cannot be reached"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// The bytes of the batches from `offset` on; the last batch may be cut off.
    fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> anyhow::Result<Bytes> {
        let mut request = vec![0; 4]; // the length, known at the end
        request.put_i16(1); // Fetch
        request.put_i16(4); // version
        request.put_i32(0); // correlation id
        put_string(&mut request, "lab3-batches");
        request.put_i32(-1); // replica id: a client
        request.put_i32(0); // max wait: there is something
        request.put_i32(1); // min bytes
        request.put_i32(PIECE);
        request.put_i8(0); // isolation level: read uncommitted
        request.put_i32(1); // one topic
        put_string(&mut request, topic);
        request.put_i32(1); // one partition
        request.put_i32(partition);
        request.put_i64(offset);
        request.put_i32(PIECE);
        let length = i32::try_from(request.len() - 4)?;
        request[..4].copy_from_slice(&length.to_be_bytes());
        self.0.write_all(&request)?;

        let mut length = [0; 4];
        self.0
            .read_exact(&mut length)
            .context("The broker closed the connection. Perhaps it needs TLS or SASL, which this program does not have")?;
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        ensure!(length <= LARGEST, "The answer has {length} bytes. This is not a Kafka broker");
        let mut answer = vec![0; length];
        self.0
            .read_exact(&mut answer)
            .context("The broker closed the connection in the middle of its answer")?;
        let (error, records) = answered(answer.into()).context("The answer cannot be read")?;
        if error != 0 {
            bail!("{topic}[{partition}]@{offset} cannot be fetched: Kafka's error {error}.");
        }
        Ok(records)
    }
}

fn put_string(request: &mut Vec<u8>, text: &str) {
    // Kafka allows topics of up to 249 letters.
    request.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
    request.put_slice(text.as_bytes());
}

/// The error code and the records in the answer about one partition.
fn answered(mut answer: Bytes) -> Result<(i16, Bytes), TryGetError> {
    answer.try_get_i32()?; // correlation id
    answer.try_get_i32()?; // throttle time
    answer.try_get_i32()?; // one topic
    let name = answer.try_get_i16()?;
    skip(&mut answer, usize::try_from(name).unwrap_or(0))?;
    answer.try_get_i32()?; // one partition
    answer.try_get_i32()?; // its number
    let error = answer.try_get_i16()?;
    answer.try_get_i64()?; // high watermark
    answer.try_get_i64()?; // last stable offset
    let aborted = answer.try_get_i32()?; // -1: not told
    for _ in 0..aborted {
        answer.try_get_i64()?;
        answer.try_get_i64()?;
    }
    let length = usize::try_from(answer.try_get_i32()?).unwrap_or(0);
    if answer.remaining() < length {
        return Err(TryGetError { requested: length, available: answer.remaining() });
    }
    Ok((error, answer.split_to(length)))
}

struct Head {
    batch: Batch,
    /// The offset behind it.
    next: i64,
}

/// The heads of all batches that are there as a whole.
fn heads(partition: i32, mut records: Bytes) -> anyhow::Result<Vec<Head>> {
    let mut heads = Vec::new();
    while records.remaining() >= 12 {
        let (mut peek, available) = (records.clone(), records.remaining());
        let offset = peek.get_i64();
        let length = usize::try_from(peek.get_i32()).context("a negative length")?;
        if available < 12 + length {
            break;
        }
        peek.truncate(length);
        peek.try_get_i32()?; // partition leader epoch
        let magic = peek.try_get_i8()?;
        ensure!(magic == 2, "a batch has version {magic}, which is older than 2017");
        peek.try_get_u32()?; // CRC-32C of what follows
        let attributes = peek.try_get_i16()?;
        let codec = Codec::ALL.get(usize::from(attributes.unsigned_abs() & 7));
        let last_offset = i64::from(peek.try_get_i32()?);
        skip(&mut peek, 8 + 8 + 8 + 2 + 4)?; // two timestamps, producer id, epoch, sequence
        let count = peek.try_get_i32()?;
        let batch = Batch {
            partition,
            offset,
            records: u64::try_from(count).context("a negative count")?,
            codec: *codec.with_context(|| format!("codec {} is not known", attributes & 7))?,
            bytes: 12 + length as u64,
        };
        heads.push(Head { batch, next: offset + last_offset + 1 });
        records.advance(12 + length);
    }
    Ok(heads)
}

fn skip(bytes: &mut Bytes, n: usize) -> Result<(), TryGetError> {
    let available = bytes.remaining();
    if available < n {
        return Err(TryGetError { requested: n, available });
    }
    bytes.advance(n);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(offset: i64, records: i32, codec: i16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_i64(offset);
        bytes.put_i32(i32::try_from(49 + payload.len()).unwrap());
        bytes.put_i32(0);
        bytes.put_i8(2);
        bytes.put_u32(0);
        bytes.put_i16(codec);
        bytes.put_i32(records - 1);
        bytes.put_bytes(0, 30);
        bytes.put_i32(records);
        bytes.put_slice(payload);
        bytes
    }

    #[test]
    fn whole_batches_are_read_and_the_rest_is_left() {
        let whole = [batch(5, 3, 4, b"abc"), batch(8, 1, 0, b"")].concat();
        for cut in 0..batch(9, 1, 0, b"x").len() {
            let bytes = [&whole[..], &batch(9, 1, 0, b"x")[..cut]].concat();
            let heads = heads(1, bytes.into()).unwrap();
            let batches: Vec<_> = heads.iter().map(|head| (head.batch, head.next)).collect();
            let first =
                Batch { partition: 1, offset: 5, records: 3, codec: Codec::Zstd, bytes: 64 };
            let second =
                Batch { partition: 1, offset: 8, records: 1, codec: Codec::None, bytes: 61 };
            assert_eq!(batches, [(first, 8), (second, 9)]);
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(heads(0, batch(0, 1, 7, b"").into()).is_err());
        assert!(heads(0, batch(0, -1, 0, b"").into()).is_err());
        assert!(heads(0, Bytes::from_static(&[0xff; 80])).is_err());
        // A batch whose length ends within its head.
        let mut short = batch(0, 1, 0, b"");
        short[8..12].copy_from_slice(&20_i32.to_be_bytes());
        assert!(heads(0, short.into()).is_err());
        for length in 0..40 {
            assert!(answered(vec![0xff; length].into()).is_err());
        }
    }
}
