//! Fake payments, the same ones for the same seed.

use fake::Fake;
use fake::faker::name::en::Name;
use fake::rand::rngs::StdRng;
use fake::rand::{Rng, RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU64;
use std::time::SystemTime;
use uuid::Uuid;

/// A payment, as it stands in the topic (JSON).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Never the same twice; by it a consumer recognises a payment that comes again.
    pub id: Uuid,
    /// In hundredths of the currency: money in floating point loses cents.
    pub amount: u64,
    /// Of what.
    pub currency: Currency,
    /// Who pays. It is the record's key, so one person's payments stay in order.
    pub from: String,
    /// Who gets it.
    pub to: String,
    /// When it was made.
    #[serde(with = "humantime_serde")]
    pub created_at: SystemTime,
}

/// The currencies that this bank knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    /// Swiss franc.
    Chf,
    /// Euro.
    Eur,
    /// Pound sterling.
    Gbp,
    /// US dollar.
    Usd,
}

impl Currency {
    const ALL: [Self; 4] = [Self::Chf, Self::Eur, Self::Gbp, Self::Usd];
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chf => "CHF",
            Self::Eur => "EUR",
            Self::Gbp => "GBP",
            Self::Usd => "USD",
        })
    }
}

impl Transaction {
    /// Reads it from a record's value.
    ///
    /// # Errors
    /// The reason, when the bytes are no transaction.
    pub fn parse(value: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(value).map_err(|error| error.to_string())
    }

    /// The record's value.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it has nothing that JSON cannot say")
    }
}

/// An endless supply of payments.
#[derive(Debug)]
pub struct Source {
    random: StdRng,
    made: u64,
    faulty: Option<NonZeroU64>,
}

impl Source {
    /// The same seed gives the same payments; every `faulty`-th pays nothing (an amount of 0).
    pub fn new(seed: u64, faulty: Option<NonZeroU64>) -> Self {
        Self { random: StdRng::seed_from_u64(seed), made: 0, faulty }
    }

    /// A seed for those who do not care, to be printed so that they can care later.
    pub fn any_seed() -> u64 {
        // Short enough to be typed.
        u64::from(fake::rand::rng().next_u32())
    }

    /// The next payment, made at `now`.
    pub fn next(&mut self, now: SystemTime) -> Transaction {
        self.made += 1;
        let id = uuid::Builder::from_random_bytes(self.random.random()).into_uuid();
        let amount = self.random.random_range(100..=100_000);
        let currency = Currency::ALL[self.random.random_range(0..Currency::ALL.len())];
        let from: String = Name().fake_with_rng(&mut self.random);
        let to = loop {
            let to: String = Name().fake_with_rng(&mut self.random);
            if to != from {
                break to;
            }
        };
        let faulty = self.faulty.is_some_and(|every| self.made.is_multiple_of(every.get()));
        let amount = if faulty { 0 } else { amount };
        Transaction { id, amount, currency, from, to, created_at: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn the_same_seed_gives_the_same_payments() {
        let first = |seed| {
            let mut source = Source::new(seed, None);
            [(); 20].map(|()| source.next(UNIX_EPOCH))
        };
        assert_eq!(first(7), first(7));
        assert_ne!(first(7), first(8));
        let ids: std::collections::BTreeSet<Uuid> = first(7).iter().map(|t| t.id).collect();
        assert_eq!(ids.len(), 20);
        assert!(first(7).iter().all(|t| t.amount >= 100 && t.from != t.to));
    }

    #[test]
    fn every_nth_is_faulty() {
        let mut source = Source::new(7, NonZeroU64::new(3));
        let amounts = [(); 6].map(|()| source.next(UNIX_EPOCH).amount);
        assert_eq!(amounts.map(|amount| amount == 0), [false, false, true, false, false, true]);
    }

    #[test]
    fn a_payment_travels_as_readable_json() {
        let made = Source::new(7, None).next(UNIX_EPOCH + Duration::from_millis(1_500));
        let json: serde_json::Value = serde_json::from_slice(&made.to_json()).unwrap();
        assert_eq!(json["id"], made.id.to_string());
        assert_eq!(json["created_at"], "1970-01-01T00:00:01.500000000Z");
        assert_eq!(Transaction::parse(&made.to_json()), Ok(made));
        assert!(Transaction::parse(b"hello").unwrap_err().contains("expected value"));
    }
}
