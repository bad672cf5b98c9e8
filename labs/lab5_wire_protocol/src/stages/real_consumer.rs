//! Stage 4: librdkafka, which knows nothing of this lab, reads what you built.

use crate::Lab;
use anyhow::Context as _;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use shared::config::Client;
use shared::report;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

pub async fn run(lab: &mut Lab) -> anyhow::Result<()> {
    let topic = lab.topic();
    let (mut to, _) = lab.leader().await?;
    let (_, base_offset) = lab.produced(&mut to).await?;
    lab.story.say(format!(
        "Produced your batch again, by hand: {}.",
        report::place(&topic, 0, base_offset)
    ));

    let mut config = lab.config.client(Client::Consumer);
    // It computes your checksum anew, which it does not do by default.
    config.set("check.crcs", "true");
    let consumer: StreamConsumer =
        config.create().context("librdkafka refuses to make a consumer of these properties")?;
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(&topic, 0, Offset::Offset(base_offset))?;
    consumer.assign(&from)?;

    for (n, sent) in lab.exercise.records.iter().enumerate() {
        let offset = base_offset + i64::try_from(n)?;
        let timestamp = lab.exercise.base_timestamp + sent.timestamp_delta;
        let read = tokio::time::timeout(LIMIT, consumer.recv()).await;
        let read = read.context("rdkafka reads nothing")?.context("rdkafka cannot read it")?;
        let key = report::text(read.key().unwrap_or_default());
        let value = report::text(read.payload().unwrap_or_default());
        let at = read.timestamp().to_millis();
        let place = report::place(&topic, 0, read.offset());
        lab.story.say(format!(
            "rdkafka read {place} key={key} value={value:?} timestamp={}",
            at.unwrap_or(-1)
        ));
        lab.story.check(
            read.offset() == offset
                && key == sent.key
                && value == sent.value
                && at == Some(timestamp),
            format!(
                "record {n} is what you wrote: timestamp {} + {}, offset {base_offset} + {n}",
                lab.exercise.base_timestamp, sent.timestamp_delta
            ),
            format!(
                "you wrote key={} value={:?} timestamp={timestamp}, offset {offset}",
                sent.key, sent.value
            ),
        );
        if sent.timestamp_delta != 0 {
            lab.story.observed = Some(if at == Some(timestamp) { 'b' } else { 'a' });
        }
    }
    Ok(())
}
