//! A README as scenes, and the comparison of what is written with what was printed. No I/O.

use anyhow::{Context, bail, ensure};
use std::collections::BTreeMap;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scene {
    Block(Block),
    StopBroker,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::testing) struct Block {
    /// `None`: the command ends with the block.
    pub(super) terminal: Option<String>,
    pub(in crate::testing) any_order: bool,
    pub(super) only_embedded: bool,
    pub(super) steps: Vec<Step>,
}

/// Something that is done, and what is printed then.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) action: Action,
    /// The line of `expected`'s first, counted from 0.
    pub(super) line: usize,
    pub(super) expected: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing: the block goes on with what runs.
    Watch,
    Start(String),
    Type(String),
    CtrlC,
    CtrlD,
}

pub(super) fn parse(text: &str) -> anyhow::Result<Vec<Scene>> {
    let mut scenes = Vec::new();
    let mut block: Option<Block> = None;
    let mut next = Block::default();
    for (n, line) in text.lines().enumerate() {
        if let Some(open) = &mut block {
            match line {
                "```" => scenes.extend(block.take().map(Scene::Block)),
                _ => open.add(n, line),
            }
        } else if let Some(words) =
            line.trim().strip_prefix("<!-- lab:").and_then(|rest| rest.strip_suffix("-->"))
        {
            if words.trim() == "stop-broker" {
                scenes.push(Scene::StopBroker);
            } else {
                next = Block::described(words).with_context(|| format!("{}", n + 1))?;
            }
        } else if line == "```console" {
            block = Some(std::mem::take(&mut next));
        }
    }
    ensure!(block.is_none(), "the last console block is not closed");
    Ok(scenes)
}

/// The block that starts with this command.
pub(in crate::testing) fn block(text: &str, command: &str) -> anyhow::Result<Block> {
    let starts = |step: &Step| matches!(&step.action, Action::Start(line) if line == command);
    let block = parse(text)?.into_iter().find_map(|scene| match scene {
        Scene::Block(block) if block.steps.first().is_some_and(starts) => Some(block),
        Scene::Block(_) | Scene::StopBroker => None,
    });
    block.with_context(|| format!("no console block starts with `$ {command}`"))
}

impl Block {
    /// The lines that the program itself and a person bring to a screen: neither the command, nor make's own line. At
    /// Ctrl-D nothing is shown, and the prompt stays.
    pub(in crate::testing) fn on_a_screen(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for step in &self.steps {
            match &step.action {
                Action::Watch | Action::Start(_) => {}
                Action::Type(text) => lines.push(format!("> {text}")),
                Action::CtrlC => lines.push("^C".to_owned()),
                Action::CtrlD => lines.push(">".to_owned()),
            }
            let made =
                |line: &&String| line.starts_with("cargo run ") || line.starts_with("make: ");
            lines.extend(step.expected.iter().filter(|line| !made(line)).cloned());
        }
        lines
    }

    fn described(words: &str) -> anyhow::Result<Self> {
        let mut block = Self::default();
        for word in words.split_whitespace() {
            match word.split_once('=') {
                Some(("term", name)) => block.terminal = Some(name.to_owned()),
                Some(("only", "embedded")) => block.only_embedded = true,
                None if word == "any-order" => block.any_order = true,
                _ => bail!("`lab:` does not know `{word}`"),
            }
        }
        Ok(block)
    }

    fn add(&mut self, n: usize, line: &str) {
        let action = match line {
            "^C" => Action::CtrlC,
            "^D" => Action::CtrlD,
            _ => match (line.strip_prefix("$ "), line.strip_prefix("> ")) {
                (Some(command), _) => Action::Start(command.to_owned()),
                (_, Some(text)) => Action::Type(text.to_owned()),
                _ => {
                    if self.steps.is_empty() {
                        self.steps.push(Step {
                            action: Action::Watch,
                            line: n,
                            expected: Vec::new(),
                        });
                    }
                    let step = self.steps.last_mut().expect("one was pushed if there was none");
                    step.expected.push(line.to_owned());
                    return;
                }
            },
        };
        self.steps.push(Step { action, line: n + 1, expected: Vec::new() });
    }
}

/// Does the line fit the pattern, in which `[..]` stands for anything?
pub(super) fn fits(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split("[..]");
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut last = None;
    for piece in pieces {
        if let Some(previous) = last.replace(piece) {
            let Some(at) = rest.find(previous) else { return false };
            rest = &rest[at + previous.len()..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

/// Is it what is written already? Then a recording leaves it alone, with its `...`.
pub(in crate::testing) fn agrees(expected: &[String], lines: &[String], any_order: bool) -> bool {
    if any_order {
        let (mut missing, others) = without_dots(expected);
        return lines.iter().all(|line| {
            let found = missing.iter().position(|pattern| fits(pattern, line));
            found.map(|found| missing.remove(found)).is_some() || others
        }) && missing.is_empty();
    }
    match expected {
        [] => lines.is_empty(),
        [any, rest @ ..] if any == "..." => {
            (0..=lines.len()).any(|n| agrees(rest, &lines[n..], false))
        }
        [pattern, rest @ ..] => {
            lines.first().is_some_and(|line| fits(pattern, line))
                && agrees(rest, &lines[1..], false)
        }
    }
}

/// The patterns of an unordered block, and whether other lines may stand between them.
pub(super) fn without_dots(expected: &[String]) -> (Vec<String>, bool) {
    let patterns: Vec<String> = expected.iter().filter(|line| *line != "...").cloned().collect();
    let others = patterns.len() < expected.len();
    (patterns, others)
}

/// The README with what was printed: by the number of a step's first line, how many lines it had, and the new ones.
pub(super) fn rewritten(text: &str, printed: &BTreeMap<usize, (usize, Vec<String>)>) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    for (line, (count, new)) in printed.iter().rev() {
        lines.splice(*line..line + count, new.iter().map(String::as_str));
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_with_anything_in_its_gaps() {
        assert!(fits("a line", "a line"));
        assert!(!fits("a line", "a line more"));
        assert!(fits("a [..] line[..]", "a long line with an end"));
        assert!(fits("[..]", ""));
        assert!(fits("x[..]b[..]b", "x a b a b"));
        assert!(!fits("x[..]b[..]b", "x a b a"));
        assert!(!fits("[..]c", "c d"));
    }

    #[test]
    fn a_readme_is_read_as_scenes() {
        let text = "\
<!-- lab: term=A any-order -->
```console
rest of the last
$ make x ARGS='-n 1'
one
> typed
^C
```
```sh
not played
```
<!-- lab: stop-broker -->
```console
$ y
```
";
        let expected = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        let step = |action, line, lines: &[&str]| Step { action, line, expected: expected(lines) };
        let first = Block {
            terminal: Some("A".into()),
            any_order: true,
            only_embedded: false,
            steps: vec![
                step(Action::Watch, 2, &["rest of the last"]),
                step(Action::Start("make x ARGS='-n 1'".into()), 4, &["one"]),
                step(Action::Type("typed".into()), 6, &[]),
                step(Action::CtrlC, 7, &[]),
            ],
        };
        let second =
            Block { steps: vec![step(Action::Start("y".into()), 14, &[])], ..Block::default() };
        assert_eq!(
            parse(text).unwrap(),
            [Scene::Block(first), Scene::StopBroker, Scene::Block(second)]
        );
        assert!(parse("<!-- lab: trem=A -->").is_err());
        assert!(parse("```console\n$ x\n").is_err());
    }

    #[test]
    fn a_screen_shows_what_is_typed_and_not_the_command() {
        let text = "```console\n$ make y\n```\n```console\n$ make x\ncargo run -q --bin x\none\n> typed\ntwo\n^D\nend\n```\n";
        let block = block(text, "make x").unwrap();
        assert_eq!(block.on_a_screen(), ["one", "> typed", "two", ">", "end"]);
        assert!(super::block(text, "make z").is_err());
    }

    #[test]
    fn what_agrees_is_left_alone() {
        let list = |lines: &[&str]| -> Vec<String> {
            lines.iter().map(|line| (*line).to_owned()).collect()
        };
        let printed = list(&["banner", "more banner", "b", "a 17"]);
        assert!(agrees(&list(&["...", "b", "a [..]"]), &printed, false));
        assert!(agrees(&list(&["banner", "..."]), &printed, false));
        assert!(!agrees(&list(&["...", "b"]), &printed, false));
        assert!(!agrees(&list(&["b", "..."]), &printed, false));
        assert!(agrees(&list(&["a [..]", "banner", "b", "more [..]"]), &printed, true));
        assert!(!agrees(&list(&["a [..]", "banner", "b"]), &printed, true));
        assert!(agrees(&list(&["a [..]", "...", "b"]), &printed, true));
    }

    #[test]
    fn a_recording_replaces_the_lines_of_each_step() {
        let text = "a\n$ x\nold\nold\n$ y\nend\n";
        let new = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        let printed = BTreeMap::from([(2, (2, new(&["new"]))), (5, (0, new(&["more", "still"])))]);
        assert_eq!(rewritten(text, &printed), "a\n$ x\nnew\n$ y\nmore\nstill\nend\n");
    }
}
