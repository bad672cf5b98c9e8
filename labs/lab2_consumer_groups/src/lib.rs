//! Lab 2: consumer groups. Two consumers from the same code share the work, or each does all of it: their `group.id`
//! decides.
//!
//! What is guaranteed: in a group each partition has one owner at a time. What is not: that a record is processed
//! exactly once. A consumer commits offsets; when it dies between the commit and the work, work is lost
//! (`commit = "before"`), and when it dies between the work and the commit, work is done twice (`commit = "after"`).
//!
//! In the order of the lesson:
//!
//! * [`transaction`]: the fake payments, and [`producer`], which sends them. [`record`]: a payment with its place.
//! * [`batch`]: by size or by time; [`consumer`]: batches, rebalances, commits; [`pipeline`]: what is done with them.
//! * [`settings`]: the `[lab]` section, BRAVO and ZULU.
//! * [`rebalance`]: members join and leave a group; who gets which partition, by which strategy.
//! * [`audit`]: what was lost, what came twice; [`child`]: programs that are started, stopped and killed.

pub mod audit;
pub mod batch;
pub mod child;
pub mod consumer;
pub mod pipeline;
pub mod producer;
pub mod rebalance;
pub mod record;
pub mod settings;
pub mod transaction;
