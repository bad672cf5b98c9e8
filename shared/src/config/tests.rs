use super::*;
use serde::Deserialize;

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct TestLab {
    mode: String,
    batch: u32,
    way: Way,
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    #[default]
    Left,
    Right,
}

const PROGRAM: Program<'_> = Program {
    name: "lab",
    file: "lab.toml",
    clients: &[Client::Producer, Client::Consumer],
    defaults: &[(Client::Consumer, "enable.auto.offset.store", "false")],
};

const FILE: &str = r#"[kafka]
bootstrap.servers = "file:1"
[topic]
name = "t"
partitions = 6
[lab]
mode = "keyed"
[producer]
linger.ms = 7
"acks" = "all"
enable.idempotence = true
[consumer]
group.id = "g"
"#;

fn resolve_with(
    text: &str,
    flags: &Flags,
    dot_env: &[(&str, &str)],
    environment: &[(&str, &str)],
) -> Result<Config<TestLab>, ConfigError> {
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let surroundings = Surroundings { dot_env: owned(dot_env), environment: owned(environment) };
    Config::resolve(&PROGRAM, flags, Path::new("/x/lab.toml"), text, &surroundings)
}

fn resolve(text: &str) -> Result<Config<TestLab>, ConfigError> {
    resolve_with(text, &Flags::default(), &[], &[])
}

/// The sentence about `[topic] name = "t"` followed by `text`, which stands from line 3 on.
fn refused(text: &str) -> String {
    resolve(&format!("[topic]\nname = \"t\"\n{text}")).unwrap_err().to_string()
}

fn value(config: &Config<TestLab>, client: Client, name: &str) -> String {
    config.property(client, name).unwrap().value.clone()
}

#[test]
fn a_file_is_understood() {
    let config = resolve(FILE).unwrap();
    assert_eq!((config.topic.name.as_str(), config.topic.partitions), ("t", 6));
    assert_eq!(config.lab, TestLab { mode: "keyed".into(), ..TestLab::default() });
    assert_eq!(config.bootstrap_servers(), "file:1");
    assert_eq!(value(&config, Client::Producer, "linger.ms"), "7");
    assert_eq!(value(&config, Client::Producer, "acks"), "all");
    assert_eq!(value(&config, Client::Producer, "enable.idempotence"), "true");
    assert_eq!(value(&config, Client::Consumer, "enable.auto.offset.store"), "false");
    assert_eq!(config.property(Client::Consumer, "linger.ms"), None);
    assert_eq!(config.client(Client::Consumer).get("client.id"), Some("lab"));
    assert_eq!(config.admin().get("group.id"), None);
}

#[test]
fn the_two_spellings_of_a_dotted_name_are_the_same() {
    for spelling in
        ["linger.ms = 5", "\"linger.ms\" = 5", "linger = { ms = 5 }", "linger.\"ms\" = \"5\""]
    {
        let config = resolve(&format!("[topic]\nname = \"t\"\n[producer]\n{spelling}\n")).unwrap();
        assert_eq!(value(&config, Client::Producer, "linger.ms"), "5", "{spelling}");
    }
    assert_eq!(
        refused("[producer]\nlinger.ms = 5\n\"linger.ms\" = 6\n"),
        "lab.toml:5: linger.ms was given already, at lab.toml:4."
    );
}

#[test]
fn numbers_and_truths_become_text_as_written() {
    let config = resolve(
        "[topic]\nname = \"t\"\n[kafka]\nsocket.keepalive.enable = true\n[producer]\nlinger.ms = 0.50\nbatch.size = 1_000_000\n\
         queue.buffering.max.messages = 0x10\n",
    )
    .unwrap();
    assert_eq!(value(&config, Client::Producer, "linger.ms"), "0.50");
    assert_eq!(value(&config, Client::Producer, "batch.size"), "1000000");
    assert_eq!(value(&config, Client::Producer, "queue.buffering.max.messages"), "16");
    assert_eq!(value(&config, Client::Producer, "socket.keepalive.enable"), "true");
}

#[test]
fn a_name_may_be_the_beginning_of_another_when_one_is_quoted() {
    let config =
        resolve("[topic]\nname = \"t\"\n[consumer]\n\"group.protocol\" = \"classic\"\ngroup.protocol.type = \"consumer\"\n")
            .unwrap();
    assert_eq!(value(&config, Client::Consumer, "group.protocol"), "classic");
    assert_eq!(value(&config, Client::Consumer, "group.protocol.type"), "consumer");

    let sentence =
        refused("[consumer]\ngroup.protocol = \"classic\"\ngroup.protocol.type = \"consumer\"\n");
    assert!(sentence.starts_with("lab.toml:5: "), "{sentence}");
    assert!(sentence.contains("put the longer one in quotes"), "{sentence}");
}

#[test]
fn later_layers_win() {
    let address = |flags: &Flags, dot_env: &[_], environment: &[_]| {
        let config = resolve_with(FILE, flags, dot_env, environment).unwrap();
        let setting = config.property(Client::Producer, "bootstrap.servers").unwrap().clone();
        format!("{} ({})", setting.value, setting.origin)
    };
    let none = Flags::default();
    let flag = Flags { bootstrap_server: Some("flag:1".into()), ..Flags::default() };
    assert_eq!(address(&none, &[], &[]), "file:1 (lab.toml:2)");
    assert_eq!(
        address(&none, &[("KAFKA_HOST_IP", "10.1.1.16")], &[]),
        "10.1.1.16:9092 (.env, KAFKA_HOST_IP)"
    );
    assert_eq!(
        address(&none, &[("KAFKA_BROKER", "d:1")], &[("KAFKA_BROKER", "e:1")]),
        "e:1 (environment, KAFKA_BROKER)"
    );
    assert_eq!(
        address(
            &none,
            &[],
            &[("KAFKA_HOST_IP", "h"), ("KAFKA_BROKER", "b:1"), ("KAFKA_BOOTSTRAP_SERVERS", "s:1")]
        ),
        "s:1 (environment, KAFKA_BOOTSTRAP_SERVERS)"
    );
    assert_eq!(
        address(&none, &[], &[("KAFKA_BROKER", ""), ("KAFKA_HOST_IP", "::1")]),
        "[::1]:9092 (environment, KAFKA_HOST_IP)"
    );
    assert_eq!(address(&flag, &[], &[("KAFKA_BROKER", "e:1")]), "flag:1 (--bootstrap-server)");

    let none = resolve("[topic]\nname = \"t\"\n").unwrap();
    assert_eq!(none.bootstrap_servers(), DEFAULT_BOOTSTRAP_SERVERS);
}

#[test]
fn an_address_or_a_group_without_a_value_is_refused() {
    let flags = Flags { bootstrap_server: Some(String::new()), ..Flags::default() };
    assert_eq!(
        resolve_with(FILE, &flags, &[], &[]).unwrap_err().to_string(),
        "--bootstrap-server: bootstrap.servers is empty; give a value, as in 127.0.0.1:9092."
    );
    let mut config = resolve(FILE).unwrap();
    assert_eq!(
        config.set(Client::Consumer, "group.id", "", "--group").unwrap_err().to_string(),
        "--group: group.id is empty; give a value, as in lab1-keyed."
    );
}

#[test]
fn the_source_is_the_file_with_what_flags_have_changed() {
    let properties = vec![("linger.ms".into(), "9".into()), ("client.id".into(), "me".into())];
    let flags = Flags { properties, ..Flags::default() };
    let config = resolve_with(FILE, &flags, &[], &[]).unwrap();
    assert_eq!(config.source(), "lab.toml, -X client.id=me, -X linger.ms=9");
}

#[test]
fn a_property_flag_goes_to_the_client_that_owns_it() {
    let flags = |name: &str, value: &str| Flags {
        properties: vec![(name.into(), value.into())],
        ..Flags::default()
    };
    let config = resolve_with(FILE, &flags("linger.ms", "9"), &[], &[]).unwrap();
    assert_eq!(value(&config, Client::Producer, "linger.ms"), "9");
    assert_eq!(
        config.property(Client::Producer, "linger.ms").unwrap().origin.to_string(),
        "-X linger.ms"
    );
    assert_eq!(config.property(Client::Consumer, "linger.ms"), None);

    let config = resolve_with(FILE, &flags("client.id", "me"), &[], &[]).unwrap();
    assert_eq!(value(&config, Client::Producer, "client.id"), "me");
    assert_eq!(config.admin().get("client.id"), Some("me"));

    let program = Program { clients: &[Client::Consumer], ..PROGRAM };
    let surroundings = Surroundings { dot_env: vec![], environment: vec![] };
    let refused = Config::<TestLab>::resolve(
        &program,
        &flags("linger.ms", "9"),
        Path::new("lab.toml"),
        FILE,
        &surroundings,
    );
    assert_eq!(
        refused.unwrap_err().to_string(),
        "-X linger.ms: linger.ms is a producer's property, and lab has no producer."
    );
}

#[test]
fn what_nobody_knows_is_refused_with_the_nearest_name() {
    assert_eq!(
        refused("[lab]\nmoed = \"keyed\"\n"),
        "lab.toml:4: there is no key moed in [lab]; did you mean mode?"
    );
    assert_eq!(
        refused("[lab]\nzzz = 1\n"),
        "lab.toml:4: there is no key zzz in [lab]; known: mode, batch, way."
    );
    assert!(
        refused("[prodcer]\n")
            .starts_with("lab.toml:3: there is no section [prodcer]; did you mean producer?")
    );
    assert!(
        refused("[producer]\nlingr.ms = 5\n").starts_with(
            "lab.toml:4: librdkafka has no property lingr.ms; did you mean linger.ms?"
        )
    );
    assert!(refused("[producer]\nbuffer.memory = 5\n").contains("queue.buffering.max.kbytes"));
    assert_eq!(
        refused("[producer]\ngroup.id = \"g\"\n"),
        "lab.toml:4: group.id is a consumer's property: put it in [consumer]."
    );
    assert_eq!(
        refused("[kafka]\nacks = 1\n"),
        "lab.toml:4: acks is for the producer alone: put it in [producer]."
    );
    assert!(refused("[producer]\nacks = \"many\"\n").starts_with("lab.toml:4: acks = many: "));
    assert!(refused("[producer]\nacks = [1, 2]\n").contains("must be a string"));
}

#[test]
fn wrong_values_of_our_own_are_refused_with_their_line() {
    assert_eq!(
        refused("[lab]\nbatch = \"many\"\n"),
        "lab.toml:4: batch = \"many\": the value must be a whole number, 0 or more."
    );
    assert_eq!(
        refused("partitions = \"three\"\n"),
        "lab.toml:3: partitions = \"three\": the value must be a whole number, as in 3."
    );
    assert_eq!(
        refused("[lab]\nway = \"up\"\n"),
        "lab.toml:4: way = \"up\": the value must be left or right."
    );
    assert_eq!(
        resolve("[topic]\nname = \"t\"\npartitions = 0\n").unwrap_err().to_string(),
        "lab.toml:3: a topic has 1 partition or more."
    );
    assert!(refused("[lab\n").starts_with("lab.toml:3: "));
    assert!(
        resolve("bootstrap = 1\n[topic]\nname = \"t\"\n")
            .unwrap_err()
            .to_string()
            .contains("outside of a section")
    );
    assert!(resolve("").unwrap_err().to_string().contains("no topic"));
}

#[test]
fn a_dump_shows_values_origins_and_defaults_but_no_passwords() {
    let text = format!("{FILE}session.timeout.ms = 45000\n[kafka.sasl]\npassword = \"hush\"\n");
    let dump = resolve(&text).unwrap().dump();
    assert!(dump.contains("[kafka]\nbootstrap.servers = file:1"), "{dump}");
    let line = |name: &str| dump.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(line("linger.ms").ends_with("# lab.toml:9, default 5"), "{dump}");
    assert!(line("session.timeout.ms").ends_with("librdkafka's default"), "{dump}");
    assert!(line("mode").ends_with("# lab.toml:7"), "{dump}");
    assert!(line("batch").ends_with("# built in"), "{dump}");
    assert!(line("sasl.password").starts_with("sasl.password = ********"), "{dump}");
    assert!(!dump.contains("hush"), "{dump}");
}

#[test]
fn a_diff_shows_what_differs_and_nothing_else() {
    let keyed = resolve(FILE).unwrap();
    let other = resolve(&FILE.replace("keyed", "sticky").replace("linger.ms = 7", "")).unwrap();
    assert_eq!(
        keyed.diff("a.toml", &other, "b.toml"),
        "                    a.toml  b.toml\nlab.mode            keyed   sticky\nproducer.linger.ms  7       -\n"
    );
    assert_eq!(keyed.diff("a", &keyed, "b"), "a and b say the same.\n");
}

#[test]
fn a_file_is_found_in_the_folders_above_up_to_the_workspace() {
    let outer = tempfile::tempdir().unwrap();
    let workspace = outer.path().join("workspace");
    let inner = workspace.join("labs/lab1");
    std::fs::create_dir_all(&inner).unwrap();
    std::fs::write(outer.path().join("outside.toml"), "").unwrap();
    std::fs::write(workspace.join("Cargo.lock"), "").unwrap();
    std::fs::write(workspace.join("lab.toml"), "").unwrap();
    assert_eq!(find_upwards(&inner, Path::new("lab.toml")), Some(workspace.join("lab.toml")));
    assert_eq!(find_upwards(&inner, Path::new("outside.toml")), None);
    assert_eq!(find_upwards(&inner, &workspace.join("lab.toml")), Some(workspace.join("lab.toml")));
}

/// librdkafka ends this reason with a line break.
#[test]
fn a_value_out_of_range_is_one_line() {
    let error = super::property::check("compression.level", "22").unwrap_err();
    assert!(error.contains("-1..12") && !error.contains('\n'), "{error:?}");
}
