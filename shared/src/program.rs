//! The frame of a lab's program: what comes before its own code, and after.

use crate::client::{Cluster, NoBroker};
use crate::config::{Client, Config, ConfigError, Flags};
use crate::report;
use crate::shutdown::{Interrupted, Shutdown};
use crate::telemetry;
use crate::topic::Provisioned;
use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::process::ExitCode;

/// Runs a lab's program: starts logs, colours and Ctrl-C, and turns an error into a sentence and an exit code
/// (1 failed, 2 wrong configuration, 4 no broker, 130 Ctrl-C before the work had begun).
pub fn run<P, F>(flags: &Flags, program: P) -> ExitCode
where
    P: FnOnce(Shutdown) -> F,
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    telemetry::start(flags.log_format);
    report::start(flags.plain);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            report::note(format!("The program could not start: {error}."));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async { program(Shutdown::on_signals()).await });
    // A call into librdkafka that still waits for a broker must not keep the program from ending.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| ended_by(&error))
}

fn ended_by(error: &anyhow::Error) -> ExitCode {
    let of_output = |cause: &io::Error| {
        // EIO: the terminal window was closed.
        cause.kind() == io::ErrorKind::BrokenPipe || cause.raw_os_error() == Some(5)
    };
    if error.chain().any(|cause| cause.downcast_ref().is_some_and(of_output)) {
        // The reader has seen enough: `lab1-consumer | head -1`.
        return ExitCode::SUCCESS;
    }
    if error.is::<Interrupted>() {
        return ExitCode::from(130);
    }
    report::note(sentence(error));
    if error.chain().any(<dyn std::error::Error>::is::<NoBroker>) {
        ExitCode::from(4)
    } else if error.chain().any(<dyn std::error::Error>::is::<ConfigError>) {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}

/// The error with its causes, on one line, with a full stop.
fn sentence(error: &anyhow::Error) -> String {
    // The outermost one: an error of a socket or a file has its context around it.
    let text =
        match error.chain().next().and_then(<dyn std::error::Error>::downcast_ref::<io::Error>) {
            // Everything else that can fail says what it is.
            Some(error) => {
                let reason = error.to_string();
                let reason = reason.split(" (os error").next().unwrap_or_default();
                format!("The output cannot be written: {reason}")
            }
            None => format!("{error:#}"),
        };
    if text.ends_with(['.', '?']) { text } else { format!("{text}.") }
}

/// The four lines with which a lab's program begins, for stderr: broker, topic, `detail` (a consumer's group by
/// default), and where the configuration comes from. `--dump-config` shows the rest.
pub fn banner<L>(
    config: &Config<L>,
    cluster: &Cluster,
    topic: &Provisioned,
    detail: Option<(&str, &str)>,
) -> String {
    let nodes = report::count(cluster.brokers.len() as u64, "node");
    let group =
        config.property(Client::Consumer, "group.id").map_or("none", |setting| &setting.value);
    let (label, text) = detail.unwrap_or(("group", group));
    let mut lines = format!("broker  {} ({nodes})\n", config.bootstrap_servers());
    let partitions = report::count(u64::try_from(topic.partitions()).unwrap_or(0), "partition");
    let news = match topic {
        Provisioned::Created { .. } => ", new".to_owned(),
        Provisioned::Existing { .. } => String::new(),
        Provisioned::Different { wanted, .. } => format!(", not {wanted} as configured"),
    };
    let _ = writeln!(lines, "topic   {} ({partitions}{news})", config.topic.name);
    let _ = writeln!(lines, "{label:<7} {text}");
    let _ = write!(lines, "config  {} (--dump-config shows every value)", config.source());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_without_context_is_one_of_the_output() {
        let full = io::Error::from_raw_os_error(28).into();
        assert_eq!(sentence(&full), "The output cannot be written: No space left on device.");
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let refused = anyhow::Error::from(refused).context("Does the service run?");
        assert_eq!(sentence(&refused), "Does the service run?: connection refused.");
    }
}
