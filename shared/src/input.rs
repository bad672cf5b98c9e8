//! Lines that a person types, or that come through a pipe.

use std::io::{self, BufRead, IsTerminal, Write};
use tokio::sync::mpsc;

/// The lines of stdin without their line ends, as bytes: a record's value need not be UTF-8. The channel closes at the
/// end of the input (Ctrl-D).
///
/// A thread of its own reads them. tokio's stdin would keep the runtime from ending until one more line is typed.
pub fn lines() -> mpsc::Receiver<Vec<u8>> {
    // Small, so that a long file waits in the pipe and not in memory.
    let (sender, receiver) = mpsc::channel(64);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            match input.read_until(b'\n', &mut line) {
                Ok(0) => {
                    // Ctrl-D shows nothing: the cursor is still behind the prompt.
                    if is_terminal() {
                        let _ = writeln!(io::stderr());
                    }
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!("stdin cannot be read: {error}");
                    return;
                }
            }
            while line.last().is_some_and(|last| matches!(last, b'\n' | b'\r')) {
                line.pop();
            }
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Asks for a line, if a person types here.
///
/// # Errors
/// When stderr is closed.
pub fn prompt() -> io::Result<()> {
    if is_terminal() {
        let mut stderr = io::stderr();
        write!(stderr, "> ")?;
        stderr.flush()?;
    }
    Ok(())
}

/// Does a person type here?
pub fn is_terminal() -> bool {
    io::stdin().is_terminal()
}
