//! The connections of a broker: a task each, and how many there may be.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use tokio::task::{Id, JoinSet};

use crate::settings::Settings;

/// Dropping it ends them all.
#[derive(Debug)]
pub(super) struct Connections {
    tasks: JoinSet<()>,
    from: HashMap<Id, IpAddr>,
    of_address: HashMap<IpAddr, usize>,
    limit: usize,
    limit_of_address: usize,
}

impl Connections {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            tasks: JoinSet::new(),
            from: HashMap::new(),
            of_address: HashMap::new(),
            limit: usize::try_from(settings.max_connections).unwrap_or(0),
            limit_of_address: usize::try_from(settings.max_connections_per_ip).unwrap_or(0),
        }
    }

    /// False while `max.connections` are open. As in Kafka, those that come then wait until one ends.
    pub(super) fn has_room(&self) -> bool {
        self.tasks.len() < self.limit
    }

    /// False while this address has its `max.connections.per.ip`. As in Kafka, what comes then is closed at once.
    pub(super) fn has_room_for(&self, remote: SocketAddr) -> bool {
        self.of_address.get(&remote.ip().to_canonical()).copied().unwrap_or(0)
            < self.limit_of_address
    }

    pub(super) fn spawn(
        &mut self,
        remote: SocketAddr,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let address = remote.ip().to_canonical();
        let task = self.tasks.spawn(task);
        self.from.insert(task.id(), address);
        *self.of_address.entry(address).or_default() += 1;
    }

    /// Waits until one has ended; for ever while there is none.
    pub(super) async fn one_ended(&mut self) {
        let Some(ended) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let id = match ended {
            Ok((id, ())) => id,
            // A bug, which ends its own connection and nothing else; the panic has told where.
            Err(error) => {
                tracing::error!("a connection ended by a panic: {error}");
                error.id()
            }
        };
        let Some(address) = self.from.remove(&id) else { return };
        if let Some(count) = self.of_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.of_address.remove(&address);
            }
        }
    }

    /// Ends all of them, and waits for that.
    pub(super) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}
