//! The records inside a batch, one by one.
//!
//! * [`skim`] looks at their sizes and times only. It costs 43 instructions for a record.
//! * [`scan`] looks at all of their parts, without keeping any. It costs four times as much.
//! * [`read`] gives whole records, for tests.
//!
//! The first two allocate nothing for a record. Compressed ones are unpacked piece by piece and up to a bound, so that
//! a small batch that unpacks to gigabytes costs neither memory nor time without end.

use std::{fmt, io::Read, ops::ControlFlow};

use bytes::{Buf, Bytes};

use super::batch::{Batch, Compression, HEADER_LEN};
use crate::time::Timestamp;

/// What a scan sees of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Distance from the batch's base offset.
    pub(crate) offset_delta: i32,
    pub(crate) timestamp: Timestamp,
    pub(crate) has_key: bool,
}

/// One record, sharing the memory of its batch unless that is compressed.
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "tests read whole records; the trace reads them in its own way")
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Distance from the batch's base offset.
    pub(crate) offset_delta: i64,
    pub(crate) timestamp: Timestamp,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<(Bytes, Option<Bytes>)>,
}

/// Why the records of a batch make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    EndsEarly,
    LeftOver,
    WrongSize,
    LongVarint,
    NegativeCount,
    NegativeKey,
    /// The decoder cannot make sense of it.
    Packed,
    /// More than [`most_unpacked`].
    TooLarge,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndsEarly => "The batch ends before its records do.",
            Self::LeftOver => "Bytes are left behind the last record of the batch.",
            Self::WrongSize => "A record's size does not agree with its fields.",
            Self::LongVarint => "A number in a record is longer than it may be.",
            Self::NegativeCount => "A record has a negative number of headers.",
            Self::NegativeKey => "The name of a record's header has a negative length.",
            Self::Packed => "The records cannot be unpacked.",
            Self::TooLarge => "The records unpack to more than the broker looks at.",
        })
    }
}

/// How much is unpacked at most of so many bytes: far more than any producer packs into a batch.
fn most_unpacked(packed: usize) -> usize {
    const FLOOR: usize = 64 * 1024 * 1024;
    packed.saturating_mul(8).max(FLOOR)
}

/// Looks at the sizes and times of records that are not compressed, as many as the batch says it has.
///
/// # Errors
///
/// The first [`Flaw`] that shows so: the parts of a record behind its time are not looked at.
pub(crate) fn skim(batch: &Batch, mut see: impl FnMut(Timestamp)) -> Result<(), Flaw> {
    let mut rest = &batch.bytes[HEADER_LEN..];
    for _ in 0..batch.record_count {
        let front = match Front::short(rest) {
            Some(front) => front,
            None => Front::long(rest)?,
        };
        // Six parts, each of a byte at least. An odd number is a negative one.
        if front.size & 1 != 0 || front.size < 12 {
            return Err(Flaw::WrongSize);
        }
        let end = usize::try_from(front.size >> 1).ok().and_then(|s| s.checked_add(front.size_len));
        rest = end.and_then(|end| rest.get(end..)).ok_or(Flaw::EndsEarly)?;
        see(batch.base_timestamp.wrapping_add(zigzag(front.time)));
    }
    if rest.is_empty() { Ok(()) } else { Err(Flaw::LeftOver) }
}

/// Where a record begins: its size, how long that is written, and its time. Both are as they were sent, in zigzag.
struct Front {
    size: u64,
    size_len: usize,
    time: u64,
}

impl Front {
    /// Both numbers have one or two bytes, and eight bytes are there.
    #[inline(always)]
    fn short(bytes: &[u8]) -> Option<Self> {
        /// The number at the low end, what is behind it, and its length.
        #[inline(always)]
        fn take(window: u64) -> Option<(u64, u64, usize)> {
            if window & 0x80 == 0 {
                Some((window & 0x7f, window >> 8, 1))
            } else if window & 0x8000 == 0 {
                Some((window & 0x7f | (window >> 1) & 0x3f80, window >> 16, 2))
            } else {
                None
            }
        }
        let (size, behind, size_len) = take(u64::from_le_bytes(*bytes.first_chunk()?))?;
        let (time, ..) = take(behind >> 8)?; // Attributes of a record: none are in use.
        Some(Self { size, size_len, time })
    }

    #[cold]
    fn long(bytes: &[u8]) -> Result<Self, Flaw> {
        let mut source = Slice { bytes, at: 0 };
        let size = source.unsigned(5)?;
        let size_len = source.at;
        source.byte()?;
        Ok(Self { size, size_len, time: source.unsigned(10)? })
    }
}

/// Looks at all parts of the records in order, as many as the batch says it has, until `see` has seen enough.
///
/// # Errors
///
/// The first [`Flaw`]. Records before it were seen.
pub(crate) fn scan(batch: &Batch, see: impl FnMut(Seen) -> ControlFlow<()>) -> Result<(), Flaw> {
    match unpack(batch)? {
        Section::Whole(bytes) => walk(&mut Slice { bytes: &bytes, at: 0 }, batch, see),
        Section::Stream(mut stream) => walk(&mut stream, batch, see),
    }
}

fn walk(
    source: &mut impl Source,
    batch: &Batch,
    mut see: impl FnMut(Seen) -> ControlFlow<()>,
) -> Result<(), Flaw> {
    for _ in 0..batch.record_count {
        let head = head(source, batch)?;
        let key = source.varint()?;
        source.skip(key)?;
        let value = source.varint()?;
        source.skip(value)?;
        let headers = source.varint()?;
        if headers != 0 {
            skip_headers(source, headers)?;
        }
        if source.at() != head.end {
            return Err(Flaw::WrongSize);
        }
        let Head { offset_delta, timestamp, .. } = head;
        if see(Seen { offset_delta, timestamp, has_key: key >= 0 }).is_break() {
            return Ok(());
        }
    }
    if source.is_at_end()? { Ok(()) } else { Err(Flaw::LeftOver) }
}

fn skip_headers(source: &mut impl Source, count: i32) -> Result<(), Flaw> {
    for _ in 0..u32::try_from(count).map_err(|_| Flaw::NegativeCount)? {
        let key = source.varint()?;
        if key < 0 {
            return Err(Flaw::NegativeKey);
        }
        source.skip(key)?;
        let value = source.varint()?;
        source.skip(value)?;
    }
    Ok(())
}

/// The records of `batch`, in order; ends early where they make no sense.
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "tests read whole records; the trace reads them in its own way")
)]
pub(crate) fn read(batch: &Batch) -> impl Iterator<Item = Record> {
    let mut section = unpack(batch).ok();
    let batch = Batch { bytes: Bytes::new(), ..batch.clone() };
    let count = usize::try_from(batch.record_count).unwrap_or(0);
    std::iter::from_fn(move || match section.as_mut()? {
        Section::Whole(bytes) => {
            let mut source = Shared { left: bytes.clone(), at: 0 };
            let record = read_one(&mut source, &batch).ok()?;
            *bytes = source.left;
            Some(record)
        }
        Section::Stream(stream) => read_one(stream, &batch).ok(),
    })
    .take(count)
}

#[cfg_attr(
    not(test),
    allow(dead_code, reason = "tests read whole records; the trace reads them in its own way")
)]
fn read_one(source: &mut impl Source, batch: &Batch) -> Result<Record, Flaw> {
    let head = head(source, batch)?;
    let key = source.bytes()?;
    let value = source.bytes()?;
    let count = u32::try_from(source.varint()?).map_err(|_| Flaw::NegativeCount)?;
    let headers = (0..count)
        .map(|_| Ok((source.bytes()?.ok_or(Flaw::NegativeKey)?, source.bytes()?)))
        .collect::<Result<_, _>>()?;
    if source.at() != head.end {
        return Err(Flaw::WrongSize);
    }
    // Whoever shows the record adds the two.
    let offset_delta = i64::from(head.offset_delta);
    batch.base_offset.checked_add(offset_delta).ok_or(Flaw::LongVarint)?;
    Ok(Record { offset_delta, timestamp: head.timestamp, key, value, headers })
}

/// What stands in front of a record's key.
struct Head {
    /// Where the record must end.
    end: usize,
    timestamp: Timestamp,
    offset_delta: i32,
}

fn head(source: &mut impl Source, batch: &Batch) -> Result<Head, Flaw> {
    let size = source.varint()?;
    let end = usize::try_from(size).ok().and_then(|size| source.at().checked_add(size));
    source.byte()?; // Attributes of a record: none are in use.
    let timestamp = batch.base_timestamp.wrapping_add(source.varlong()?);
    Ok(Head { end: end.ok_or(Flaw::WrongSize)?, timestamp, offset_delta: source.varint()? })
}

/// Bytes that are read from the front.
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "tests read whole records; the trace reads them in its own way")
)]
trait Source {
    fn byte(&mut self) -> Result<u8, Flaw>;

    fn skip_some(&mut self, len: usize) -> Result<(), Flaw>;

    fn take(&mut self, len: usize) -> Result<Bytes, Flaw>;

    /// How many bytes were read.
    fn at(&self) -> usize;

    fn is_at_end(&mut self) -> Result<bool, Flaw>;

    /// Passes over as many bytes; a negative length is Kafka's null.
    fn skip(&mut self, len: i32) -> Result<(), Flaw> {
        match usize::try_from(len) {
            Ok(len) => self.skip_some(len),
            Err(_) => Ok(()),
        }
    }

    /// A length and as many bytes.
    fn bytes(&mut self) -> Result<Option<Bytes>, Flaw> {
        match usize::try_from(self.varint()?) {
            Ok(len) => self.take(len).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// A zigzag varint of 32 bits, and so of at most five bytes.
    fn varint(&mut self) -> Result<i32, Flaw> {
        let number = zigzag(self.unsigned(5)? & 0xffff_ffff);
        Ok(i32::try_from(number).expect("32 bits"))
    }

    /// One of 64 bits, and so of at most ten bytes.
    fn varlong(&mut self) -> Result<i64, Flaw> {
        self.unsigned(10).map(zigzag)
    }

    /// What stands there before the zigzag is undone.
    fn unsigned(&mut self, most: u32) -> Result<u64, Flaw> {
        let mut value = 0;
        for n in 0..most {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).wrapping_shl(7 * n);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Flaw::LongVarint)
    }
}

fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Bytes that lie in memory, to be looked at.
struct Slice<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Source for Slice<'_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Flaw> {
        let byte = *self.bytes.get(self.at).ok_or(Flaw::EndsEarly)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn skip_some(&mut self, len: usize) -> Result<(), Flaw> {
        if len > self.bytes.len() - self.at {
            return Err(Flaw::EndsEarly);
        }
        self.at += len;
        Ok(())
    }

    fn take(&mut self, len: usize) -> Result<Bytes, Flaw> {
        let from = self.at;
        self.skip_some(len)?;
        Ok(Bytes::copy_from_slice(&self.bytes[from..self.at]))
    }

    fn at(&self) -> usize {
        self.at
    }

    fn is_at_end(&mut self) -> Result<bool, Flaw> {
        Ok(self.at == self.bytes.len())
    }
}

/// Bytes that lie in memory, to be handed out without a copy.
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "tests read whole records; the trace reads them in its own way")
)]
struct Shared {
    left: Bytes,
    at: usize,
}

impl Source for Shared {
    fn byte(&mut self) -> Result<u8, Flaw> {
        self.at += 1;
        self.left.try_get_u8().map_err(|_| Flaw::EndsEarly)
    }

    fn skip_some(&mut self, len: usize) -> Result<(), Flaw> {
        self.take(len).map(drop)
    }

    fn take(&mut self, len: usize) -> Result<Bytes, Flaw> {
        if len > self.left.len() {
            return Err(Flaw::EndsEarly);
        }
        self.at += len;
        Ok(self.left.split_to(len))
    }

    fn at(&self) -> usize {
        self.at
    }

    fn is_at_end(&mut self) -> Result<bool, Flaw> {
        Ok(self.left.is_empty())
    }
}

/// Bytes that a decoder gives out piece by piece.
struct Stream {
    decoder: Box<dyn Read + Send>,
    buffer: Box<[u8]>,
    /// What of the buffer was not read yet.
    next: usize,
    filled: usize,
    at: usize,
    most: usize,
}

/// One call of a decoder.
const PIECE: usize = 16 * 1024;

impl Stream {
    fn new(decoder: impl Read + Send + 'static, most: usize) -> Self {
        let buffer = vec![0; PIECE].into();
        Self { decoder: Box::new(decoder), buffer, next: 0, filled: 0, at: 0, most }
    }

    /// Unpacks more; false at the end.
    fn fill(&mut self) -> Result<bool, Flaw> {
        self.next = 0;
        self.filled = self.decoder.read(&mut self.buffer).map_err(|_| Flaw::Packed)?;
        if self.at + self.filled > self.most {
            return Err(Flaw::TooLarge);
        }
        Ok(self.filled > 0)
    }

    /// Hands the next `len` bytes to `each`, a piece at a time.
    fn pieces(&mut self, mut len: usize, mut each: impl FnMut(&[u8])) -> Result<(), Flaw> {
        while len > 0 {
            if self.next == self.filled && !self.fill()? {
                return Err(Flaw::EndsEarly);
            }
            let piece = len.min(self.filled - self.next);
            each(&self.buffer[self.next..self.next + piece]);
            self.next += piece;
            self.at += piece;
            len -= piece;
        }
        Ok(())
    }
}

impl Source for Stream {
    fn byte(&mut self) -> Result<u8, Flaw> {
        if self.next == self.filled && !self.fill()? {
            return Err(Flaw::EndsEarly);
        }
        let byte = self.buffer[self.next];
        self.next += 1;
        self.at += 1;
        Ok(byte)
    }

    fn skip_some(&mut self, len: usize) -> Result<(), Flaw> {
        self.pieces(len, |_| ())
    }

    fn take(&mut self, len: usize) -> Result<Bytes, Flaw> {
        // A length alone reserves nothing.
        let mut bytes = Vec::new();
        self.pieces(len, |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes.into())
    }

    fn at(&self) -> usize {
        self.at
    }

    fn is_at_end(&mut self) -> Result<bool, Flaw> {
        Ok(self.next == self.filled && !self.fill()?)
    }
}

/// The records section of a batch without its compression.
enum Section {
    Whole(Bytes),
    Stream(Stream),
}

fn unpack(batch: &Batch) -> Result<Section, Flaw> {
    let packed = batch.records();
    let most = most_unpacked(packed.len());
    let stream = match batch.compression().ok_or(Flaw::Packed)? {
        Compression::None => return Ok(Section::Whole(packed)),
        Compression::Gzip => {
            Stream::new(flate2::bufread::MultiGzDecoder::new(packed.reader()), most)
        }
        Compression::Snappy => match packed.strip_prefix(XERIAL) {
            None => return unpack_snappy(&packed, most).map(Section::Whole),
            // Two version numbers follow.
            Some(rest) if rest.len() < 8 => return Err(Flaw::Packed),
            Some(rest) => {
                let packed = packed.slice_ref(&rest[8..]);
                Stream::new(Xerial { packed, block: Bytes::new(), most }, most)
            }
        },
        Compression::Lz4 => Stream::new(lz4_flex::frame::FrameDecoder::new(packed.reader()), most),
        Compression::Zstd => Stream::new(Zstd::new(packed)?, most),
    };
    Ok(Section::Stream(stream))
}

/// Snappy comes raw (librdkafka, KafkaJS) or in blocks with this header of the xerial library (Java).
const XERIAL: &[u8] = b"\x82SNAPPY\0";

fn unpack_snappy(packed: &[u8], most: usize) -> Result<Bytes, Flaw> {
    let len = snap::raw::decompress_len(packed).map_err(|_| Flaw::Packed)?;
    // A length that no packed bytes can come to reserves nothing: three of them make 64 at most.
    if len > most || len / 22 > packed.len() {
        return Err(Flaw::TooLarge);
    }
    let unpacked = snap::raw::Decoder::new().decompress_vec(packed).map_err(|_| Flaw::Packed)?;
    Ok(unpacked.into())
}

/// Raw blocks, each behind its length.
struct Xerial {
    packed: Bytes,
    block: Bytes,
    most: usize,
}

impl Read for Xerial {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.block.is_empty() && !self.packed.is_empty() {
            let bad = |_| std::io::Error::from(std::io::ErrorKind::InvalidData);
            let len = self.packed.try_get_u32().map_err(|_| bad(Flaw::Packed))? as usize;
            if len > self.packed.len() {
                return Err(bad(Flaw::Packed));
            }
            self.block = unpack_snappy(&self.packed.split_to(len), self.most).map_err(bad)?;
        }
        let len = into.len().min(self.block.len());
        self.block.copy_to_slice(&mut into[..len]);
        Ok(len)
    }
}

/// Frames, one behind the other.
struct Zstd(
    ruzstd::decoding::StreamingDecoder<bytes::buf::Reader<Bytes>, ruzstd::decoding::FrameDecoder>,
);

impl Zstd {
    fn new(packed: Bytes) -> Result<Self, Flaw> {
        let frame = ruzstd::decoding::StreamingDecoder::new(packed.reader());
        frame.map(Self).map_err(|_| Flaw::Packed)
    }
}

impl Read for Zstd {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let len = self.0.read(into)?;
            let packed = self.0.get_mut().get_mut();
            if len > 0 || packed.is_empty() {
                return Ok(len);
            }
            let rest = std::mem::take(packed);
            *self = Self::new(rest).map_err(|_| std::io::ErrorKind::InvalidData)?;
        }
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

    fn packed(attributes: u16, packed: &[u8]) -> Batch {
        let bytes = Spec { attributes, ..spec() }.bytes_around(packed);
        Batch::take(&mut bytes.clone()).unwrap().unwrap()
    }

    /// Both ways to look must agree.
    fn check(batch: &Batch) {
        let records: Vec<_> = read(batch).collect();
        assert_eq!(records, expected());
        let (flaw, seen) = scanned(batch);
        assert_eq!(flaw, None);
        let seen: Vec<_> = seen.iter().map(|s| (i64::from(s.offset_delta), s.timestamp)).collect();
        assert_eq!(seen, [(0, 1_000), (1, 1_500), (2, 900)]);
    }

    /// The first flaw, and the times that were seen.
    fn skimmed(batch: &Batch) -> (Option<Flaw>, Vec<Timestamp>) {
        let mut all = Vec::new();
        let skimmed = skim(batch, |time| all.push(time));
        (skimmed.err(), all)
    }

    fn scanned(batch: &Batch) -> (Option<Flaw>, Vec<Seen>) {
        let mut all = Vec::new();
        let scanned = scan(batch, |seen| {
            all.push(seen);
            ControlFlow::Continue(())
        });
        (scanned.err(), all)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_records_are_read() {
        check(&spec().batch());
        assert_eq!(skimmed(&spec().batch()), (None, vec![1_000, 1_500, 900]));
    }

    #[test]
    fn gzip_is_unpacked() {
        check(&packed(1, &gzip(&spec().records())));
    }

    #[test]
    fn both_spellings_of_snappy_are_unpacked() {
        let raw = snap::raw::Encoder::new().compress_vec(&spec().records()).unwrap();
        check(&packed(2, &raw));
        let len = u32::try_from(raw.len()).unwrap().to_be_bytes();
        check(&packed(2, &[b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01", &len[..], &raw].concat()));
    }

    #[test]
    fn lz4_is_unpacked() {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(&spec().records()).unwrap();
        check(&packed(3, &encoder.finish().unwrap()));
    }

    #[test]
    fn zstd_is_unpacked_in_one_frame_and_in_two() {
        let pack = |bytes: &[u8]| {
            ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
        };
        let records = spec().records();
        check(&packed(4, &pack(&records)));
        let (one, two) = records.split_at(5);
        check(&packed(4, &[pack(one), pack(two)].concat()));
    }

    #[test]
    fn what_does_not_agree_is_found() {
        let whole = spec().records();
        let flaw = |records: &[u8], count| {
            let mut batch = packed(0, records);
            batch.record_count = count;
            let flaw = scanned(&batch).0;
            assert_eq!(skimmed(&batch).0.is_some(), flaw.is_some(), "{flaw:?}");
            flaw
        };
        assert_eq!(flaw(&whole, 3), None);
        assert_eq!(flaw(&whole, 2), Some(Flaw::LeftOver));
        assert_eq!(flaw(&whole, 4), Some(Flaw::EndsEarly));
        assert_eq!(flaw(&whole, i32::MAX), Some(Flaw::EndsEarly));
        assert_eq!(flaw(b"junk", 1), Some(Flaw::EndsEarly));
        assert_eq!(flaw(&[0xff; 40], 1), Some(Flaw::LongVarint));
        let mut wrong = whole.to_vec();
        wrong[0] += 2; // The size of the first record is one more.
        assert_eq!(flaw(&wrong, 3), Some(Flaw::WrongSize));
    }

    #[test]
    fn a_bomb_is_not_unpacked_to_its_end() {
        // One record whose value is a quarter of a gigabyte; 70 MB of it are there.
        let size = [0x80, 0x80, 0x80, 0x80, 0x02]; // 2^28 in zigzag: a little more than the value.
        let mut bytes = gzip(&[&size[..], &[0, 0, 0, 1], &size].concat());
        bytes.extend(gzip(&vec![0; 1_000_000]).repeat(70));
        let mut batch = packed(1, &bytes);
        batch.record_count = 1;
        assert_eq!(scanned(&batch), (Some(Flaw::TooLarge), Vec::new()));
        assert_eq!(read(&batch).count(), 0);
    }

    #[test]
    fn a_raw_snappy_length_reserves_nothing() {
        let claims_four_gigabytes = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
        assert_eq!(scanned(&packed(2, &claims_four_gigabytes)).0, Some(Flaw::TooLarge));
    }

    proptest! {
        #[test]
        fn any_records_end_without_a_panic(
            attributes in 0u16..8,
            base_offset: i64,
            base_timestamp: i64,
            bytes: Vec<u8>,
        ) {
            let mut batch = packed(attributes, &bytes);
            (batch.base_offset, batch.base_timestamp) = (base_offset, base_timestamp);
            prop_assert!(scanned(&batch).1.len() <= 3);
            for record in read(&batch) {
                let _ = base_offset + record.offset_delta;
            }
        }

        /// The two ways to look differ in nothing but what they keep.
        #[test]
        fn a_scan_sees_what_a_read_reads(at in 0usize..40, byte: u8) {
            let mut bytes = spec().records().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            let batch = packed(0, &bytes);
            let (flaw, seen) = scanned(&batch);
            let read: Vec<_> = read(&batch).collect();
            prop_assert!(flaw.is_some() || read.len() == 3);
            let read = read.iter().map(|r| (r.offset_delta, r.timestamp, r.key.is_some()));
            let seen = seen.iter().map(|s| (s.offset_delta.into(), s.timestamp, s.has_key));
            prop_assert_eq!(seen.clone().collect::<Vec<_>>(), read.collect::<Vec<_>>());
            // A skim looks at less and so finds less; what it sees of a sound batch is the same.
            let (skim_flaw, times) = skimmed(&batch);
            prop_assert!(skim_flaw.is_none() || flaw.is_some());
            prop_assert!(flaw.is_some() || seen.map(|(_, time, _)| time).eq(times));
        }
    }
}
