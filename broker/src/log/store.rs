//! The bytes of a log: written once at the end, read as slices.
//!
//! An append copies into the open chunk. A read closes what was written since the last read into an immutable
//! slice (`split` and `freeze` cost nothing), so that readers share the memory and one slice serves many
//! batches.
//!
//! Large batches are copied too, instead of being kept as slices of the frame they came in. The copy is a
//! twentieth of the CPU time of a large produce; half of it is the kernel's clearing of fresh pages, which a kept
//! frame would need just as well, while the buffer of a copied one is read into again and again.
//!
//! Positions count bytes from the beginning of the log and never change.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// The first chunk of a log; later ones double up to [`MAX_CHUNK`], so that an empty topic costs nothing.
const MIN_CHUNK: usize = 4 * 1024;
const MAX_CHUNK: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Store {
    /// Closed slices with their positions, in order and without gaps.
    closed: VecDeque<(u64, Bytes)>,
    /// What was written since the last read.
    open: BytesMut,
    /// Where `open` begins.
    open_at: u64,
    next_chunk: usize,
}

impl Store {
    /// The position behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.open_at + self.open.len() as u64
    }

    /// Copies `bytes` to the end and hands the copy back, so that the caller can fill in the fields it sets.
    pub(super) fn append(&mut self, bytes: &[u8]) -> &mut [u8] {
        if self.open.capacity() - self.open.len() < bytes.len() {
            // A new chunk instead of a grown one: growing would copy what is there already.
            self.close();
            self.next_chunk = (self.next_chunk * 2).clamp(MIN_CHUNK, MAX_CHUNK);
            self.open = BytesMut::with_capacity(self.next_chunk.max(bytes.len()));
        }
        let start = self.open.len();
        self.open.extend_from_slice(bytes);
        &mut self.open[start..]
    }

    /// The slices that make up the bytes from one position to another.
    pub(super) fn read(&mut self, from: u64, to: u64) -> Vec<Bytes> {
        if to > self.open_at {
            self.close();
        }
        let first = self.closed.partition_point(|(at, slice)| at + slice.len() as u64 <= from);
        let within = |position: u64, at: u64| {
            usize::try_from(position - at).expect("inside a slice in memory")
        };
        self.closed
            .range(first..)
            .take_while(|(at, _)| *at < to)
            .map(|(at, slice)| {
                let end = (at + slice.len() as u64).min(to);
                slice.slice(within(from.max(*at), *at)..within(end, *at))
            })
            .collect()
    }

    /// Lets go of every slice that lies wholly before `position`.
    pub(super) fn forget_before(&mut self, position: u64) {
        if position > self.open_at {
            self.close();
        }
        while self.closed.front().is_some_and(|(at, slice)| at + slice.len() as u64 <= position) {
            self.closed.pop_front();
        }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            let at = self.open_at;
            let slice = self.open.split().freeze();
            self.open_at += slice.len() as u64;
            self.closed.push_back((at, slice));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The store against the simplest thing that could be right: one long vector.
        #[test]
        fn reads_what_was_appended(
            steps in prop::collection::vec((0usize..6_000, any::<(prop::sample::Index, prop::sample::Index)>(), any::<bool>()), 1..40)
        ) {
            let (mut store, mut model) = (Store::default(), Vec::new());
            for (fill, (len, (a, b), read)) in steps.into_iter().enumerate() {
                let bytes = vec![u8::try_from(fill).unwrap(); len];
                store.append(&bytes);
                model.extend(bytes);
                prop_assert_eq!(store.end(), model.len() as u64);
                if read {
                    let (a, b) = (a.index(model.len() + 1), b.index(model.len() + 1));
                    let (from, to) = (a.min(b), a.max(b));
                    prop_assert_eq!(store.read(from as u64, to as u64).concat(), &model[from..to]);
                }
            }
        }
    }

    #[test]
    fn many_appends_between_two_reads_are_one_slice() {
        let mut store = Store::default();
        for _ in 0..100 {
            store.append(b"batch");
        }
        assert_eq!(store.read(0, 500).len(), 1);
    }

    #[test]
    fn forgotten_bytes_are_let_go() {
        let mut store = Store::default();
        store.append(&[1; 100]);
        store.read(0, 100);
        store.append(&[2; 100]);
        store.forget_before(150);
        assert_eq!(store.read(150, 200).concat(), [2; 50]);
        assert_eq!(store.closed.len(), 1);
    }
}
