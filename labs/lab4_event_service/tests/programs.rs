//! The program as a person runs it: Ctrl-C, `kill -9`, a port in use, no broker, a database in use, hostile records.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{config, plan};
use lab4_event_service::client::Client;
use lab4_event_service::kafka::events::Event;
use lab4_event_service::kafka::{
    FeedCommentedEvent, FeedCreatedEvent, FeedEventType, KafkaConsumer, UserCreatedEvent,
};
use lab4_event_service::{Config, load};
use serde_json::json;
use shared::client::Cluster;
use shared::shutdown::Shutdown;
use shared::testing::TestBroker;
use shared::testing::screen::Screen;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The lab's program, running.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Running {
    /// `lab4 service` or `lab4 notifications`, with this configuration, and ready.
    fn start(config: &Config, step: &str, listen: SocketAddr) -> Self {
        let mut command = lab4(config);
        command.args([step, "--listen", &listen.to_string()]);
        if step == "notifications" {
            // Nobody reads its effects here, and a full pipe would stop it.
            command.arg("--quiet");
        }
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address =
            line.strip_prefix("Listening on http://").and_then(|rest| rest.split(';').next());
        Self {
            address: address.unwrap_or_else(|| panic!("{line}")).parse().unwrap(),
            child,
            stdout,
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Presses Ctrl-C; gives the exit code, what it said after its first line, and its stderr.
    fn interrupt(mut self) -> (Option<i32>, String, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let (mut said, mut errors) = (String::new(), String::new());
        self.stdout.read_to_string(&mut said).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (self.child.wait().unwrap().code(), said, errors)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const FREE: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// The configuration as a file, and the program that reads it.
fn lab4(config: &Config) -> Command {
    let folder = config.lab.database.parent().unwrap();
    let file = folder.join("lab4.toml");
    let lab = &config.lab;
    let text = format!(
        "[topic]\nname = {:?}\n[lab]\nusers_topic = {:?}\ndatabase = {:?}\nnotifications_database = {:?}\n\
         notifications_group = {:?}\njobs_group = {:?}\nredrive_group = {:?}\n\
         [consumer]\nauto.commit.interval.ms = 100\nenable.auto.offset.store = false\n",
        config.topic.name,
        lab.users_topic,
        lab.database,
        lab.notifications_database,
        lab.notifications_group,
        lab.jobs_group,
        lab.redrive_group
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab4"));
    command
        .env("LAB_CONFIG", file)
        .env("KAFKA_BOOTSTRAP_SERVERS", config.bootstrap_servers())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(config: &Config, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = lab4(config).args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_programs_lose_nothing_and_do_nothing_twice() {
    let broker = TestBroker::start().await.unwrap();
    let (config, _folder) = config(broker.bootstrap_servers());
    let mut service = Running::start(&config, "service", FREE.into());
    let mut consumers = Running::start(&config, "notifications", FREE.into());
    let plan = plan(service.address, Some(consumers.address));
    let before = load::Before::take(&config, &plan).await.unwrap();

    let (_trigger, never) = Shutdown::by_hand();
    let load = tokio::spawn(async move { load::load(&plan, &never).await });
    // Not at a fixed time: as soon as there are effects, both die in the midst of their work.
    let mut watch = Client::new(consumers.address);
    while watch.get("/effects").await.unwrap().1["viewed"].as_u64() < Some(20) {
        tokio::task::yield_now().await;
    }
    service.kill();
    consumers.kill();
    service = Running::start(&config, "service", service.address);
    consumers = Running::start(&config, "notifications", consumers.address);
    let accepted = load.await.unwrap().unwrap();
    let verdict = before.compare(&config, &plan, &accepted).await.unwrap();

    let counted = (verdict.lost(), verdict.unhandled(), verdict.twice());
    assert_eq!(counted, (0, 0, 0), "{verdict}");
    // A request whose answer died with the service may be stored all the same. Its event is told too.
    let rows = rusqlite::Connection::open(&config.lab.database).unwrap();
    let count = |sql| rows.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let effects = Client::new(consumers.address).get("/effects").await.unwrap().1;
    let stored = json!({
        (UserCreatedEvent::EVENT_TYPE): count("SELECT count(*) FROM users"),
        (FeedEventType::Created.name()): count("SELECT count(*) FROM feeds"),
        (FeedEventType::Liked.name()): count("SELECT count(*) FROM likes"),
        (FeedEventType::Commented.name()): count("SELECT count(*) FROM comments"),
        (FeedEventType::Viewed.name()): count("SELECT sum(views) FROM feeds"),
    });
    assert_eq!(effects, stored, "every row had its effect, once");
    assert_eq!(service.interrupt().0, Some(0));
    assert_eq!(consumers.interrupt().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_in_order_with_and_without_a_broker() {
    let broker = TestBroker::start().await.unwrap();
    let (config, _folder) = config(broker.bootstrap_servers());
    let service = Running::start(&config, "service", FREE.into());
    let consumers = Running::start(&config, "notifications", FREE.into());
    let mut client = Client::new(service.address);
    for n in 0..50 {
        common::post(&mut client, "/users", json!({ "name": format!("user {n}") })).await;
    }
    // The outbox is emptied first.
    assert_eq!(
        service.interrupt(),
        (Some(0), "The service has ended.\n".to_owned(), String::new())
    );
    assert_eq!(
        consumers.interrupt(),
        (Some(0), "The consumers have ended.\n".to_owned(), String::new())
    );

    let (alone, _folder) = common::config("127.0.0.1:1");
    let service = Running::start(&alone, "service", FREE.into());
    common::post(&mut Client::new(service.address), "/users", json!({ "name": "Ada" })).await;
    let (code, said, errors) = service.interrupt();
    assert_eq!((code, said.as_str()), (Some(0), "The service has ended.\n"));
    assert!(
        errors.ends_with("1 event in the outbox, to be published after the next start.\n"),
        "{errors}"
    );
}

#[test]
fn what_stands_in_the_way_is_a_sentence() {
    let (config, _folder) = config("127.0.0.1:1");
    let taken = TcpListener::bind(SocketAddr::from(FREE)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, said) = run(&config, &["service", "--listen", &address]);
    let port = taken.local_addr().unwrap().port();
    assert_eq!(
        (code, said),
        (
            Some(1),
            format!(
                "Port {port} is taken by another program. Stop it, or choose another: --listen 127.0.0.1:0 takes a free one.\n"
            )
        )
    );
    for step in [
        &["notifications", "--listen", "127.0.0.1:0"][..],
        &["lag"],
        &["redrive"],
        &["reset"],
        &["load"],
        &["send", "x"],
    ] {
        let (code, _, said) = run(&config, step);
        assert!(
            said.starts_with("Could not reach a broker at 127.0.0.1:1 (Connection refused)."),
            "{step:?}: {said}"
        );
        assert_eq!(code, Some(4), "{step:?}");
    }
    let (code, _, said) = run(&config, &["service", "--send", "pigeon"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("possible values: outbox, direct"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_refuses_while_somebody_uses_something_and_changes_nothing() {
    let broker = TestBroker::start().await.unwrap();
    let (config, _folder) = config(broker.bootstrap_servers());
    let refused = |what: &str| {
        for step in [&["reset"][..], &["reset", "--check"]] {
            let (code, said, errors) = run(&config, step);
            assert_eq!((code, said.as_str()), (Some(1), ""), "{errors}");
            assert!(errors.contains("Nothing was deleted") && errors.contains(what), "{errors}");
        }
        let (_, table, _) = run(&config, &["lag"]);
        assert_eq!(table.lines().count(), 1 + 4 * 3, "the topics are there: {table}");
    };
    let service = Running::start(&config, "service", FREE.into());
    common::post(&mut Client::new(service.address), "/users", json!({ "name": "Ada" })).await;
    let mut client = Client::new(service.address);
    while client.get("/pending").await.unwrap().1["pending"] != 0 {
        tokio::task::yield_now().await;
    }
    refused(&format!("is used by process {}. Stop that program first.", service.child.id()));
    // Nor can a second service publish the same outbox.
    let (code, _, errors) = run(&config, &["service", "--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains(&format!("is used by process {}.", service.child.id())), "{errors}");
    assert_eq!(client.get("/users/1").await.unwrap().0, 200, "the database is there");
    assert_eq!(service.interrupt().0, Some(0));

    let consumers = Running::start(&config, "notifications", FREE.into());
    refused(&format!("is used by process {}. Stop that program first.", consumers.child.id()));
    assert_eq!(consumers.interrupt().0, Some(0));

    // A member of the group that has no database of this lab.
    let mut member = config.clone();
    let group = &config.lab.notifications_group;
    member.set(shared::config::Client::Consumer, "group.id", group, "the test").unwrap();
    let consumer = KafkaConsumer::new(&member, vec![config.topic.name.clone()]).unwrap();
    consumer.subscribe().await.unwrap();
    let reading = consumer.start_consuming(|_, _, _| {}).await.unwrap();
    let cluster = Cluster::connect(&config).await.unwrap();
    while cluster.group(group).await.unwrap().is_none_or(|group| group.members.is_empty()) {
        tokio::task::yield_now().await;
    }
    refused(&format!("Group {group} still has 1 member"));
    reading.abort();
    let _aborted = reading.await;
    tokio::task::spawn_blocking(move || drop(consumer)).await.unwrap();

    let (code, said, _) = run(&config, &["reset", "--check"]);
    assert_eq!(code, Some(0));
    assert_eq!(said, "Nobody uses the topics, the groups and the databases of Lab 4.\n");
    assert!(config.lab.database.is_file());
    assert_eq!(run(&config, &["reset"]).0, Some(0));
    assert!(!config.lab.database.is_file());
}

/// The keys and the window of a real terminal.
#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_what_the_readme_shows() {
    const README: &str = include_str!("../README.md");
    let broker = TestBroker::embedded(0).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let start = |step: &str, database: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab4"));
        command
            .args([step, "--config", concat!(env!("CARGO_MANIFEST_DIR"), "/lab4.toml")])
            .args(["--listen", "127.0.0.1:0", "--database"])
            .arg(folder.path().join(database))
            .env("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap_servers());
        Screen::start(command, 120, 30)
    };
    let address = |screen: &Screen| -> SocketAddr {
        let shown = screen.shown();
        let rest = shown.split("http://").nth(1).unwrap();
        rest.split(';').next().unwrap().parse().unwrap()
    };
    let mut service = start("service", "service.db");
    service.wait_for("through the outbox.");
    let mut consumers = start("notifications", "notifications.db");
    consumers.wait_for("as lab4-notifications.");
    let mut client = Client::new(address(&service));
    for name in ["Ada", "Bob"] {
        common::post(&mut client, "/users", json!({ "name": name })).await;
    }
    common::post(&mut client, "/feeds", json!({ "user_id": 1, "content": "hello" })).await;
    common::post(&mut client, "/feeds/1/like", json!({ "user_id": 2 })).await;
    let told = &README[README.find("New job: ").unwrap()..];
    for line in told.split("\n```").next().unwrap().lines() {
        consumers.wait_for(&format!("\n{line}"));
    }

    // A closed window is like Ctrl-C: the consumers leave their groups at once.
    consumers.close();
    assert_eq!(consumers.ended(), Some(0));
    let flags = shared::config::Flags {
        bootstrap_server: Some(broker.bootstrap_servers().to_owned()),
        ..Default::default()
    };
    let config = Config::load(&lab4_event_service::program("lab4-test"), &flags).unwrap();
    let cluster = Cluster::connect(&config).await.unwrap();
    let group = cluster.group("lab4-notifications").await.unwrap().unwrap();
    assert_eq!(group.members, [""; 0]);

    service.press_ctrl('c');
    service.wait_for("\n^C\nThe service has ended.");
    assert_eq!(service.ended(), Some(0));
}

/// ESC, which begins the commands of a terminal.
const ESC: char = '\u{1b}';

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_a_record_reaches_the_terminal_unescaped() {
    let broker = TestBroker::start().await.unwrap();
    let (config, _folder) = config(broker.bootstrap_servers());
    let mut consumers = lab4(&config)
        .args(["notifications", "--listen", "127.0.0.1:0"])
        .env("RUST_LOG", "info")
        .spawn()
        .unwrap();
    let mut said = BufReader::new(consumers.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut errors = BufReader::new(consumers.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.next().unwrap().starts_with("Listening"));

    // serde quotes the unknown word in its error, and a comment's text is printed as it is.
    let unknown = format!("{{\"event_type\":\"{ESC}[31mred\\u001b\"}}").replace(ESC, "\\u001b");
    let created = FeedCreatedEvent::new(1, 5, "hello".to_owned());
    let comment = FeedCommentedEvent::new(1, 2, 3, format!("{ESC}]0;owned\u{7}\nTwo lines"));
    for payload in [
        unknown,
        serde_json::to_string(&created).unwrap(),
        serde_json::to_string(&comment).unwrap(),
        format!("{ESC}[2J raw"),
    ] {
        let (code, sent, _) = run(&config, &["send", "--key", "1", &payload]);
        assert_eq!(code, Some(0));
        assert!(!sent.contains(ESC), "{sent:?}");
    }
    let line = said.find(|line| line.starts_with("To user 5")).unwrap();
    assert_eq!(
        line,
        "To user 5: User 2 comments on your feed 1: \\u{1b}]0;owned\\u{7}\\nTwo lines"
    );
    let letters: Vec<String> =
        errors.by_ref().filter(|line| line.contains("is a dead letter")).take(2).collect();
    assert!(letters[0].contains("unknown variant `\\u{1b}[31mred"), "{letters:?}");
    let (code, shown, _) = run(&config, &["redrive", "--dry-run"]);
    assert_eq!(code, Some(0));
    assert!(shown.contains("\\u{1b}[2J raw"), "{shown:?}");
    let (code, moved, _) = run(&config, &["redrive"]);
    assert_eq!(code, Some(0));
    for text in [line, letters.concat(), shown, moved] {
        assert!(!text.contains(ESC), "{text:?}");
    }
    consumers.kill().unwrap();
    let rest: Vec<String> = errors.collect();
    assert!(!rest.concat().contains(ESC), "{rest:?}");
    consumers.wait().unwrap();
}

/// The broker is killed and started again, and has forgotten everything. The running programs go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_forgot_everything_is_noticed_and_told_and_the_work_goes_on() {
    let broker = TestBroker::embedded(0).await.unwrap();
    let port = broker.bootstrap_servers().rsplit(':').next().unwrap().parse().unwrap();
    let (config, _folder) = config(broker.bootstrap_servers());
    let service = Running::start(&config, "service", FREE.into());
    let mut consumers = Running::start(&config, "notifications", FREE.into());
    let mut client = Client::new(service.address);
    let mut watch = Client::new(consumers.address);
    common::post(&mut client, "/users", json!({ "name": "Ada" })).await;
    while watch.get("/effects").await.unwrap().1["user_created"] != 1 {
        tokio::task::yield_now().await;
    }
    broker.stop().await;
    common::post(&mut client, "/users", json!({ "name": "Bob" })).await;
    let _broker = TestBroker::embedded(port).await.unwrap();
    let back = Instant::now();
    while watch.get("/effects").await.unwrap().1["user_created"] != 2 {
        tokio::task::yield_now().await;
    }
    assert!(back.elapsed() < Duration::from_secs(20), "{:?}", back.elapsed());
    println!("back after {:?}", back.elapsed());
    let errors = consumers.child.stderr.take().unwrap();
    let mut errors = BufReader::new(errors).lines().map(Result::unwrap);
    assert!(errors.any(|line| line.contains("the broker forgot everything")));
    assert_eq!(service.interrupt().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tools_show_and_clear_up() {
    let broker = TestBroker::start().await.unwrap();
    let (config, _folder) = config(broker.bootstrap_servers());
    let feeds = &config.topic.name;
    let (code, said, errors) = run(&config, &["send", "--key", "1", "not JSON"]);
    assert_eq!((code, said), (Some(0), format!("Sent to {feeds}: not JSON\n")), "{errors}");
    let (code, table, errors) = run(&config, &["lag"]);
    assert_eq!(code, Some(0), "{errors}");
    let row: Vec<&str> =
        table.lines().filter(|row| row.ends_with("  1")).flat_map(str::split_whitespace).collect();
    let [group, topic, _partition, "-", "1", "1"] = row[..] else { panic!("{table}") };
    assert_eq!((group, topic), (config.lab.notifications_group.as_str(), feeds.as_str()));
    assert_eq!(table.lines().count(), 1 + 4 * 3, "four topics of three partitions");

    let (code, said, errors) =
        run(&config, &["load", "--service", "127.0.0.1:1", "--notifications", "127.0.0.1:1"]);
    assert_eq!((code, said.as_str()), (Some(1), ""));
    assert!(errors.contains("Does the service run (`make lab4-service`)?"), "{errors}");

    let (code, said, errors) = run(&config, &["reset"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.ends_with("Deleted the databases of Lab 4.\n"), "{said}");
    let (_, table, _) = run(&config, &["lag"]);
    assert_eq!(table.lines().count(), 1, "{table}");
}
