//! Many readers of this project read English as a second language. So no sentence in a README, a document or a help text has more
//! than 30 words.
//!
//! `long_sentences.txt` lists the exceptions: a file, and the beginning of the sentence. An exception that is not needed any more
//! is an error too; `UPDATE=1 cargo test -p labs --test plain_english` removes it.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// The longest sentence, in words.
const LONGEST: usize = 30;
/// How many words of a sentence an exception quotes.
const QUOTED: usize = 8;

#[test]
fn sentences_are_short() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.join("../..").canonicalize().unwrap();
    let mut files = Vec::new();
    find(&root, &mut files);
    files.sort();
    assert!(files.len() > 40, "{files:?}");

    let mut long = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let paragraphs = match file.extension().and_then(|extension| extension.to_str()) {
            Some("md") => markdown(&text),
            Some("rs") => help(&text),
            _ => targets(&text),
        };
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        for sentence in paragraphs.iter().flat_map(|paragraph| sentences(paragraph)) {
            let words: Vec<&str> = words(&sentence).collect();
            if words.len() > LONGEST {
                let quote = format!("{name}: {}", words[..QUOTED].join(" "));
                long.push((quote, format!("{name}, {} words: {sentence}", words.len())));
            }
        }
    }

    let list = here.join("tests/long_sentences.txt");
    let exceptions = fs::read_to_string(&list).unwrap();
    let needed = |exception: &&str| long.iter().any(|(quote, _)| quote == exception);
    let (needed, stale): (Vec<&str>, Vec<&str>) = exceptions.lines().partition(needed);
    let new: Vec<&str> = long
        .iter()
        .filter(|(quote, _)| !needed.contains(&quote.as_str()))
        .map(|(_, sentence)| sentence.as_str())
        .collect();
    if std::env::var("UPDATE").is_ok_and(|update| update == "1") {
        fs::write(&list, needed.iter().map(|line| format!("{line}\n")).collect::<String>())
            .unwrap();
    } else {
        assert!(
            stale.is_empty(),
            "These exceptions are not needed any more:\n{}",
            stale.join("\n")
        );
    }
    assert!(
        new.is_empty(),
        "These sentences have more than {LONGEST} words. Make several of each:\n\n{}\n",
        new.join("\n\n")
    );
}

/// The documents, the Makefiles, and the programs with flags.
fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !name.starts_with('.') && !["target", "node_modules"].contains(&name) {
                find(&path, files);
            }
        } else if name.ends_with(".md") || name == "Makefile" || name.ends_with(".rs") {
            files.push(path);
        }
    }
}

/// The paragraphs of a document: no code, no comments; each list item and each cell of a table by itself.
fn markdown(text: &str) -> Vec<String> {
    let mut paragraphs = Paragraphs::default();
    let mut code = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("```") {
            code = !code;
            paragraphs.end();
        } else if code
            || line.starts_with("<!--")
            || (line.starts_with('[') && line.contains("]: http"))
        {
            // Nobody reads it as a sentence.
        } else if line.starts_with('|') {
            paragraphs.end();
            for cell in line.split('|') {
                paragraphs.add(cell);
                paragraphs.end();
            }
        } else {
            let list_item = line.starts_with("- ")
                || line.starts_with("* ")
                || line.split_once(". ").is_some_and(|(n, _)| n.parse::<u32>().is_ok());
            let tag = line.starts_with('<');
            if line.is_empty() || line.starts_with('#') || list_item || tag {
                paragraphs.end();
            }
            paragraphs.add(&without_tags(line));
            if line.starts_with('#') || tag {
                paragraphs.end();
            }
        }
    }
    paragraphs.finished()
}

/// The help texts of a program: clap takes them from the comments at its flags.
fn help(source: &str) -> Vec<String> {
    let derives = ["Parser", "Args", "Subcommand", "ValueEnum"];
    let with_flags = source.lines().any(|line| {
        line.trim().starts_with("#[derive(") && derives.iter().any(|name| line.contains(name))
    });
    let mut paragraphs = Paragraphs::default();
    for line in source.lines().filter(|_| with_flags) {
        match line.trim().strip_prefix("///") {
            Some(text) if !text.trim().is_empty() => paragraphs.add(text),
            _ => paragraphs.end(),
        }
    }
    paragraphs.finished()
}

/// What `make help-all` says about each target.
fn targets(makefile: &str) -> Vec<String> {
    let texts = makefile.lines().filter_map(|line| line.split_once(":")?.1.split_once("## "));
    texts.map(|(_, text)| text.to_owned()).collect()
}

#[derive(Default)]
struct Paragraphs {
    finished: Vec<String>,
    open: String,
}

impl Paragraphs {
    fn add(&mut self, text: &str) {
        self.open.push_str(text.trim());
        self.open.push(' ');
    }

    fn end(&mut self) {
        let text = std::mem::take(&mut self.open);
        if !text.trim().is_empty() {
            self.finished.push(text);
        }
    }

    fn finished(mut self) -> Vec<String> {
        self.end();
        self.finished
    }
}

/// `<summary>Answer</summary>` is one word.
fn without_tags(line: &str) -> String {
    let mut text = String::new();
    let mut tag = false;
    for (n, c) in line.char_indices() {
        match c {
            '<' if line[n + 1..].starts_with(|c: char| c == '/' || c.is_ascii_alphabetic()) => {
                tag = true;
            }
            '>' if tag => {
                tag = false;
                text.push(' ');
            }
            _ if tag => {}
            _ => text.push(c),
        }
    }
    text
}

/// The sentences of a paragraph. What stands in backquotes is one word, and a link is its text.
fn sentences(paragraph: &str) -> Vec<String> {
    let mut text = String::new();
    for (n, piece) in paragraph.split('`').enumerate() {
        // Inside of backquotes, nothing is a blank or a full stop.
        let inside = n % 2 == 1;
        match inside {
            true => text.extend(piece.chars().map(|c| match c {
                ' ' | '.' | '!' | '?' | '(' | ')' | '[' | ']' => '_',
                c => c,
            })),
            false => text.push_str(piece),
        }
    }
    while let Some(start) = text.find("](") {
        let end = text[start..].find(')').map_or(text.len(), |end| start + end + 1);
        text.replace_range(start..end, "");
    }
    let mut sentences = Vec::new();
    let mut start = 0;
    for (n, c) in text.char_indices() {
        let behind = &text[n + c.len_utf8()..];
        let rest = behind.trim_start_matches(['"', ')', '*', '_', '”', '’']);
        if matches!(c, '.' | '!' | '?') && rest.starts_with(' ') {
            let end = text.len() - rest.len();
            sentences.push(text[start..end].trim().to_owned());
            start = end;
        }
    }
    sentences.push(text[start..].trim().to_owned());
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

fn words(sentence: &str) -> impl Iterator<Item = &str> {
    sentence.split_whitespace().filter(|word| word.contains(char::is_alphanumeric))
}

#[test]
fn words_and_sentences_are_counted_as_a_reader_counts_them() {
    let text = "\
# A heading without an end

First [a link. With dots](https://example.com/a.b) and `code. with dots`, 1.5 of them. (Second.) Third?
- an item
  goes on
| a cell. And | another |
```sh
not a sentence
```
<!-- nor this -->
<details><summary>Answer</summary>

Last one
</details>
";
    let sentences: Vec<String> =
        markdown(text).iter().flat_map(|paragraph| sentences(paragraph)).collect();
    assert_eq!(sentences[3], "(Second.)");
    let counts: Vec<usize> = sentences.iter().map(|sentence| words(sentence).count()).collect();
    assert_eq!(counts, [5, 3, 7, 1, 1, 4, 2, 1, 1, 1, 2], "{sentences:#?}");

    let source = "#[derive(clap::Args)]\nstruct A {\n    /// One flag\n    ///\n    /// More. Of it\n    a: u8,\n    /// Another\n}";
    assert_eq!(help(source), ["One flag ", "More. Of it ", "Another "]);
    assert_eq!(help("/// No flag\nstruct A;"), [""; 0]);
    assert_eq!(
        targets("a: b ## What it does\n\tcommand ## no\n# c: ## no"),
        ["What it does", "no"]
    );
}
