//! Who answers at an address? One ApiVersions request tells, without a Kafka client.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// On this machine or in the same room an answer takes milliseconds.
const LIMIT: Duration = Duration::from_secs(3);

/// What was found at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nobody listens there.
    Nothing,
    Kafka(Kafka),
    /// A program that does not speak Kafka, in words for a sentence.
    Other(&'static str),
}

/// A broker, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kafka {
    /// Key and highest version of each API.
    apis: Vec<(i16, i16)>,
    /// The highest `metadata.version` that it supports; only Apache Kafka says so.
    metadata_version: Option<i16>,
}

impl std::fmt::Display for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.metadata_version {
            Some(level) => write!(f, "Apache Kafka {}", release(level))?,
            None => f.write_str("a Kafka-compatible broker")?,
        }
        write!(f, " with {} APIs", self.apis.len())?;
        let highest =
            |wanted| self.apis.iter().find_map(|&(key, max)| (key == wanted).then_some(max));
        if let (Some(produce), Some(fetch)) = (highest(0), highest(1)) {
            write!(f, " (Produce to version {produce}, Fetch to version {fetch})")?;
        }
        Ok(())
    }
}

/// Connects, asks once, and judges the answer.
pub(crate) async fn ask(address: &str) -> Answer {
    let Ok(Ok(stream)) = timeout(LIMIT, TcpStream::connect(address)).await else {
        return Answer::Nothing;
    };
    match timeout(LIMIT, converse(stream)).await {
        Ok(Ok(answer)) => judge(&answer),
        Ok(Err(_)) => {
            Answer::Other("a program that closes the connection when Kafka is spoken to it")
        }
        Err(_) => Answer::Other("a program that does not answer when Kafka is spoken to it"),
    }
}

async fn converse(mut stream: TcpStream) -> std::io::Result<Vec<u8>> {
    stream.write_all(&request()).await?;
    let mut answer = vec![0; 4];
    stream.read_exact(&mut answer).await?;
    // The first four bytes are the length of what follows; in another language they are anything.
    let length = u32::from_be_bytes([answer[0], answer[1], answer[2], answer[3]]);
    stream.take(u64::from(length.min(64 * 1024))).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// ApiVersions 3: length, header version 2, body.
fn request() -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(18_i16.to_be_bytes());
    body.extend(3_i16.to_be_bytes());
    body.extend(CORRELATION.to_be_bytes());
    body.extend(4_i16.to_be_bytes());
    body.extend(b"labs");
    body.push(0);
    body.extend(b"\x05labs\x020\x00");
    let length = u32::try_from(body.len()).expect("the request is 25 bytes long");
    [&length.to_be_bytes(), body.as_slice()].concat()
}

const CORRELATION: i32 = 7;

fn judge(answer: &[u8]) -> Answer {
    if answer.starts_with(b"HTTP/") {
        return Answer::Other("a web server");
    }
    match parse(answer) {
        Some(kafka) => Answer::Kafka(kafka),
        None => Answer::Other("a program that does not speak Kafka"),
    }
}

fn parse(answer: &[u8]) -> Option<Kafka> {
    let mut bytes = Bytes(answer);
    bytes.take(4)?;
    if bytes.i32()? != CORRELATION {
        return None;
    }
    if bytes.i16()? != 0 {
        // Kafka before 2.4 does not know version 3 and says so, in the layout of version 0.
        return Some(Kafka { apis: Vec::new(), metadata_version: None });
    }
    let mut apis = Vec::new();
    for _ in 1..bytes.varint()? {
        let (key, _min, max) = (bytes.i16()?, bytes.i16()?, bytes.i16()?);
        bytes.tags(|_, _| Some(()))?;
        apis.push((key, max));
    }
    bytes.i32()?; // throttle time
    let mut metadata_version = None;
    bytes.tags(|tag, mut features| {
        for _ in 1..if tag == 0 { features.varint()? } else { 0 } {
            let length = features.varint()?.checked_sub(1)?;
            let name = features.take(length)?;
            let (_min, max) = (features.i16()?, features.i16()?);
            features.tags(|_, _| Some(()))?;
            if name == b"metadata.version" {
                metadata_version = Some(max);
            }
        }
        Some(())
    })?;
    Some(Kafka { apis, metadata_version })
}

/// Kafka's release for the highest metadata.version that it knows (`kafka-features.sh version-mapping`).
fn release(level: i16) -> &'static str {
    match level {
        i16::MIN..=18 => "older than 3.7",
        19 => "3.7",
        20 => "3.8",
        21 => "3.9",
        22..=25 => "4.0",
        26..=27 => "4.1",
        28..=29 => "4.2",
        30 => "4.3",
        31.. => "newer than 4.3",
    }
}

/// A reader that never goes past the end.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take(2)?.try_into().ok().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take(4)?.try_into().ok().map(i32::from_be_bytes)
    }

    fn varint(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = usize::from(self.take(1)?[0]);
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn tags(&mut self, mut each: impl FnMut(usize, Bytes<'a>) -> Option<()>) -> Option<()> {
        for _ in 0..self.varint()? {
            let (tag, length) = (self.varint()?, self.varint()?);
            each(tag, Bytes(self.take(length)?))?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two APIs and the feature `metadata.version` 7 to 30, as Kafka 4.3 lays them out.
    const KAFKA: &[u8] = b"\0\0\0\x3a\0\0\0\x07\0\0\
        \x03\0\0\0\0\0\x0d\0\0\x01\0\x04\0\x12\0\0\0\0\0\
        \x01\0\x17\x02\x11metadata.version\0\x07\0\x1e\0";

    #[test]
    fn kafka_describes_itself() {
        let Answer::Kafka(kafka) = judge(KAFKA) else { panic!("not recognised") };
        assert_eq!(
            kafka.to_string(),
            "Apache Kafka 4.3 with 2 APIs (Produce to version 13, Fetch to version 18)"
        );
    }

    #[test]
    fn a_broker_without_features_is_compatible() {
        let answer = b"\0\0\0\x12\0\0\0\x07\0\0\x02\0\x12\0\0\0\x04\0\0\0\0\0\0";
        let Answer::Kafka(kafka) = judge(answer) else { panic!("not recognised") };
        assert_eq!(kafka.to_string(), "a Kafka-compatible broker with 1 APIs");
    }

    #[test]
    fn anything_else_is_named_and_nothing_panics() {
        assert_eq!(judge(b"HTTP/1.1 400 Bad Request\r\n"), Answer::Other("a web server"));
        assert_eq!(
            judge(b"SSH-2.0-OpenSSH_9.2\r\n"),
            Answer::Other("a program that does not speak Kafka")
        );
        for end in 0..KAFKA.len() {
            assert!(matches!(judge(&KAFKA[..end]), Answer::Other(_)), "cut at {end}");
        }
    }
}
