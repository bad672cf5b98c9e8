//! What the broker knows of a connection, from its beginning to its end.

use std::{fmt, net::SocketAddr, sync::OnceLock};

/// One for each connection.
#[derive(Debug)]
pub(crate) struct Session {
    /// Kafka's name of where the client came in.
    pub(crate) listener: &'static str,
    /// Who the client is, in Kafka's words.
    pub(crate) principal: String,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    software: OnceLock<Software>,
}

/// The client's library and its version, as it tells them with ApiVersions (KIP-511).
#[derive(Debug)]
pub(crate) struct Software {
    pub(crate) name: String,
    pub(crate) version: String,
}

impl Session {
    /// A client in plain text, which is nobody in particular.
    pub(crate) fn plaintext(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            listener: "PLAINTEXT",
            principal: "User:ANONYMOUS".to_owned(),
            local,
            remote,
            software: OnceLock::new(),
        }
    }

    /// The client says what it is. As in Kafka, the first time counts.
    pub(crate) fn tell_software(&self, software: Software) {
        let _: Result<(), Software> = self.software.set(software);
    }
}

/// For logs: who is at the other end.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listener, principal, remote, .. } = self;
        write!(f, "{principal} at {remote} on {listener}")?;
        match self.software.get() {
            Some(Software { name, version }) => write!(f, " with {name} {version}"),
            None => Ok(()),
        }
    }
}
