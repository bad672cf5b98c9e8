//! Every stage on a broker: the embedded one, or the one that `KAFKA_BOOTSTRAP_SERVERS` names.

#![allow(clippy::unwrap_used, reason = "a test fails there, as it should")]

use lab5_wire_protocol::exercise::{EXERCISE, Exercise};
use lab5_wire_protocol::stages::{STAGES, Stage};
use lab5_wire_protocol::story::{Event, Story};
use lab5_wire_protocol::wire::Frame;
use lab5_wire_protocol::{Lab, PROGRAM, ready};
use shared::client::Cluster;
use shared::config::{Config, Flags};
use shared::testing::{TestBroker, unique};
use shared::topic;

/// A broker, and a topic and a group that no other test has.
struct Ground {
    broker: TestBroker,
    config: Config<shared::config::NoLab>,
    cluster: Cluster,
}

impl Ground {
    async fn new() -> Self {
        let broker = TestBroker::start().await.unwrap();
        let flags = Flags {
            bootstrap_server: Some(broker.bootstrap_servers().to_owned()),
            topic: Some(unique("lab5")),
            properties: vec![("group.id".to_owned(), unique("lab5"))],
            ..Flags::default()
        };
        let config = Config::load(&PROGRAM, &flags).unwrap();
        let cluster = Cluster::connect(&config).await.unwrap();
        ready::topic(&cluster, &config).await.unwrap();
        Self { broker, config, cluster }
    }

    async fn play(&self, number: u8, exercise: Exercise) -> Lab {
        let mut lab = Lab::new(self.config.clone(), exercise, Story::silent());
        lab.run(stage(number)).await.unwrap();
        lab
    }

    async fn clear(self) {
        topic::delete(&self.cluster, &self.config.topic.name).await.unwrap();
        self.broker.stop().await;
    }
}

fn stage(number: u8) -> Stage {
    STAGES[usize::from(number) - 1]
}

fn frames(lab: &Lab) -> impl Iterator<Item = &Frame> {
    lab.story.events.iter().filter_map(|event| match event {
        Event::Sent(frame) | Event::Received(frame) => Some(frame),
        Event::Built(_) | Event::Say(_) | Event::Checked(_) => None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stage_passes_and_every_byte_has_a_name() {
    let ground = Ground::new().await;
    for stage in STAGES {
        let lab = ground.play(stage.number, EXERCISE).await;
        assert_eq!(lab.story.faults(), Vec::<String>::new(), "stage {}", stage.number);
        assert!(lab.story.checks().count() > 1, "stage {} checks next to nothing", stage.number);
        assert_eq!(lab.story.observed.is_some(), stage.number < 8, "stage {}", stage.number);
        for frame in frames(&lab) {
            let mut at = 0;
            for field in &frame.fields {
                assert_eq!(field.range.start, at, "{}, {}", frame.title, field.name);
                at = field.range.end;
            }
            assert_eq!(at, frame.bytes.len(), "{}", frame.title);
        }
    }
    ground.clear().await;
}

/// The hand-written decoder and the broker's schema have nothing in common but the protocol.
#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_decoder_reads_the_same_frames() {
    let ground = Ground::new().await;
    let mut compared = 0;
    for number in 1..8 {
        let lab = ground.play(number, EXERCISE).await;
        for frame in frames(&lab) {
            let (answer, title) = match frame.title.strip_prefix("answer to ") {
                Some(title) => (true, title),
                None => (false, frame.title.as_str()),
            };
            let (api, version) = title.split_once(" version ").unwrap();
            let to = answer.then(|| (api, version.parse().unwrap()));
            let explained = mini_kafka::decode(&frame.bytes, to).unwrap();
            assert!(explained.fits(), "{}: {explained}", frame.title);
            let explained = explained.to_string();
            // Numbers of four bytes stand alone on both sides.
            for field in
                frame.fields.iter().filter(|field| field.range.len() == 4 && field.range.start > 0)
            {
                let start = format!(" {}..", field.range.start);
                let inside = field.depth > 0 || field.name == "client_id" || field.name.is_empty();
                assert!(
                    inside || explained.contains(&start),
                    "{}, {}: {explained}",
                    frame.title,
                    field.name
                );
            }
            compared += 1;
        }
    }
    assert!(compared > 20, "{compared}");
    ground.clear().await;
}

/// What the check says about a changed value, and that the broker notices too.
#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_exercise_is_named() {
    const ONE_TOO_LONG: &[u8] =
        &[0, 0, 0, 0x0f, 0, 0x12, 0, 0, 0, 0, 0, 1, 0, 4, 0x6c, 0x61, 0x62, 0x35];
    const ANOTHER_API: &[u8] =
        &[0, 0, 0, 0x0e, 0, 0x13, 0, 0, 0, 0, 0, 1, 0, 4, 0x6c, 0x61, 0x62, 0x35];
    let ground = Ground::new().await;
    let cases: [(u8, Exercise, &[&str]); 7] = [
        (
            1,
            Exercise { api_versions: ONE_TOO_LONG, ..EXERCISE },
            &[
                "bytes 0 to 3, length: 00 00 00 0f says 15, but 14 bytes follow",
                "no answer within 3 s",
            ],
        ),
        (
            1,
            Exercise { api_versions: ANOTHER_API, ..EXERCISE },
            &["bytes 4 to 5, api_key: 00 13 should be 00 12", "closed the connection"],
        ),
        (
            2,
            Exercise { compact: |length| length, ..EXERCISE },
            &["byte 19, topics: 01 should be 02"],
        ),
        (
            3,
            Exercise { crc_from: 17, ..EXERCISE },
            &["bytes 17 to 20, crc: ", "Yours covers bytes 17 to", "2 CORRUPT_MESSAGE"],
        ),
        (
            3,
            Exercise { length_from: 8, ..EXERCISE },
            &["bytes 8 to 11, batch_length: ", "87 INVALID_RECORD"],
        ),
        (3, Exercise { zigzag: i64::cast_unsigned, ..EXERCISE }, &["zigzag is missing"]),
        (
            8,
            Exercise { magic: 1, ..EXERCISE },
            &["already wrong before this stage", "byte 16, magic"],
        ),
    ];
    for (number, exercise, sentences) in cases {
        let faults = ground.play(number, exercise).await.story.faults().join("\n");
        for sentence in sentences {
            assert!(faults.contains(sentence), "stage {number}, {sentence}: {faults}");
        }
    }
    ground.clear().await;
}

/// The leader may give itself nothing; the real consumer obeys.
#[tokio::test(flavor = "multi_thread")]
async fn the_leader_decides() {
    let ground = Ground::new().await;
    let lab = ground.play(7, Exercise { keep: &[], ..EXERCISE }).await;
    assert_eq!(lab.story.faults(), Vec::<String>::new());
    let obeyed = "the real consumer reads [0, 1]: you decided that";
    assert!(lab.story.checks().any(|check| check.sentence == obeyed));
    ground.clear().await;
}

/// The README's table of what to break quotes the checks.
#[test]
fn the_readme_quotes_the_checks() {
    const README: &str = include_str!("../README.md");
    let quotes: Vec<&str> =
        README.lines().filter(|line| line.starts_with("| ") && line.ends_with("` |")).collect();
    let said = [include_str!("stages.rs"), include_str!("../src/batch.rs")].concat();
    assert!(quotes.len() > 6, "{quotes:?}");
    for line in quotes {
        let quote = line.trim_end_matches("` |").rsplit('`').next().unwrap();
        assert!(said.contains(quote), "no test expects: {quote}");
    }
}
