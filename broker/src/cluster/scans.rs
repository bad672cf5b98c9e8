//! Looking into the records of batches, which can take long, without holding up anybody.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::{log::batch::Batch, threads::Threads};

/// Long looks, one at a time: each may need much memory, and a processor for a while.
#[derive(Debug)]
pub(crate) struct Scans {
    threads: Threads,
    turn: Arc<Semaphore>,
}

/// Records that are not compressed are looked at in place up to this many bytes, which takes 2 ms at most.
const SHORT: usize = 1024 * 1024;

impl Scans {
    pub(super) fn new(threads: Threads) -> Self {
        Self { threads, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Looks at a batch: here if that is short, otherwise aside.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        batch: &Batch,
        look: impl FnOnce(&Batch) -> T + Send + 'static,
    ) -> T {
        if !batch.is_compressed() && batch.bytes.len() <= SHORT {
            return look(batch);
        }
        let turn = Arc::clone(&self.turn).acquire_owned().await.expect("it is never closed");
        let batch = batch.clone();
        let look = async move {
            // Held until the end, whether or not somebody still waits for it.
            let _turn = turn;
            look(&batch)
        };
        self.threads.aside(look).await
    }
}
