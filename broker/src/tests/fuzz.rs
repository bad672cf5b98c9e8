//! Fuzzing: whatever frames and batches come, nothing panics, memory stays within bounds, and what is valid is answered.
//!
//! It runs for a moment with the other tests, on stable Rust. `make fuzz` runs it for longer. A failure names the seed
//! to repeat it with (`BOLERO_RANDOM_SEED`).

use std::{
    cell::Cell,
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    ops::ControlFlow,
    panic,
    pin::pin,
    sync::{Arc, Once},
    task::{Context, Poll, Waker},
};

use allocation_counter::measure;
use bolero::TypeGenerator;
use bytes::{Bytes, BytesMut};

use super::{read_answer, request_frame};
use crate::{
    api::{self, Session},
    cluster::{Clock, Cluster, NewTopic},
    log::{
        batch::{Batch, CRC_FROM, at},
        encode::{self, Header, NewRecord},
        records::{self, Record},
    },
    settings::Settings,
    threads::Threads,
    wire::{
        Request, StrBytes,
        messages::{
            FetchRequest, ListOffsetsRequest, ProduceRequest, TopicName,
            fetch_request::{FetchPartition, FetchTopic},
            list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
            produce_request::{PartitionProduceData, TopicProduceData},
        },
        schema::{
            self,
            tests::filled::{fill, sparingly},
        },
    },
};

/// One frame: a valid request, unless it is damaged or cut off.
#[derive(Clone, Debug, TypeGenerator)]
struct Shot {
    api: u8,
    version: u8,
    /// What stands in the fields.
    choices: Vec<u8>,
    /// Where bytes are replaced, and by what.
    damage: Vec<(u16, u8)>,
    cut: Option<u16>,
}

impl Shot {
    /// The frame, and whether it is valid.
    fn frame(&self) -> (Bytes, bool) {
        let api = &api::APIS[usize::from(self.api) % api::APIS.len()];
        let versions = usize::try_from(api.max - api.min).unwrap() + 1;
        let version = api.min + i16::try_from(usize::from(self.version) % versions).unwrap();
        let key = api.key as i16;
        let message = &schema::api(key).unwrap().request;
        let mut body = fill(message, version, &mut sparingly(&self.choices));
        let length = body.len();
        for (at, byte) in self.damage.iter().filter(|_| length > 0) {
            body[usize::from(*at) % length] = *byte;
        }
        if let Some(cut) = self.cut {
            body.truncate(usize::from(cut) % (length + 1));
        }
        let mut frame = [key, version].map(i16::to_be_bytes).concat();
        frame.extend([0, 0, 0, 7, 0, 1, b'c']);
        // No tagged fields in the header.
        frame.extend((schema::request_header_version(key, version) == Some(2)).then_some(0));
        frame.extend(body);
        (frame.into(), self.damage.is_empty() && self.cut.is_none())
    }
}

#[test]
fn any_frames_are_answered_or_end_their_connection() {
    bolero::check!().with_type::<Vec<Shot>>().for_each(|shots| {
        let _runtime = Threads::shared().unwrap().handle().enter();
        let (cluster, session) = (cluster(), session());
        for shot in shots {
            let (frame, is_valid) = shot.frame();
            let mut answered = false;
            let memory = measure(|| {
                answered = panics(|| answer_at_once(&cluster, &session, &frame));
            });
            let most = MOST_MEMORY + MOST_FOR_A_BYTE * frame.len() as u64;
            assert!(memory.bytes_max <= most, "{shot:?} of {} bytes took {memory:?}", frame.len());
            // The schema is stricter than what may be in a frame, so a damaged one can still be valid.
            assert!(
                answered || !is_valid,
                "{shot:?} is valid, and it was not answered: {frame:02x?}"
            );
        }
    });
}

/// Time, key and value of a record; the value is repeated, so that packing pays.
type Line = (i64, Option<Vec<u8>>, Option<Vec<u8>>, u16);

/// A batch of records in any codec, unless it is damaged or cut off.
#[derive(Clone, Debug, TypeGenerator)]
struct Parcel {
    records: Vec<Line>,
    codec: u8,
    idempotent: bool,
    /// Where bytes of the records are replaced before they are packed.
    damage: Vec<(u16, u8)>,
    /// The same for the whole batch.
    damage_to_batch: Vec<(u16, u8)>,
    /// Somebody who means harm writes a checksum that agrees.
    is_sealed_again: bool,
    cut: Option<u16>,
}

impl Parcel {
    fn records(&self) -> Vec<NewRecord> {
        let bytes = |bytes: &Vec<u8>| Bytes::from(bytes.clone());
        let record = |(timestamp, key, value, times): &Line| NewRecord {
            timestamp: *timestamp,
            key: key.as_ref().map(bytes),
            value: value.as_ref().map(|value| value.repeat(usize::from(times % 1_000)).into()),
            headers: Vec::new(),
        };
        // A batch without records is none.
        let first = NewRecord { value: Some("first".into()), ..NewRecord::default() };
        std::iter::once(first).chain(self.records.iter().map(record)).collect()
    }

    fn is_valid(&self) -> bool {
        self.damage.is_empty() && self.damage_to_batch.is_empty() && self.cut.is_none()
    }

    fn bytes(&self) -> Bytes {
        let mut section = encode::section(&self.records());
        replace(&mut section, &self.damage);
        let codec = self.codec % 5;
        let packed = pack(codec, &section);
        let (producer_id, producer_epoch, base_sequence) =
            if self.idempotent { (1, 0, 0) } else { (-1, -1, -1) };
        let attributes = codec.into();
        let header =
            Header { base_offset: 0, attributes, producer_id, producer_epoch, base_sequence };
        let mut batch = BytesMut::from(&encode::around(&header, &self.records(), &packed)[..]);
        replace(&mut batch, &self.damage_to_batch);
        if self.is_sealed_again {
            let crc = crc32c::crc32c(&batch[CRC_FROM..]);
            batch[at::CRC..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        }
        if let Some(cut) = self.cut {
            batch.truncate(usize::from(cut) % (batch.len() + 1));
        }
        batch.freeze()
    }
}

fn replace(bytes: &mut [u8], damage: &[(u16, u8)]) {
    for (at, byte) in damage {
        let at = usize::from(*at) % bytes.len();
        bytes[at] = *byte;
    }
}

/// As Kafka numbers the codecs. Snappy is raw for even lengths, and in the blocks of the xerial library for odd ones.
fn pack(codec: u8, bytes: &[u8]) -> Vec<u8> {
    match codec {
        0 => bytes.to_vec(),
        1 => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(bytes).unwrap();
            gzip.finish().unwrap()
        }
        2 => {
            let raw = snap::raw::Encoder::new().compress_vec(bytes).unwrap();
            let length = u32::try_from(raw.len()).unwrap().to_be_bytes();
            match bytes.len() % 2 {
                0 => raw,
                _ => [b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01", &length[..], &raw].concat(),
            }
        }
        3 => {
            let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
            lz4.write_all(bytes).unwrap();
            lz4.finish().unwrap()
        }
        _ => ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest),
    }
}

#[test]
fn any_batch_is_read_within_bounds() {
    bolero::check!().with_type::<Parcel>().for_each(|parcel| {
        let bytes = parcel.bytes();
        let mut rest = bytes.clone();
        let mut left = rest.len();
        while let Ok(Some(batch)) = Batch::take(&mut rest) {
            assert!(rest.len() < left, "a batch takes bytes off the front");
            left = rest.len();
            is_read_within_bounds(&batch);
        }
        if parcel.is_valid() {
            let batch = Batch::take(&mut bytes.clone()).unwrap().unwrap();
            assert!(batch.is_intact());
            let expected = (0..).zip(parcel.records()).map(|(offset_delta, record)| {
                let NewRecord { timestamp, key, value, headers } = record;
                Record { offset_delta, timestamp, key, value, headers }
            });
            assert!(records::read(&batch).eq(expected), "{parcel:?}");
        }
        is_stored_or_refused(parcel, &bytes);
    });
}

fn is_read_within_bounds(batch: &Batch) {
    let most = u32::try_from(batch.record_count).unwrap_or(0);
    let mut seen = 0;
    let memory = measure(|| {
        let _ = records::skim(batch, |_| seen += 1);
    });
    assert_eq!(memory.count_total, 0, "a skim keeps nothing");
    assert!(seen <= most);
    let mut seen = 0;
    let memory = measure(|| {
        let _ = records::scan(batch, |_| {
            seen += 1;
            ControlFlow::Continue(())
        });
    });
    assert!(seen <= most);
    let most = MOST_TO_UNPACK + MOST_OF_A_PACKED_BYTE * batch.bytes.len() as u64;
    assert!(memory.bytes_max <= most, "{} bytes: {memory:?}", batch.bytes.len());
}

/// The batch is produced to two topics, looked for by its time, and fetched.
fn is_stored_or_refused(parcel: &Parcel, batch: &Bytes) {
    let threads = Threads::shared().unwrap();
    let (cluster, session) = (cluster(), session());
    let ask = |frame: BytesMut| {
        let request = Request::parse(&frame.freeze()).unwrap();
        let answer = panics(|| threads.handle().block_on(api::answer(&cluster, &session, request)));
        Bytes::from(answer.unwrap().frame.unwrap().to_vec())
    };
    for topic in ["orders", "table"] {
        let topic = TopicName(StrBytes::from_static_str(topic));
        let data = PartitionProduceData::default().with_records(Some(batch.clone()));
        let data =
            TopicProduceData::default().with_name(topic.clone()).with_partition_data(vec![data]);
        let produce = ProduceRequest::default().with_acks(-1).with_topic_data(vec![data]);
        let mut answer = ask(request_frame(9, &produce));
        let produced = read_answer::<ProduceRequest>(&mut answer, 9);
        let code = produced.responses[0].partition_responses[0].error_code;
        assert!(
            code == 0 || topic.as_str() == "table" || !parcel.is_valid(),
            "{code} for {parcel:?}"
        );

        let partition = ListOffsetsPartition::default().with_timestamp(1);
        let of =
            ListOffsetsTopic::default().with_name(topic.clone()).with_partitions(vec![partition]);
        ask(request_frame(5, &ListOffsetsRequest::default().with_topics(vec![of])));

        let partition = FetchPartition::default().with_partition_max_bytes(1);
        let of = FetchTopic::default().with_topic(topic).with_partitions(vec![partition]);
        let mut answer =
            ask(request_frame(5, &FetchRequest::default().with_max_bytes(1).with_topics(vec![of])));
        let fetched = read_answer::<FetchRequest>(&mut answer, 5);
        let mut records = fetched.responses[0].partitions[0].records.clone().unwrap_or_default();
        assert_eq!(!records.is_empty(), code == 0, "what is acknowledged can be fetched");
        while !records.is_empty() {
            assert!(Batch::take(&mut records).unwrap().expect("whole batches").is_intact());
        }
    }
}

/// What an answer may take besides its request.
const MOST_MEMORY: u64 = 1024 * 1024;
/// What it may take for each byte of its request.
const MOST_FOR_A_BYTE: u64 = 100;
/// What looking through a batch may take: LZ4 has the longest blocks, of 4 MiB packed and unpacked.
const MOST_TO_UNPACK: u64 = 9 * 1024 * 1024;
/// Raw Snappy is unpacked at once, and becomes 22 times as long at most.
const MOST_OF_A_PACKED_BYTE: u64 = 23;

fn cluster() -> Arc<Cluster> {
    let threads = Threads::shared().unwrap();
    let mut settings = Settings::default();
    settings.set("group.initial.rebalance.delay.ms", "0").unwrap();
    // Records have any time.
    settings.set("log.message.timestamp.after.max.ms", &i64::MAX.to_string()).unwrap();
    let cluster = Arc::new(Cluster::new(settings, Clock::held(0), threads, None));
    let compact = ("cleanup.policy".to_owned(), "compact".to_owned());
    for (name, overrides) in [("orders", None), ("table", Some(compact))] {
        let overrides = overrides.into_iter().collect();
        let new = NewTopic { name: name.to_owned(), partitions: 2, overrides };
        cluster.topics.create(new, false).unwrap();
    }
    cluster
}

fn session() -> Session {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9092));
    Session::plaintext(address, address)
}

/// Is the frame answered, or does the request wait? Its client does not, and goes.
fn answer_at_once(cluster: &Arc<Cluster>, session: &Session, frame: &Bytes) -> bool {
    let Ok(request) = Request::parse(frame) else { return false };
    let answer = pin!(api::answer(cluster, session, request));
    match answer.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answered) => answered.is_ok(),
        Poll::Pending => true,
    }
}

thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// Does something, and fails if a panic was caught on the way: a client would only see an error code.
fn panics<T>(act: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
    let before = PANICS.get();
    let done = act();
    assert_eq!(PANICS.get(), before, "a handler has panicked");
    done
}
