//! The records inside a batch, read one by one.
//!
//! Serving clients needs none of this: batches go out as they came in. It is here for the few questions
//! about single records, such as "which record was the first at or after this time?".

use std::io::Read;

use bytes::Bytes;

use super::batch::{Batch, Compression};
use crate::time::Timestamp;

/// The largest records section that is unpacked to answer a question, so that a small batch that unpacks to
/// gigabytes cannot exhaust the memory.
const MAX_UNPACKED: u64 = 256 * 1024 * 1024;

/// One record, sharing the memory of its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Distance from the batch's base offset.
    pub(crate) offset_delta: i64,
    pub(crate) timestamp: Timestamp,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<(Bytes, Option<Bytes>)>,
}

/// The records of `batch`, in order; ends early where they make no sense.
///
/// The broker checks the CRC of a batch but not its records (Kafka decodes every one), so a broken record can
/// be in the log: it is the consumer that notices.
pub(crate) fn read(batch: &Batch) -> impl Iterator<Item = Record> {
    let mut cursor = Cursor(unpack(batch).unwrap_or_default());
    let base_timestamp = batch.base_timestamp;
    let count = usize::try_from(batch.record_count).unwrap_or(0);
    std::iter::from_fn(move || {
        let mut record = Cursor(cursor.bytes()??);
        record.take(1)?; // Attributes of a record: none are in use.
        Some(Record {
            timestamp: base_timestamp.checked_add(record.varint()?)?,
            offset_delta: record.varint()?,
            key: record.bytes()?,
            value: record.bytes()?,
            headers: record.headers()?,
        })
    })
    .take(count)
}

/// The records section of a batch without its compression; `None` if it cannot be unpacked.
fn unpack(batch: &Batch) -> Option<Bytes> {
    let packed = batch.records();
    match batch.compression()? {
        Compression::None => Some(packed),
        Compression::Gzip => read_all(flate2::read::MultiGzDecoder::new(&packed[..])),
        Compression::Snappy => unpack_snappy(&packed),
        Compression::Lz4 => read_all(lz4_flex::frame::FrameDecoder::new(&packed[..])),
        Compression::Zstd => read_all(ruzstd::decoding::StreamingDecoder::new(&packed[..]).ok()?),
    }
}

fn read_all(decoder: impl Read) -> Option<Bytes> {
    let mut unpacked = Vec::new();
    decoder.take(MAX_UNPACKED).read_to_end(&mut unpacked).ok()?;
    Some(unpacked.into())
}

/// Snappy comes raw (librdkafka, KafkaJS) or in blocks with the header of the xerial library (Java).
fn unpack_snappy(packed: &[u8]) -> Option<Bytes> {
    const XERIAL: &[u8] = b"\x82SNAPPY\0";
    let unpack_block = |block: &[u8]| {
        let len = snap::raw::decompress_len(block).ok()?;
        (u64::try_from(len).ok()? <= MAX_UNPACKED).then_some(())?;
        snap::raw::Decoder::new().decompress_vec(block).ok()
    };
    let Some(mut rest) = packed.strip_prefix(XERIAL) else {
        return unpack_block(packed).map(Bytes::from);
    };
    rest = rest.get(8..)?; // Two version numbers.
    let mut unpacked = Vec::new();
    while let Some((len, blocks)) = rest.split_first_chunk::<4>() {
        let (block, next) = blocks.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        unpacked.extend(unpack_block(block)?);
        rest = next;
    }
    Some(unpacked.into())
}

/// Bytes that are read from the front; `None` where they end too early.
struct Cursor(Bytes);

impl Cursor {
    fn take(&mut self, len: usize) -> Option<Bytes> {
        (len <= self.0.len()).then(|| self.0.split_to(len))
    }

    /// A zigzag varint of at most ten bytes.
    fn varint(&mut self) -> Option<i64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        None
    }

    /// A length and as many bytes; a negative length is Kafka's null.
    fn bytes(&mut self) -> Option<Option<Bytes>> {
        match usize::try_from(self.varint()?) {
            Ok(len) => self.take(len).map(Some),
            Err(_) => Some(None),
        }
    }

    fn headers(&mut self) -> Option<Vec<(Bytes, Option<Bytes>)>> {
        let count = self.varint()?;
        (0..count).map(|_| Some((self.bytes()??, self.bytes()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::{super::batch::build::Spec, *};

    fn spec() -> Spec {
        Spec { timestamps: vec![1_000, 1_500, 900], ..Spec::of(&["one", "two", "three"]) }
    }

    fn expected() -> Vec<Record> {
        [(0, 1_000, "one"), (1, 1_500, "two"), (2, 900, "three")]
            .map(|(offset_delta, timestamp, value)| Record {
                offset_delta,
                timestamp,
                key: None,
                value: Some(value.into()),
                headers: Vec::new(),
            })
            .to_vec()
    }

    fn read_when_packed(attributes: u16, packed: &[u8]) -> Vec<Record> {
        let bytes = Spec { attributes, ..spec() }.bytes_around(packed);
        read(&Batch::take(&mut bytes.clone()).unwrap().unwrap()).collect()
    }

    #[test]
    fn plain_records_are_read() {
        assert_eq!(read(&spec().batch()).collect::<Vec<_>>(), expected());
    }

    #[test]
    fn gzip_is_unpacked() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&spec().records()).unwrap();
        assert_eq!(read_when_packed(1, &encoder.finish().unwrap()), expected());
    }

    #[test]
    fn both_spellings_of_snappy_are_unpacked() {
        let raw = snap::raw::Encoder::new().compress_vec(&spec().records()).unwrap();
        assert_eq!(read_when_packed(2, &raw), expected());
        let len = u32::try_from(raw.len()).unwrap().to_be_bytes();
        let xerial = [b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01", &len[..], &raw].concat();
        assert_eq!(read_when_packed(2, &xerial), expected());
    }

    #[test]
    fn lz4_is_unpacked() {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(&spec().records()).unwrap();
        assert_eq!(read_when_packed(3, &encoder.finish().unwrap()), expected());
    }

    #[test]
    fn zstd_is_unpacked() {
        let packed = ruzstd::encoding::compress_to_vec(
            &spec().records()[..],
            ruzstd::encoding::CompressionLevel::Fastest,
        );
        assert_eq!(read_when_packed(4, &packed), expected());
    }

    proptest! {
        #[test]
        fn any_records_end_without_a_panic(attributes in 0u16..8, packed: Vec<u8>) {
            prop_assert!(read_when_packed(attributes, &packed).len() <= 3);
        }
    }
}
