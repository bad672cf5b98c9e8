//! A run of batches and the memory they lie in: what is let go at once, and what compaction writes anew.
//!
//! An append copies into the open end of the memory. A read closes what was written since the last read into an
//! immutable slice (`split` and `freeze` cost nothing), so that readers share the memory and one slice serves many
//! batches.
//!
//! Large batches are copied too, instead of being kept as slices of the frame they came in. The copy is a
//! twentieth of the CPU time of a large produce; half of it is the kernel's clearing of fresh pages, which a kept
//! frame would need just as well, while the buffer of a copied one is read into again and again.

use bytes::{Bytes, BytesMut};

use crate::time::Timestamp;

/// The first segment of a log; each next one is larger by [`GROWTH`], so that an empty topic costs nothing.
const MIN_SEGMENT: usize = 4 * 1024;
const GROWTH: usize = 32;
/// Memory of this size always comes from the system by itself and goes back to it when it is freed: glibc's
/// allocator keeps smaller pieces, once it has seen some, in heaps that one small neighbour holds back whole.
/// Pages that were never written cost nothing.
const MAX_SEGMENT: usize = 32 * 1024 * 1024;

/// Batches in order of offset and of position. There may be offsets between them that no batch has.
#[derive(Debug)]
pub(super) struct Segment {
    entries: Vec<Entry>,
    /// Closed slices with their positions, in order and without gaps.
    closed: Vec<(u32, Bytes)>,
    /// What was written since the last read.
    open: BytesMut,
    /// Where `open` begins.
    open_at: u32,
}

/// A batch. Its bytes end where those of the next one begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) base_offset: i64,
    pub(super) last_offset: i64,
    pub(super) max_timestamp: Timestamp,
    /// The greatest timestamp up to here, so that a search by time can halve.
    latest: Timestamp,
    position: u32,
}

impl Segment {
    /// A segment for a batch of `len` bytes and more, behind one that had room for `last`.
    pub(super) fn new(last: usize, len: usize) -> Self {
        let size = (last * GROWTH).clamp(MIN_SEGMENT, MAX_SEGMENT).max(len);
        Self {
            entries: Vec::new(),
            closed: Vec::new(),
            open: BytesMut::with_capacity(size),
            open_at: 0,
        }
    }

    /// The batches that lie here.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many bytes the batches take.
    pub(super) fn len(&self) -> usize {
        self.open_at as usize + self.open.len()
    }

    /// How many bytes there is room for.
    pub(super) fn capacity(&self) -> usize {
        self.open_at as usize + self.open.capacity()
    }

    /// The bytes that the segment keeps, with what it notes of each batch.
    pub(super) fn size(&self) -> usize {
        self.len() + self.entries.len() * size_of::<Entry>()
    }

    pub(super) fn has_room(&self, len: usize) -> bool {
        self.open.capacity() - self.open.len() >= len
    }

    /// The greatest timestamp of its batches.
    pub(super) fn latest(&self) -> Timestamp {
        self.entries.last().map_or(Timestamp::MIN, |entry| entry.latest)
    }

    /// Copies a batch to the end, for which there is room, and hands the copy back, so that the caller can fill in
    /// the fields it sets.
    pub(super) fn append(
        &mut self,
        (base_offset, last_offset): (i64, i64),
        max_timestamp: Timestamp,
        bytes: &[u8],
    ) -> &mut [u8] {
        let position = u32::try_from(self.len()).expect("a segment is shorter than 4 GiB");
        let latest = self.latest().max(max_timestamp);
        self.entries.push(Entry { base_offset, last_offset, max_timestamp, latest, position });
        let start = self.open.len();
        self.open.extend_from_slice(bytes);
        &mut self.open[start..]
    }

    /// The first batch that ends at `offset` or behind it, by its number.
    pub(super) fn index_of(&self, offset: i64) -> usize {
        self.entries.partition_point(|entry| entry.last_offset < offset)
    }

    /// The first batch from the one of number `from` that has a timestamp of at least this, by its number.
    pub(super) fn index_of_time(&self, from: usize, timestamp: Timestamp) -> Option<usize> {
        let from = from.max(self.entries.partition_point(|entry| entry.latest < timestamp));
        let found = self.entries[from..].iter().position(|e| e.max_timestamp >= timestamp)?;
        Some(from + found)
    }

    /// Where the batch of this number begins, and so where the one before it ends.
    pub(super) fn position(&self, index: usize) -> usize {
        self.entries.get(index).map_or(self.len(), |entry| entry.position as usize)
    }

    /// The end of the last batch that ends within `max` bytes from the batch of number `from`.
    pub(super) fn end_within(&self, from: usize, max: usize) -> usize {
        let limit = self.position(from).saturating_add(max);
        if self.len() <= limit {
            return self.len();
        }
        let behind = self.entries.partition_point(|entry| entry.position as usize <= limit);
        self.position(behind - 1)
    }

    /// Adds the slices that make up the bytes from one position to another.
    pub(super) fn read(&mut self, from: usize, to: usize, slices: &mut Vec<Bytes>) {
        if to > self.open_at as usize {
            self.close();
        }
        let first = self.closed.partition_point(|(at, slice)| *at as usize + slice.len() <= from);
        for (at, slice) in &self.closed[first..] {
            let at = *at as usize;
            if at >= to {
                return;
            }
            slices.push(slice.slice(from.max(at) - at..slice.len().min(to - at)));
        }
    }

    /// The bytes of one batch.
    pub(super) fn batch(&mut self, index: usize) -> Bytes {
        let mut slices = Vec::with_capacity(1);
        self.read(self.position(index), self.position(index + 1), &mut slices);
        // A batch is written at once, so no read has cut it.
        slices.pop().unwrap_or_default()
    }

    /// Writes the batches to keep into memory of their own and lets go of the others.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Entry) -> bool) {
        let kept: Vec<usize> =
            (0..self.entries.len()).filter(|index| keep(&self.entries[*index])).collect();
        let len = kept.iter().map(|i| self.position(i + 1) - self.position(*i)).sum();
        let mut left = Self { open: BytesMut::with_capacity(len), ..Self::new(0, 0) };
        for index in kept {
            let Entry { base_offset, last_offset, max_timestamp, .. } = self.entries[index];
            let bytes = self.batch(index);
            left.append((base_offset, last_offset), max_timestamp, &bytes);
        }
        *self = left;
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            let at = self.open_at;
            self.open_at = u32::try_from(self.len()).expect("a segment is shorter than 4 GiB");
            self.closed.push((at, self.open.split().freeze()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A segment with room for everything that a test appends.
    fn segment() -> Segment {
        Segment::new(MAX_SEGMENT, 0)
    }

    fn read(segment: &mut Segment, from: usize, to: usize) -> Vec<u8> {
        let mut slices = Vec::new();
        segment.read(from, to, &mut slices);
        slices.concat()
    }

    proptest! {
        /// The bytes against the simplest thing that could be right: one long vector.
        #[test]
        fn reads_what_was_appended(
            steps in prop::collection::vec((1usize..6_000, any::<(prop::sample::Index, prop::sample::Index)>(), any::<bool>()), 1..40)
        ) {
            let (mut segment, mut model) = (segment(), Vec::new());
            for (fill, (len, (a, b), is_read)) in steps.into_iter().enumerate() {
                let bytes = vec![u8::try_from(fill).unwrap(); len];
                segment.append((0, 0), 0, &bytes);
                model.extend(bytes);
                prop_assert_eq!(segment.len(), model.len());
                if is_read {
                    let (a, b) = (a.index(model.len() + 1), b.index(model.len() + 1));
                    let (from, to) = (a.min(b), a.max(b));
                    prop_assert_eq!(read(&mut segment, from, to), &model[from..to]);
                }
            }
        }
    }

    #[test]
    fn many_appends_between_two_reads_are_one_slice() {
        let mut segment = segment();
        for _ in 0..100 {
            segment.append((0, 0), 0, b"batch");
        }
        let mut slices = Vec::new();
        segment.read(0, 500, &mut slices);
        assert_eq!(slices.len(), 1);
    }

    #[test]
    fn a_batch_in_the_middle_can_go() {
        let mut segment = segment();
        for (offset, fill) in [(0, b"a"), (10, b"b"), (20, b"c")] {
            segment.append((offset, offset + 9), offset, &fill.repeat(5));
            segment.read(0, 5, &mut Vec::new());
        }
        segment.retain(|entry| entry.base_offset != 10);
        assert_eq!(read(&mut segment, 0, 10), b"aaaaaccccc");
        assert_eq!(segment.capacity(), 10);
        // An offset that went with it belongs to the next batch.
        assert_eq!([9, 10, 15, 20].map(|offset| segment.index_of(offset)), [0, 1, 1, 1]);
        assert_eq!(segment.index_of_time(0, 5), Some(1));
    }

    #[test]
    fn a_search_by_time_finds_the_first() {
        let mut segment = segment();
        for (offset, time) in (0..).zip([5, 9, 7, 12, 3]) {
            segment.append((offset, offset), time, b"x");
        }
        let found = [4, 6, 9, 10, 13].map(|time| segment.index_of_time(0, time));
        assert_eq!(found, [Some(0), Some(1), Some(1), Some(3), None]);
        assert_eq!(segment.index_of_time(2, 6), Some(2));
    }
}
