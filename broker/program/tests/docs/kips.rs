//! Links to Kafka Improvement Proposals. A document says `[KIP-511]`; where that leads stands at its end.

/// The titles in Kafka's wiki, as they stand in an address.
const TITLES: &[(u32, &str)] = &[
    (74, "%3A+Add+Fetch+Response+Size+Limit+in+Bytes"),
    (98, "+-+Exactly+Once+Delivery+and+Transactional+Messaging"),
    (
        101,
        "+-+Alter+Replication+Protocol+to+use+Leader+Epoch+rather+than+High+Watermark+for+Truncation",
    ),
    (107, "%3A+Add+deleteRecordsBefore%28%29+API+in+AdminClient"),
    (133, "%3A+Describe+and+Alter+Configs+Admin+APIs"),
    (195, "%3A+AdminClient.createPartitions"),
    (227, "%3A+Introduce+Incremental+FetchRequests+to+Increase+Partition+Scalability"),
    (320, "%3A+Allow+fetchers+to+detect+and+handle+log+truncation"),
    (345, "%3A+Introduce+static+membership+protocol+to+reduce+consumer+rebalances"),
    (360, "%3A+Improve+reliability+of+idempotent%2Ftransactional+producer"),
    (392, "%3A+Allow+consumers+to+fetch+from+closest+replica"),
    (394, "%3A+Require+member.id+for+initial+join+group+request"),
    (430, "+-+Return+Authorized+Operations+in+Describe+Responses"),
    (447, "%3A+Producer+scalability+for+exactly+once+semantics"),
    (464, "%3A+Defaults+for+AdminClient%23createTopic"),
    (482, "%3A+The+Kafka+Protocol+should+Support+Optional+Tagged+Fields"),
    (496, "%3A+Administrative+API+to+delete+consumer+offsets"),
    (511, "%3A+Collect+and+Expose+Client%27s+Name+and+Version+in+the+Brokers"),
    (525, "+-+Return+topic+metadata+and+configs+in+CreateTopics+response"),
    (559, "%3A+Make+the+Kafka+Protocol+Friendlier+with+L7+Proxies"),
    (
        569,
        "%3A+DescribeConfigsResponse+-+Update+the+schema+to+include+additional+metadata+information+of+the+field",
    ),
    (584, "%3A+Versioning+scheme+for+features"),
    (595, "%3A+A+Raft+Protocol+for+the+Metadata+Quorum"),
    (699, "%3A+Update+FindCoordinator+to+resolve+multiple+Coordinators+at+a+time"),
    (700, "%3A+Add+Describe+Cluster+API"),
    (709, "%3A+Extend+OffsetFetch+requests+to+accept+multiple+group+ids"),
    (714, "%3A+Client+metrics+and+observability"),
    (724, "%3A+Drop+support+for+message+formats+v0+and+v1"),
    (800, "%3A+Add+reason+to+JoinGroupRequest+and+LeaveGroupRequest"),
    (814, "%3A+Static+membership+protocol+should+let+the+leader+skip+assignment"),
    (848, "%3A+The+Next+Generation+of+the+Consumer+Rebalance+Protocol"),
    (896, "%3A+Remove+old+client+protocol+API+versions+in+Kafka+4.0"),
    (932, "%3A+Queues+for+Kafka"),
];

/// The document with a link at every KIP outside of code.
pub(crate) fn linked(document: &str) -> String {
    let mut text = String::new();
    let mut named = Vec::new();
    let mut is_code = false;
    for line in document.lines().filter(|line| !line.starts_with("[KIP-")) {
        is_code ^= line.starts_with("```");
        if is_code {
            text += line;
        } else {
            text += &link(line, &mut named);
        }
        text.push('\n');
    }
    named.sort_unstable();
    named.dedup();
    let mut text = text.trim_end().to_owned() + "\n";
    for (position, number) in named.iter().enumerate() {
        let title = TITLES.iter().find(|(known, _)| known == number);
        let (_, title) = title.unwrap_or_else(|| panic!("where is KIP-{number} to be read?"));
        let gap = if position == 0 { "\n" } else { "" };
        text += &format!(
            "{gap}[KIP-{number}]: https://cwiki.apache.org/confluence/display/KAFKA/KIP-{number}{title}\n"
        );
    }
    text
}

fn link(line: &str, named: &mut Vec<u32>) -> String {
    let mut linked = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("KIP-") {
        let (before, found) = rest.split_at(at);
        let digits = found[4..].find(|c: char| !c.is_ascii_digit()).unwrap_or(found.len() - 4);
        let (kip, after) = found.split_at(4 + digits);
        linked += before;
        let is_word = before.is_empty() || before.ends_with([' ', '(', '[', ':', ',']);
        match kip[4..].parse() {
            Ok(number) if is_word => {
                named.push(number);
                let is_linked = before.ends_with('[');
                linked += &if is_linked { kip.to_owned() } else { format!("[{kip}]") };
            }
            _ => linked += kip,
        }
        rest = after;
    }
    linked + rest
}
