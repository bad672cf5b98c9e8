//! The web service's routes. Every answer is JSON; an error is `{"error": "a sentence"}`.

use crate::metrics::Requests;
use crate::service::{Comment, Feed, Once, Refusal, Service, User, Written};
use crate::{Config, outbox};
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::{Duration, Instant};
use tower_http::timeout::TimeoutLayer;

const ROUTES: &str = "POST /users {name}, GET /users/ID, POST /feeds {user_id, content}, GET /feeds, GET /feeds/ID, \
                      POST /feeds/ID/like {user_id}, POST /feeds/ID/comments {user_id, text}, GET /feeds/ID/comments, \
                      POST /feeds/ID/view {user_id}, GET /pending, GET /refused, POST /refused/send-again, \
                      GET /health, GET /metrics";

/// A health check must answer sooner than the checker gives up.
pub const CHECK: Duration = Duration::from_secs(1);

pub fn routes(config: &Config, service: Service) -> Router {
    let routes = Router::new()
        .route("/users", post(create_user))
        .route("/users/{id}", get(user))
        .route("/feeds", post(create_feed).get(feeds))
        .route("/feeds/{id}", get(feed))
        .route("/feeds/{id}/like", post(like))
        .route("/feeds/{id}/comments", post(comment).get(comments))
        .route("/feeds/{id}/view", post(view))
        .route("/pending", get(pending))
        .route("/refused", get(refused))
        .route("/refused/send-again", post(send_again))
        .route("/health", get(health))
        .route("/metrics", get(metrics));
    let requests = service.metrics.requests.clone();
    finished(routes, ROUTES, config, requests).with_state(service)
}

/// What all routes have in common: sentences for unknown ones, a time-out, and a clock.
pub fn finished<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    known: &'static str,
    config: &Config,
    requests: Requests,
) -> Router<S> {
    let limit = Duration::from_millis(config.lab.request_timeout_ms);
    with_fallbacks(routes, known)
        .layer(TimeoutLayer::with_status_code(TIMED_OUT, limit))
        .layer(middleware::map_response(say_timed_out))
        .layer(middleware::from_fn_with_state(requests, take_time))
}

/// Only the time-out answers with this status.
const TIMED_OUT: StatusCode = StatusCode::GATEWAY_TIMEOUT;

async fn say_timed_out(response: Response) -> Response {
    if response.status() != TIMED_OUT {
        return response;
    }
    failed(
        TIMED_OUT,
        "The service took too long. Perhaps the change was made; an Idempotency-Key makes it safe to ask again.",
    )
}

async fn take_time(State(requests): State<Requests>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = request.method().clone();
    // The pattern, not the path: a label with ids would have no end of values.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    let method = if route == "other" { "other" } else { method.as_str() };
    requests.took(method, route, response.status().as_u16(), start.elapsed());
    response
}

/// Sentences for paths and methods that are not there.
fn with_fallbacks<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    known: &'static str,
) -> Router<S> {
    let unknown = move |request: Request| async move {
        let path = request.uri().path().to_owned();
        failed(StatusCode::NOT_FOUND, format!("There is nothing at {path}. There is: {known}."))
    };
    let wrong_method = move |request: Request| async move {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        failed(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{path} does not take {method}. There is: {known}."),
        )
    };
    routes.fallback(unknown).method_not_allowed_fallback(wrong_method)
}

#[derive(Serialize, Deserialize)]
struct NewUser {
    name: String,
}

#[derive(Serialize, Deserialize)]
struct NewFeed {
    user_id: i64,
    content: String,
}

#[derive(Serialize, Deserialize)]
struct By {
    user_id: i64,
}

#[derive(Serialize, Deserialize)]
struct NewComment {
    user_id: i64,
    text: String,
}

type Answer<T> = Result<Line<T>, Refusal>;
type Created<T> = Result<(StatusCode, Line<Written<T>>), Refusal>;

async fn create_user(
    State(service): State<Service>,
    Body(once, new): Body<NewUser>,
) -> Created<User> {
    created(service.create_user(once, new.name).await)
}

async fn create_feed(
    State(service): State<Service>,
    Body(once, new): Body<NewFeed>,
) -> Created<Feed> {
    created(service.create_feed(once, new.user_id, new.content).await)
}

async fn like(
    State(service): State<Service>,
    Id(feed_id): Id,
    Body(once, by): Body<By>,
) -> Created<Feed> {
    created(service.like(once, feed_id, by.user_id).await)
}

async fn comment(
    State(service): State<Service>,
    Id(feed_id): Id,
    Body(once, new): Body<NewComment>,
) -> Created<Comment> {
    created(service.comment(once, feed_id, new.user_id, new.text).await)
}

async fn view(
    State(service): State<Service>,
    Id(feed_id): Id,
    Body(once, by): Body<By>,
) -> Created<Feed> {
    created(service.view(once, feed_id, by.user_id).await)
}

async fn user(State(service): State<Service>, Id(user_id): Id) -> Answer<User> {
    Ok(Line(service.user(user_id).await?))
}

async fn feed(State(service): State<Service>, Id(feed_id): Id) -> Answer<Feed> {
    Ok(Line(service.feed(feed_id).await?))
}

async fn feeds(State(service): State<Service>) -> Answer<Vec<Feed>> {
    Ok(Line(service.feeds().await?))
}

async fn comments(State(service): State<Service>, Id(feed_id): Id) -> Answer<Vec<Comment>> {
    Ok(Line(service.comments(feed_id).await?))
}

/// How many accepted events are not in Kafka yet, and how many the broker has refused.
async fn pending(State(service): State<Service>) -> Answer<serde_json::Value> {
    let (pending, refused) = service.pending().await?;
    Ok(Line(json!({ "pending": pending, "refused": refused })))
}

async fn refused(State(service): State<Service>) -> Answer<Vec<outbox::Refused>> {
    Ok(Line(outbox::refused(&service.database).await?))
}

async fn send_again(State(service): State<Service>) -> Answer<serde_json::Value> {
    Ok(Line(json!({ "sent_again": service.send_again().await? })))
}

/// Healthy means: a request can be accepted. Kafka is not needed for that.
async fn health(State(service): State<Service>) -> Response {
    healthy(service.database.check(CHECK).await)
}

/// 200, or 503 with the reason.
pub fn healthy(check: Result<(), String>) -> Response {
    match check {
        Ok(()) => Line(json!({ "status": "ok" })).into_response(),
        Err(reason) => failed(StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

async fn metrics(State(service): State<Service>) -> Result<Response, Refusal> {
    let (pending, refused) = service.pending().await?;
    service.metrics.set_pending(pending, refused);
    Ok(prometheus(service.metrics.text()))
}

/// Text as Prometheus reads it.
pub fn prometheus(text: String) -> Response {
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, format)], text).into_response()
}

/// 201 if something is new, 200 if nothing has changed.
fn created<T>(result: Result<Written<T>, Refusal>) -> Created<T> {
    let written = result?;
    let status = if written.event_id.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Line(written)))
}

pub fn failed(status: StatusCode, sentence: impl Into<String>) -> Response {
    (status, Line(json!({ "error": sentence.into() }))).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Invalid(sentence) => failed(StatusCode::UNPROCESSABLE_ENTITY, sentence),
            Self::NotFound(sentence) => failed(StatusCode::NOT_FOUND, sentence),
            Self::Busy(error) => {
                tracing::info!("A request was turned away: {error}");
                let sentence = format!("The database fails ({error}). Try again in a second.");
                let mut response = failed(StatusCode::SERVICE_UNAVAILABLE, sentence);
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
            Self::Broken(error) => {
                tracing::error!("The database fails: {error}");
                failed(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "The database fails; the service's log says why.",
                )
            }
        }
    }
}

/// JSON with a line end, so that the prompt after `curl` stands where it should.
pub struct Line<T>(pub T);

impl<T: Serialize> IntoResponse for Line<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json + "\n").into_response(),
            Err(error) => {
                tracing::error!("An answer cannot be written as JSON: {error}");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// The request's `Idempotency-Key`, if it has one, and its JSON.
struct Body<T>(Option<Once>, T);

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const LONGEST_KEY: usize = 255;

impl<T: Serialize + DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let key = match request.headers().get(IDEMPOTENCY_KEY).map(HeaderValue::to_str) {
            None => None,
            Some(Ok(key)) if (1..=LONGEST_KEY).contains(&key.len()) => Some(key.to_owned()),
            Some(_) => {
                let sentence =
                    format!("The Idempotency-Key must have 1 to {LONGEST_KEY} ASCII characters.");
                return Err(failed(StatusCode::BAD_REQUEST, sentence));
            }
        };
        let path = request.uri().path().to_owned();
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => {
                let json = serde_json::to_string(&body).unwrap_or_default();
                let once = key.map(|key| Once { key, request: format!("{path} {json}") });
                Ok(Self(once, body))
            }
            Err(JsonRejection::MissingJsonContentType(_)) => Err(failed(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body must be JSON, with the header `content-type: application/json`.",
            )),
            Err(other) => Err(failed(other.status(), format!("{}.", other.body_text()))),
        }
    }
}

/// The number in the path.
pub struct Id(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let id: Result<Path<i64>, PathRejection> = Path::from_request_parts(parts, state).await;
        match id {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => {
                let path = parts.uri.path();
                Err(failed(
                    StatusCode::BAD_REQUEST,
                    format!("The id in {path} must be a whole number."),
                ))
            }
        }
    }
}
