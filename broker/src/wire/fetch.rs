//! Fetch answers, written by hand: the codec would copy the records into its buffer.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use super::{Answer, Buffer, Frame, Unreadable};
use crate::error_code::ErrorCode;

/// FetchResponse, versions 4–18, as far as one node without fetch sessions fills it, and without aborted transactions.
#[derive(Debug, Default)]
pub(crate) struct FetchAnswer {
    pub(crate) error: Option<ErrorCode>,
    pub(crate) topics: Vec<FetchedTopic>,
}

#[derive(Debug)]
pub(crate) struct FetchedTopic {
    /// Sent up to version 12.
    pub(crate) name: String,
    /// Sent from version 13 (KIP-516).
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<FetchedPartition>,
}

#[derive(Debug)]
pub(crate) struct FetchedPartition {
    pub(crate) index: i32,
    pub(crate) error: ErrorCode,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    pub(crate) log_start_offset: i64,
    /// Whole batches, as the log keeps them.
    pub(crate) records: Vec<Bytes>,
    /// Whether the list of aborted transactions is empty or null: it is null for `read_uncommitted`.
    pub(crate) lists_aborted: bool,
}

impl FetchedPartition {
    /// The bytes of its records.
    pub(crate) fn size(&self) -> usize {
        self.records.iter().map(Bytes::len).sum()
    }
}

impl Answer for FetchAnswer {
    fn write(&self, frame: &mut Frame, version: i16) -> Result<(), Unreadable> {
        let is_flexible = version >= 12;
        let buffer = frame.bytes();
        buffer.put_i32(0); // throttle_time_ms
        if version >= 7 {
            buffer.put_i16(self.error.map_or(0, ErrorCode::code));
            buffer.put_i32(0); // session_id
        }
        put_count(buffer, self.topics.len(), is_flexible)?;
        for topic in &self.topics {
            let buffer = frame.bytes();
            if version >= 13 {
                buffer.put_slice(topic.id.as_bytes());
            } else if is_flexible {
                put_count(buffer, topic.name.len(), true)?;
                buffer.put_slice(topic.name.as_bytes());
            } else {
                buffer.put_i16(i16::try_from(topic.name.len()).map_err(super::unreadable)?);
                buffer.put_slice(topic.name.as_bytes());
            }
            put_count(buffer, topic.partitions.len(), is_flexible)?;
            for partition in &topic.partitions {
                partition.write(frame, version)?;
            }
            put_no_tags(frame, is_flexible);
        }
        put_no_tags(frame, is_flexible);
        Ok(())
    }
}

impl FetchedPartition {
    fn write(&self, frame: &mut Frame, version: i16) -> Result<(), Unreadable> {
        let is_flexible = version >= 12;
        let buffer = frame.bytes();
        buffer.put_i32(self.index);
        buffer.put_i16(self.error.code());
        buffer.put_i64(self.high_watermark);
        buffer.put_i64(self.last_stable_offset);
        if version >= 5 {
            buffer.put_i64(self.log_start_offset);
        }
        match (self.lists_aborted, is_flexible) {
            (true, _) => put_count(buffer, 0, is_flexible)?,
            (false, true) => buffer.put_u8(0),
            (false, false) => buffer.put_i32(-1),
        }
        if version >= 11 {
            buffer.put_i32(-1); // preferred_read_replica
        }
        put_count(buffer, self.size(), is_flexible)?;
        for slice in &self.records {
            frame.share(slice.clone());
        }
        put_no_tags(frame, is_flexible);
        Ok(())
    }
}

/// The length of an array, of a compact string or of records: plus one and as a varint in flexible versions.
fn put_count(buffer: &mut Buffer, count: usize, is_flexible: bool) -> Result<(), Unreadable> {
    if !is_flexible {
        buffer.put_i32(i32::try_from(count).map_err(super::unreadable)?);
        return Ok(());
    }
    let mut left = u32::try_from(count + 1).map_err(super::unreadable)?;
    while left >= 0x80 {
        buffer.put_u8(u8::try_from(left & 0x7f).expect("seven bits") | 0x80);
        left >>= 7;
    }
    buffer.put_u8(u8::try_from(left).expect("less than 0x80"));
    Ok(())
}

fn put_no_tags(frame: &mut Frame, is_flexible: bool) {
    if is_flexible {
        frame.bytes().put_u8(0);
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::{
        messages::{
            FetchResponse, TopicName,
            fetch_response::{FetchableTopicResponse, PartitionData},
        },
        protocol::{Encodable, StrBytes},
    };

    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_codec_in_every_version() {
        let id = Uuid::from_u128(7);
        let partition = |index, error, records: &[&'static [u8]], lists_aborted| FetchedPartition {
            index,
            error,
            high_watermark: 42,
            last_stable_offset: 41,
            log_start_offset: 3,
            records: records.iter().map(|r| Bytes::from_static(r)).collect(),
            lists_aborted,
        };
        for version in 4..=18 {
            for len in [0, 3, 200] {
                let long = vec![7; len];
                let mine = FetchAnswer {
                    error: None,
                    topics: vec![FetchedTopic {
                        name: "orders".to_owned(),
                        id,
                        partitions: vec![
                            partition(0, ErrorCode::None, &[b"one", b"two"], false),
                            partition(1, ErrorCode::OffsetOutOfRange, &[], true),
                            FetchedPartition {
                                records: vec![long.clone().into()],
                                ..partition(2, ErrorCode::None, &[], true)
                            },
                        ],
                    }],
                };
                let data = |index, error: ErrorCode, records: &[u8], lists_aborted: bool| {
                    PartitionData::default()
                        .with_partition_index(index)
                        .with_error_code(error.code())
                        .with_high_watermark(42)
                        .with_last_stable_offset(41)
                        .with_log_start_offset(if version >= 5 { 3 } else { -1 })
                        .with_aborted_transactions(lists_aborted.then(Vec::new))
                        .with_records(Some(Bytes::copy_from_slice(records)))
                };
                let mut topic = FetchableTopicResponse::default().with_partitions(vec![
                    data(0, ErrorCode::None, b"onetwo", false),
                    data(1, ErrorCode::OffsetOutOfRange, b"", true),
                    data(2, ErrorCode::None, &long, true),
                ]);
                topic = if version >= 13 {
                    topic.with_topic_id(id)
                } else {
                    topic.with_topic(TopicName(StrBytes::from_static_str("orders")))
                };
                let mut theirs = BytesMut::new();
                FetchResponse::default()
                    .with_responses(vec![topic])
                    .encode(&mut theirs, version)
                    .unwrap();

                let mut frame = Frame::default();
                mine.write(&mut frame, version).unwrap();
                let pieces = frame.into_pieces();
                let bytes: Vec<u8> = pieces.slices().iter().flat_map(|s| s.to_vec()).collect();
                assert_eq!(&bytes[4..], &theirs[..], "version {version}, {len} bytes");
            }
        }
    }
}
