//! Kafka's own command-line tools, as their shell scripts start them: the official producer, consumer and admin client.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const CONFIGS: &str = "kafka.admin.ConfigCommand";
const PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const OFFSETS: &str = "org.apache.kafka.tools.GetOffsetShell";
const DELETE_RECORDS: &str = "org.apache.kafka.tools.DeleteRecordsCommand";
const API_VERSIONS: &str = "org.apache.kafka.tools.BrokerApiVersionsCommand";
const PRODUCER_PERFORMANCE: &str = "org.apache.kafka.tools.ProducerPerformance";
const CONSUMER_PERFORMANCE: &str = "org.apache.kafka.tools.ConsumerPerformance";

/// Writes scripts with the names that the tools have in a download of Kafka.
pub(crate) fn write_scripts(jars: &Path, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, class) in [
        ("kafka-topics.sh", TOPICS),
        ("kafka-console-producer.sh", PRODUCER),
        ("kafka-console-consumer.sh", CONSUMER),
        ("kafka-consumer-groups.sh", GROUPS),
    ] {
        let quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error";
        let script = format!("exec java {quiet} -cp '{}/*' {class} \"$@\"\n", jars.display());
        crate::run::write_program(&folder.join(name), &script);
    }
}

/// The console producer for the broker in KAFKA_BOOTSTRAP_SERVERS: it sends the lines of its stdin, and then ends.
pub(crate) fn console_producer(jars: &Path, topic: &str) -> Command {
    let mut command = Command::new("sh");
    let producer = format!(
        "exec java -cp '{}/*' {PRODUCER} --topic {topic} --bootstrap-server $KAFKA_BOOTSTRAP_SERVERS",
        jars.display()
    );
    command.args(["-c", &producer]);
    command
}

/// The tools and the broker that they talk to.
pub(crate) struct Tools<'a> {
    jars: &'a Path,
    folder: &'a Path,
    servers: &'a str,
}

/// What a tool printed, and whether it succeeded.
struct Printed {
    text: String,
    ok: bool,
}

impl<'a> Tools<'a> {
    pub(crate) fn new(jars: &'a Path, folder: &'a Path, servers: &'a str) -> Self {
        Self { jars, folder, servers }
    }

    pub(crate) fn run_all(&self) {
        self.topics_are_made_described_altered_and_deleted();
        self.settings_are_described();
        self.what_the_console_producer_sends_the_console_consumer_prints();
        self.every_codec_and_every_kind_of_acknowledgement_works();
        self.offsets_are_found_and_records_deleted();
        self.a_group_commits_and_is_described_reset_and_deleted();
        self.two_consumers_share_a_group();
        self.versions_are_listed();
        self.the_performance_tools_run();
    }

    fn topics_are_made_described_altered_and_deleted(&self) {
        let topic = unique("java-topic");
        let made = self.run(TOPICS, &["--create", "--topic", &topic, "--partitions", "3"]);
        assert!(made.text.contains(&format!("Created topic {topic}.")), "{}", made.text);
        let again = self.run(TOPICS, &["--create", "--topic", &topic]);
        assert!(!again.ok && again.text.contains("already exists"), "{}", again.text);
        assert!(self.must(TOPICS, &["--list"]).lines().any(|line| line == topic));

        let described = self.must(TOPICS, &["--describe", "--topic", &topic]);
        assert!(described.contains("PartitionCount: 3\tReplicationFactor: 1"), "{described}");
        for partition in 0..3 {
            assert!(
                described.contains(&format!("Partition: {partition}\tLeader: ")),
                "{described}"
            );
        }
        self.must(TOPICS, &["--alter", "--topic", &topic, "--partitions", "4"]);
        let described = self.must(TOPICS, &["--describe", "--topic", &topic]);
        assert!(described.contains("PartitionCount: 4"), "{described}");
        let fewer = self.run(TOPICS, &["--alter", "--topic", &topic, "--partitions", "2"]);
        assert!(
            !fewer.ok && fewer.text.contains("Error while executing topic command"),
            "{}",
            fewer.text
        );

        self.must(TOPICS, &["--delete", "--topic", &topic]);
        let deadline = Instant::now() + PATIENCE;
        while self.must(TOPICS, &["--list"]).lines().any(|line| line == topic) {
            assert!(Instant::now() < deadline, "{topic} is still there");
        }
    }

    fn settings_are_described(&self) {
        let topic = self.topic(1, &["--config", "retention.ms=60000"]);
        let given =
            self.must(CONFIGS, &["--describe", "--entity-type", "topics", "--entity-name", &topic]);
        assert!(given.contains("retention.ms=60000 sensitive=false"), "{given}");
        assert!(!given.contains("cleanup.policy"), "only what was given: {given}");
        let all = self.must(
            CONFIGS,
            &["--describe", "--all", "--entity-type", "topics", "--entity-name", &topic],
        );
        for setting in ["cleanup.policy=delete", "max.message.bytes=1048588", "retention.ms=60000"]
        {
            assert!(all.contains(setting), "{setting} in {all}");
        }
        let broker = ["--describe", "--all", "--entity-type", "brokers", "--entity-name", "1"];
        let broker = self.must(CONFIGS, &broker);
        assert!(broker.contains("num.partitions=3"), "{broker}");
    }

    fn what_the_console_producer_sends_the_console_consumer_prints(&self) {
        let topic = self.topic(3, &[]);
        let keyed = [
            "--topic",
            &topic,
            "--reader-property",
            "parse.key=true",
            "--reader-property",
            "key.separator=:",
        ];
        self.feed(PRODUCER, &keyed, "u1:click\nu2:purchase\nu1:view\n");
        let printed = self.must(
            CONSUMER,
            &[
                "--topic",
                &topic,
                "--from-beginning",
                "--max-messages",
                "3",
                "--formatter-property",
                "print.key=true",
                "--formatter-property",
                "print.partition=true",
                "--formatter-property",
                "print.offset=true",
            ],
        );
        // The Java client puts a key where murmur2 says: u1 and u2 of three partitions.
        let mut lines: Vec<_> =
            printed.lines().filter(|line| line.starts_with("Partition:")).collect();
        lines.sort_unstable();
        assert_eq!(lines.len(), 3, "{printed}");
        let u1: Vec<_> = lines.iter().filter(|line| line.contains("\tu1\t")).collect();
        assert!(u1[0].contains("Offset:0") && u1[0].ends_with("click"), "{printed}");
        assert!(u1[1].contains("Offset:1") && u1[1].ends_with("view"), "{printed}");
        assert_eq!(u1[0].split('\t').next(), u1[1].split('\t').next(), "one key, one partition");
    }

    fn every_codec_and_every_kind_of_acknowledgement_works(&self) {
        let topic = self.topic(1, &[]);
        let mut expected = Vec::new();
        for (codec, acks) in
            [("none", "0"), ("gzip", "1"), ("snappy", "all"), ("lz4", "all"), ("zstd", "all")]
        {
            let line = format!("{codec} with acks {acks}");
            self.feed(
                PRODUCER,
                &["--topic", &topic, "--compression-codec", codec, "--request-required-acks", acks],
                &format!("{line}\n"),
            );
            expected.push(line);
        }
        let printed =
            self.must(CONSUMER, &["--topic", &topic, "--from-beginning", "--max-messages", "5"]);
        let lines: Vec<_> = printed.lines().filter(|line| line.contains(" with acks ")).collect();
        assert_eq!(lines, expected);
    }

    fn offsets_are_found_and_records_deleted(&self) {
        let topic = self.topic(2, &[]);
        let timed = self.topic(1, &[]);
        self.feed(PRODUCER, &["--topic", &timed], "a\nb\nc\n");
        let end = self.must(OFFSETS, &["--topic", &topic]);
        assert_eq!(sorted(&end, &topic), [format!("{topic}:0:0"), format!("{topic}:1:0")]);
        assert_eq!(
            sorted(&self.must(OFFSETS, &["--topic", &timed]), &timed),
            [format!("{timed}:0:3")]
        );
        let newest = self.must(OFFSETS, &["--topic", &timed, "--time", "-3"]);
        assert!(sorted(&newest, &timed)[0].starts_with(&format!("{timed}:0:")), "{newest}");

        let json = self.folder.join("delete-records.json");
        let wanted = format!(
            r#"{{"partitions":[{{"topic":"{timed}","partition":0,"offset":2}}],"version":1}}"#
        );
        std::fs::write(&json, wanted).unwrap();
        let deleted = self.must(DELETE_RECORDS, &["--offset-json-file", json.to_str().unwrap()]);
        assert!(deleted.contains(&format!("partition: {timed}-0\tlow_watermark: 2")), "{deleted}");
        let start = self.must(OFFSETS, &["--topic", &timed, "--time", "-2"]);
        assert_eq!(sorted(&start, &timed), [format!("{timed}:0:2")]);
    }

    fn a_group_commits_and_is_described_reset_and_deleted(&self) {
        let topic = self.topic(1, &[]);
        let group = unique("java-group");
        self.feed(PRODUCER, &["--topic", &topic], "a\nb\nc\nd\ne\n");
        let read = |count: &str| {
            let read =
                ["--topic", &topic, "--group", &group, "--from-beginning", "--max-messages", count];
            let printed = self.must(CONSUMER, &read);
            printed.lines().filter(|line| line.len() == 1).collect::<String>()
        };
        assert_eq!(read("2"), "ab");
        assert_eq!(self.group_row(&group, &topic, 0), ["2", "5", "3"], "current offset, end, lag");
        assert_eq!(read("3"), "cde", "the group goes on where it committed");
        assert!(self.must(GROUPS, &["--list"]).lines().any(|line| line == group));
        let state = self.must(GROUPS, &["--describe", "--group", &group, "--state"]);
        assert!(state.contains("Empty"), "{state}");

        let reset = [
            "--reset-offsets",
            "--group",
            &group,
            "--topic",
            &topic,
            "--to-offset",
            "4",
            "--execute",
        ];
        self.must(GROUPS, &reset);
        assert_eq!(self.group_row(&group, &topic, 0), ["4", "5", "1"]);
        self.must(GROUPS, &["--delete", "--group", &group]);
        assert!(!self.must(GROUPS, &["--list"]).lines().any(|line| line == group));
    }

    fn two_consumers_share_a_group(&self) {
        let topic = self.topic(2, &[]);
        let group = unique("java-group");
        let join = ["--topic", &topic, "--group", &group, "--from-beginning"];
        let one = self.start(CONSUMER, &join);
        let two = self.start(CONSUMER, &join);
        self.until(&["--describe", "--group", &group, "--members"], |members| {
            let shares: Vec<_> = members.lines().filter(|line| line.starts_with(&group)).collect();
            shares.len() == 2
                && shares.iter().all(|line| line.split_whitespace().last() == Some("1"))
        });
        let busy = self.run(GROUPS, &["--delete", "--group", &group]);
        assert!(busy.text.contains("GroupNotEmptyException"), "{}", busy.text);

        // When one leaves, the other reads everything.
        one.stop();
        self.until(&["--describe", "--group", &group, "--members"], |members| {
            let shares: Vec<_> = members.lines().filter(|line| line.starts_with(&group)).collect();
            shares.len() == 1 && shares[0].split_whitespace().last() == Some("2")
        });
        let keyed = [
            "--topic",
            &topic,
            "--reader-property",
            "parse.key=true",
            "--reader-property",
            "key.separator=:",
        ];
        let lines: String = (0..20).map(|index| format!("k{index}:v{index}\n")).collect();
        self.feed(PRODUCER, &keyed, &lines);
        let mut read = two.lines(20);
        read.sort_unstable();
        let mut expected: Vec<_> = (0..20).map(|index| format!("v{index}")).collect();
        expected.sort_unstable();
        assert_eq!(read, expected);
    }

    fn versions_are_listed(&self) {
        let listed = self.must(API_VERSIONS, &[]);
        for line in [
            "\tProduce(0): 0 to ",
            "\tFetch(1): 4 to ",
            "\tApiVersions(18): 0 to ",
            "\tJoinGroup(11): 0 to ",
        ] {
            assert!(listed.contains(line), "{line:?} in {listed}");
        }
    }

    fn the_performance_tools_run(&self) {
        let topic = self.topic(3, &[]);
        let sent = self.must(
            PRODUCER_PERFORMANCE,
            &[
                "--topic",
                &topic,
                "--num-records",
                "20000",
                "--record-size",
                "100",
                "--throughput",
                "-1",
            ],
        );
        assert!(sent.contains("20000 records sent"), "{sent}");
        let read = self.must(CONSUMER_PERFORMANCE, &["--topic", &topic, "--num-records", "20000"]);
        assert!(read.lines().any(|line| line.split(", ").nth(4) == Some("20000")), "{read}");
    }

    /// A new topic.
    fn topic(&self, partitions: u32, more: &[&str]) -> String {
        let topic = unique("java");
        let count = partitions.to_string();
        self.must(
            TOPICS,
            &[&["--create", "--topic", &topic, "--partitions", &count], more].concat(),
        );
        topic
    }

    /// Current offset, end and lag of a partition, as `kafka-consumer-groups --describe` shows them.
    fn group_row(&self, group: &str, topic: &str, partition: u32) -> Vec<String> {
        let described = self.must(GROUPS, &["--describe", "--group", group]);
        let here = format!("{topic} {partition}");
        for line in described.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            if words.len() > 5 && words[1..3].join(" ") == here {
                return words[3..6].iter().map(ToString::to_string).collect();
            }
        }
        panic!("{here} is not in {described}")
    }

    /// Asks `kafka-consumer-groups` until the answer is as wished.
    fn until(&self, args: &[&str], test: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let printed = self.run(GROUPS, args).text;
            if test(&printed) {
                return;
            }
            assert!(Instant::now() < deadline, "still {printed}");
        }
    }

    fn must(&self, class: &str, args: &[&str]) -> String {
        let printed = self.run(class, args);
        assert!(printed.ok, "{class} {args:?} failed:\n{}", printed.text);
        printed.text
    }

    fn run(&self, class: &str, args: &[&str]) -> Printed {
        self.finish(self.start(class, args))
    }

    /// Runs a tool with lines on its standard input.
    fn feed(&self, class: &str, args: &[&str], lines: &str) {
        let mut tool = self.start(class, args);
        tool.child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let printed = self.finish(tool);
        assert!(
            printed.ok && !printed.text.contains("ERROR"),
            "{class} {args:?} failed:\n{}",
            printed.text
        );
    }

    fn start(&self, class: &str, args: &[&str]) -> Tool {
        let mut command = Command::new("java");
        // As light as a JVM gets: the tools run for a second or two.
        command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command
            .args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"])
            .arg(format!("{}/*", self.jars.display()))
            .arg(class)
            .args(["--bootstrap-server", self.servers]);
        let child = command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Tool { child: child.unwrap() }
    }

    fn finish(&self, mut tool: Tool) -> Printed {
        drop(tool.child.stdin.take());
        let mut stderr = tool.child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut text = String::new();
        tool.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        let ok = tool.child.wait().unwrap().success();
        Printed { text: text + &errors.join().unwrap(), ok }
    }
}

/// A tool that runs; it ends with this value.
struct Tool {
    child: Child,
}

impl Tool {
    /// Reads the next lines of its output.
    fn lines(mut self, count: usize) -> Vec<String> {
        let output = BufReader::new(self.child.stdout.take().unwrap());
        output.lines().take(count).map(Result::unwrap).collect()
    }

    /// Asks it to end in its own way, as Ctrl-C does, so that a consumer leaves its group.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.child.wait().unwrap();
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sorted(printed: &str, topic: &str) -> Vec<String> {
    let mut lines: Vec<_> =
        printed.lines().filter(|line| line.starts_with(topic)).map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

fn unique(name: &str) -> String {
    format!("{name}-{}", &uuid::Uuid::new_v4().simple().to_string()[..8])
}
