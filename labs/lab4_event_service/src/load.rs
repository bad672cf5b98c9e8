//! Load, and the count afterwards: accepted events, events in Kafka, effects.

use crate::client::Client;
use crate::kafka::events::Event;
use crate::kafka::lag::{self, Lag};
use crate::kafka::reader::Reader;
use crate::kafka::{FeedEventType, UserCreatedEvent};
use crate::{Config, Stream};
use anyhow::{Context as _, Result, ensure};
use hyper::StatusCode;
use serde_json::{Value, json};
use shared::report;
use shared::shutdown::Shutdown;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The load.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub service: SocketAddr,
    /// The consumers' HTTP. Without it the effects are not counted.
    pub notifications: Option<SocketAddr>,
    /// Requests a second.
    pub rate: u32,
    pub length: Duration,
}

/// The answers of the service.
#[derive(Debug, Default)]
pub struct Accepted {
    /// The ids of the events that callers were told of, by type.
    pub events: BTreeMap<String, HashSet<String>>,
    pub failed: u64,
    pub slowest: Duration,
}

/// The result, by type of event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    pub rows: BTreeMap<String, Row>,
    /// Were there consumers to count the effects?
    pub handled_known: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Row {
    /// Events that callers were told of.
    pub accepted: u64,
    /// Accepted events that never reached Kafka.
    pub lost: u64,
    /// Events in Kafka. There may be more than accepted ones: a caller may have got no answer, or there are other callers.
    pub in_kafka: u64,
    /// Further messages with the same events.
    pub copies: u64,
    /// Effects of events.
    pub handled: u64,
}

/// Connections at a time.
const CLIENTS: u64 = 4;
/// How many users and feeds there are to begin with.
const SEED: i64 = 10;
/// After so long without any progress, the missing events will not come.
const PATIENCE: Duration = Duration::from_secs(20);
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// Puts load on the service, waits until everything has come to rest, and counts.
pub async fn run(config: &Config, plan: &Plan, shutdown: &Shutdown) -> Result<(Accepted, Verdict)> {
    let before = Before::take(config, plan).await?;
    let accepted = load(plan, shutdown).await?;
    let verdict = before.compare(config, plan, &accepted).await?;
    Ok((accepted, verdict))
}

/// Sends requests at the plan's rate: many views, some comments and likes, few new users and feeds.
pub async fn load(plan: &Plan, shutdown: &Shutdown) -> Result<Accepted> {
    let mut accepted = Accepted::default();
    let mut client = Client::new(plan.service);
    let (mut users, mut feeds) = (Vec::new(), Vec::new());
    for n in 0..SEED {
        let user = accepted.post(&mut client, &Request::user(n)).await?;
        users.push(user["user_id"].as_i64().context("a new user has an id")?);
        let feed = accepted.post(&mut client, &Request::feed(users[0], n)).await?;
        feeds.push(feed["feed_id"].as_i64().context("a new feed has an id")?);
    }

    let next = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let (plan, next, users, feeds, shutdown) =
            (*plan, next.clone(), users.clone(), feeds.clone(), shutdown.clone());
        clients.push(tokio::spawn(async move {
            let mut client = Client::new(plan.service);
            let mut accepted = Accepted::default();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let at = Duration::from_secs(1) * u32::try_from(n).unwrap_or(u32::MAX) / plan.rate;
                if at >= plan.length || shutdown.is_requested() {
                    return accepted;
                }
                tokio::time::sleep_until(start + at).await;
                if accepted.post(&mut client, &Request::nth(n, &users, &feeds)).await.is_err() {
                    accepted.failed += 1;
                }
            }
        }));
    }
    for client in clients {
        accepted.add(client.await?);
    }
    Ok(accepted)
}

struct Request {
    event_type: &'static str,
    path: String,
    body: Value,
}

impl Request {
    fn user(n: i64) -> Self {
        let body = json!({ "name": format!("user {n}") });
        Self { event_type: UserCreatedEvent::EVENT_TYPE, path: "/users".to_owned(), body }
    }

    fn feed(user_id: i64, n: i64) -> Self {
        let body = json!({ "user_id": user_id, "content": format!("feed {n}") });
        Self { event_type: FeedEventType::Created.name(), path: "/feeds".to_owned(), body }
    }

    fn nth(n: u64, users: &[i64], feeds: &[i64]) -> Self {
        let of = |ids: &[i64], n: u64| ids[usize::try_from(n).unwrap_or(0) % ids.len()];
        let (user_id, feed) = (of(users, n / 20), of(feeds, n / 3));
        let number = i64::try_from(n).unwrap_or(0);
        match n % 20 {
            0 => Self::user(number),
            1 => Self::feed(user_id, number),
            2..6 => Self {
                event_type: FeedEventType::Commented.name(),
                path: format!("/feeds/{feed}/comments"),
                body: json!({ "user_id": user_id, "text": format!("comment {n}") }),
            },
            6..9 => Self {
                event_type: FeedEventType::Liked.name(),
                path: format!("/feeds/{feed}/like"),
                body: json!({ "user_id": user_id }),
            },
            _ => Self {
                event_type: FeedEventType::Viewed.name(),
                path: format!("/feeds/{feed}/view"),
                body: json!({ "user_id": user_id }),
            },
        }
    }
}

impl Accepted {
    async fn post(&mut self, client: &mut Client, request: &Request) -> Result<Value> {
        let start = Instant::now();
        let (status, answer) = client.post(&request.path, &request.body).await?;
        self.slowest = self.slowest.max(start.elapsed());
        ensure!(
            matches!(status, StatusCode::OK | StatusCode::CREATED),
            "{} answers {status}: {answer}",
            request.path
        );
        // A second like changes nothing, so there is no event.
        if let Some(event_id) = answer["event_id"].as_str() {
            self.events
                .entry(request.event_type.to_owned())
                .or_default()
                .insert(event_id.to_owned());
        }
        Ok(answer)
    }

    fn add(&mut self, other: Self) {
        for (event_type, ids) in other.events {
            self.events.entry(event_type).or_default().extend(ids);
        }
        self.failed += other.failed;
        self.slowest = self.slowest.max(other.slowest);
    }

    pub fn count(&self) -> u64 {
        self.events.values().map(|ids| ids.len() as u64).sum()
    }
}

/// The counts before the load.
pub struct Before {
    ends: Vec<Lag>,
    effects: Option<BTreeMap<String, u64>>,
}

impl Before {
    pub async fn take(config: &Config, plan: &Plan) -> Result<Self> {
        let effects = match plan.notifications {
            Some(address) => Some(effects(address).await?),
            None => None,
        };
        Ok(Self { ends: ends(config).await?, effects })
    }

    /// Waits until everything has come to rest, and counts.
    pub async fn compare(
        &self,
        config: &Config,
        plan: &Plan,
        accepted: &Accepted,
    ) -> Result<Verdict> {
        settle(config, plan).await?;
        let in_kafka = self.in_kafka(config).await?;
        let after = match plan.notifications {
            Some(address) => effects(address).await?,
            None => BTreeMap::new(),
        };
        let mut verdict = Verdict { rows: BTreeMap::new(), handled_known: self.effects.is_some() };
        let none = (HashSet::new(), HashMap::new());
        let types: BTreeSet<&String> = accepted.events.keys().chain(in_kafka.keys()).collect();
        for event_type in types {
            let told = accepted.events.get(event_type).unwrap_or(&none.0);
            let there = in_kafka.get(event_type).unwrap_or(&none.1);
            let effects =
                |effects: &BTreeMap<String, u64>| effects.get(event_type).copied().unwrap_or(0);
            let earlier = self.effects.as_ref().map_or(0, effects);
            let row = Row {
                accepted: told.len() as u64,
                lost: told.iter().filter(|id| !there.contains_key(*id)).count() as u64,
                in_kafka: there.len() as u64,
                copies: there.values().map(|times| times - 1).sum(),
                handled: effects(&after).saturating_sub(earlier),
            };
            verdict.rows.insert(event_type.clone(), row);
        }
        Ok(verdict)
    }

    /// How often each event is in Kafka, by type and id, among the messages that came since.
    async fn in_kafka(&self, config: &Config) -> Result<BTreeMap<String, HashMap<String, u64>>> {
        let mut events: BTreeMap<String, HashMap<String, u64>> = BTreeMap::new();
        for now in ends(config).await? {
            let earlier =
                |then: &&Lag| (&then.topic, then.partition) == (&now.topic, now.partition);
            let next = self.ends.iter().find(earlier).map_or(0, |then| then.end);
            let mut reader = Reader::open(config, &Lag { next, ..now })?;
            while let Some(message) = reader.next().await? {
                let payload = message.payload.unwrap_or_default();
                let event: Value = serde_json::from_slice(&payload).unwrap_or_default();
                if let (Some(event_type), Some(id)) =
                    (event["event_type"].as_str(), event["event_id"].as_str())
                {
                    let events = events.entry(event_type.to_owned()).or_default();
                    *events.entry(id.to_owned()).or_default() += 1;
                }
            }
        }
        Ok(events)
    }
}

/// Waits until no event is left in the service, and no message is left for the consumers.
pub async fn settle(config: &Config, plan: &Plan) -> Result<()> {
    rest("events wait in the service", || pending(plan.service)).await?;
    if plan.notifications.is_some() {
        rest("messages wait for their consumers", || total_lag(config)).await?;
    }
    Ok(())
}

/// Asks until nothing is left. An answer that does not change for [`PATIENCE`] is the last one.
async fn rest<F: Future<Output = Result<u64>>>(what: &str, ask: impl Fn() -> F) -> Result<()> {
    let (mut last, mut since) = (u64::MAX, Instant::now());
    loop {
        // While the broker is away there is no answer, and no progress.
        let left = ask().await.unwrap_or(last);
        if left == 0 {
            return Ok(());
        }
        if left != last {
            (last, since) = (left, Instant::now());
        }
        if since.elapsed() > PATIENCE {
            report::note(format!("{left} {what}, and nothing has moved for {PATIENCE:?}."));
            return Ok(());
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

async fn pending(service: SocketAddr) -> Result<u64> {
    let (_, answer) = Client::new(service).get("/pending").await?;
    answer["pending"].as_u64().context("the service says how much is pending")
}

async fn effects(address: SocketAddr) -> Result<BTreeMap<String, u64>> {
    Ok(serde_json::from_value(Client::new(address).get("/effects").await?.1)?)
}

async fn total_lag(config: &Config) -> Result<u64> {
    let mut total = 0;
    for stream in Stream::ALL {
        let lags =
            lag::of(config, stream.group(config), &[stream.topic(config).to_owned()]).await?;
        total += lags.iter().map(|lag| lag.lag().unsigned_abs()).sum::<u64>();
    }
    Ok(total)
}

async fn ends(config: &Config) -> Result<Vec<Lag>> {
    let topics = Stream::ALL.map(|stream| stream.topic(config).to_owned());
    lag::of(config, &config.lab.redrive_group, &topics).await
}

impl Row {
    /// Events in Kafka that had no effect.
    fn unhandled(&self) -> u64 {
        self.in_kafka.saturating_sub(self.handled)
    }

    /// Effects that an event had a second time.
    fn twice(&self) -> u64 {
        self.handled.saturating_sub(self.in_kafka)
    }
}

impl Verdict {
    /// Accepted events that never reached Kafka.
    pub fn lost(&self) -> u64 {
        self.rows.values().map(|row| row.lost).sum()
    }

    /// Events in Kafka that had no effect.
    pub fn unhandled(&self) -> u64 {
        let rows = self.rows.values().filter(|_| self.handled_known);
        rows.map(Row::unhandled).sum()
    }

    /// Effects that an event had a second time.
    pub fn twice(&self) -> u64 {
        self.rows.values().map(Row::twice).sum()
    }

    pub fn is_clean(&self) -> bool {
        self.lost() == 0 && self.unhandled() == 0 && self.twice() == 0
    }

    /// The numbers of a row, as columns.
    fn columns(&self, row: &Row, unhandled: u64, twice: u64) -> [String; 6] {
        let known = |number: u64| {
            if self.handled_known { number.to_string() } else { "?".to_owned() }
        };
        let Row { accepted, in_kafka, copies, lost, handled } = row;
        let [accepted, in_kafka, copies] = [accepted, in_kafka, copies].map(u64::to_string);
        [accepted, in_kafka, copies, known(*handled), (lost + unhandled).to_string(), known(twice)]
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles =
            ["event", "accepted", "in Kafka", "copies", "handled", "lost", "handled twice"];
        let mut table = vec![titles.map(str::to_owned)];
        let mut all = Row::default();
        for (name, row) in &self.rows {
            let unhandled = if self.handled_known { row.unhandled() } else { 0 };
            let [a, b, c, d, e, g] = self.columns(row, unhandled, row.twice());
            table.push([name.clone(), a, b, c, d, e, g]);
            all.accepted += row.accepted;
            all.lost += row.lost;
            all.in_kafka += row.in_kafka;
            all.copies += row.copies;
            all.handled += row.handled;
        }
        // Sums of the rows: a loss of one type must not hide a second effect of another.
        let [a, b, c, d, e, g] = self.columns(&all, self.unhandled(), self.twice());
        table.push(["all".to_owned(), a, b, c, d, e, g]);
        f.write_str(&report::columns(&table))?;
        let handled = if self.handled_known {
            format!(", {} not handled, {} handled twice", self.unhandled(), self.twice())
        } else {
            String::new()
        };
        write!(f, "{} lost on the way to Kafka{handled}.", self.lost())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_does_not_hide_a_second_effect() {
        let row = |accepted, lost, in_kafka, handled| Row {
            accepted,
            lost,
            in_kafka,
            copies: 0,
            handled,
        };
        let rows = BTreeMap::from([
            ("created".to_owned(), row(5, 1, 4, 2)),
            ("viewed".to_owned(), row(7, 0, 7, 9)),
        ]);
        let verdict = Verdict { rows, handled_known: true };
        assert!(!verdict.is_clean());
        assert_eq!(
            verdict.to_string(),
            "event    accepted  in Kafka  copies  handled  lost  handled twice\n\
             created  5         4         0       2        3     0\n\
             viewed   7         7         0       9        0     2\n\
             all      12        11        0       11       3     2\n\
             1 lost on the way to Kafka, 2 not handled, 2 handled twice."
        );
    }
}
