//! A frame on its way out: pieces that are written one after the other, so that records go from the log to the
//! socket without being copied.

use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

/// An answer's bytes without the four of its length.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    pieces: Vec<Bytes>,
    /// What was written since the last piece.
    open: BytesMut,
}

impl Frame {
    /// The buffer to write fields to.
    pub(crate) fn bytes(&mut self) -> &mut BytesMut {
        &mut self.open
    }

    /// Adds bytes as they are, sharing their memory.
    pub(crate) fn share(&mut self, bytes: Bytes) {
        if !self.open.is_empty() {
            self.pieces.push(self.open.split().freeze());
        }
        self.pieces.push(bytes);
    }

    /// A copy of all bytes, for looking at.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = self.pieces.concat();
        bytes.extend_from_slice(&self.open);
        bytes
    }

    /// How many bytes it has so far.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum::<usize>() + self.open.len()
    }

    /// The pieces to write, the four bytes of the length first.
    pub(crate) fn into_pieces(mut self) -> Pieces {
        let size = u32::try_from(self.len()).expect("checked when it was made").to_be_bytes();
        if !self.open.is_empty() {
            self.pieces.push(self.open.freeze());
        }
        Pieces { size, pieces: self.pieces, piece: 0, within: 0, size_written: 0 }
    }
}

/// A frame that is being written.
#[derive(Debug)]
pub(crate) struct Pieces {
    size: [u8; 4],
    size_written: usize,
    pieces: Vec<Bytes>,
    /// The piece that is next, and how much of it is written.
    piece: usize,
    within: usize,
}

/// How many pieces one system call takes at most: Linux refuses more than 1024.
const MAX_SLICES: usize = 1024;

impl Pieces {
    /// What is left to write, as much of it as one system call takes; empty at the end.
    pub(crate) fn slices(&self) -> Vec<IoSlice<'_>> {
        let size = &self.size[self.size_written..];
        let first = self.pieces.get(self.piece).map(|piece| &piece[self.within..]);
        let rest = self.pieces.iter().skip(self.piece + 1).map(|piece| &piece[..]);
        std::iter::once(size)
            .chain(first)
            .chain(rest)
            .filter(|slice| !slice.is_empty())
            .take(MAX_SLICES)
            .map(IoSlice::new)
            .collect()
    }

    /// Notes that the next `n` bytes were written.
    pub(crate) fn advance(&mut self, mut n: usize) {
        let size = n.min(self.size.len() - self.size_written);
        self.size_written += size;
        n -= size;
        while let Some(piece) = self.pieces.get(self.piece) {
            let left = piece.len() - self.within;
            if n < left {
                self.within += n;
                return;
            }
            n -= left;
            self.piece += 1;
            self.within = 0;
        }
    }

    /// How long the frame is, with the four bytes of its length.
    pub(crate) fn len(&self) -> usize {
        4 + u32::from_be_bytes(self.size) as usize
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    #[test]
    fn pieces_come_out_in_order_whatever_the_socket_takes() {
        for step in 1..20 {
            let mut frame = Frame::default();
            frame.bytes().put_slice(b"head");
            frame.share(Bytes::from_static(b"records"));
            frame.share(Bytes::new());
            frame.bytes().put_slice(b"tail");
            let mut pieces = frame.into_pieces();
            assert_eq!(pieces.len(), 19);

            let mut written: Vec<u8> = Vec::new();
            loop {
                let left = pieces.slices().iter().flat_map(|s| s.to_vec()).collect::<Vec<_>>();
                if left.is_empty() {
                    break;
                }
                let n = step.min(left.len());
                written.extend(&left[..n]);
                pieces.advance(n);
            }
            assert_eq!(written, b"\0\0\0\x0fheadrecordstail");
        }
    }
}
