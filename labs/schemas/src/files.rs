//! The schemas in a folder's `proto/`, and as they were in a commit.

use anyhow::{Context as _, anyhow, bail, ensure};
use miette::Diagnostic as _;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use protox::prost_reflect::DescriptorPool;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Output};

/// The schemas' texts by file name, `user_event.proto`.
pub type Schemas = BTreeMap<String, String>;

/// The folder of the schemas, below the folder that every function here is given.
pub const PROTO: &str = "proto";

/// The schemas in the folder, as they are now.
pub fn read(folder: &Path) -> anyhow::Result<Schemas> {
    let proto = folder.join(PROTO);
    let entries = match std::fs::read_dir(&proto) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
            "There is no {}. Run this in labs/schemas, or name the folder with --folder.",
            proto.display()
        ),
        Err(error) => bail!("{} cannot be read: {error}.", proto.display()),
    };
    let mut schemas = Schemas::new();
    for entry in entries {
        let path = entry.with_context(|| format!("{} cannot be read", proto.display()))?.path();
        // One flat folder: a ConfigMap's keys are file names without a folder.
        ensure!(
            !path.is_dir(),
            "{} is a folder. Schemas must be directly in {PROTO}/.",
            path.display()
        );
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if is_schema(name) {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            schemas.insert(name.to_owned(), text);
        }
    }
    ensure!(!schemas.is_empty(), "{} holds no .proto file.", proto.display());
    Ok(schemas)
}

/// What a commit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// The commit's short name, and its schemas; none when there were none yet.
    Found { commit: String, schemas: Schemas },
    /// There is no history to look into, and why.
    NoHistory(&'static str),
}

/// The schemas as they were in a commit.
pub fn read_commit(folder: &Path, commit: &str) -> anyhow::Result<Committed> {
    // Without a repository git says so in the user's language; the exit code alone would not tell it from other trouble.
    if !folder.ancestors().any(|folder| folder.join(".git").exists()) {
        return Ok(Committed::NoHistory("this folder is in no git repository"));
    }
    let parse = ["rev-parse", "--verify", "--quiet", "--short", "--end-of-options"];
    let named = match git(folder, &parse, &format!("{commit}^{{commit}}")) {
        Ok(named) => named,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Committed::NoHistory("git is not installed"));
        }
        Err(error) => return Err(error).context("git could not be run"),
    };
    if !named.status.success() {
        let trouble = String::from_utf8_lossy(&named.stderr);
        ensure!(trouble.trim().is_empty(), "git says: {}", trouble.trim());
        if commit == "HEAD" {
            return Ok(Committed::NoHistory("nothing is committed yet"));
        }
        bail!("There is no commit {commit}. Name one with --against, `main` for example.");
    }
    let commit = String::from_utf8_lossy(&named.stdout).trim().to_owned();

    let list = git(folder, &["ls-tree", "--name-only", &commit], &format!("{PROTO}/"))?;
    ensure!(list.status.success(), "git says: {}", String::from_utf8_lossy(&list.stderr).trim());
    let mut schemas = Schemas::new();
    for path in String::from_utf8_lossy(&list.stdout).lines() {
        let Some(name) = path.strip_prefix("proto/").filter(|name| is_schema(name)) else {
            continue;
        };
        let shown = git(folder, &["show"], &format!("{commit}:./{path}"))?;
        ensure!(
            shown.status.success(),
            "git says: {}",
            String::from_utf8_lossy(&shown.stderr).trim()
        );
        let text = String::from_utf8(shown.stdout)
            .with_context(|| format!("{path} in {commit} is not UTF-8"))?;
        schemas.insert(name.to_owned(), text);
    }
    Ok(Committed::Found { commit, schemas })
}

/// Compiles the schemas. An error names the file, the line and what is wrong there.
pub fn compile(schemas: &Schemas) -> anyhow::Result<DescriptorPool> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(InMemory(schemas.clone()));
    // google/protobuf/timestamp.proto and its like.
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    for name in schemas.keys() {
        compiler.open_file(name).map_err(|error| anyhow!("{}{error}", place(&error)))?;
    }
    Ok(compiler.descriptor_pool())
}

/// `proto/user_event.proto:5: `, as far as protox knows it.
fn place(error: &protox::Error) -> String {
    let Some(file) = error.file() else { return String::new() };
    // Where a thing is said twice, the second time is the mistake.
    let line = error
        .labels()
        .into_iter()
        .flatten()
        .map(|label| *label.inner())
        .max_by_key(miette::SourceSpan::offset)
        .and_then(|span| Some(error.source_code()?.read_span(&span, 0, 0).ok()?.line() + 1));
    match line {
        Some(line) => format!("{PROTO}/{file}:{line}: "),
        None => format!("{PROTO}/{file}: "),
    }
}

struct InMemory(Schemas);

impl FileResolver for InMemory {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(text) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

fn is_schema(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "proto")
}

fn git(folder: &Path, words: &[&str], last: &str) -> io::Result<Output> {
    Command::new("git").arg("-C").arg(folder).args(words).arg(last).output()
}
