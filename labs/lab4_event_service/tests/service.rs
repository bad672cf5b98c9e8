//! The service and its consumers, from HTTP to the effect, on either broker.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Locked, Program, config, plan, port_without_broker, post, rest};
use lab4_event_service::kafka::dead_letters::{self, Redriven};
use lab4_event_service::kafka::{
    FeedCreatedEvent, FeedEventType, FeedLikedEvent, KafkaConsumer, KafkaProducer, lag,
    parse_feed_event,
};
use lab4_event_service::{Config, SendMode, Stream, load, programs};
use rdkafka::producer::FutureRecord;
use serde_json::json;
use shared::client::Cluster;
use shared::config::{Client as Kind, Topic};
use shared::shutdown::Shutdown;
use shared::testing::TestBroker;

#[tokio::test(flavor = "multi_thread")]
async fn a_like_becomes_a_notification_and_a_sign_up_a_job() {
    let broker = TestBroker::start().await.unwrap();
    let (config, _folder) = config(broker.bootstrap_servers());
    let (service, consumers) = (Program::service(&config).await, Program::consumers(&config).await);
    let mut client = service.client();

    post(&mut client, "/users", json!({ "name": "Ada" })).await;
    post(&mut client, "/users", json!({ "name": "Bob" })).await;
    post(&mut client, "/feeds", json!({ "user_id": 1, "content": "hello" })).await;
    post(&mut client, "/feeds/1/like", json!({ "user_id": 2 })).await;
    post(&mut client, "/feeds/1/comments", json!({ "user_id": 2, "text": "nice" })).await;
    post(&mut client, "/feeds/1/view", json!({ "user_id": 2 })).await;
    let (status, again) = client.post("/feeds/1/like", &json!({ "user_id": 2 })).await.unwrap();
    assert_eq!(
        (status.as_u16(), &again["event_id"]),
        (200, &json!(null)),
        "a second like is no event"
    );
    rest(&config, &service, &consumers).await;

    let feed = json!({ "feed_id": 1, "user_id": 1, "content": "hello", "likes": 1, "comments": 1, "views": 1 });
    assert_eq!(client.get("/feeds/1").await.unwrap().1, feed);
    assert_eq!(client.get("/feeds").await.unwrap().1, json!([feed]));
    assert_eq!(client.get("/users/2").await.unwrap().1, json!({ "user_id": 2, "name": "Bob" }));
    assert_eq!(client.get("/feeds/1/comments").await.unwrap().1[0]["text"], "nice");

    let mut consumers_http = consumers.client();
    let told = ["User 2 likes your feed 1.", "User 2 comments on your feed 1: nice"];
    let notifications = consumers_http.get("/notifications/1").await.unwrap().1;
    assert_eq!(notifications, json!({ "user_id": 1, "notifications": told }));
    let jobs = consumers_http.get("/jobs").await.unwrap().1;
    let mut jobs: Vec<String> = serde_json::from_value(jobs).unwrap();
    jobs.sort();
    assert_eq!(jobs, ["Write a welcome letter to Ada.", "Write a welcome letter to Bob."]);
    let effects =
        json!({ "user_created": 2, "created": 1, "liked": 1, "commented": 1, "viewed": 1 });
    assert_eq!(consumers_http.get("/effects").await.unwrap().1, effects);

    let metrics = client.get_text("/metrics").await.unwrap();
    assert!(
        metrics.contains("lab4_events_accepted_total{event_type=\"user_created\"} 2"),
        "{metrics}"
    );
    assert!(
        metrics.contains("lab4_events_published_total{event_type=\"user_created\"} 2"),
        "{metrics}"
    );
    assert!(metrics.contains("lab4_events_pending 0"), "{metrics}");
    let metrics = consumers_http.get_text("/metrics").await.unwrap();
    let group = &config.lab.jobs_group;
    assert!(
        metrics
            .contains(&format!("lab4_messages_total{{group=\"{group}\",outcome=\"handled\"}} 2")),
        "{metrics}"
    );
    service.end().await;
    consumers.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_sentences() {
    let (config, _folder) = config("127.0.0.1:1");
    let service = Program::service(&config).await;
    let mut client = service.client();
    post(&mut client, "/users", json!({ "name": "Ada" })).await;

    for (path, body, status, sentence) in [
        (
            "/users",
            json!({ "name": "" }),
            422,
            "so nothing was stored: name: \"\" is shorter than 1 character.",
        ),
        (
            "/feeds",
            json!({ "user_id": 1, "content": "x".repeat(281) }),
            422,
            "is longer than 280 characters.",
        ),
        (
            "/feeds",
            json!({ "user_id": 9, "content": "x" }),
            404,
            "There is no user 9. POST /users makes one.",
        ),
        ("/feeds", json!({ "user_id": 1 }), 422, "missing field `content` at line 1 column 13."),
        (
            "/feeds/9/like",
            json!({ "user_id": 1 }),
            404,
            "There is no feed 9. GET /feeds lists the newest.",
        ),
        (
            "/feeds/x/like",
            json!({ "user_id": 1 }),
            400,
            "The id in /feeds/x/like must be a whole number.",
        ),
        ("/metrics", json!({}), 405, "/metrics does not take POST. There is: POST /users {name}"),
        ("/likes", json!({}), 404, "There is nothing at /likes. There is: POST /users {name}"),
    ] {
        let (found, answer) = client.post(path, &body).await.unwrap();
        assert_eq!(found, status, "{path} {body}: {answer}");
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(sentence), "{path}: {error}");
    }
    let (_, feeds) = client.get("/feeds").await.unwrap();
    assert_eq!(feeds, json!([]), "what was refused was not stored");
    let (_, pending) = client.get("/pending").await.unwrap();
    assert_eq!(pending["pending"], 1, "of all these only the user became an event");
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_equal_requests_with_one_key_make_one_comment() {
    let (config, _folder) = config("127.0.0.1:1");
    let service = Program::service(&config).await;
    let mut client = service.client();
    post(&mut client, "/users", json!({ "name": "Ada" })).await;
    post(&mut client, "/feeds", json!({ "user_id": 1, "content": "hello" })).await;

    let body = json!({ "user_id": 1, "text": "first!" });
    let requests = (0..20).map(|_| {
        let (mut client, body) = (service.client(), body.clone());
        tokio::spawn(
            async move { client.post_once("/feeds/1/comments", &body, "key-1").await.unwrap() },
        )
    });
    let requests: Vec<_> = requests.collect();
    let mut answers = Vec::new();
    for request in requests {
        answers.push(request.await.unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!((answers[0].0.as_u16(), &answers[0].1["comment_id"]), (201, &json!(1)));
    let (_, comments) = client.get("/feeds/1/comments").await.unwrap();
    assert_eq!(comments.as_array().unwrap().len(), 1);
    let (_, pending) = client.get("/pending").await.unwrap();
    assert_eq!(pending["pending"], 3, "one user, one feed, one comment");

    // The same key with another text, or at another path, is a mistake. Another key is another comment.
    for (path, text) in [("/feeds/1/comments", "second!"), ("/feeds/2/comments", "first!")] {
        let body = json!({ "user_id": 1, "text": text });
        let (status, answer) = client.post_once(path, &body, "key-1").await.unwrap();
        assert_eq!(status, 422, "{answer}");
        assert!(
            answer["error"].as_str().unwrap().contains("belongs to another request"),
            "{answer}"
        );
    }
    let (status, answer) = client.post_once("/feeds/1/comments", &body, "key-2").await.unwrap();
    assert_eq!((status.as_u16(), &answer["comment_id"]), (201, &json!(2)));
    let (status, answer) = client.post_once("/users", &body, &"k".repeat(256)).await.unwrap();
    assert_eq!(status, 400, "{answer}");
    // A refused request leaves its key free.
    let (status, _) = client.post_once("/users", &json!({ "name": "" }), "key-3").await.unwrap();
    assert_eq!(status, 422);
    let (status, _) = client.post_once("/users", &json!({ "name": "Bob" }), "key-3").await.unwrap();
    assert_eq!(status, 201);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_delays_the_relay_and_refuses_requests_in_a_sentence() {
    let port = port_without_broker().await;
    let (config, _folder) = config(&format!("127.0.0.1:{port}"));
    let service = Program::service(&config).await;
    let mut client = service.client();
    for n in 0..3 {
        post(&mut client, "/users", json!({ "name": n.to_string() })).await;
    }

    let locked = Locked::new(&config.lab.database);
    let broker = TestBroker::embedded(port).await.unwrap();
    // The events are in Kafka, but they cannot leave the outbox.
    service.metrics_say("lab4_events_published_total{event_type=\"user_created\"} 3").await;
    let (status, answer) = client.post("/users", &json!({ "name": "Eve" })).await.unwrap();
    assert_eq!(status, 503);
    assert_eq!(answer["error"], "The database fails (database is locked). Try again in a second.");
    let (status, answer) = client.get("/health").await.unwrap();
    assert_eq!(status, 503, "{answer}");
    assert_eq!(client.get("/users/1").await.unwrap().0, 200, "reads do not wait");
    assert_eq!(client.get("/pending").await.unwrap().1["pending"], 3);
    let metrics = client.get_text("/metrics").await.unwrap();
    assert!(!metrics.contains("lab4_database_failures_total 0"), "{metrics}");
    drop(locked);

    load::settle(&config, &plan(service.address, None)).await.unwrap();
    post(&mut client, "/users", json!({ "name": "Zoe" })).await;
    load::settle(&config, &plan(service.address, None)).await.unwrap();
    assert_eq!(
        client.get("/health").await.unwrap(),
        (200.try_into().unwrap(), json!({ "status": "ok" }))
    );
    let topics = [Stream::Users.topic(&config).to_owned()];
    let ends = lag::of(&config, &config.lab.redrive_group, &topics).await.unwrap();
    assert_eq!(ends.iter().map(|lag| lag.end).sum::<i64>(), 4, "each event once");
    service.end().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_makes_no_dead_letters() {
    let broker = TestBroker::start().await.unwrap();
    let (mut config, _folder) = config(broker.bootstrap_servers());
    config.lab.retries = 0;
    let (service, consumers) = (Program::service(&config).await, Program::consumers(&config).await);
    let locked = Locked::new(&config.lab.notifications_database);
    let mut client = service.client();
    post(&mut client, "/users", json!({ "name": "Ada" })).await;
    post(&mut client, "/feeds", json!({ "user_id": 1, "content": "hello" })).await;
    while consumers
        .client()
        .get_text("/metrics")
        .await
        .unwrap()
        .contains("lab4_database_failures_total 0")
    {
        tokio::task::yield_now().await;
    }
    drop(locked);
    rest(&config, &service, &consumers).await;
    let effects = consumers.client().get("/effects").await.unwrap().1;
    assert_eq!(effects, json!({ "user_created": 1, "created": 1 }));
    assert_eq!(dead_letters::waiting(&config).await.unwrap(), []);
    service.end().await;
    consumers.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ids_of_old_events_and_requests_are_deleted() {
    let broker = TestBroker::start().await.unwrap();
    let (mut config, _folder) = config(broker.bootstrap_servers());
    let rows = |database: &std::path::Path, table: &str| -> i64 {
        let database = rusqlite::Connection::open(database).unwrap();
        let sql = format!("SELECT count(*) FROM {table}");
        database.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    for age in [1_u8, 0] {
        config.lab.remember_events_days = age.into();
        config.lab.remember_requests_hours = age.into();
        let (service, consumers) =
            (Program::service(&config).await, Program::consumers(&config).await);
        if age == 1 {
            let user = json!({ "name": "Ada" });
            service.client().post_once("/users", &user, "key").await.unwrap();
            rest(&config, &service, &consumers).await;
        }
        while rows(&config.lab.database, "requests") != i64::from(age)
            || rows(&config.lab.notifications_database, "handled") != i64::from(age)
        {
            tokio::task::yield_now().await;
        }
        service.end().await;
        consumers.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_ends_when_its_relay_or_a_consumer_ends() {
    let port = port_without_broker().await;
    let (config, _folder) = config(&format!("127.0.0.1:{port}"));
    let service = Program::service(&config).await;
    let broken = |database, sql| {
        rusqlite::Connection::open(database).unwrap().execute_batch(sql).unwrap();
    };
    // The relay reads the outbox when there is a broker.
    broken(&config.lab.database, "DROP TABLE outbox");
    let broker = TestBroker::embedded(port).await.unwrap();
    let reason = service.ends_by_itself().await;
    let expected = "The relay has ended: The outbox cannot be read: no such table: outbox";
    assert!(reason.starts_with(expected), "{reason}");

    let consumers = Program::consumers(&config).await;
    broken(&config.lab.notifications_database, "DROP TABLE handled");
    let producer = KafkaProducer::new(&config).unwrap();
    let event = serde_json::to_string(&FeedCreatedEvent::new(1, 5, "hello".to_owned())).unwrap();
    producer.send_message(Stream::Feeds.topic(&config), "1", &event).await.unwrap();
    let reason = consumers.ends_by_itself().await;
    assert!(
        reason.starts_with("The notification service has ended: The database fails"),
        "{reason}"
    );
    assert!(reason.contains("no such table: handled"), "{reason}");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_too_long_is_answered_and_measured() {
    let (mut config, _folder) = config("127.0.0.1:1");
    config.lab.request_timeout_ms = 50;
    let service = Program::service(&config).await;
    let mut client = service.client();
    let locked = Locked::new(&config.lab.database);
    let (status, answer) = client.post("/users", &json!({ "name": "Ada" })).await.unwrap();
    assert_eq!(status, 504);
    assert!(
        answer["error"].as_str().unwrap().starts_with("The service took too long."),
        "{answer}"
    );
    drop(locked);
    let metrics = client.get_text("/metrics").await.unwrap();
    for line in [
        "lab4_http_request_seconds_count{method=\"POST\",route=\"/users\",status=\"504\"} 1",
        "lab4_http_request_seconds_bucket{le=\"0.032\",method=\"POST\",route=\"/users\",status=\"504\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_number_of_an_alert_is_there_from_the_start() {
    let broker = TestBroker::start().await.unwrap();
    let (config, _folder) = config(broker.bootstrap_servers());
    let (service, consumers) = (Program::service(&config).await, Program::consumers(&config).await);
    let readme = std::fs::read_to_string("README.md").unwrap();
    let table =
        readme.split("| metric | alert when |").nth(1).unwrap().split("\n\n").next().unwrap();
    let all = [
        service.client().get_text("/metrics").await.unwrap(),
        consumers.client().get_text("/metrics").await.unwrap(),
    ]
    .concat();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = table
        .match_indices("lab4_")
        .map(|(at, _)| table[at..].split(|c| !is_name(c)).next().unwrap());
    let mut found = 0;
    for name in names.filter(|name| *name != "lab4_http_request_seconds_bucket") {
        let zero = all.lines().any(|line| line.starts_with(name) && line.ends_with(" 0"));
        assert!(zero, "{name} is not there at 0:\n{all}");
        found += 1;
    }
    assert!(found >= 8, "the table was found: {table}");
    assert!(all.contains("outcome=\"dead_letter\"} 0"), "{all}");
    service.end().await;
    consumers.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_events_wait_across_a_restart_and_arrive_in_order() {
    let port = port_without_broker().await;
    let (config, _folder) = config(&format!("127.0.0.1:{port}"));
    let service = Program::service(&config).await;
    let mut client = service.client();
    post(&mut client, "/users", json!({ "name": "Ada" })).await;
    post(&mut client, "/feeds", json!({ "user_id": 1, "content": "hello" })).await;
    for n in 0..20 {
        post(&mut client, "/feeds/1/comments", json!({ "user_id": 1, "text": n.to_string() }))
            .await;
    }
    service.end().await;

    let service = Program::service(&config).await;
    assert_eq!(service.client().get("/pending").await.unwrap().1["pending"], 22);
    let broker = TestBroker::embedded(port).await.unwrap();
    let consumers = Program::consumers(&config).await;
    rest(&config, &service, &consumers).await;
    let told = consumers.client().get("/notifications/1").await.unwrap().1;
    let expected: Vec<String> =
        (0..20).map(|n| format!("User 1 comments on your feed 1: {n}")).collect();
    assert_eq!(told["notifications"], json!(expected));
    service.end().await;
    consumers.end().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_send_without_a_broker_is_lost_and_the_caller_never_knows() {
    let (mut config, _folder) = config("127.0.0.1:1");
    config.lab.send = SendMode::Direct;
    config.set(Kind::Producer, "message.timeout.ms", "200", "the test").unwrap();
    let service = Program::service(&config).await;
    post(&mut service.client(), "/users", json!({ "name": "Ada" })).await;
    let address = service.address;
    // Its end waits for what is under way.
    let (_, user) = service.client().get("/users/1").await.unwrap();
    assert_eq!(user["name"], "Ada", "the row is there");
    while service.client().get("/pending").await.unwrap().1["pending"] != 0 {
        tokio::task::yield_now().await;
    }
    let metrics =
        lab4_event_service::client::Client::new(address).get_text("/metrics").await.unwrap();
    assert!(metrics.contains("lab4_events_lost_total{event_type=\"user_created\"} 1"), "{metrics}");
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_message_becomes_a_dead_letter_and_those_behind_it_are_handled() {
    let broker = TestBroker::start().await.unwrap();
    let (config, _folder) = config(broker.bootstrap_servers());
    let (service, consumers) = (Program::service(&config).await, Program::consumers(&config).await);
    let producer = KafkaProducer::new(&config).unwrap();
    let feeds = Stream::Feeds.topic(&config);
    producer.send_message(feeds, "1", "not JSON").await.unwrap();
    let mut client = service.client();
    post(&mut client, "/users", json!({ "name": "Ada" })).await;
    post(
        &mut client,
        "/feeds",
        json!({ "user_id": 1, "content": "behind it, in the same partition" }),
    )
    .await;
    rest(&config, &service, &consumers).await;
    assert_eq!(consumers.client().get("/effects").await.unwrap().1["created"], 1);

    let letters = dead_letters::waiting(&config).await.unwrap();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(
        (letter.key.as_deref(), letter.payload.as_deref()),
        (Some(&b"1"[..]), Some(&b"not JSON"[..]))
    );
    assert_eq!(letter.header(dead_letters::ORIGINAL_TOPIC), Some(feeds));
    assert!(letter.header(dead_letters::ORIGINAL_PARTITION).is_some());
    assert_eq!(letter.header(dead_letters::ORIGINAL_OFFSET), Some("0"));
    assert_eq!(letter.header(dead_letters::GROUP), Some(config.lab.notifications_group.as_str()));
    assert_eq!(letter.header(dead_letters::ATTEMPT), Some("1"), "a retry would be in vain");
    assert!(letter.header(dead_letters::ERROR).unwrap().starts_with("it is no event: "));

    // Sent back it dies once more, and remembers its first life.
    assert_eq!(redrive(&config).await, 1);
    rest(&config, &service, &consumers).await;
    let letters = dead_letters::waiting(&config).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].header(dead_letters::ATTEMPT), Some("2"));
    service.end().await;
    consumers.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_message_near_the_size_limit_is_buried_whole() {
    let broker = TestBroker::start().await.unwrap();
    let (config, _folder) = config(broker.bootstrap_servers());
    let (service, consumers) = (Program::service(&config).await, Program::consumers(&config).await);
    let payload = poison(1_030_000);
    send_large(&config, &payload).await;
    behind_it(&service, &config, &consumers).await;

    let letters = dead_letters::waiting(&config).await.unwrap();
    let [letter] = &letters[..] else { panic!("{} letters", letters.len()) };
    assert!(letter.payload.as_ref() == Some(&payload), "whole");
    assert_eq!(letter.header(dead_letters::ORIGINAL_SIZE), None);
    service.end().await;
    consumers.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_refused_is_buried_without_its_payload() {
    let broker = TestBroker::start().await.unwrap();
    let (config, _folder) = config(broker.bootstrap_servers());
    // A topic that somebody else has made, with Kafka's usual limit.
    let cluster = Cluster::connect(&config).await.unwrap();
    let letters = Topic::new(&Stream::Feeds.dead_letters(&config), 3);
    shared::topic::ensure(&cluster, &letters).await.unwrap();
    let (service, consumers) = (Program::service(&config).await, Program::consumers(&config).await);
    // It just fits; with the letter's headers it does not.
    let payload = poison(1_048_450);
    send_large(&config, &payload).await;
    behind_it(&service, &config, &consumers).await;

    let letters = dead_letters::waiting(&config).await.unwrap();
    let [letter] = &letters[..] else { panic!("{} letters", letters.len()) };
    assert_eq!(letter.payload, None);
    let header = |name| letter.header(name).unwrap();
    assert_eq!(header(dead_letters::ORIGINAL_TOPIC), config.topic.name);
    assert_eq!(header(dead_letters::ORIGINAL_OFFSET), "0");
    assert!(header(dead_letters::ORIGINAL_PARTITION).parse::<i32>().is_ok());
    assert_eq!(
        header(dead_letters::ORIGINAL_SIZE),
        (payload.len() + 1).to_string(),
        "with its key"
    );
    assert_eq!(header(dead_letters::ERROR), "it is no UTF-8 text");

    // It cannot be sent back, and says where the original is.
    let (_trigger, never) = Shutdown::by_hand();
    let mut told = Vec::new();
    let sent = dead_letters::redrive(&config, &never, |_, redriven| told.push(redriven.clone()));
    assert_eq!(sent.await.unwrap(), 0);
    let [Redriven::Stays(reason)] = &told[..] else { panic!("{told:?}") };
    assert!(reason.starts_with("it has no payload; the original is "), "{reason}");
    assert_eq!(dead_letters::waiting(&config).await.unwrap(), [], "nobody need look twice");
    service.end().await;
    consumers.end().await;
}

/// Bytes that cannot be compressed and are no text.
fn poison(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut byte = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| byte()).collect()
}

async fn send_large(config: &Config, payload: &[u8]) {
    let mut large = config.clone();
    large.set(Kind::Producer, "message.max.bytes", "2000000", "the test").unwrap();
    large.set(Kind::Producer, "compression.type", "none", "the test").unwrap();
    let producer = KafkaProducer::new(&large).unwrap();
    let record = FutureRecord::to(&config.topic.name).key(&b"1"[..]).payload(payload);
    producer.send(record).await.unwrap();
}

/// The next message of the partition is handled.
async fn behind_it(service: &Program, config: &Config, consumers: &Program) {
    let mut client = service.client();
    post(&mut client, "/users", json!({ "name": "Ada" })).await;
    post(&mut client, "/feeds", json!({ "user_id": 1, "content": "behind it" })).await;
    rest(config, service, consumers).await;
    assert_eq!(consumers.client().get("/effects").await.unwrap().1["created"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_event_is_counted_listed_and_sent_again_and_holds_up_no_other() {
    let port = port_without_broker().await;
    let (mut config, _folder) = config(&format!("127.0.0.1:{port}"));
    config.set(Kind::Producer, "compression.type", "none", "the test").unwrap();
    let service = Program::service(&config).await;
    let mut client = service.client();
    post(&mut client, "/users", json!({ "name": "Ada" })).await;
    // They wait together, so they are sent in one batch.
    for content in ["small".to_owned(), "x".repeat(280), "small too".to_owned()] {
        post(&mut client, "/feeds", json!({ "user_id": 1, "content": content })).await;
    }
    service.end().await;
    let broker = TestBroker::embedded(port).await.unwrap();
    let cluster = Cluster::connect(&config).await.unwrap();
    let narrow = Topic::new(&config.topic.name, 1).with_setting("max.message.bytes", "400");
    shared::topic::ensure(&cluster, &narrow).await.unwrap();
    let service = Program::service(&config).await;
    let mut client = service.client();
    load::settle(&config, &plan(service.address, None)).await.unwrap();

    let (_, refused) = client.get("/refused").await.unwrap();
    let [refused] = &refused.as_array().unwrap()[..] else { panic!("{refused}") };
    assert_eq!((&refused["key"], &refused["event_type"]), (&json!("2"), &json!("created")));
    assert!(refused["reason"].as_str().unwrap().contains("MessageSizeTooLarge"), "{refused}");
    assert!(refused["payload"].as_str().unwrap().contains("xxx"), "{refused}");
    let pending = json!({ "pending": 0, "refused": 1 });
    assert_eq!(client.get("/pending").await.unwrap().1, pending);
    service.metrics_say("lab4_events_refused 1\n").await;
    service.metrics_say("lab4_events_published_total{event_type=\"created\"} 2\n").await;

    // Somebody gives the topic more room.
    shared::topic::delete(&cluster, &config.topic.name).await.unwrap();
    shared::topic::ensure(&cluster, &Topic::new(&config.topic.name, 1)).await.unwrap();
    let sent_again = client.post("/refused/send-again", &json!({})).await.unwrap().1;
    assert_eq!(sent_again, json!({ "sent_again": 1 }));
    load::settle(&config, &plan(service.address, None)).await.unwrap();
    assert_eq!(client.get("/pending").await.unwrap().1, json!({ "pending": 0, "refused": 0 }));
    service.metrics_say("lab4_events_published_total{event_type=\"created\"} 3\n").await;
    service.end().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_for_a_while_is_retried_and_handled_after_a_redrive() {
    let broker = TestBroker::start().await.unwrap();
    let (mut config, _folder) = config(broker.bootstrap_servers());
    config.lab.retries = 2;
    let (service, consumers) = (Program::service(&config).await, Program::consumers(&config).await);
    let producer = KafkaProducer::new(&config).unwrap();
    let feeds = Stream::Feeds.topic(&config);
    let liked = serde_json::to_string(&FeedLikedEvent::new(77, 2)).unwrap();
    producer.send_message(feeds, "77", &liked).await.unwrap();
    rest(&config, &service, &consumers).await;
    let letters = dead_letters::waiting(&config).await.unwrap();
    assert_eq!(letters[0].header(dead_letters::ATTEMPT), Some("3"), "one attempt and two retries");
    assert_eq!(letters[0].header(dead_letters::ERROR), Some("feed 77 is not known yet"));

    let created = serde_json::to_string(&FeedCreatedEvent::new(77, 5, "late".to_owned())).unwrap();
    producer.send_message(feeds, "77", &created).await.unwrap();
    assert_eq!(redrive(&config).await, 1);
    assert_eq!(redrive(&config).await, 0, "what was sent back is committed");
    rest(&config, &service, &consumers).await;
    let told = consumers.client().get("/notifications/5").await.unwrap().1;
    assert_eq!(told["notifications"], json!(["User 2 likes your feed 77."]));
    let metrics = consumers.client().get_text("/metrics").await.unwrap();
    let group = &config.lab.notifications_group;
    assert!(metrics.contains(&format!("lab4_retries_total{{group=\"{group}\"}} 2")), "{metrics}");
    service.end().await;
    consumers.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_again_after_a_restart_has_no_second_effect() {
    let broker = TestBroker::start().await.unwrap();
    let (config, _folder) = config(broker.bootstrap_servers());
    let (service, consumers) = (Program::service(&config).await, Program::consumers(&config).await);
    let producer = KafkaProducer::new(&config).unwrap();
    let feeds = Stream::Feeds.topic(&config);
    let created = serde_json::to_string(&FeedCreatedEvent::new(1, 5, "hello".to_owned())).unwrap();
    let liked = serde_json::to_string(&FeedLikedEvent::new(1, 2)).unwrap();
    for payload in [&created, &liked, &liked, &liked] {
        producer.send_message(feeds, "1", payload).await.unwrap();
    }
    rest(&config, &service, &consumers).await;
    assert_eq!(
        consumers.client().get("/effects").await.unwrap().1,
        json!({ "created": 1, "liked": 1 })
    );
    consumers.end().await;

    // As after a crash before the commit: the group begins at the beginning.
    let cluster = Cluster::connect(&config).await.unwrap();
    assert!(shared::topic::delete_group(&cluster, &config.lab.notifications_group).await.unwrap());
    let consumers = Program::consumers(&config).await;
    rest(&config, &service, &consumers).await;
    assert_eq!(
        consumers.client().get("/effects").await.unwrap().1,
        json!({ "created": 1, "liked": 1 })
    );
    let metrics = consumers.client().get_text("/metrics").await.unwrap();
    let group = &config.lab.notifications_group;
    assert!(
        metrics.contains(&format!("{{group=\"{group}\",outcome=\"duplicate\"}} 4")),
        "{metrics}"
    );
    service.end().await;
    consumers.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_given_names_and_signatures_work() {
    let broker = TestBroker::start().await.unwrap();
    let (mut config, _folder) = config(broker.bootstrap_servers());
    let group = config.lab.notifications_group.clone();
    config.set(Kind::Consumer, "group.id", &group, "the test").unwrap();
    programs::ensure_topics(&config).await.unwrap();
    let feeds = Stream::Feeds.topic(&config).to_owned();
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();

    let consumer = KafkaConsumer::new(&config, vec![feeds.clone()]).unwrap();
    consumer.subscribe().await.unwrap();
    let task = consumer
        .start_consuming(move |topic, key, payload| {
            if let Ok(payload_str) = std::str::from_utf8(&payload) {
                match parse_feed_event(payload_str) {
                    Ok((event_type, _event_data)) => match event_type {
                        FeedEventType::Liked => {
                            sender.send(format!("{topic} {key} liked")).unwrap();
                        }
                        FeedEventType::Commented
                        | FeedEventType::Viewed
                        | FeedEventType::Created => {}
                    },
                    Err(e) => sender.send(format!("Failed to parse event: {e}")).unwrap(),
                }
            }
        })
        .await
        .unwrap();

    let producer = KafkaProducer::new(&config).unwrap();
    let feed_id = 1;
    let event = FeedCreatedEvent::new(feed_id, 2, "content".to_owned());
    let json_data = serde_json::to_value(&event).unwrap();
    producer.send_message(&feeds, &feed_id.to_string(), &json_data.to_string()).await.unwrap();
    producer.send_message(&feeds, &feed_id.to_string(), "{}").await.unwrap();
    let event = serde_json::to_string(&FeedLikedEvent::new(feed_id, 3)).unwrap();
    producer.send_message(&feeds, &feed_id.to_string(), &event).await.unwrap();

    assert!(
        seen.recv().await.unwrap().starts_with("Failed to parse event: missing field `event_type`")
    );
    assert_eq!(seen.recv().await.unwrap(), format!("{feeds} 1 liked"));
    task.abort();
}

async fn redrive(config: &Config) -> u64 {
    let (_trigger, never) = Shutdown::by_hand();
    dead_letters::redrive(config, &never, |_, _| {}).await.unwrap()
}
