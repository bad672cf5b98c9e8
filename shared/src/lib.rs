//! What every lab needs, so that a lab's own files hold nothing but its lesson.
//!
//! In the order in which a program uses them:
//!
//! * [`config`]: a TOML file chosen at run time, `.env`, the environment, flags; who set what.
//! * [`run`]: logs, colours, Ctrl-C, and errors as a sentence with an exit code.
//! * [`client`]: producer, consumer, and the first word with the broker.
//! * [`topic`]: made when missing. [`keeper`]: made anew when a broker comes back empty. [`reset`]: deleted when nobody
//!   uses it.
//! * [`consume`](mod@consume): a consumer's loop. [`waiting`]: what a consumer without partitions waits for.
//! * [`partitioner`]: which partition, and why.
//! * [`input`], [`report`]: lines in, lines out.
//! * [`shutdown`], [`telemetry`]: what [`run`] sets up.
//! * [`testing`]: a broker for a test, and READMEs that are tests.
//!
//! ```no_run
//! use shared::config::{Client, Config, Flags, NoLab, Program};
//! use std::process::ExitCode;
//!
//! fn main() -> ExitCode {
//!     let flags = <Flags as Default>::default(); // a program flattens it into its own clap struct
//!     shared::run(&flags.clone(), |shutdown| async move {
//!         let program = Program { name: "lab9", file: "lab9.toml", clients: &[Client::Producer], defaults: &[] };
//!         let config: Config<NoLab> = Config::load(&program, &flags)?;
//!         let cluster = shared::client::Cluster::connect(&config).await?;
//!         let topic = shared::topic::ensure(&cluster, &config.topic).await?;
//!         shared::report::note(shared::banner(&config, &cluster, &topic, None));
//!         let _producer = shared::client::producer(&config)?;
//!         shutdown.requested().await;
//!         Ok(ExitCode::SUCCESS)
//!     })
//! }
//! ```

pub mod client;
pub mod config;
pub mod consume;
pub mod input;
pub mod keeper;
pub mod partitioner;
pub mod report;
pub mod reset;
pub mod shutdown;
pub mod telemetry;
pub mod testing;
pub mod topic;
pub mod waiting;

mod program;

pub use program::{banner, run};
