//! What is done with each transaction: small steps, chosen and ordered in the configuration.
//!
//! The order matters: `sum` before `validate` counts payments that are not valid.

use crate::audit::Ledger;
use crate::record::Record;
use crate::settings::Step;
use crate::transaction::{Currency, Transaction};
use shared::report;
use std::collections::BTreeMap;
use std::fmt;
use std::io;

/// The steps with what they remember.
#[derive(Debug)]
pub struct Pipeline {
    steps: Vec<Step>,
    ledger: Option<Ledger>,
    totals: BTreeMap<Currency, Total>,
}

/// Payments of one currency together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    /// How many.
    pub payments: u64,
    /// In hundredths.
    pub amount: u64,
    /// In hundredths of a euro; 0 when no step converted.
    pub euros: u64,
}

/// How a transaction left the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Through all steps, with the line of each `log` step.
    Processed(Vec<String>),
    /// Rejected by `validate`, or no transaction at all. The reason.
    Rejected(String),
}

/// A transaction on its way through the steps.
struct Item<'a> {
    record: &'a Record,
    transaction: &'a Transaction,
    euros: Option<u64>,
}

impl Pipeline {
    /// These steps, in this order. `ledger` is for [`Step::Book`], which does nothing without one.
    pub fn new(steps: &[Step], ledger: Option<Ledger>) -> Self {
        Self { steps: steps.to_vec(), ledger, totals: BTreeMap::new() }
    }

    /// Takes one record through all steps.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn process(&mut self, record: &Record) -> io::Result<Outcome> {
        let transaction = match &record.transaction {
            Ok(transaction) => transaction,
            Err(reason) => {
                // The reason may quote the record.
                let reason = report::text(reason.as_bytes());
                return Ok(Outcome::Rejected(format!("it is no transaction ({reason})")));
            }
        };
        let mut item = Item { record, transaction, euros: None };
        let mut lines = Vec::new();
        for step in &self.steps {
            match step {
                Step::Validate => {
                    if let Some(reason) = fault(transaction) {
                        return Ok(Outcome::Rejected(reason));
                    }
                }
                Step::Enrich => item.euros = Some(euros(transaction)),
                Step::Sum => {
                    let total = self.totals.entry(transaction.currency).or_default();
                    total.payments += 1;
                    // A record can claim any amount; it must not end the program.
                    total.amount = total.amount.saturating_add(transaction.amount);
                    total.euros = total.euros.saturating_add(item.euros.unwrap_or(0));
                }
                Step::Log => lines.push(item.to_string()),
                Step::Book => {
                    if let Some(ledger) = &mut self.ledger {
                        ledger.book(record, transaction.id)?;
                    }
                }
            }
        }
        Ok(Outcome::Processed(lines))
    }

    /// What `sum` counted.
    pub fn totals(&self) -> &BTreeMap<Currency, Total> {
        &self.totals
    }

    /// What `sum` counted, in a line; `None` when it counted nothing.
    pub fn summary(&self) -> Option<String> {
        let euros = self.totals.values().fold(0_u64, |sum, total| sum.saturating_add(total.euros));
        let mut parts: Vec<String> = self
            .totals
            .iter()
            .map(|(currency, total)| {
                format!("{} {currency} in {}", money(total.amount), total.payments)
            })
            .collect();
        if euros > 0 {
            parts.push(format!("together {} EUR", money(euros)));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

impl fmt::Display for Item<'_> {
    /// `lab2[2]@7  Ada → Bob  12.50 CHF (13.37 EUR)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Transaction { amount, currency, from, to, .. } = self.transaction;
        let [from, to] = [from, to].map(|name| report::text(name.as_bytes()));
        write!(f, "{}  {} {currency} from {from} to {to}", self.record.place(), money(*amount))?;
        match self.euros {
            Some(euros) => write!(f, " ({} EUR)", money(euros)),
            None => Ok(()),
        }
    }
}

/// Why this payment is not valid.
fn fault(transaction: &Transaction) -> Option<String> {
    if transaction.amount == 0 {
        return Some("it pays nothing".to_owned());
    }
    (transaction.from == transaction.to).then(|| "it pays its own sender".to_owned())
}

/// At rates that never change: the lesson is about groups.
fn euros(transaction: &Transaction) -> u64 {
    let percent = match transaction.currency {
        Currency::Chf => 107,
        Currency::Eur => 100,
        Currency::Gbp => 115,
        Currency::Usd => 86,
    };
    transaction.amount.saturating_mul(percent) / 100
}

fn money(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::Source;
    use std::time::UNIX_EPOCH;

    fn record(amount: u64, currency: Currency) -> Record {
        let mut transaction = Source::new(7, None).next(UNIX_EPOCH);
        (transaction.amount, transaction.currency) = (amount, currency);
        (transaction.from, transaction.to) = ("Ada".to_owned(), "Bob".to_owned());
        Record { topic: "lab2".to_owned(), partition: 2, offset: 7, transaction: Ok(transaction) }
    }

    #[test]
    fn the_order_of_the_steps_decides_what_is_counted() {
        let faulty = record(0, Currency::Eur);
        let rejected = Outcome::Rejected("it pays nothing".to_owned());
        let mut strict = Pipeline::new(&[Step::Validate, Step::Sum], None);
        assert_eq!(strict.process(&faulty).unwrap(), rejected);
        assert!(strict.totals().is_empty());
        let mut hasty = Pipeline::new(&[Step::Sum, Step::Validate], None);
        assert_eq!(hasty.process(&faulty).unwrap(), rejected);
        assert_eq!(hasty.totals()[&Currency::Eur].payments, 1);
    }

    #[test]
    fn a_line_and_a_sum_know_what_enrich_added() {
        let mut pipeline = Pipeline::new(&[Step::Log, Step::Enrich, Step::Log, Step::Sum], None);
        assert_eq!(
            pipeline.process(&record(1_250, Currency::Usd)).unwrap(),
            Outcome::Processed(vec![
                "lab2[2]@7  12.50 USD from Ada to Bob".to_owned(),
                "lab2[2]@7  12.50 USD from Ada to Bob (10.75 EUR)".to_owned(),
            ])
        );
        pipeline.process(&record(205, Currency::Eur)).unwrap();
        assert_eq!(
            pipeline.summary().as_deref(),
            Some("2.05 EUR in 1, 12.50 USD in 1, together 12.80 EUR")
        );
    }

    #[test]
    fn what_is_no_transaction_is_rejected_with_the_reason() {
        let mut record = record(1, Currency::Eur);
        record.transaction = Err("expected value at line 1 column 1".to_owned());
        let outcome = Pipeline::new(&[], None).process(&record).unwrap();
        let reason = "it is no transaction (expected value at line 1 column 1)";
        assert_eq!(outcome, Outcome::Rejected(reason.to_owned()));
    }

    #[test]
    fn no_byte_of_a_record_moves_the_cursor() {
        let mut sent = record(1, Currency::Eur);
        let Ok(transaction) = &mut sent.transaction else { unreachable!("it is one") };
        transaction.from = "\u{1b}[2J".to_owned();
        let Outcome::Processed(lines) = Pipeline::new(&[Step::Log], None).process(&sent).unwrap()
        else {
            panic!("it is valid")
        };
        assert_eq!(lines, [r"lab2[2]@7  0.01 EUR from \u{1b}[2J to Bob"]);
        // serde quotes what it does not know.
        let json =
            r#"{"id":"00000000-0000-0000-0000-000000000000","amount":1,"currency":"\u001b[2J"}"#;
        sent.transaction = Transaction::parse(json.as_bytes());
        let Outcome::Rejected(reason) = Pipeline::new(&[], None).process(&sent).unwrap() else {
            panic!("it is not valid")
        };
        assert!(!reason.contains('\u{1b}'), "{reason:?}");
    }
}
