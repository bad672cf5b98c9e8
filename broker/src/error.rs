//! Why a broker can fail to start.

use std::io;

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting or a topic is wrong: correct what was passed to the builder.
    #[error("{0}")]
    Setting(String),
    /// The broker cannot listen on the address: choose another port, or end the program that uses it.
    #[error("Could not listen on {address}: {hint}")]
    Listen {
        /// The host and the port.
        address: String,
        /// The reason, and what to do.
        hint: String,
        /// The operating system's own words.
        source: io::Error,
    },
    /// The system starts no more threads: end some programs, or raise its limit.
    #[error(
        "Could not start a thread for the broker: {source}. End some programs, or raise the limit of threads."
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
                "another program uses this port already. Stop it, or choose another port (0 picks a free one).".to_owned()
            }
            io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address. Use one of its own, such as 127.0.0.1.".to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need special rights. Choose a higher one, such as 9092.".to_owned()
            }
            _ => format!("{source}."),
        };
        Self::Listen {
            address: host.map_or_else(
                || format!("port {port} of 127.0.0.1 and ::1"),
                |host| format!("{host}:{port}"),
            ),
            hint,
            source,
        }
    }
}
