//! The broker goes away under load, and comes back. What is lost, what is handled twice?
//!
//! Everything but the broker runs in this process, with databases, topics and groups of its own.

use crate::broker::Broker;
use crate::load::{self, Accepted, Plan, Verdict};
use crate::{Config, SendMode, programs};
use anyhow::Result;
use shared::report;
use shared::shutdown::Shutdown;
use std::time::Duration;

/// What happens, and how long.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    pub send: SendMode,
    /// Requests a second.
    pub rate: u32,
    /// With the broker, before and after.
    pub calm: Duration,
    /// Without it.
    pub outage: Duration,
}

/// Runs the scene on a broker. It is there at the beginning and at the end.
pub async fn run(
    config: &Config,
    broker: &Broker,
    scene: &Scene,
    shutdown: &Shutdown,
) -> Result<(Accepted, Verdict)> {
    let folder = tempfile::tempdir()?;
    let mut config = config.clone();
    config.lab.send = scene.send;
    config.lab.database = folder.path().join("service.db");
    config.lab.notifications_database = folder.path().join("notifications.db");
    config.lab.listen.set_port(0);
    config.lab.notifications_listen.set_port(0);

    let (end, programs_end) = Shutdown::by_hand();
    let consumers = programs::consumers(&config, false, &programs_end).await?;
    let service = programs::service(&config, &programs_end).await?;
    let plan = Plan {
        service: service.address,
        notifications: Some(consumers.address),
        rate: scene.rate,
        length: scene.calm * 2 + scene.outage,
    };
    let before = load::Before::take(&config, &plan).await?;
    let (accepted, outage) =
        tokio::join!(load::load(&plan, shutdown), take_away(broker, scene, shutdown));
    outage?;
    let accepted = accepted?;
    let verdict = before.compare(&config, &plan, &accepted).await?;

    end.pull();
    service.ended().await?;
    consumers.ended().await?;
    Ok((accepted, verdict))
}

async fn take_away(broker: &Broker, scene: &Scene, shutdown: &Shutdown) -> Result<()> {
    pause(scene.calm, shutdown).await;
    report::note("The broker goes.");
    broker.take_away().await?;
    pause(scene.outage, shutdown).await;
    // Also after Ctrl-C, so that the programs can end in order.
    report::note("The broker comes back.");
    broker.give_back().await
}

async fn pause(length: Duration, shutdown: &Shutdown) {
    tokio::select! {
        () = tokio::time::sleep(length) => {}
        () = shutdown.requested() => {}
    }
}
