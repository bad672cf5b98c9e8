//! Stage 8: make mistakes on purpose, and predict what the broker answers.
//!
//! There are three kinds of answers: an error code, if the broker could read the request; the end of the connection, if
//! it could not; silence, if it still waits for bytes.

use super::{api_versions, fetch, produce};
use crate::Lab;
use crate::batch::{self, patch};
use crate::connection::{Connection, Header, LIMIT, Reply};
use crate::errors;
use crate::story::Event;
use crate::wire::{Decoder, Encoder, Frame};
use anyhow::{bail, ensure};
use std::fmt;
use std::time::Duration;

/// How long silence must last to count. An answer that is expected may take longer, up to [`LIMIT`]: the broker may be
/// slow.
const SILENCE: Duration = Duration::from_millis(1500);

/// What a broker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Error(i16),
    Closed,
    Silence,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(code) => f.write_str(&errors::named(*code)),
            Self::Closed => f.write_str("closed: the broker ends the connection"),
            Self::Silence => f.write_str("silence: the broker waits"),
        }
    }
}

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy)]
pub struct Mistake {
    pub what: &'static str,
    /// What Kafka does.
    pub answer: Answer,
    /// And why.
    pub why: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Crc,
    BatchTooLong,
    BatchTooShort,
    RecordCount,
    Acks,
    NoPartition,
    FrameTooLong,
    FrameTooShort,
    FrameHuge,
    HelloFromTheFuture,
    MetadataFromTheFuture,
    BehindTheEnd,
    LeaderEpoch,
    SequenceGap,
    OldProducerEpoch,
    OldGeneration,
    UnknownMember,
}

pub const MISTAKES: [Mistake; 17] = [
    Mistake {
        what: "a batch with one bit of its crc flipped",
        answer: Answer::Error(2),
        why: "the broker computes the checksum before it stores anything",
        kind: Kind::Crc,
    },
    Mistake {
        what: "a batch whose batch_length is one too large",
        answer: Answer::Error(87),
        why: "the batch is not complete, and a Produce request needs exactly one batch",
        kind: Kind::BatchTooLong,
    },
    Mistake {
        what: "a batch whose batch_length is one too small",
        answer: Answer::Error(2),
        why: "the last byte is cut off, so the checksum does not match the bytes",
        kind: Kind::BatchTooShort,
    },
    Mistake {
        what: "a batch whose record_count is one too large, with the right crc",
        answer: Answer::Error(87),
        why: "the checksum matches the bytes, but the count does not match the records",
        kind: Kind::RecordCount,
    },
    Mistake {
        what: "acks = 7",
        answer: Answer::Error(21),
        why: "acks is not a number of replicas: only -1, 0 and 1 exist",
        kind: Kind::Acks,
    },
    Mistake {
        what: "a batch for partition 99",
        answer: Answer::Error(3),
        why: "the broker has no such partition; a client then asks for metadata again",
        kind: Kind::NoPartition,
    },
    Mistake {
        what: "a request whose length is one too large",
        answer: Answer::Silence,
        why: "the missing byte may still come, because only the length says where a frame ends",
        kind: Kind::FrameTooLong,
    },
    Mistake {
        what: "a request whose length is one too small",
        answer: Answer::Closed,
        why: "the client_id is longer than the frame, and a request that cannot be read gets no error code",
        kind: Kind::FrameTooShort,
    },
    Mistake {
        what: "a request whose length is 2 GiB",
        answer: Answer::Closed,
        why: "this is more than socket.request.max.bytes (100 MiB)",
        kind: Kind::FrameHuge,
    },
    Mistake {
        what: "ApiVersions in version 127",
        answer: Answer::Error(35),
        why: "only this API answers an unknown version; it uses layout 0, which all programs can read (KIP-511)",
        kind: Kind::HelloFromTheFuture,
    },
    Mistake {
        what: "Metadata in version 127",
        answer: Answer::Closed,
        why: "the layout is unknown; a client that asks ApiVersions first does not make this mistake",
        kind: Kind::MetadataFromTheFuture,
    },
    Mistake {
        what: "a fetch from an offset far after the last record",
        answer: Answer::Error(1),
        why: "the setting auto.offset.reset decides what a consumer does next",
        kind: Kind::BehindTheEnd,
    },
    Mistake {
        what: "a fetch with a leader epoch that is one too new",
        answer: Answer::Error(75),
        why: "the client knows a newer leader than this broker; an epoch that is too old gets 74 FENCED_LEADER_EPOCH",
        kind: Kind::LeaderEpoch,
    },
    Mistake {
        what: "an idempotent producer that leaves out a sequence number",
        answer: Answer::Error(45),
        why: "a batch is missing in between, and an idempotent producer keeps the order",
        kind: Kind::SequenceGap,
    },
    Mistake {
        what: "an idempotent producer with an old epoch",
        answer: Answer::Error(47),
        why: "a newer producer with the same id has taken over, so the old one is refused",
        kind: Kind::OldProducerEpoch,
    },
    Mistake {
        what: "a heartbeat for the group's last generation",
        answer: Answer::Error(22),
        why: "a member that missed a rebalance must join again",
        kind: Kind::OldGeneration,
    },
    Mistake {
        what: "a heartbeat of a member that does not exist",
        answer: Answer::Error(25),
        why: "a real member gets the same answer after a session time-out",
        kind: Kind::UnknownMember,
    },
];

pub async fn run(lab: &mut Lab) -> anyhow::Result<()> {
    let faults = batch::faults(&batch::build(&lab.exercise).bytes);
    if let Some(fault) = faults.first() {
        bail!(
            "Your batch is already wrong before this stage breaks it, so correct it first: {fault}"
        );
    }
    for mistake in MISTAKES {
        let answer = lab.make(mistake).await?;
        lab.story.check(
            answer == mistake.answer,
            format!(
                "{answer}
       {}",
                mistake.why
            ),
            format!("{}: {answer}. Kafka's answer is {}.", mistake.what, mistake.answer),
        );
    }
    Ok(())
}

impl Lab {
    /// Makes one mistake. The frame that is wrong is told, with its answer; what leads there is not.
    ///
    /// # Errors
    /// When what leads there fails.
    pub async fn make(&mut self, mistake: Mistake) -> anyhow::Result<Answer> {
        self.story.say(format!("{}.", capital(mistake.what)));
        let (mut to, epoch) = self.leader().await?;
        let batch = batch::build(&self.exercise).bytes;
        match mistake.kind {
            Kind::Crc | Kind::BatchTooLong | Kind::BatchTooShort | Kind::RecordCount => {
                let batch = spoilt(batch, mistake.kind);
                self.produce_code(&mut to, &batch, 0, -1).await
            }
            Kind::Acks => self.produce_code(&mut to, &batch, 0, 7).await,
            Kind::NoPartition => self.produce_code(&mut to, &batch, 99, -1).await,
            Kind::FrameTooLong => self.hello(&mut to, |length| length + 1, SILENCE).await,
            Kind::FrameTooShort => self.hello(&mut to, |length| length - 1, LIMIT).await,
            Kind::FrameHuge => self.hello(&mut to, |_| i32::MAX, LIMIT).await,
            Kind::HelloFromTheFuture => {
                let request = Encoder::flexible(
                    "ApiVersions version 127",
                    api_versions::KEY,
                    127,
                    self.next_id(),
                    "lab5",
                );
                let parse = |from: &mut Decoder| api_versions::parse(from).map(|(error, _)| error);
                self.answer(&mut to, request.finish(), LIMIT, parse).await
            }
            Kind::MetadataFromTheFuture => {
                let request =
                    Encoder::flexible("Metadata version 127", 3, 127, self.next_id(), "lab5");
                self.answer(&mut to, request.finish(), LIMIT, |_| Ok(0)).await
            }
            Kind::BehindTheEnd => self.fetch_code(&mut to, 1 << 40, epoch).await,
            Kind::LeaderEpoch => self.fetch_code(&mut to, 0, epoch + 1).await,
            Kind::SequenceGap | Kind::OldProducerEpoch => {
                self.as_idempotent(&mut to, batch, mistake.kind).await
            }
            Kind::OldGeneration | Kind::UnknownMember => self.in_a_group(mistake.kind).await,
        }
    }

    /// ApiVersions with a length of one's own making.
    async fn hello(
        &mut self,
        to: &mut Connection,
        length: fn(i32) -> i32,
        limit: Duration,
    ) -> anyhow::Result<Answer> {
        let mut request =
            Encoder::request("ApiVersions version 0", api_versions::KEY, 0, self.next_id(), "lab5")
                .finish();
        let right = crate::wire::count(request.bytes.len() - 4);
        let wrong = length(right);
        request.bytes[..4].copy_from_slice(&wrong.to_be_bytes());
        request.fields[0].value = wrong.to_string();
        request.fields[0].meaning = "this is wrong";
        let parse = |from: &mut Decoder| api_versions::parse(from).map(|(error, _)| error);
        self.answer(to, request, limit, parse).await
    }

    async fn produce_code(
        &mut self,
        to: &mut Connection,
        batch: &[u8],
        partition: i32,
        acks: i16,
    ) -> anyhow::Result<Answer> {
        let request = produce::request(self.next_id(), &self.topic(), partition, acks, batch);
        let parse = |from: &mut Decoder| produce::parse(from).map(|produced| produced.error);
        self.answer(to, request, LIMIT, parse).await
    }

    async fn fetch_code(
        &mut self,
        to: &mut Connection,
        offset: i64,
        epoch: i32,
    ) -> anyhow::Result<Answer> {
        let request = fetch::request(self.next_id(), &self.topic(), offset, epoch);
        let parse = |from: &mut Decoder| fetch::parse(from).map(|fetched| fetched.error);
        self.answer(to, request, LIMIT, parse).await
    }

    /// A batch with a producer id that is fine, and a second one that is not.
    async fn as_idempotent(
        &mut self,
        to: &mut Connection,
        batch: Vec<u8>,
        kind: Kind,
    ) -> anyhow::Result<Answer> {
        self.story.hushed = true;
        let (error, producer) = self.producer_id(to).await?;
        ensure!(error == 0, "InitProducerId: the broker answers {}", errors::named(error));
        let records = crate::wire::count(self.exercise.records.len());
        let first = from_producer(batch.clone(), producer, 1, 0);
        let produced = self.produce(to, &first, 0, -1).await?;
        self.story.hushed = false;
        ensure!(
            produced.error == 0,
            "The first batch of the idempotent producer: {}",
            errors::named(produced.error)
        );
        let second = match kind {
            Kind::SequenceGap => from_producer(batch, producer, 1, records + 1),
            _ => from_producer(batch, producer, 0, records),
        };
        self.produce_code(to, &second, 0, -1).await
    }

    /// InitProducerId, version 1: a number for an idempotent producer.
    ///
    /// # Errors
    /// When there is no answer, or one that does not fit.
    pub async fn producer_id(&mut self, to: &mut Connection) -> anyhow::Result<(i16, i64)> {
        let mut request =
            Encoder::request("InitProducerId version 1", 22, 1, self.next_id(), "lab5");
        request.i16("transactional_id", -1, "null: idempotent, without transactions");
        request.i32("transaction_timeout_ms", 60_000, "");
        let parse = |from: &mut Decoder| {
            from.i32("throttle_time_ms", "")?;
            let error = from.error()?;
            let id = from.i64("producer_id", "")?;
            from.i16("producer_epoch", "")?;
            Ok((error, id))
        };
        self.ask(to, request.finish(), Header::Classic, LIMIT, parse).await
    }

    /// Joins, sends a wrong heartbeat, and leaves.
    async fn in_a_group(&mut self, kind: Kind) -> anyhow::Result<Answer> {
        self.story.hushed = true;
        let mut to = self.coordinator().await?;
        let newcomer = self.join(&mut to, "").await?;
        let joined = self.join(&mut to, &newcomer.member).await?;
        let assignments = [(joined.member.clone(), Vec::new())];
        let follower: &[(String, Vec<i32>)] = &[];
        let leads = joined.leader == joined.member;
        self.sync(&mut to, &joined, if leads { &assignments } else { follower }).await?;
        self.story.hushed = false;
        let (generation, member) = match kind {
            Kind::OldGeneration => (joined.generation - 1, joined.member.as_str()),
            _ => (joined.generation, "nobody"),
        };
        let code = self.heartbeat(&mut to, generation, member).await?;
        self.story.hushed = true;
        self.leave(&mut to, &joined.member).await?;
        self.story.hushed = false;
        Ok(Answer::Error(code))
    }

    /// Sends a frame, and shows what comes back.
    async fn answer(
        &mut self,
        to: &mut Connection,
        request: Frame,
        limit: Duration,
        parse: impl FnOnce(&mut Decoder) -> anyhow::Result<i16>,
    ) -> anyhow::Result<Answer> {
        let title = request.title.clone();
        let id = request.bytes.get(8..12).map(<[u8]>::to_vec);
        to.send(&request.bytes).await?;
        self.story.tell(Event::Sent(request));
        Ok(match to.receive(limit).await? {
            Reply::Frame(bytes) => {
                let title = format!("answer to {title}");
                Answer::Error(self.read(&title, bytes, id.as_deref(), Header::Classic, parse)?)
            }
            Reply::Closed => Answer::Closed,
            Reply::Silence => Answer::Silence,
        })
    }
}

fn spoilt(mut batch: Vec<u8>, kind: Kind) -> Vec<u8> {
    let number = |range: std::ops::Range<usize>, batch: &[u8]| {
        i32::from_be_bytes(batch[range].try_into().expect("the range has 4 bytes"))
    };
    match kind {
        Kind::Crc => batch[batch::CRC.end - 1] ^= 1,
        Kind::BatchTooLong | Kind::BatchTooShort => {
            let by = if kind == Kind::BatchTooLong { 1 } else { -1 };
            let length = number(batch::LENGTH, &batch) + by;
            batch[batch::LENGTH].copy_from_slice(&length.to_be_bytes());
        }
        _ => {
            let count = number(batch::RECORD_COUNT, &batch) + 1;
            patch(&mut batch, batch::RECORD_COUNT, &count.to_be_bytes());
        }
    }
    batch
}

/// The batch as an idempotent producer sends it.
fn from_producer(mut batch: Vec<u8>, id: i64, epoch: i16, sequence: i32) -> Vec<u8> {
    patch(&mut batch, batch::PRODUCER_ID, &id.to_be_bytes());
    patch(&mut batch, batch::PRODUCER_EPOCH, &epoch.to_be_bytes());
    patch(&mut batch, batch::BASE_SEQUENCE, &sequence.to_be_bytes());
    batch
}

pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
