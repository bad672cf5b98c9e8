//! Stage 6: what a codec compresses, and what it leaves readable.

use crate::Lab;
use crate::batch::hex;
use anyhow::Context as _;
use rdkafka::producer::{FutureProducer, FutureRecord};
use shared::config::Client;
use shared::report;

/// How many equal records the real producer sends.
const RECORDS: usize = 100;
const KEY: &str = "alice";
const VALUE: &str = "the same sentence, over and over";

/// The codecs of `attributes`, and the first bytes of what they write. Snappy's differ from client to client.
const CODECS: [(&str, &[u8]); 5] = [
    ("none", &[]),
    ("gzip", &[0x1f, 0x8b]),
    ("snappy", &[]),
    ("lz4", &[0x04, 0x22, 0x4d, 0x18]),
    ("zstd", &[0x28, 0xb5, 0x2f, 0xfd]),
];

pub async fn run(lab: &mut Lab) -> anyhow::Result<()> {
    let codec = lab
        .config
        .property(Client::Producer, "compression.type")
        .map_or("none", |setting| &setting.value)
        .to_owned();
    let first = send(lab).await?;
    lab.story.say(format!(
        "rdkafka sent {RECORDS} equal records with compression.type={codec}; the first is {}.",
        report::place(&lab.topic(), 0, first)
    ));

    let (mut to, epoch) = lab.leader().await?;
    let fetched = lab.fetch(&mut to, first, epoch).await?;
    let (batch, _) = fetched.batch.context("The answer holds no batch")?;
    let count = usize::try_from(batch.record_count)?;
    lab.story.check(
        count == RECORDS,
        format!("record_count {count} is readable in the header"),
        format!("record_count is {count}, not {RECORDS}: linger.ms or batch.num.messages was too small for one batch"),
    );
    let (name, magic) = CODECS.get(usize::try_from(batch.codec)?).copied().unwrap_or(("?", &[]));
    lab.story.check(
        name == codec,
        format!("the lowest 3 bits of attributes are {}: {name}", batch.codec),
        format!(
            "the lowest 3 bits of attributes are {} ({name}), and compression.type is {codec}",
            batch.codec
        ),
    );
    if !magic.is_empty() {
        lab.story.check(
            batch.body.starts_with(magic),
            format!("after the header come the first bytes of every {name} frame: {}", hex(magic)),
            format!(
                "after the header comes {}, which is not the beginning of a {name} frame",
                hex(&batch.body[..batch.body.len().min(4)])
            ),
        );
    }
    // A record: five varints of one byte, attributes, headers, and its text; a little less than it really has.
    let plain = count * (KEY.len() + VALUE.len() + 6);
    let hidden =
        !batch.body.windows(VALUE.len()).skip(VALUE.len()).any(|bytes| bytes == VALUE.as_bytes());
    if batch.codec != 0 {
        lab.story.check(
            batch.body.len() < plain / 4,
            format!(
                "the records have {} bytes, and had more than {plain} before",
                batch.body.len()
            ),
            format!("the records have {} bytes, almost as many as before", batch.body.len()),
        );
    }
    lab.story.observed =
        Some(if batch.codec != 0 && count == RECORDS && hidden { 'a' } else { 'b' });
    Ok(())
}

/// Sends the records with librdkafka, and gives the offset of the first.
async fn send(lab: &Lab) -> anyhow::Result<i64> {
    let topic = lab.topic();
    let producer: FutureProducer = lab
        .config
        .client(Client::Producer)
        .create()
        .context("librdkafka refuses to make a producer of these properties")?;
    let mut reports = Vec::new();
    for _ in 0..RECORDS {
        let record = FutureRecord::to(&topic).partition(0).key(KEY).payload(VALUE);
        reports.push(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    let mut offsets = Vec::new();
    for report in reports {
        offsets.push(
            report
                .await?
                .map_err(|(error, _)| error)
                .context("rdkafka could not deliver a record")?
                .offset,
        );
    }
    offsets.into_iter().min().context("nothing was sent")
}
