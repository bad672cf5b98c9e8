//! Record batches, magic 2: the unit that producers send, the log keeps and consumers receive.
//!
//! The broker reads the 61 bytes in front and leaves the records as they came, compressed or not:
//!
//! ```text
//!  0 base offset i64          21 attributes i16         43 producer id i64
//!  8 batch length i32         23 last offset delta i32  51 producer epoch i16
//! 12 partition leader epoch   27 base timestamp i64     53 base sequence i32
//! 16 magic i8                 35 max timestamp i64      57 record count i32
//! 17 CRC-32C of 21..          43 …                      61 records
//! ```
//!
//! Base offset and leader epoch lie outside the checksum, so that the broker can fill them in.

use bytes::{Buf, Bytes};

use crate::{error_code::ErrorCode, time::Timestamp};

/// Bytes in front of the records.
pub(crate) const HEADER_LEN: usize = 61;
/// Bytes that `batch length` does not count: the base offset and the length itself.
pub(crate) const LOG_OVERHEAD: usize = 12;
/// The one format of batches that Kafka 4 takes.
pub(crate) const MAGIC: i8 = 2;
/// The position from which the checksum counts.
pub(crate) const CRC_FROM: usize = 21;

/// Where fields that the log rewrites lie.
pub(crate) mod at {
    pub(crate) const BASE_OFFSET: usize = 0;
    pub(crate) const LEADER_EPOCH: usize = 12;
    pub(crate) const CRC: usize = 17;
    pub(crate) const ATTRIBUTES: usize = 21;
    pub(crate) const MAX_TIMESTAMP: usize = 35;
}

/// Attribute bit 3: the timestamps were set by the broker.
pub(crate) const LOG_APPEND_TIME_FLAG: u16 = 1 << 3;
/// Attribute bit 4: part of a transaction.
const TRANSACTIONAL_FLAG: u16 = 1 << 4;
/// Attribute bit 5: markers written by the transaction coordinator, never by clients.
const CONTROL_FLAG: u16 = 1 << 5;

/// How the records of a batch are compressed: attribute bits 0–2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// One record batch whose framing and header are sound.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) base_offset: i64,
    pub(crate) crc: u32,
    pub(crate) attributes: u16,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: Timestamp,
    pub(crate) max_timestamp: Timestamp,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) record_count: i32,
    /// The whole batch, header included.
    pub(crate) bytes: Bytes,
}

impl Batch {
    /// Reads the batch at the front of `bytes` and takes it off.
    ///
    /// `Ok(None)` means that no complete batch is left, which Kafka treats as the end and not as an error.
    ///
    /// # Errors
    ///
    /// `CORRUPT_MESSAGE` for a length or a magic that no batch can have, `INVALID_RECORD` for the message
    /// formats 0 and 1, which Kafka 4 no longer takes (KIP-724).
    pub(crate) fn take(bytes: &mut Bytes) -> Result<Option<Self>, ErrorCode> {
        if bytes.len() < LOG_OVERHEAD + 5 {
            return Ok(None);
        }
        let mut header = &bytes[..];
        let base_offset = header.get_i64();
        let length = usize::try_from(header.get_i32()).map_err(|_| ErrorCode::CorruptMessage)?;
        let _leader_epoch = header.get_i32();
        let magic = header.get_i8();
        // The shortest batch of any magic: Kafka's LegacyRecord.RECORD_OVERHEAD_V0.
        if length < 14 || !(0..=MAGIC).contains(&magic) {
            return Err(ErrorCode::CorruptMessage);
        }
        if bytes.len() - LOG_OVERHEAD < length {
            return Ok(None);
        }
        if magic < MAGIC {
            return Err(ErrorCode::InvalidRecord);
        }
        if length < HEADER_LEN - LOG_OVERHEAD {
            return Err(ErrorCode::CorruptMessage);
        }
        Ok(Some(Self {
            base_offset,
            crc: header.get_u32(),
            attributes: header.get_u16(),
            last_offset_delta: header.get_i32(),
            base_timestamp: header.get_i64(),
            max_timestamp: header.get_i64(),
            producer_id: header.get_i64(),
            producer_epoch: header.get_i16(),
            base_sequence: header.get_i32(),
            record_count: header.get_i32(),
            bytes: bytes.split_to(LOG_OVERHEAD + length),
        }))
    }

    /// Does the checksum agree with the bytes?
    pub(crate) fn is_intact(&self) -> bool {
        crc32c::crc32c(&self.bytes[CRC_FROM..]) == self.crc
    }

    /// The codec of the records, `None` for a number that Kafka has not given out.
    pub(crate) fn compression(&self) -> Option<Compression> {
        match self.attributes & 0b111 {
            0 => Some(Compression::None),
            1 => Some(Compression::Gzip),
            2 => Some(Compression::Snappy),
            3 => Some(Compression::Lz4),
            4 => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// Is a codec named, whether or not there is such a one?
    pub(crate) fn is_compressed(&self) -> bool {
        self.attributes & 0b111 != 0
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_FLAG != 0
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL_FLAG != 0
    }

    pub(crate) fn has_producer_id(&self) -> bool {
        self.producer_id >= 0
    }

    /// The sequence number of the last record; the numbers wrap from 2³¹−1 to 0.
    pub(crate) fn last_sequence(&self) -> i32 {
        advance_sequence(self.base_sequence, self.last_offset_delta)
    }

    /// The part behind the header: the records, compressed or not.
    pub(crate) fn records(&self) -> Bytes {
        self.bytes.slice(HEADER_LEN..)
    }
}

/// `sequence + by`, wrapping within the non-negative numbers as Kafka's producers do.
pub(crate) fn advance_sequence(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    i32::try_from(sum & i64::from(i32::MAX)).expect("masked to 31 bits")
}

#[cfg(test)]
pub(crate) mod build {
    //! Batches for tests.

    use bytes::BytesMut;

    use super::{
        super::encode::{self, Header, NewRecord},
        *,
    };

    /// What a test wants its batch to say; everything else follows.
    #[derive(Clone, Debug)]
    pub(crate) struct Spec {
        pub(crate) values: Vec<Vec<u8>>,
        pub(crate) timestamps: Vec<Timestamp>,
        pub(crate) producer_id: i64,
        pub(crate) producer_epoch: i16,
        pub(crate) base_sequence: i32,
        pub(crate) attributes: u16,
    }

    impl Spec {
        /// Records with these values and timestamps 0.
        pub(crate) fn of(values: &[&str]) -> Self {
            Self {
                values: values.iter().map(|v| v.as_bytes().to_vec()).collect(),
                timestamps: vec![0; values.len()],
                producer_id: -1,
                producer_epoch: -1,
                base_sequence: -1,
                attributes: 0,
            }
        }

        /// The records section, uncompressed.
        pub(crate) fn records(&self) -> BytesMut {
            encode::section(&self.new_records())
        }

        pub(crate) fn bytes(&self) -> Bytes {
            self.bytes_around(&self.records())
        }

        /// A batch around a records section that is already compressed.
        pub(crate) fn bytes_around(&self, section: &[u8]) -> Bytes {
            let header = Header {
                base_offset: 0,
                attributes: self.attributes,
                producer_id: self.producer_id,
                producer_epoch: self.producer_epoch,
                base_sequence: self.base_sequence,
            };
            encode::around(&header, &self.new_records(), section)
        }

        pub(crate) fn batch(&self) -> Batch {
            Batch::take(&mut self.bytes()).unwrap().unwrap()
        }

        fn new_records(&self) -> Vec<NewRecord> {
            let record = |(value, timestamp): (&Vec<u8>, &Timestamp)| NewRecord {
                timestamp: *timestamp,
                value: Some(value.clone().into()),
                ..NewRecord::default()
            };
            self.values.iter().zip(&self.timestamps).map(record).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_batch_is_taken_off_the_front() {
        let one = build::Spec::of(&["a", "b"]).bytes();
        let mut two = [&one[..], &one[..]].concat().into();
        let batch = Batch::take(&mut two).unwrap().unwrap();
        assert!(batch.is_intact());
        assert_eq!((batch.record_count, batch.last_offset_delta), (2, 1));
        assert_eq!(two, one);
    }

    #[test]
    fn a_flipped_bit_behind_the_crc_is_found() {
        let mut bytes = build::Spec::of(&["a"]).bytes().to_vec();
        bytes[HEADER_LEN] ^= 1;
        assert!(!Batch::take(&mut bytes.into()).unwrap().unwrap().is_intact());
    }

    #[test]
    fn a_batch_that_is_cut_off_is_no_batch() {
        let whole = build::Spec::of(&["a"]).bytes();
        for len in 0..whole.len() {
            assert!(Batch::take(&mut whole.slice(..len)).unwrap().is_none(), "{len} bytes");
        }
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(advance_sequence(i32::MAX, 1), 0);
        assert_eq!(advance_sequence(5, 2), 7);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_batch_or_an_error(bytes: Vec<u8>) {
            let mut bytes = Bytes::from(bytes);
            if let Ok(Some(batch)) = Batch::take(&mut bytes) {
                batch.is_intact();
                batch.last_sequence();
            }
        }
    }
}
