//! The web service's routes. Every answer is JSON; an error is `{"error": "a sentence"}`.

use crate::service::{Comment, Feed, Refusal, Service, User, Written};
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

const ROUTES: &str = "POST /users {name}, GET /users/ID, POST /feeds {user_id, content}, GET /feeds, GET /feeds/ID, \
                      POST /feeds/ID/like {user_id}, POST /feeds/ID/comments {user_id, text}, GET /feeds/ID/comments, \
                      POST /feeds/ID/view {user_id}, GET /pending, GET /metrics";

pub fn routes(service: Service) -> Router {
    let routes = Router::new()
        .route("/users", post(create_user))
        .route("/users/{id}", get(user))
        .route("/feeds", post(create_feed).get(feeds))
        .route("/feeds/{id}", get(feed))
        .route("/feeds/{id}/like", post(like))
        .route("/feeds/{id}/comments", post(comment).get(comments))
        .route("/feeds/{id}/view", post(view))
        .route("/pending", get(pending))
        .route("/metrics", get(metrics));
    with_fallbacks(routes, ROUTES).with_state(service)
}

/// Answers for what is not there, also as a sentence.
pub fn with_fallbacks<S: Clone + Send + Sync + 'static>(
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

#[derive(Deserialize)]
struct NewUser {
    name: String,
}

#[derive(Deserialize)]
struct NewFeed {
    user_id: i64,
    content: String,
}

#[derive(Deserialize)]
struct By {
    user_id: i64,
}

#[derive(Deserialize)]
struct NewComment {
    user_id: i64,
    text: String,
}

type Answer<T> = Result<Line<T>, Refusal>;
type Created<T> = Result<(StatusCode, Line<Written<T>>), Refusal>;

async fn create_user(State(service): State<Service>, Body(new): Body<NewUser>) -> Created<User> {
    created(service.create_user(new.name).await)
}

async fn create_feed(State(service): State<Service>, Body(new): Body<NewFeed>) -> Created<Feed> {
    created(service.create_feed(new.user_id, new.content).await)
}

async fn like(
    State(service): State<Service>,
    Id(feed_id): Id,
    Body(by): Body<By>,
) -> Created<Feed> {
    created(service.like(feed_id, by.user_id).await)
}

async fn comment(
    State(service): State<Service>,
    Id(feed_id): Id,
    Body(new): Body<NewComment>,
) -> Created<Comment> {
    created(service.comment(feed_id, new.user_id, new.text).await)
}

async fn view(
    State(service): State<Service>,
    Id(feed_id): Id,
    Body(by): Body<By>,
) -> Created<Feed> {
    created(service.view(feed_id, by.user_id).await)
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

/// How many accepted events are not in Kafka yet.
async fn pending(State(service): State<Service>) -> Answer<serde_json::Value> {
    Ok(Line(json!({ "pending": service.pending().await? })))
}

async fn metrics(State(service): State<Service>) -> Result<Response, Refusal> {
    service.metrics.set_pending(service.pending().await?);
    Ok(prometheus(service.metrics.text()))
}

/// Text as Prometheus reads it.
pub fn prometheus(text: String) -> Response {
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, format)], text).into_response()
}

/// 201 when something is new, 200 when it was so before.
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

/// The request's JSON.
struct Body<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
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
