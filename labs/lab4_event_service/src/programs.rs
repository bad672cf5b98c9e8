//! The two programs that run until Ctrl-C: the web service with its relay, and the consumers.
//!
//! Each consists of parts. A service without its relay, or a program without one of its consumers, would only seem to
//! work. So if a part ends, the whole program ends, with an error.

use crate::database::{self, Claim, Database};
use crate::handling::{self, Handler, Handling};
use crate::http::{self, CHECK, Id, Line, failed, finished, healthy, prometheus};
use crate::jobs::{self, Jobs};
use crate::kafka::{KafkaConsumer, lag};
use crate::metrics::{ConsumerMetrics, ServiceMetrics};
use crate::notifications::{self, Notifications};
use crate::outbox;
use crate::service::{self, Sending, Service};
use crate::{Config, FAREWELL, Stream, in_workspace, topics};
use anyhow::{Context as _, Result, anyhow, bail};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rusqlite::Transaction;
use serde_json::json;
use shared::client::Cluster;
use shared::config::Client;
use shared::keeper::Keeper;
use shared::report;
use shared::shutdown::{Shutdown, Trigger};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::task::AbortOnDropHandle;

/// How often the lag is measured.
const MEASURE: Duration = Duration::from_secs(5);
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// How often old rows are deleted.
const CLEAN_UP: Duration = Duration::from_secs(3600);

/// A program that runs.
#[derive(Debug)]
pub struct Running {
    /// Where its HTTP is.
    pub address: SocketAddr,
    task: JoinHandle<Result<()>>,
}

impl Running {
    /// Waits until it has ended: after `shutdown`, or with an error.
    pub async fn ended(self) -> Result<()> {
        self.task.await?
    }
}

/// The parts of a program. When one ends, all end.
struct Parts {
    tasks: JoinSet<(&'static str, Result<()>)>,
    end: Trigger,
    ending: Shutdown,
}

impl Parts {
    fn new() -> Self {
        let (end, ending) = Shutdown::by_hand();
        Self { tasks: JoinSet::new(), end, ending }
    }

    fn start(
        &mut self,
        name: &'static str,
        part: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (name, part.await) });
    }

    /// Waits until all have ended. Gives the error of the first that ended without being asked.
    async fn ended(mut self, shutdown: Shutdown) -> Result<()> {
        let mut result = Ok(());
        loop {
            let ended = tokio::select! {
                () = shutdown.requested(), if !self.ending.is_requested() => {
                    self.end.pull();
                    continue;
                }
                ended = self.tasks.join_next() => ended,
            };
            let failure = match ended {
                None => return result,
                Some(Ok((_, Ok(())))) if self.ending.is_requested() => None,
                Some(Ok((name, Ok(())))) => Some(anyhow!("The {name} has ended")),
                Some(Ok((name, Err(error)))) => {
                    Some(error.context(format!("The {name} has ended")))
                }
                Some(Err(error)) => Some(anyhow!("A part of the program has ended: {error}")),
            };
            if let Some(failure) = failure {
                self.end.pull();
                result = result.and(Err(failure));
            }
        }
    }
}

/// Starts the web service. It needs no broker: without one, its events wait.
pub async fn service(config: &Config, shutdown: &Shutdown) -> Result<Running> {
    let listener = listen(config.lab.listen).await?;
    let address = listener.local_addr()?;
    let tables = [service::TABLES, outbox::TABLE].concat();
    let (claim, database) = open(&config.lab.database, &tables)?;
    let service = Service::new(config, database, ServiceMetrics::new(config))?;
    let mut parts = Parts::new();
    let ending = parts.ending.clone();
    parts.start(
        "web server",
        serve(listener, http::routes(config, service.clone()), ending.clone()),
    );
    parts.start("relay", publish(config.clone(), service.clone(), ending.clone()));
    let lag = measure_lag(config.clone(), service.metrics.clone(), ending.clone());
    parts.start("measuring of the lag", lag);
    let age = Duration::from_secs(config.lab.remember_requests_hours * 3600);
    parts.start("cleaning up", forget(service.database.clone(), "requests", age, ending));
    Ok(run(address, parts, claim, shutdown))
}

fn run(address: SocketAddr, parts: Parts, claim: Claim, shutdown: &Shutdown) -> Running {
    let shutdown = shutdown.clone();
    let task = tokio::spawn(async move {
        let result = parts.ended(shutdown).await;
        drop(claim);
        result
    });
    Running { address, task }
}

fn open(path: &Path, tables: &str) -> Result<(Claim, Database)> {
    let path = in_workspace(path);
    let claim = database::claim(&path)?;
    Ok((claim, Database::open(&path, tables)?))
}

/// Brings events to Kafka, until `shutdown` and for what is left then.
async fn publish(config: Config, service: Service, shutdown: Shutdown) -> Result<()> {
    let cluster = tokio::select! {
        cluster = provision(&config) => Some(cluster),
        () = shutdown.requested() => None,
    };
    let _keeping = cluster.as_ref().map(|cluster| keep_topics(cluster, &config));
    match &service.sending {
        Sending::Outbox { wake } => {
            // Not before the topics are there: the broker might make them with another number of partitions.
            if cluster.is_none() {
                outbox::tell_rest(&service.database).await;
                return Ok(());
            }
            let metrics = &service.metrics;
            outbox::relay(&config, &service.database, wake, metrics, &shutdown).await
        }
        Sending::Direct { running, losses, .. } => {
            shutdown.requested().await;
            running.close();
            // Their message.timeout.ms is as long.
            if tokio::time::timeout(FAREWELL, running.wait()).await.is_err() {
                report::note(format!("{} given up.", report::count(running.len() as u64, "event")));
            }
            losses.tell();
            Ok(())
        }
    }
}

/// Makes the topics, as soon as there is a broker.
async fn provision(config: &Config) -> Cluster {
    let mut told = false;
    loop {
        match ensure_topics(config).await {
            Ok(cluster) => {
                if told {
                    report::note("The broker answers.");
                }
                return cluster;
            }
            Err(error) if told => tracing::debug!("{error:#}"),
            Err(error) => {
                told = true;
                report::note(format!("{error:#} Until then, events wait."));
            }
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Deletes old rows of a table, now and every hour.
async fn forget(
    database: Database,
    table: &'static str,
    age: Duration,
    shutdown: Shutdown,
) -> Result<()> {
    while !shutdown.is_requested() {
        match database.forget(table, age).await {
            Ok(rows) => tracing::debug!("{rows} old rows of {table} deleted"),
            Err(error) => tracing::warn!("Old rows of {table} could not be deleted: {error}"),
        }
        tokio::select! {
            () = tokio::time::sleep(CLEAN_UP) => {}
            () = shutdown.requested() => {}
        }
    }
    Ok(())
}

/// Makes the topics that are missing.
pub async fn ensure_topics(config: &Config) -> Result<Cluster> {
    let cluster = Cluster::connect(config).await?;
    for topic in topics(config) {
        shared::topic::ensure(&cluster, &topic).await?;
    }
    Ok(cluster)
}

/// Makes the topics again when a broker comes back without them, and says so. It ends when the value is dropped.
fn keep_topics(cluster: &Cluster, config: &Config) -> AbortOnDropHandle<()> {
    let mut keeper = Keeper::start(cluster, &topics(config));
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            report::note(keeper.news().await);
        }
    }))
}

async fn measure_lag(config: Config, metrics: ServiceMetrics, shutdown: Shutdown) -> Result<()> {
    let measure = async {
        loop {
            for stream in Stream::ALL {
                let topics = [stream.topic(&config).to_owned()];
                match lag::of(&config, stream.group(&config), &topics).await {
                    Ok(lags) => metrics.set_lag(&lags),
                    Err(error) => tracing::debug!("{error:#}"),
                }
            }
            tokio::time::sleep(MEASURE).await;
        }
    };
    tokio::select! {
        () = measure => Ok(()),
        () = shutdown.requested() => Ok(()),
    }
}

/// The consumers' state.
#[derive(Clone)]
struct Consumers {
    database: Database,
    metrics: ConsumerMetrics,
    announce: bool,
}

/// Starts the notification service and the job handler. With `announce` they print what they do.
pub async fn consumers(config: &Config, announce: bool, shutdown: &Shutdown) -> Result<Running> {
    let listener = listen(config.lab.notifications_listen).await?;
    let address = listener.local_addr()?;
    let tables = [handling::TABLE, notifications::TABLES, jobs::TABLE].concat();
    let (claim, database) = open(&config.lab.notifications_database, &tables)?;
    let cluster = ensure_topics(config).await?;
    let state = Consumers { database, metrics: ConsumerMetrics::new(config), announce };
    let mut parts = Parts::new();
    let ending = parts.ending.clone();
    let routes = consumer_routes(config, state.clone());
    parts.start("web server", serve(listener, routes, ending.clone()));
    let notifications = consume(config, Stream::Feeds, Notifications, &state, &ending).await?;
    parts.start("notification service", notifications);
    let jobs = consume(config, Stream::Users, Jobs, &state, &ending).await?;
    parts.start("job handler", jobs);
    let age = Duration::from_secs(config.lab.remember_events_days * 24 * 3600);
    parts.start("cleaning up", forget(state.database.clone(), "handled", age, ending.clone()));
    let keeping = keep_topics(&cluster, config);
    parts.start("keeping of the topics", async move {
        ending.requested().await;
        drop(keeping);
        Ok(())
    });
    Ok(run(address, parts, claim, shutdown))
}

async fn consume<H: Handler>(
    config: &Config,
    stream: Stream,
    handler: H,
    state: &Consumers,
    shutdown: &Shutdown,
) -> Result<impl Future<Output = Result<()>> + Send + 'static + use<H>> {
    let group = stream.group(config);
    let mut member = config.clone();
    member.set(Client::Consumer, "group.id", group, "[lab]")?;
    let consumer = KafkaConsumer::new(&member, vec![stream.topic(config).to_owned()])?;
    consumer.subscribe().await?;
    let handling =
        Handling::new(config, group, handler, &state.database, &state.metrics, state.announce)?;
    let (announce, shutdown) = (state.announce, shutdown.clone());
    Ok(async move {
        let handler = |message| {
            let handling = handling.clone();
            async move { handling.message(&message).await.map(drop) }
        };
        consumer.run(announce, &shutdown, handler).await
    })
}

fn consumer_routes(config: &Config, state: Consumers) -> Router {
    let routes = Router::new()
        .route("/effects", get(effects))
        .route("/notifications/{id}", get(of_user))
        .route("/jobs", get(newest_jobs))
        .route("/health", get(health))
        .route(
            "/metrics",
            get(|State(state): State<Consumers>| async move { prometheus(state.metrics.text()) }),
        );
    let known = "GET /effects, GET /notifications/USER, GET /jobs, GET /health, GET /metrics";
    finished(routes, known, config, state.metrics.requests.clone()).with_state(state)
}

/// Healthy means: an effect can be stored.
async fn health(State(state): State<Consumers>) -> Response {
    healthy(state.database.check(CHECK).await)
}

/// How many effects the events of each type had.
async fn effects(State(state): State<Consumers>) -> Response {
    answer(&state, notifications::effects).await
}

async fn of_user(State(state): State<Consumers>, Id(user_id): Id) -> Response {
    answer(&state, move |tx| {
        let told = notifications::of_user(tx, user_id)?;
        Ok(json!({ "user_id": user_id, "notifications": told }))
    })
    .await
}

async fn newest_jobs(State(state): State<Consumers>) -> Response {
    answer(&state, jobs::newest).await
}

async fn answer<T: serde::Serialize + Send + 'static>(
    state: &Consumers,
    read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
) -> Response {
    match state.database.read(read).await {
        Ok(value) => Line(value).into_response(),
        Err(error) => {
            tracing::error!("The database fails: {error}");
            failed(StatusCode::INTERNAL_SERVER_ERROR, "The database fails; the log says why.")
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!(
                "Port {} is taken by another program. Stop it, or choose another: --listen {}:0 takes a free one.",
                address.port(),
                address.ip()
            )
        }
        Err(error) => Err(error).with_context(|| format!("{address} cannot be listened on")),
    }
}

/// Serves until `shutdown`. Then it answers the requests that have begun.
async fn serve(listener: TcpListener, routes: Router, shutdown: Shutdown) -> Result<()> {
    let server =
        axum::serve(listener, routes).with_graceful_shutdown(shutdown.requested()).into_future();
    let too_late = async {
        shutdown.requested().await;
        tokio::time::sleep(FAREWELL).await;
    };
    // A client that keeps a silent connection open must not keep the program.
    tokio::select! {
        result = server => result.context("HTTP cannot be served"),
        () = too_late => Ok(()),
    }
}
