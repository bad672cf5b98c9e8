//! Which partition a record goes to, and why.
//!
//! librdkafka chooses by itself; these functions repeat its arithmetic so that a lab can say *why* a record landed
//! where it did, and a test holds them against the real thing. Two choices are not arithmetic:
//!
//! * A record without a key goes to a random partition and stays with it for a few milliseconds
//!   (`sticky.partitioning.linger.ms`), in librdkafka as in Java. That is not round robin.
//! * librdkafka has no round robin, so the labs give the partition themselves: `n % count` ([`Choice::round_robin`]).
//!   rdkafka's custom-partitioner callback looks like the place for it and is a trap: it is not called for records
//!   without a key by default, and crashes unless some topic-level property is set.

use std::fmt;

/// librdkafka's `partitioner` property: how a record with a key gets its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioner {
    /// `consistent_random`, librdkafka's default, and `consistent`.
    Crc32,
    /// `murmur2_random` and `murmur2`: what the Java client does, so the choice for topics that both write to.
    Murmur2,
    /// `fnv1a_random` and `fnv1a`: what Go's Sarama does.
    Fnv1a,
    /// `random`: the key has no say.
    Random,
}

impl Partitioner {
    /// The partitioner of this name; `None` for a name that librdkafka does not have.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "consistent" | "consistent_random" => Some(Self::Crc32),
            "murmur2" | "murmur2_random" => Some(Self::Murmur2),
            "fnv1a" | "fnv1a_random" => Some(Self::Fnv1a),
            "random" => Some(Self::Random),
            _ => None,
        }
    }

    /// The partition, of `count`, that librdkafka chooses for this key, with the reason. `count` is at least 1.
    ///
    /// An empty key counts as none for the default partitioner; the other two hash it.
    pub fn choose(self, key: Option<&[u8]>, count: i32) -> Choice {
        let (Some(key), false) = (key, self == Self::Random) else { return Choice::Sticky };
        if key.is_empty() && self == Self::Crc32 {
            return Choice::Sticky;
        }
        let hash = match self {
            Self::Crc32 => crc32(key),
            Self::Murmur2 => murmur2(key) & 0x7fff_ffff,
            Self::Fnv1a => fnv1a(key),
            Self::Random => unreachable!("left above"),
        };
        Choice::Hashed { by: self, partition: remainder(u64::from(hash), count), count }
    }
}

impl fmt::Display for Partitioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crc32 => "crc32",
            Self::Murmur2 => "murmur2",
            Self::Fnv1a => "fnv1a",
            Self::Random => "random",
        })
    }
}

/// A partition with the reason for it. As text it is what the labs print: `crc32 % 3 = 2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The hash of the key decided.
    Hashed {
        /// Which hash.
        by: Partitioner,
        /// The result.
        partition: i32,
        /// How many partitions there were.
        count: i32,
    },
    /// Ours: one partition after the other.
    RoundRobin {
        /// The how many-th record it was, from 0.
        n: u64,
        /// The result.
        partition: i32,
        /// How many partitions there were.
        count: i32,
    },
    /// The user said so.
    Fixed {
        /// What was said.
        partition: i32,
    },
    /// librdkafka picks a partition at random and stays with it for a moment.
    Sticky,
}

impl Choice {
    /// Record `n` (from 0) in round robin over `count` partitions, which is at least 1.
    pub fn round_robin(n: u64, count: i32) -> Self {
        Self::RoundRobin { n, partition: remainder(n, count), count }
    }

    /// The partition, when it can be known before the broker answers.
    pub fn partition(self) -> Option<i32> {
        match self {
            Self::Hashed { partition, .. }
            | Self::RoundRobin { partition, .. }
            | Self::Fixed { partition } => Some(partition),
            Self::Sticky => None,
        }
    }

    /// The partition that the producer must name itself, because librdkafka would choose another.
    pub fn explicit(self) -> Option<i32> {
        match self {
            Self::RoundRobin { partition, .. } | Self::Fixed { partition } => Some(partition),
            Self::Hashed { .. } | Self::Sticky => None,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hashed { by, partition, count } => write!(f, "{by} % {count} = {partition}"),
            Self::RoundRobin { n, partition, count } => {
                write!(f, "round robin {n} % {count} = {partition}")
            }
            Self::Fixed { partition } => write!(f, "fixed = {partition}"),
            Self::Sticky => f.write_str("random, sticky"),
        }
    }
}

/// CRC-32 as zlib has it, bit by bit: short enough to read, fast enough for what a person types.
/// (The record batch's checksum is another one, CRC-32C.)
pub fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// MurmurHash2 with the seed of Kafka's Java client. The partitioners drop its sign bit.
pub fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;

    let mut chunks = bytes.chunks_exact(4);
    // The length goes in modulo 2^32, as in C.
    #[expect(clippy::cast_possible_truncation, reason = "the hash is defined so")]
    let mut hash = SEED ^ bytes.len() as u32;
    for chunk in &mut chunks {
        let mut word = u32::from_le_bytes(chunk.try_into().expect("chunks_exact(4) gives 4 bytes"));
        word = word.wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |word, byte| (word << 8) | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// FNV-1a, 32 bits, with the sign taken off as Sarama does.
pub fn fnv1a(bytes: &[u8]) -> u32 {
    let hash = bytes
        .iter()
        .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash.cast_signed().wrapping_abs().cast_unsigned()
}

fn remainder(n: u64, count: i32) -> i32 {
    let count = u64::try_from(count.max(1)).expect("1 or more");
    i32::try_from(n % count).expect("less than an i32")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measured with librdkafka against Kafka 4.3.1, for 3 partitions. `tests/partitioner.rs` measures it again.
    const KEYS: [&str; 10] = ["u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "alice", "bob"];
    const MEASURED: [(Partitioner, [i32; 10]); 3] = [
        (Partitioner::Crc32, [2, 0, 2, 2, 2, 0, 1, 2, 2, 2]),
        (Partitioner::Murmur2, [1, 0, 1, 0, 2, 1, 2, 2, 0, 0]),
        (Partitioner::Fnv1a, [0, 2, 1, 0, 2, 1, 0, 2, 2, 2]),
    ];

    #[test]
    fn the_arithmetic_agrees_with_what_was_measured() {
        for (partitioner, partitions) in MEASURED {
            for (key, partition) in KEYS.iter().zip(partitions) {
                let choice = partitioner.choose(Some(key.as_bytes()), 3);
                assert_eq!(choice.partition(), Some(partition), "{key} by {partitioner}");
            }
        }
    }

    #[test]
    fn the_hashes_have_their_known_values() {
        // zlib's, Java's (Utils.murmur2 in Kafka's own test), Go's hash/fnv through Sarama.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(murmur2(b"21").cast_signed(), -973_932_308);
        assert_eq!(murmur2(b"foobar").cast_signed(), -790_332_482);
        assert_eq!(murmur2(b"a-little-bit-long-string").cast_signed(), -985_981_536);
        assert_eq!(fnv1a(b"kafka"), 0x0d33_c4e1);
        assert_eq!(fnv1a(b""), 0x7ee3_623b);
    }

    #[test]
    fn an_empty_key_is_no_key_for_the_default_alone() {
        assert_eq!(Partitioner::Crc32.choose(Some(b""), 3), Choice::Sticky);
        assert_eq!(Partitioner::Crc32.choose(None, 3), Choice::Sticky);
        assert!(Partitioner::Murmur2.choose(Some(b""), 3).partition().is_some());
    }

    #[test]
    fn a_choice_says_why() {
        assert_eq!(Partitioner::Crc32.choose(Some(b"u1"), 3).to_string(), "crc32 % 3 = 2");
        assert_eq!(Choice::round_robin(4, 3).to_string(), "round robin 4 % 3 = 1");
        assert_eq!(Choice::round_robin(4, 3).explicit(), Some(1));
        assert_eq!(Partitioner::Crc32.choose(Some(b"u1"), 3).explicit(), None);
    }
}
