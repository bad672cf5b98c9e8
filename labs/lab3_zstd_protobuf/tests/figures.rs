//! The figures in the README are the tool's: the bytes are measured again here, with the same seed.
//!
//! CPU and records/s are of the machine that wrote the README; nothing about them is asserted.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use lab3_zstd_protobuf::event::{Format, UserEvent};
use lab3_zstd_protobuf::generate::events;
use lab3_zstd_protobuf::measure::{BATCHES, Cell, START, claims, measure};
use lab3_zstd_protobuf::stored::Codec;
use lab3_zstd_protobuf::{Lab, MEASURE};
use shared::client::Cluster;
use shared::config::{Config, Flags};
use shared::shutdown::Shutdown;
use shared::testing::{TestBroker, unique};

const README: &str = include_str!("../README.md");
const PICTURE: &str = include_str!("../measured.svg");

/// The cells of the README's tables.
fn quoted() -> Vec<(usize, String, String, f64)> {
    let mut batch = 0;
    let mut cells = Vec::new();
    for line in README.lines() {
        if let Some(heading) = line.strip_prefix("**Batches of ") {
            let digits: String = heading.chars().filter(char::is_ascii_digit).collect();
            batch = digits.parse().unwrap();
        } else if line.starts_with("| JSON |") || line.starts_with("| protobuf |") {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            cells.push((
                batch,
                columns[1].to_owned(),
                columns[2].to_owned(),
                columns[3].parse().unwrap(),
            ));
        }
    }
    cells
}

async fn measured() -> Vec<Cell> {
    let broker = TestBroker::start().await.unwrap();
    let flags = Flags {
        bootstrap_server: Some(broker.bootstrap_servers().to_owned()),
        topic: Some(unique("lab3-test")),
        ..Flags::default()
    };
    let config: Config<Lab> = Config::load(&MEASURE, &flags).unwrap();
    let cluster = Cluster::connect(&config).await.unwrap();
    let events: Vec<UserEvent> = events(1, START).take(20_000).collect();
    let (_trigger, shutdown) = Shutdown::by_hand();
    let cells = measure(&config, &cluster, &events, 1, &shutdown, |_| {}).await.unwrap().unwrap();
    for cell in &cells {
        let topic = format!("{}-{}-{}-{}", config.topic.name, cell.format, cell.codec, cell.batch);
        assert_eq!(
            cluster.partitions(&topic.to_lowercase()).await.unwrap(),
            None,
            "{topic} was left behind"
        );
    }
    cells
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_quotes_what_is_measured() {
    let cells = measured().await;
    let quoted = quoted();
    assert_eq!(quoted.len(), cells.len());
    for ((batch, format, codec, stored), cell) in quoted.into_iter().zip(&cells) {
        assert_eq!(
            (batch, format, codec),
            (cell.batch, cell.format.to_string(), cell.codec.to_string())
        );
        // gzip's bytes come from the machine's zlib, of which there is more than one.
        let tolerance = if cell.codec == Codec::Gzip { 0.03 * stored } else { 0.051 };
        assert!((cell.stored - stored).abs() <= tolerance, "the README says {stored}: {cell:?}");
    }

    // What the README says in words about the bytes.
    let stored = |batch, format, codec| {
        cells
            .iter()
            .find(|cell| (cell.batch, cell.format, cell.codec) == (batch, format, codec))
            .unwrap()
            .stored
    };
    let saved = |batch, format| {
        1.0 - stored(batch, format, Codec::Zstd) / stored(batch, format, Codec::None)
    };
    assert!(saved(1, Format::Json) < 0.2 && saved(1, Format::Protobuf) < 0.05);
    assert!(saved(100, Format::Json) > 0.7 && saved(10_000, Format::Json) > 0.7);
    for batch in BATCHES {
        assert!(
            saved(batch, Format::Protobuf) < saved(batch, Format::Json),
            "protobuf leaves less to find"
        );
    }
    let with_zstd = |format| stored(10_000, format, Codec::Zstd);
    assert!(
        with_zstd(Format::Protobuf) > 0.9 * with_zstd(Format::Json),
        "ZSTD evens the formats out"
    );

    // The sentences about bytes alone are quoted as they are.
    for claim in &claims(&cells)[..2] {
        assert!(README.contains(claim), "{claim}");
    }
    // The picture is of the same figures.
    for cell in &cells {
        if cell.codec != Codec::Gzip {
            let number = format!(">{:.0}</text>", cell.stored);
            assert!(
                PICTURE.contains(&number),
                "the picture lacks {number}; `make lab3-picture` draws it again"
            );
        }
    }
}
