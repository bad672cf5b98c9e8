//! Attacks: one small attacker for each point, and beside it an innocent client that must not notice.
//!
//! [`innocent::beside`] runs an attack and holds two promises. The slowest answer of the innocent client stays near
//! what it was without the attack. Its records are complete afterwards.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod client;
mod innocent;

mod connections;
mod frames;
mod groups;
mod half_closed;
mod half_frames;
mod long_requests;
mod many_names;
mod reads_nothing;
mod records;
