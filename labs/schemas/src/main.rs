//! `schemas validate` and `schemas sync`: what `make validate` and `make sync` run.

use anyhow::{Context as _, bail, ensure};
use clap::{Parser, Subcommand};
use owo_colors::OwoColorize as _;
use schemas::compare::{Verdict, compare};
use schemas::files::{self, Committed, Schemas};
use schemas::manifest;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Check the schemas that producers and consumers share
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    step: Step,

    /// The folder that contains proto/
    #[arg(long, global = true, default_value = ".", value_name = "FOLDER")]
    folder: PathBuf,
}

#[derive(Subcommand)]
enum Step {
    /// Check the syntax, and that the schema is compatible with the committed one
    Validate(Validate),
    /// Validate, then write the Kubernetes ConfigMap
    Sync {
        #[command(flatten)]
        validate: Validate,
        /// Also give the manifest to kubectl
        #[arg(long)]
        apply: bool,
    },
}

#[derive(clap::Args)]
struct Validate {
    /// The commit to compare with
    #[arg(long, default_value = "HEAD", value_name = "COMMIT")]
    against: String,
    /// Report breaking changes, but accept them
    #[arg(long)]
    allow_breaking: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.step {
        Step::Validate(how) => validate(&args.folder, how).map(|_schemas| ()),
        Step::Sync { validate: how, apply } => sync(&args.folder, how, *apply),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("{error:#}");
            let stop = if text.ends_with(['.', '?']) { "" } else { "." };
            anstream::eprintln!("{text}{stop}");
            ExitCode::FAILURE
        }
    }
}

fn validate(folder: &Path, how: &Validate) -> anyhow::Result<Schemas> {
    let schemas = files::read(folder)?;
    let pool = files::compile(&schemas)?;
    for file in pool.files().filter(|file| schemas.contains_key(file.name())) {
        let messages = count(file.messages().len(), "message");
        anstream::println!(
            "proto/{} is valid: {messages}, {}.",
            file.name(),
            count(file.enums().len(), "enum")
        );
    }

    let folder =
        folder.canonicalize().with_context(|| format!("{} cannot be found", folder.display()))?;
    let (commit, before) = match files::read_commit(&folder, &how.against)? {
        Committed::Found { commit, schemas } => (commit, schemas),
        Committed::NoHistory(why) => {
            anstream::println!("Not compared with an earlier version: {why}.");
            return Ok(schemas);
        }
    };
    let name = if how.against == commit { commit } else { format!("{} ({commit})", how.against) };
    let old = files::compile(&before)
        .with_context(|| format!("The schema in {name} is not valid itself"))?;
    let changes = compare(&old, &pool);
    for change in &changes {
        match change.verdict {
            Verdict::Breaking => anstream::println!("{} {change}", "breaking:".red()),
            Verdict::Compatible => anstream::println!("{} {change}", "compatible:".green()),
        }
    }
    let breaking = changes.iter().filter(|change| change.verdict == Verdict::Breaking).count();
    if breaking > 0 && !how.allow_breaking {
        bail!(
            "{} against {name}. If every reader and writer changes at the same time, accept it with --allow-breaking.",
            count(breaking, "breaking change")
        );
    }
    match (breaking, changes.len()) {
        (0, 0) => anstream::println!("Nothing changed against {name}."),
        (0, _) => {
            anstream::println!("Compatible with {name}: old and new read each other's records.");
        }
        _ => {
            anstream::println!("{} against {name}, allowed.", count(breaking, "breaking change"));
        }
    }
    Ok(schemas)
}

fn sync(folder: &Path, how: &Validate, apply: bool) -> anyhow::Result<()> {
    let schemas = validate(folder, how)?;
    let text = manifest::manifest(&schemas)?;
    let path = folder.join(manifest::PATH);
    if std::fs::read_to_string(&path).is_ok_and(|written| written == text) {
        anstream::println!("{} is up to date.", manifest::PATH);
    } else {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("{} cannot be made", parent.display()))?;
        }
        std::fs::write(&path, text)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        anstream::println!("Wrote {}.", manifest::PATH);
    }
    if apply { hand_to_kubectl(&path) } else { Ok(()) }
}

/// What kubectl prints is its own; it goes where ours goes.
fn hand_to_kubectl(path: &Path) -> anyhow::Result<()> {
    match Command::new("kubectl").arg("apply").arg("-f").arg(path).status() {
        Ok(status) => {
            ensure!(
                status.success(),
                "kubectl did not accept {}; its message is above. `kubectl cluster-info` shows which cluster it uses",
                manifest::PATH
            );
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
            "kubectl is not installed, so nothing was applied. Run this where it is installed: kubectl apply -f {}",
            manifest::PATH
        ),
        Err(error) => bail!("kubectl could not be run: {error}."),
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
