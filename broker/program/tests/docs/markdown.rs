//! Markdown as far as the tests need it: sections, and the fenced blocks in them.

/// What stands between one heading and the next.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) heading: String,
    /// The suite of clients that this section needs, from `<!-- clients: NAME -->`.
    pub(crate) clients: Option<String>,
    pub(crate) blocks: Vec<Block>,
}

/// A fenced block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// `console`, `rust`, `js`, …
    pub(crate) language: String,
    /// The file that the block is the content of: the second word after the fence.
    pub(crate) file: Option<String>,
    pub(crate) lines: Vec<String>,
    /// The line of the document in which the content begins, from 0.
    pub(crate) line: usize,
}

impl Section {
    pub(crate) fn of(document: &str) -> Vec<Self> {
        let mut sections = vec![Self::named("")];
        let mut open: Option<Block> = None;
        for (number, line) in document.lines().enumerate() {
            let section = sections.last_mut().expect("there is always one");
            match &mut open {
                Some(block) if line.trim_end() == "```" => {
                    section.blocks.push(block.clone());
                    open = None;
                }
                Some(block) => block.lines.push(line.to_owned()),
                None => {
                    if let Some(info) = line.strip_prefix("```") {
                        let mut words = info.split_whitespace().map(str::to_owned);
                        open = Some(Block {
                            language: words.next().unwrap_or_default(),
                            file: words.next(),
                            lines: Vec::new(),
                            line: number + 1,
                        });
                    } else if let Some(heading) = line.strip_prefix('#') {
                        sections.push(Self::named(heading.trim_start_matches('#').trim()));
                    } else if let Some(name) = line.strip_prefix("<!-- clients: ") {
                        section.clients = Some(name.trim_end_matches("-->").trim().to_owned());
                    }
                }
            }
        }
        assert!(open.is_none(), "a block is not closed");
        sections
    }

    fn named(heading: &str) -> Self {
        Self { heading: heading.to_owned(), clients: None, blocks: Vec::new() }
    }
}

impl Block {
    /// The commands of a console block, each with the lines that it prints.
    pub(crate) fn commands(&self) -> Vec<(String, Vec<String>)> {
        let mut commands: Vec<(String, Vec<String>)> = Vec::new();
        for line in &self.lines {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
                // A command goes on behind a backslash.
                (None, Some((command, printed)))
                    if command.ends_with('\\') && printed.is_empty() =>
                {
                    command.push('\n');
                    command.push_str(line);
                }
                (None, Some((_, printed))) => printed.push(line.clone()),
                (None, None) => panic!("a console block begins with `$ `, not with {line:?}"),
            }
        }
        commands
    }
}
