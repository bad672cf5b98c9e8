//! The service and its consumers, from HTTP to the effect, on either broker.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Program, config, post, rest};
use lab4_event_service::kafka::{
    FeedCreatedEvent, FeedEventType, FeedLikedEvent, KafkaConsumer, KafkaProducer, dead_letters,
    parse_feed_event,
};
use lab4_event_service::{Config, Send, Stream, programs};
use serde_json::json;
use shared::client::Cluster;
use shared::config::Client as Kind;
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
async fn without_a_broker_events_wait_across_a_restart_and_arrive_in_order() {
    // Nobody else takes the port of a broker that was just here.
    let port = {
        let before = TestBroker::embedded(0).await.unwrap();
        let port = before.bootstrap_servers().rsplit(':').next().unwrap().parse().unwrap();
        before.stop().await;
        port
    };
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
    config.lab.send = Send::Direct;
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
async fn the_seeds_own_lines_work() {
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
