//! What one partition remembers of its idempotent producers (KIP-98, KIP-360).
//!
//! A producer numbers its batches. The same number again is a retry, answered with the offset of the first
//! time; a number too far ahead means that a batch was lost on the way, and is refused.

use std::collections::{HashMap, VecDeque};

use super::batch::{Batch, advance_sequence};
use crate::{error_code::ErrorCode, time::Timestamp};

/// How many batches of a producer are remembered: as many as may be in flight with idempotence on.
const REMEMBERED: usize = 5;

#[derive(Debug, Default)]
pub(super) struct Producers(HashMap<i64, Producer>);

/// Left out: Kafka forgets a producer after `producer.id.expiration.ms`; here it is kept as long as the log.
#[derive(Debug)]
struct Producer {
    epoch: i16,
    /// Never empty.
    last: VecDeque<Remembered>,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    max_timestamp: Timestamp,
}

/// What to do with a batch of an idempotent producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Append,
    /// It is in the log already, at this offset and with this time.
    Duplicate {
        base_offset: i64,
        max_timestamp: Timestamp,
    },
}

impl Producers {
    /// About how many bytes it takes to remember them.
    pub(super) fn size(&self) -> usize {
        let one = size_of::<(i64, Producer)>() + REMEMBERED * size_of::<Remembered>();
        self.0.len() * one
    }

    /// Judges a batch by its producer id, epoch and sequence.
    ///
    /// # Errors
    ///
    /// `INVALID_PRODUCER_EPOCH` for an epoch that was superseded, `OUT_OF_ORDER_SEQUENCE_NUMBER` for a gap.
    pub(super) fn judge(&self, batch: &Batch) -> Result<Verdict, ErrorCode> {
        // A producer that this partition never saw may begin anywhere: its earlier batches may be gone (KIP-360).
        let Some(producer) = self.0.get(&batch.producer_id) else { return Ok(Verdict::Append) };
        let (first, last) = (batch.base_sequence, batch.last_sequence());
        if batch.producer_epoch < producer.epoch {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        if batch.producer_epoch > producer.epoch {
            return if first == 0 {
                Ok(Verdict::Append)
            } else {
                Err(ErrorCode::OutOfOrderSequenceNumber)
            };
        }
        let retry =
            producer.last.iter().find(|b| (b.first_sequence, b.last_sequence) == (first, last));
        if let Some(&Remembered { base_offset, max_timestamp, .. }) = retry {
            return Ok(Verdict::Duplicate { base_offset, max_timestamp });
        }
        let expected = producer.last.back().map_or(0, |b| advance_sequence(b.last_sequence, 1));
        if first == expected {
            Ok(Verdict::Append)
        } else {
            Err(ErrorCode::OutOfOrderSequenceNumber)
        }
    }

    /// Remembers a batch that was appended at `base_offset`.
    pub(super) fn remember(&mut self, batch: &Batch, base_offset: i64, max_timestamp: Timestamp) {
        let producer = self
            .0
            .entry(batch.producer_id)
            .or_insert_with(|| Producer { epoch: batch.producer_epoch, last: VecDeque::new() });
        if producer.epoch != batch.producer_epoch {
            *producer = Producer { epoch: batch.producer_epoch, last: VecDeque::new() };
        }
        if producer.last.len() == REMEMBERED {
            producer.last.pop_front();
        }
        producer.last.push_back(Remembered {
            first_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset,
            max_timestamp,
        });
    }
}
