//! Record batches (format v2), written by hand so that every field can also be written wrongly.

use std::io::Write as _;

/// A batch to send. Each field that is `None` is computed as a correct client would.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Record>,
    pub(crate) base_offset: i64,
    /// Timestamp of the first record; each next one is a millisecond later.
    pub(crate) timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) codec: i16,
    pub(crate) extra_attributes: i16,
    pub(crate) magic: u8,
    pub(crate) wrong_crc: bool,
    pub(crate) record_count: Option<i32>,
    pub(crate) last_offset_delta: Option<i32>,
    pub(crate) max_timestamp: Option<i64>,
    /// The records section before it is compressed.
    pub(crate) payload: Option<Vec<u8>>,
    /// Whether the payload is compressed, as the codec in the attributes says.
    pub(crate) is_packed: bool,
    pub(crate) batch_length: Option<i32>,
}

/// One record: a key or none, a value or none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
}

impl Record {
    /// Reads `value`, `key/value` and `null`, which stands for a null key or value.
    pub(crate) fn parse(text: &str) -> Self {
        let field = |text: &str| (text != "null").then(|| text.to_owned());
        match text.split_once('/') {
            Some((key, value)) => Self { key: field(key), value: field(value) },
            None => Self { key: None, value: field(text) },
        }
    }
}

impl Batch {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let count = i32::try_from(self.records.len()).unwrap();
        let mut payload = Vec::new();
        for (delta, record) in (0i64..).zip(&self.records) {
            put_record(&mut payload, delta, record);
        }
        payload = self.payload.clone().unwrap_or(payload);

        let mut checked = Vec::new(); // what the CRC covers
        checked.extend((self.codec | self.extra_attributes).to_be_bytes());
        checked.extend(self.last_offset_delta.unwrap_or(count - 1).to_be_bytes());
        checked.extend(self.timestamp.to_be_bytes());
        let last = self.timestamp + i64::from(count.max(1)) - 1;
        checked.extend(self.max_timestamp.unwrap_or(last).to_be_bytes());
        checked.extend(self.producer_id.to_be_bytes());
        checked.extend(self.producer_epoch.to_be_bytes());
        checked.extend(self.base_sequence.to_be_bytes());
        checked.extend(self.record_count.unwrap_or(count).to_be_bytes());
        checked.extend(compress(if self.is_packed { self.codec } else { 0 }, &payload));

        let crc = crc32c::crc32c(&checked) ^ u32::from(self.wrong_crc);
        let length = i32::try_from(4 + 1 + 4 + checked.len()).unwrap();
        let mut batch = Vec::new();
        batch.extend(self.base_offset.to_be_bytes());
        batch.extend(self.batch_length.unwrap_or(length).to_be_bytes());
        batch.extend((-1i32).to_be_bytes()); // partition leader epoch
        batch.push(self.magic);
        batch.extend(crc.to_be_bytes());
        batch.extend(checked);
        batch
    }
}

/// The message set of old clients (magic 0 or 1), which Kafka 4 refuses.
pub(crate) fn message_set(magic: u8, value: &str) -> Vec<u8> {
    let mut message = vec![magic, 0];
    if magic == 1 {
        message.extend(1000i64.to_be_bytes());
    }
    message.extend((-1i32).to_be_bytes()); // null key
    message.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
    message.extend(value.as_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&message);

    let mut set = 0i64.to_be_bytes().to_vec();
    set.extend(i32::try_from(4 + message.len()).unwrap().to_be_bytes());
    set.extend(crc.sum().to_be_bytes());
    set.extend(message);
    set
}

/// Describes the batches of a fetch answer, one line each. A batch that was cut off at the end is left
/// out: Kafka may send one to fill the asked size, and every client ignores it.
pub(crate) fn describe(mut bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while bytes.len() >= 61 {
        let end = 12 + usize::try_from(i32::from_be_bytes(array(bytes, 8))).unwrap();
        if bytes.len() < end {
            break;
        }
        let (batch, rest) = bytes.split_at(end);
        bytes = rest;

        let base_offset = i64::from_be_bytes(array(batch, 0));
        let last_offset = base_offset + i64::from(i32::from_be_bytes(array(batch, 23)));
        let leader_epoch = i32::from_be_bytes(array(batch, 12));
        let mut line = format!("{base_offset}–{last_offset} leader_epoch={leader_epoch}");
        let attributes = i16::from_be_bytes(array(batch, 21));
        if attributes != 0 {
            line += &format!(" attributes={attributes:#06b}");
        }
        let log_append_time = attributes & 8 != 0;
        if !log_append_time {
            let first = i64::from_be_bytes(array(batch, 27));
            let last = i64::from_be_bytes(array(batch, 35));
            line += &format!(" time={first}–{last}");
        }
        let producer_id = i64::from_be_bytes(array(batch, 43));
        if producer_id != -1 {
            let epoch = i16::from_be_bytes(array(batch, 51));
            let sequence = i32::from_be_bytes(array(batch, 53));
            line += &format!(" producer_epoch={epoch} base_sequence={sequence}");
        }
        if batch[16] != 2 {
            line += &format!(" magic={}", batch[16]);
        }
        if u32::from_be_bytes(array(batch, 17)) != crc32c::crc32c(&batch[21..]) {
            line += " crc=wrong";
        }
        let count = i32::from_be_bytes(array(batch, 57));
        if i64::from(count) != last_offset - base_offset + 1 {
            line += &format!(" count={count}");
        }
        line.push(':');
        if attributes & 7 == 0 {
            let mut payload = &batch[61..];
            for _ in 0..count {
                line += &format!(" {}", take_record(&mut payload));
            }
        } else {
            line += &format!(" {} compressed bytes", batch.len() - 61);
        }
        lines.push(line);
    }
    lines
}

/// The codec's number in a batch's attributes. A plain number stands for itself.
pub(crate) fn codec(name: &str) -> i16 {
    match name {
        "none" => 0,
        "gzip" => 1,
        "snappy" => 2,
        "lz4" => 3,
        "zstd" => 4,
        number => number.parse().unwrap(),
    }
}

fn compress(codec: i16, payload: &[u8]) -> Vec<u8> {
    match codec {
        1 => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(payload).unwrap();
            encoder.finish().unwrap()
        }
        2 => snap::raw::Encoder::new().compress_vec(payload).unwrap(),
        3 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(payload).unwrap();
            encoder.finish().unwrap()
        }
        4 => {
            ruzstd::encoding::compress_to_vec(payload, ruzstd::encoding::CompressionLevel::Fastest)
        }
        _ => payload.to_vec(),
    }
}

fn put_record(out: &mut Vec<u8>, delta: i64, record: &Record) {
    let mut body = vec![0]; // attributes
    put_varint(&mut body, delta); // timestamp delta
    put_varint(&mut body, delta); // offset delta
    for field in [&record.key, &record.value] {
        match field {
            Some(text) => {
                put_varint(&mut body, i64::try_from(text.len()).unwrap());
                body.extend(text.as_bytes());
            }
            None => put_varint(&mut body, -1),
        }
    }
    put_varint(&mut body, 0); // headers
    put_varint(out, i64::try_from(body.len()).unwrap());
    out.extend(body);
}

fn take_record(bytes: &mut &[u8]) -> String {
    take_varint(bytes); // length
    *bytes = &bytes[1..]; // attributes
    take_varint(bytes); // timestamp delta
    take_varint(bytes); // offset delta
    let mut field = || {
        let length = usize::try_from(take_varint(bytes)).ok()?;
        let (text, rest) = bytes.split_at(length);
        *bytes = rest;
        // A long value is shown by its length, so that a script stays readable.
        Some(if length > 40 {
            format!("({length} bytes)")
        } else {
            String::from_utf8_lossy(text).into_owned()
        })
    };
    let (key, value) = (field(), field());
    assert_eq!(take_varint(bytes), 0, "the scripts send no headers");
    let value = match value {
        Some(value) if value.is_empty() => "\"\"".into(),
        Some(value) => value,
        None => "null".into(),
    };
    match key {
        Some(key) => format!("{key}/{value}"),
        None => value,
    }
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn take_varint(bytes: &mut &[u8]) -> i64 {
    let mut zigzag = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        zigzag |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed()
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().unwrap()
}
