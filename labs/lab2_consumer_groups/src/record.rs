//! A payment with its place in the topic.

use crate::transaction::Transaction;

/// A record as the pipeline gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stood.
    pub topic: String,
    /// Where it stood.
    pub partition: i32,
    /// Where it stood.
    pub offset: i64,
    /// What it says, or why it says nothing.
    pub transaction: Result<Transaction, String>,
}

impl Record {
    /// `lab2[0]@5`.
    pub fn place(&self) -> String {
        format!("{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}
