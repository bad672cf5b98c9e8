//! A batch made here, byte by byte: what the broker itself writes into a log, and what tests send.

use bytes::{BufMut, Bytes, BytesMut};

use super::batch::{CRC_FROM, HEADER_LEN, LOG_OVERHEAD, MAGIC};
use crate::time::Timestamp;

/// The header of a batch, as far as its records do not decide it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) base_offset: i64,
    pub(crate) attributes: u16,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
}

impl Default for Header {
    /// Of no idempotent producer, not compressed.
    fn default() -> Self {
        let (producer_id, producer_epoch, base_sequence) = (-1, -1, -1);
        Self { base_offset: 0, attributes: 0, producer_id, producer_epoch, base_sequence }
    }
}

/// A record to write; `None` is Kafka's null.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewRecord {
    pub(crate) timestamp: Timestamp,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<(Bytes, Option<Bytes>)>,
}

/// A batch of these records, one offset after the other.
pub(crate) fn batch(header: &Header, records: &[NewRecord]) -> Bytes {
    around(header, records, &section(records))
}

/// The records section, not compressed.
pub(crate) fn section(records: &[NewRecord]) -> BytesMut {
    let base_timestamp = records.first().map_or(0, |record| record.timestamp);
    let (mut section, mut body) = (BytesMut::new(), BytesMut::new());
    for (delta, record) in (0..).zip(records) {
        body.clear();
        body.put_u8(0);
        put_varint(&mut body, record.timestamp.wrapping_sub(base_timestamp));
        put_varint(&mut body, delta);
        put_bytes(&mut body, record.key.as_deref());
        put_bytes(&mut body, record.value.as_deref());
        put_len(&mut body, record.headers.len());
        for (name, value) in &record.headers {
            put_bytes(&mut body, Some(name));
            put_bytes(&mut body, value.as_deref());
        }
        put_len(&mut section, body.len());
        section.put_slice(&body);
    }
    section
}

/// The batch whose records section is `section`, compressed as the header's attributes say.
pub(crate) fn around(header: &Header, records: &[NewRecord], section: &[u8]) -> Bytes {
    let count = i32::try_from(records.len()).expect("records fit in a batch");
    let length = HEADER_LEN - LOG_OVERHEAD + section.len();
    let mut batch = BytesMut::with_capacity(LOG_OVERHEAD + length);
    batch.put_i64(header.base_offset);
    batch.put_i32(i32::try_from(length).expect("a batch is shorter than 2 GiB"));
    batch.put_i32(-1); // The leader epoch: the log fills it in.
    batch.put_i8(MAGIC);
    batch.put_u32(0);
    batch.put_u16(header.attributes);
    batch.put_i32(count - 1);
    batch.put_i64(records.first().map_or(0, |record| record.timestamp));
    batch.put_i64(records.iter().map(|record| record.timestamp).max().unwrap_or(0));
    batch.put_i64(header.producer_id);
    batch.put_i16(header.producer_epoch);
    batch.put_i32(header.base_sequence);
    batch.put_i32(count);
    batch.put_slice(section);
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    batch[CRC_FROM - 4..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    batch.freeze()
}

/// A length and as many bytes.
fn put_bytes(buffer: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(buffer, -1),
        Some(bytes) => {
            put_len(buffer, bytes.len());
            buffer.put_slice(bytes);
        }
    }
}

fn put_len(buffer: &mut BytesMut, len: usize) {
    put_varint(buffer, i64::try_from(len).expect("it lies in memory"));
}

/// A zigzag varint.
fn put_varint(buffer: &mut BytesMut, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        buffer.put_u8((zigzag & 0x7f) as u8 | 0x80);
        zigzag >>= 7;
    }
    buffer.put_u8((zigzag & 0x7f) as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{
            batch::Batch,
            records::{self, Record},
        },
        *,
    };

    fn bytes() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)
    }

    fn records() -> impl Strategy<Value = Vec<NewRecord>> {
        let headers = prop::collection::vec((bytes(), prop::option::of(bytes())), 0..3);
        let record =
            (any::<i64>(), prop::option::of(bytes()), prop::option::of(bytes()), headers).prop_map(
                |(timestamp, key, value, headers)| NewRecord { timestamp, key, value, headers },
            );
        prop::collection::vec(record, 1..8)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(records in records()) {
            let batch = Batch::take(&mut batch(&Header::default(), &records)).unwrap().unwrap();
            prop_assert!(batch.is_intact());
            let expected = (0..).zip(records).map(|(offset_delta, record)| {
                let NewRecord { timestamp, key, value, headers } = record;
                Record { offset_delta, timestamp, key, value, headers }
            });
            prop_assert_eq!(
                records::read(&batch).collect::<Vec<_>>(),
                expected.collect::<Vec<_>>()
            );
        }
    }
}
