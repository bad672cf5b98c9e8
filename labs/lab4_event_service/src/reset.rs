//! Deletes this lab's topics, groups and databases, but only if nobody uses them.

use crate::{Config, Stream, database, in_workspace, topics};
use anyhow::{Context as _, Result};
use shared::client::Cluster;
use shared::reset::Made;
use std::io::ErrorKind;
use std::path::PathBuf;

/// What a reset deletes. While this value exists, no service and no consumers can open the databases.
pub struct Reset {
    cluster: Cluster,
    made: Made,
    databases: [PathBuf; 2],
    _claims: Vec<database::Claim>,
}

impl Reset {
    /// Checks that nobody uses the databases, the topics or the groups. It changes nothing.
    pub async fn prepare(config: &Config) -> Result<Self> {
        let cluster = Cluster::connect(config).await?;
        let lab = &config.lab;
        let databases = [&lab.database, &lab.notifications_database].map(|path| in_workspace(path));
        let claims = databases.iter().map(|path| database::claim(path));
        let claims = claims.collect::<Result<Vec<_>>>().context("Nothing was deleted")?;
        let mut groups = Stream::ALL.map(|stream| stream.group(config).to_owned()).to_vec();
        groups.push(lab.redrive_group.clone());
        let topics = topics(config).into_iter().map(|topic| topic.name).collect();
        let made = Made { topics, groups };
        made.check(&cluster).await?;
        Ok(Self { cluster, made, databases, _claims: claims })
    }

    pub async fn carry_out(self) -> Result<()> {
        self.made.delete(&self.cluster).await?;
        for file in self.databases.iter().flat_map(|path| database::files(path)) {
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error)
                        .with_context(|| format!("{} cannot be deleted", file.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
