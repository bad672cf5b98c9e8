//! The stages, each in a file of its own.

pub mod api_versions;
pub mod compressed;
pub mod fetch;
pub mod group;
pub mod metadata;
pub mod mistakes;
pub mod produce;
pub mod real_consumer;

use crate::Lab;
use shared::client::NoBroker;

/// One step of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// 1 to 8.
    pub number: u8,
    pub title: &'static str,
}

pub const STAGES: [Stage; 8] = [
    Stage { number: 1, title: "say hello: ApiVersions, byte by byte" },
    Stage { number: 2, title: "ask who leads: Metadata, in the flexible style" },
    Stage { number: 3, title: "produce: a record batch by hand" },
    Stage { number: 4, title: "a real consumer reads it" },
    Stage { number: 5, title: "fetch it back, and take it apart" },
    Stage { number: 6, title: "a compressed batch, from a real producer" },
    Stage { number: 7, title: "join a group, and lead a real consumer" },
    Stage { number: 8, title: "mistakes, and what the broker says to them" },
];

impl Lab {
    /// Runs a stage. What went wrong is a check that did not pass.
    ///
    /// # Errors
    /// [`NoBroker`], when nobody answers, and when a broker does not get ready.
    pub async fn run(&mut self, stage: Stage) -> anyhow::Result<()> {
        if stage.number > 2 {
            self.ready().await?;
        }
        let ran = match stage.number {
            1 => api_versions::run(self).await,
            2 => metadata::run(self).await,
            3 => produce::run(self).await,
            4 => real_consumer::run(self).await,
            5 => fetch::run(self).await,
            6 => compressed::run(self).await,
            7 => Box::pin(group::run(self)).await,
            _ => Box::pin(mistakes::run(self)).await,
        };
        self.story.hushed = false;
        match ran {
            Err(error) if error.chain().any(<dyn std::error::Error>::is::<NoBroker>) => Err(error),
            Err(error) => {
                self.story.check(false, "", format!("{error:#}"));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}
