//! The question before each stage. The stage itself observes the answer; it is not written here.

use crate::stages::mistakes::Answer;

#[derive(Debug, Clone, Copy)]
pub struct Question {
    pub text: &'static str,
    /// Answers a, b, c.
    pub choices: [&'static str; 3],
}

/// For the stages 1 to 7; stage 8 asks about each of its mistakes.
pub const QUESTIONS: [Question; 7] = [
    Question {
        text: "Your request is a length, an API, a version, a correlation id, and your name. The answer begins with a length too. What comes right after it?",
        choices: ["the API and the version", "your correlation id", "an error code"],
    },
    Question {
        text: "Metadata version 9 is in the flexible style. The topic's name has 4 bytes. Which bytes come before it?",
        choices: ["04", "05", "00 04"],
    },
    Question {
        text: "Your batch says base_offset 0, and you send it twice. What does the broker do with the second one?",
        choices: [
            "it refuses it: offset 0 is taken",
            "it stores it, with other offsets",
            "it stores nothing, and answers with the offset of the first",
        ],
    },
    Question {
        text: "Your second record has no timestamp, only timestamp_delta 250. Which timestamp does a real consumer report for it?",
        choices: ["the batch's base_timestamp", "base_timestamp + 250", "none"],
    },
    Question {
        text: "Your batch has two records. You fetch from the offset of the second. What does the broker send?",
        choices: [
            "the second record alone",
            "the whole batch",
            "an error: a fetch must begin at a batch",
        ],
    },
    Question {
        text: "A real producer compresses 100 records with zstd. What can be read without decompressing?",
        choices: ["how many records there are", "their keys", "nothing"],
    },
    Question {
        text: "You are alone in a group, and a real consumer joins. Who decides which partitions it reads?",
        choices: ["the broker", "you", "it does"],
    },
];

/// `2`, `CORRUPT_MESSAGE`, `closed`, `silence`: does this guess mean the answer?
pub fn means(guess: &str, answer: Answer) -> bool {
    let guess = guess.trim().to_uppercase();
    match answer {
        Answer::Closed => guess == "CLOSED",
        Answer::Silence => guess == "SILENCE",
        Answer::Error(code) => {
            let named = crate::errors::named(code);
            let name = named.split_once(' ').map_or("", |(_, name)| name);
            guess == code.to_string() || guess == name
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_is_a_number_a_name_or_a_word() {
        assert!(means("2", Answer::Error(2)));
        assert!(means(" corrupt_message", Answer::Error(2)));
        assert!(!means("22", Answer::Error(2)));
        assert!(means("Closed", Answer::Closed));
        assert!(!means("closed", Answer::Silence));
        assert!(!means("", Answer::Error(2)));
    }
}
