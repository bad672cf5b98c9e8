//! What can go wrong for whoever starts a broker.

use std::io;

/// Why a broker did not start. Each variant says who must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting or a topic is wrong: correct what was passed to the builder.
    #[error("{0}")]
    Setting(String),
    /// The address cannot be listened on: choose another port, or end whatever has it.
    #[error("Could not listen on {address}: {hint}")]
    Listen {
        /// Host and port as asked for.
        address: String,
        /// What is in the way and what to do.
        hint: String,
        /// The operating system's own words.
        source: io::Error,
    },
    /// The system gives out no more threads: end something, or raise its limit.
    #[error(
        "Could not start a thread for the broker: {source}. End something, or raise the limit of threads."
    )]
    Threads {
        /// The operating system's own words.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn listen(host: Option<&str>, port: u16, source: io::Error) -> Self {
        let hint = match source.kind() {
            io::ErrorKind::AddrInUse => {
                "something else has this port already. Stop it, or choose another port (0 picks a free one).".to_owned()
            }
            io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address. Use one of its own, such as 127.0.0.1.".to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need privileges. Choose a higher one, such as 9092.".to_owned()
            }
            _ => format!("{source}."),
        };
        Self::Listen {
            address: format!("{}:{port}", host.unwrap_or("127.0.0.1 and ::1")),
            hint,
            source,
        }
    }
}
