//! Output that nobody has to read: a thread writes what waits in a queue of a bounded size.
//!
//! A pager that stands still or a pipe that nobody empties must not hold up a client, and a pipe whose reader has gone
//! must not end the broker. What finds no room is left out, and a line says how much that was.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long the end of the program waits for a reader.
const PATIENCE: Duration = Duration::from_secs(2);

/// A writer that never waits and never fails. Its clones share one queue.
#[derive(Clone)]
pub(crate) struct Lossy(Arc<Queue>);

struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// The most bytes that wait; a single text may be longer.
    limit: usize,
    /// The line that stands for so many texts that were left out.
    notice: fn(u64) -> String,
}

#[derive(Default)]
struct Waiting {
    texts: VecDeque<Vec<u8>>,
    bytes: usize,
    left_out: u64,
    /// The thread has taken a text and not written it yet.
    is_writing: bool,
}

impl Lossy {
    pub(crate) fn new(
        out: impl Write + Send + 'static,
        limit: usize,
        notice: fn(u64) -> String,
    ) -> io::Result<Self> {
        let queue =
            Arc::new(Queue { waiting: Mutex::default(), changed: Condvar::new(), limit, notice });
        let writer = Arc::clone(&queue);
        thread::Builder::new().name("output".to_owned()).spawn(move || writer.write_to(out))?;
        Ok(Self(queue))
    }

    /// Waits until everything is written, but not long: nobody may be reading.
    pub(crate) fn finish(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut waiting = self.0.lock();
        while waiting.is_writing || !waiting.texts.is_empty() || waiting.left_out > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let changed = self.0.changed.wait_timeout(waiting, left);
            waiting = changed.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut out: impl Write) {
        let mut waiting = self.lock();
        loop {
            if waiting.texts.is_empty() {
                waiting.tell_losses(self.notice);
            }
            let Some(text) = waiting.take() else {
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            waiting.is_writing = true;
            drop(waiting);
            // Whoever read it has gone: that is no reason to end.
            let _: io::Result<()> = out.write_all(&text).and_then(|()| out.flush());
            waiting = self.lock();
            waiting.is_writing = false;
            self.changed.notify_all();
        }
    }
}

impl Waiting {
    fn push(&mut self, text: Vec<u8>) {
        self.bytes += text.len();
        self.texts.push_back(text);
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let text = self.texts.pop_front()?;
        self.bytes -= text.len();
        Some(text)
    }

    fn tell_losses(&mut self, notice: fn(u64) -> String) {
        if self.left_out > 0 {
            self.push(notice(self.left_out).into_bytes());
            self.left_out = 0;
        }
    }
}

impl Write for Lossy {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let queue = &self.0;
        let mut waiting = queue.lock();
        if waiting.bytes > 0 && waiting.bytes + text.len() > queue.limit {
            waiting.left_out += 1;
        } else {
            waiting.tell_losses(queue.notice);
            waiting.push(text.to_vec());
            queue.changed.notify_all();
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A pipe whose reader decides when something is read.
    struct Pipe {
        asks: Sender<String>,
        reads: Receiver<()>,
    }

    impl Write for Pipe {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.asks.send(String::from_utf8(text.to_vec()).unwrap()).unwrap();
            self.reads.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_and_the_rest_comes_in_order() {
        let (asks, asked) = channel();
        let (read, reads) = channel();
        let notice = |count| format!("{count} left out");
        let mut lossy = Lossy::new(Pipe { asks, reads }, 10, notice).unwrap();
        lossy.write_all(b"taken by the thread").unwrap();
        assert_eq!(asked.recv().unwrap(), "taken by the thread");
        // From here on, ten bytes have room.
        for text in ["12345", "67890", "x", "y"] {
            lossy.write_all(text.as_bytes()).unwrap();
        }
        read.send(()).unwrap();
        assert_eq!(asked.recv().unwrap(), "12345");
        lossy.write_all(b"z").unwrap();
        for text in ["67890", "2 left out", "z"] {
            read.send(()).unwrap();
            assert_eq!(asked.recv().unwrap(), text);
        }
        read.send(()).unwrap();
        lossy.finish();
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error() {
        let (asks, asked) = channel();
        let (_, reads) = channel();
        let mut lossy = Lossy::new(Pipe { asks, reads }, 10, |_| String::new()).unwrap();
        for _ in 0..3 {
            lossy.write_all(b"text").unwrap();
            asked.recv().unwrap();
        }
        lossy.finish();
    }
}
