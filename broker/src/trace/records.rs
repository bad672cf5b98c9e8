//! Record batches and their records, as far as they are shown.
//!
//! Reading stops at bounds, whatever the bytes claim: a batch of 50 KB can unpack to gigabytes.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read},
};

use bytes::Bytes;

use crate::{
    error_code::ErrorCode,
    log::batch::{Batch, Compression, LOG_APPEND_TIME_FLAG},
    time::Millis,
};

/// How many bytes of one message's compressed records are unpacked.
const MOST_UNPACKED: u64 = 8 * 1024 * 1024;

/// What a records field consists of.
#[derive(Debug)]
pub(super) enum Part {
    Batch(Box<Batch>),
    /// The beginning of a batch, of this many bytes, that the answer had no room for.
    CutOff(usize),
    /// So many bytes that are none.
    NoBatch(usize, ErrorCode),
}

/// The parts of a records field.
pub(super) fn parts(bytes: &[u8]) -> Vec<Part> {
    let mut bytes = Bytes::copy_from_slice(bytes);
    let mut parts = Vec::new();
    loop {
        match Batch::take(&mut bytes) {
            Ok(Some(batch)) => parts.push(Part::Batch(Box::new(batch))),
            Ok(None) if bytes.is_empty() => return parts,
            Ok(None) => {
                parts.push(Part::CutOff(bytes.len()));
                return parts;
            }
            Err(code) => {
                parts.push(Part::NoBatch(bytes.len(), code));
                return parts;
            }
        }
    }
}

/// One record; only the beginnings of its key, value and headers are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) offset: i64,
    pub(super) timestamp: Millis,
    pub(super) key: Option<Blob>,
    pub(super) value: Option<Blob>,
    pub(super) headers: Vec<(Blob, Option<Blob>)>,
    /// Headers that are not shown.
    pub(super) more_headers: i64,
}

/// The beginning of a run of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blob {
    pub(super) start: Vec<u8>,
    pub(super) len: u64,
}

/// How much of one message's records may still be shown.
#[derive(Debug)]
pub(super) struct Budget {
    records: usize,
    unpacked: u64,
    /// The most bytes that are kept of a key, a value or a header, and the most headers of a record.
    each: usize,
}

impl Budget {
    /// `limit` characters of each value, and as many records of a message.
    pub(super) fn new(limit: usize) -> Self {
        // A character takes at most four bytes.
        Self {
            records: limit,
            unpacked: MOST_UNPACKED,
            each: limit.saturating_mul(4).saturating_add(4),
        }
    }

    /// May one more record be shown?
    pub(super) fn take_record(&mut self) -> bool {
        let is_left = self.records > 0;
        self.records -= usize::from(is_left);
        is_left
    }
}

/// Why no more records of a batch are shown, although it says that it has more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// So many more were not asked for.
    More(i64),
    /// So many more lie behind what is unpacked.
    Packed(i64),
    /// The record with this number, from 0, cannot be read.
    Broken(i64),
}

impl Rest {
    pub(super) fn is_flaw(self) -> bool {
        matches!(self, Self::Broken(_))
    }
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::More(1) => write!(f, "1 more record"),
            Self::More(count) => write!(f, "{count} more records"),
            Self::Packed(count) => {
                let mebibytes = MOST_UNPACKED / 1024 / 1024;
                write!(
                    f,
                    "{count} of the records are not shown: {mebibytes} MiB of a message are unpacked, no more"
                )
            }
            Self::Broken(number) => write!(f, "record {number} of the batch cannot be read"),
        }
    }
}

/// Reads the records of a batch, in order.
pub(super) fn read(batch: &Batch, budget: &mut Budget) -> (Vec<Record>, Option<Rest>) {
    let count = i64::from(batch.record_count.max(0));
    let mut records = Vec::new();
    if count == 0 {
        return (records, None);
    }
    let packed = batch.records();
    let Some((reader, is_packed)) = unpacked(batch, &packed, budget.unpacked) else {
        return (records, Some(Rest::Broken(0)));
    };
    let left = if is_packed { budget.unpacked } else { u64::MAX };
    let mut source = Source { reader, left };
    let mut rest = None;
    for number in 0..count {
        if !budget.take_record() {
            rest = Some(Rest::More(count - number));
            break;
        }
        match source.record(batch, budget.each) {
            Ok(record) => records.push(record),
            Err(Stop::Bound) => {
                rest = Some(Rest::Packed(count - number));
                break;
            }
            Err(Stop::Broken) => {
                rest = Some(Rest::Broken(number));
                break;
            }
        }
    }
    if is_packed {
        budget.unpacked = source.left;
    }
    (records, rest)
}

/// A reader of the records without their compression, and whether there was any; `None` if it cannot begin.
fn unpacked<'a>(
    batch: &Batch,
    packed: &'a [u8],
    most: u64,
) -> Option<(Box<dyn BufRead + 'a>, bool)> {
    let reader: Box<dyn Read + 'a> = match batch.compression()? {
        Compression::None => return Some((Box::new(packed), false)),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(packed)),
        Compression::Snappy => Box::new(Snappy::new(packed, most)),
        Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(packed)),
        Compression::Zstd => Box::new(ruzstd::decoding::StreamingDecoder::new(packed).ok()?),
    };
    Some((Box::new(BufReader::new(reader)), true))
}

/// Snappy comes as one block (librdkafka, KafkaJS) or in many with the header of the xerial library (Java). A block is
/// unpacked as a whole, unless it is larger than the bound.
struct Snappy<'a> {
    rest: &'a [u8],
    is_xerial: bool,
    most: u64,
    block: io::Cursor<Vec<u8>>,
}

impl<'a> Snappy<'a> {
    fn new(packed: &'a [u8], most: u64) -> Self {
        let xerial = packed.strip_prefix(b"\x82SNAPPY\0").and_then(|rest| rest.get(8..));
        let block = io::Cursor::default();
        Self { rest: xerial.unwrap_or(packed), is_xerial: xerial.is_some(), most, block }
    }

    fn next_block(&mut self) -> io::Result<()> {
        let ends = || io::Error::from(io::ErrorKind::InvalidData);
        let block = if self.is_xerial {
            let (len, blocks) = self.rest.split_first_chunk::<4>().ok_or_else(ends)?;
            let (block, rest) =
                blocks.split_at_checked(u32::from_be_bytes(*len) as usize).ok_or_else(ends)?;
            self.rest = rest;
            block
        } else {
            std::mem::take(&mut self.rest)
        };
        let len = snap::raw::decompress_len(block).map_err(|_| ends())?;
        if len as u64 > self.most {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let bytes = snap::raw::Decoder::new().decompress_vec(block).map_err(|_| ends())?;
        self.block = io::Cursor::new(bytes);
        Ok(())
    }
}

impl Read for Snappy<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.block.read(buffer)?;
            if read > 0 || self.rest.is_empty() {
                return Ok(read);
            }
            self.next_block()?;
        }
    }
}

/// Why a record is not there.
enum Stop {
    Bound,
    Broken,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::OutOfMemory => Self::Bound,
            _ => Self::Broken,
        }
    }
}

/// Bytes that are read from the front, up to a bound.
struct Source<'a> {
    reader: Box<dyn BufRead + 'a>,
    left: u64,
}

impl Source<'_> {
    fn record(&mut self, batch: &Batch, each: usize) -> Result<Record, Stop> {
        let length = u64::try_from(self.varint()?).map_err(|_| Stop::Broken)?;
        let Some(end) = self.left.checked_sub(length) else {
            self.skip(length)?;
            return Err(Stop::Bound);
        };
        self.byte()?; // Attributes of a record: none are in use.
        let time_delta = self.varint()?;
        let offset_delta = self.varint()?;
        let key = self.blob(each)?;
        let value = self.blob(each)?;
        let count = self.varint()?;
        let mut headers = Vec::new();
        for number in 0..count {
            let name = self.blob(each)?.ok_or(Stop::Broken)?;
            let value = self.blob(each)?;
            if usize::try_from(number).is_ok_and(|number| number < each) {
                headers.push((name, value));
            }
        }
        // The fields must fill the record's length, no more and no less.
        if self.left != end {
            return Err(Stop::Broken);
        }
        let timestamp = match batch.attributes & LOG_APPEND_TIME_FLAG {
            0 => batch.base_timestamp.saturating_add(time_delta),
            _ => batch.max_timestamp,
        };
        Ok(Record {
            offset: batch.base_offset.saturating_add(offset_delta),
            timestamp,
            key,
            value,
            more_headers: count.max(0) - i64::try_from(headers.len()).unwrap_or(i64::MAX),
            headers,
        })
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        self.left = self.left.checked_sub(1).ok_or(Stop::Bound)?;
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// A zigzag varint of at most ten bytes.
    fn varint(&mut self) -> Result<i64, Stop> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(Stop::Broken)
    }

    /// A length and as many bytes; a negative length is Kafka's null.
    fn blob(&mut self, each: usize) -> Result<Option<Blob>, Stop> {
        let Ok(len) = u64::try_from(self.varint()?) else { return Ok(None) };
        let kept = len.min(each as u64).min(self.left);
        self.left -= kept;
        let mut start = Vec::new();
        if (&mut self.reader).take(kept).read_to_end(&mut start)? as u64 != kept {
            return Err(Stop::Broken);
        }
        self.skip(len - kept)?;
        Ok(Some(Blob { start, len }))
    }

    fn skip(&mut self, mut len: u64) -> Result<(), Stop> {
        while len > 0 {
            let there = self.reader.fill_buf()?.len() as u64;
            if there == 0 {
                return Err(Stop::Broken);
            }
            let step = there.min(len).min(self.left);
            if step == 0 {
                return Err(Stop::Bound);
            }
            self.reader.consume(usize::try_from(step).unwrap_or(usize::MAX));
            self.left -= step;
            len -= step;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::log::batch::build::Spec;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn batch(attributes: u16, values: &[&str], packed: &[u8]) -> Batch {
        let bytes = Spec { attributes, ..Spec::of(values) }.bytes_around(packed);
        Batch::take(&mut bytes.clone()).unwrap().unwrap()
    }

    #[test]
    fn a_batch_that_unpacks_to_much_is_unpacked_up_to_a_bound() {
        // One record that claims 100 MiB; of it, 16 MiB are there.
        let mut records = vec![0x80, 0x80, 0x80, 0x64];
        records.resize(16 << 20, 0);
        let bomb = batch(1, &["x"], &gzip(&records));
        assert!(bomb.bytes.len() < 200_000);
        let mut budget = Budget::new(120);
        assert_eq!(read(&bomb, &mut budget), (vec![], Some(Rest::Packed(1))));
        // The next batch of the same message finds nothing left.
        let next = batch(1, &["x"], &gzip(&Spec::of(&["x"]).records()));
        assert_eq!(read(&next, &mut budget), (vec![], Some(Rest::Packed(1))));
    }

    #[test]
    fn a_limit_counts_the_records_of_all_batches() {
        let plain = Spec::of(&["a", "b", "c"]);
        let mut budget = Budget::new(4);
        let (first, rest) = read(&plain.batch(), &mut budget);
        assert_eq!((first.len(), rest), (3, None));
        let (second, rest) = read(&plain.batch(), &mut budget);
        assert_eq!((second.len(), rest), (1, Some(Rest::More(2))));
    }

    #[test]
    fn numbers_at_their_ends_do_not_overflow() {
        let mut bytes = Spec::of(&["a"]).bytes().to_vec();
        bytes[..8].copy_from_slice(&i64::MAX.to_be_bytes());
        bytes[23..27].copy_from_slice(&i32::MAX.to_be_bytes());
        bytes[27..35].copy_from_slice(&i64::MIN.to_be_bytes());
        // The deltas of time and offset, of one byte each, behind length and attributes.
        bytes[63] = 0x01;
        bytes[64] = 0x02;
        let batch = Batch::take(&mut Bytes::from(bytes)).unwrap().unwrap();
        let (records, rest) = read(&batch, &mut Budget::new(120));
        assert_eq!((records[0].offset, records[0].timestamp, rest), (i64::MAX, i64::MIN, None));
        assert!(super::super::words::batch(&batch).starts_with(&format!("{0}..={0}", i64::MAX)));
    }

    proptest::proptest! {
        #[test]
        fn any_records_end_without_a_panic(attributes in 0u16..8, packed: Vec<u8>) {
            let (records, _) = read(&batch(attributes, &["a", "b"], &packed), &mut Budget::new(3));
            proptest::prop_assert!(records.len() <= 2);
        }
    }
}
