//! The two programs that run until Ctrl-C: the web service with its relay, and the consumers.

use crate::database::Database;
use crate::handling::{self, Handler, Handling};
use crate::http::{self, Id, Line, failed, prometheus, with_fallbacks};
use crate::jobs::{self, Jobs};
use crate::kafka::{KafkaConsumer, lag};
use crate::metrics::{ConsumerMetrics, ServiceMetrics};
use crate::notifications::{self, Notifications};
use crate::outbox;
use crate::service::{self, Sending, Service};
use crate::{Config, FAREWELL, Stream, in_workspace, topics};
use anyhow::{Context as _, Result, bail};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rusqlite::Transaction;
use serde_json::json;
use shared::client::Cluster;
use shared::config::Client;
use shared::report;
use shared::shutdown::Shutdown;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How often the lag is measured.
const MEASURE: Duration = Duration::from_secs(5);
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// A program that runs.
#[derive(Debug)]
pub struct Running {
    /// Where its HTTP is.
    pub address: SocketAddr,
    task: JoinHandle<Result<()>>,
}

impl Running {
    /// Waits until it has ended, after `shutdown`.
    pub async fn ended(self) -> Result<()> {
        self.task.await?
    }
}

/// Starts the web service. It needs no broker: without one, its events wait.
pub async fn service(config: &Config, shutdown: &Shutdown) -> Result<Running> {
    let listener = listen(config.lab.listen).await?;
    let address = listener.local_addr()?;
    let tables = [service::TABLES, outbox::TABLE].concat();
    let database = Database::open(&in_workspace(&config.lab.database), &tables)?;
    let service = Service::new(config, database, ServiceMetrics::default())?;
    let (config, shutdown) = (config.clone(), shutdown.clone());
    let task = tokio::spawn(async move {
        let lag =
            tokio::spawn(measure_lag(config.clone(), service.metrics.clone(), shutdown.clone()));
        let relay = tokio::spawn(publish(config, service.clone(), shutdown.clone()));
        serve(listener, http::routes(service), &shutdown).await?;
        relay.await??;
        lag.abort();
        Ok(())
    });
    Ok(Running { address, task })
}

/// Whatever brings events to Kafka, until `shutdown` and for what is left then.
async fn publish(config: Config, service: Service, shutdown: Shutdown) -> Result<()> {
    let provisioned = tokio::select! {
        () = provision(&config) => true,
        () = shutdown.requested() => false,
    };
    match &service.sending {
        Sending::Outbox { wake } => {
            // Not before the topics are there: the broker might make them with another number of partitions.
            if !provisioned {
                return outbox::tell_rest(&service.database).await;
            }
            let metrics = &service.metrics;
            outbox::relay(&config, &service.database, wake, metrics, &shutdown).await
        }
        Sending::Direct { running, .. } => {
            shutdown.requested().await;
            running.close();
            // Their message.timeout.ms is as long.
            if tokio::time::timeout(FAREWELL, running.wait()).await.is_err() {
                report::note(format!("{} given up.", report::count(running.len() as u64, "event")));
            }
            Ok(())
        }
    }
}

/// Makes the topics, as soon as there is a broker.
async fn provision(config: &Config) {
    let mut told = false;
    loop {
        match ensure_topics(config).await {
            Ok(()) => return,
            Err(error) if told => tracing::debug!("{error:#}"),
            Err(error) => {
                told = true;
                report::note(format!("{error:#} Until then, events wait."));
            }
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Makes the topics that are missing.
pub async fn ensure_topics(config: &Config) -> Result<()> {
    let cluster = Cluster::connect(config).await?;
    for topic in topics(config) {
        shared::topic::ensure(&cluster, &topic).await?;
    }
    Ok(())
}

async fn measure_lag(config: Config, metrics: ServiceMetrics, shutdown: Shutdown) {
    while !shutdown.is_requested() {
        for stream in Stream::ALL {
            let topics = [stream.topic(&config).to_owned()];
            match lag::of(&config, stream.group(&config), &topics).await {
                Ok(lags) => metrics.set_lag(&lags),
                Err(error) => tracing::debug!("{error:#}"),
            }
        }
        tokio::time::sleep(MEASURE).await;
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
    let database = Database::open(&in_workspace(&config.lab.notifications_database), &tables)?;
    ensure_topics(config).await?;
    let state = Consumers { database, metrics: ConsumerMetrics::default(), announce };
    let notifications = consume(config, Stream::Feeds, Notifications, &state, shutdown).await?;
    let jobs = consume(config, Stream::Users, Jobs, &state, shutdown).await?;
    let shutdown = shutdown.clone();
    let task = tokio::spawn(async move {
        serve(listener, consumer_routes(state), &shutdown).await?;
        notifications.await?;
        jobs.await?;
        Ok(())
    });
    Ok(Running { address, task })
}

async fn consume<H: Handler>(
    config: &Config,
    stream: Stream,
    handler: H,
    state: &Consumers,
    shutdown: &Shutdown,
) -> Result<JoinHandle<()>> {
    let group = stream.group(config);
    let mut member = config.clone();
    member.set(Client::Consumer, "group.id", group, "[lab]")?;
    let consumer = KafkaConsumer::new(&member, vec![stream.topic(config).to_owned()])?;
    consumer.subscribe().await?;
    let handling =
        Handling::new(config, group, handler, &state.database, &state.metrics, state.announce)?;
    let shutdown = shutdown.clone();
    Ok(tokio::spawn(async move {
        let handler = |message| {
            let handling = handling.clone();
            async move {
                handling.message(&message).await;
            }
        };
        consumer.run(&shutdown, handler).await;
    }))
}

fn consumer_routes(state: Consumers) -> Router {
    let routes = Router::new()
        .route("/effects", get(effects))
        .route("/notifications/{id}", get(of_user))
        .route("/jobs", get(newest_jobs))
        .route(
            "/metrics",
            get(|State(state): State<Consumers>| async move { prometheus(state.metrics.text()) }),
        );
    with_fallbacks(routes, "GET /effects, GET /notifications/USER, GET /jobs, GET /metrics")
        .with_state(state)
}

/// How many events of each type had their effect.
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
    match state.database.transaction(read).await {
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

/// Serves until `shutdown`, then answers the requests that are under way.
async fn serve(listener: TcpListener, routes: Router, shutdown: &Shutdown) -> Result<()> {
    let server =
        axum::serve(listener, routes).with_graceful_shutdown(shutdown.requested()).into_future();
    let too_late = async {
        shutdown.requested().await;
        tokio::time::sleep(FAREWELL).await;
    };
    // A client that keeps its connection open and silent must not keep us.
    tokio::select! {
        result = server => result.context("HTTP cannot be served"),
        () = too_late => Ok(()),
    }
}
