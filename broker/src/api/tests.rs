use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::{runtime, time::timeout};

use super::*;
use crate::{
    cluster::{Clock, NewTopic},
    settings::Settings,
    threads::Threads,
    wire::schema::{
        self,
        tests::filled::{fill, sparingly},
    },
};

#[tokio::test]
async fn a_handler_that_panics_is_an_answer() {
    assert_eq!(without_panic(pin!(async { 1 })).await, Some(1));
    assert_eq!(without_panic::<()>(pin!(async { panic!("a bug") })).await, None);
    let listing = Request {
        key: ApiKey::ListGroups,
        version: 0,
        correlation_id: 7,
        client_id: None,
        body: Bytes::new(),
        is_checked: false,
    };
    let refused = refuse(&listing, ErrorCode::UnknownServerError).unwrap();
    let bytes = refused.frame.unwrap().to_vec();
    assert_eq!(bytes, [0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0]);
    assert!(matches!(refused.then, Then::Keep));
}

#[test]
fn a_request_that_expects_no_answer_ends_its_connection() {
    // Produce, version 3: no transactional id, acks=0, a time-out, no topics.
    let body = Bytes::from_static(&[0xff, 0xff, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0]);
    let key = ApiKey::Produce;
    let produce =
        Request { key, version: 3, correlation_id: 7, client_id: None, body, is_checked: false };
    let refused = refuse(&produce, ErrorCode::ClusterAuthorizationFailed).unwrap();
    assert!(refused.frame.is_none());
    assert!(matches!(refused.then, Then::Close(_)));
}

/// Numbers at the ends of their range, names that exist, lists that repeat themselves: whatever a client sends, no
/// handler panics. Debug builds also panic where a number overflows.
#[test]
fn no_request_makes_a_handler_panic() {
    let runtime = runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.unwrap();
    let requests =
        (0..APIS.len(), any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..200));
    let config =
        ProptestConfig { cases: 2_400, failure_persistence: None, ..ProptestConfig::default() };
    let answered = TestRunner::new(config).run(&requests, |(api, version, choices)| {
        let served = &APIS[api];
        let versions: Vec<i16> = (served.min..=served.max).collect();
        let version = *version.get(&versions);
        let message = &schema::api(served.key as i16).unwrap().request;
        let body = Bytes::from(fill(message, version, &mut sparingly(&choices)));
        let client_id = Some(StrBytes::from_static_str("a"));
        let (key, is_checked) = (served.key, false);
        let request = Request { key, version, correlation_id: 7, client_id, body, is_checked };
        runtime.block_on(is_answered(request));
        Ok(())
    });
    answered.unwrap();
}

/// Has a request answered by a cluster with the topics that filled requests name.
async fn is_answered(mut request: Request) {
    let threads = Threads::shared().unwrap();
    let cluster = Arc::new(Cluster::new(Settings::default(), Clock::default(), threads, None));
    for name in ["a", "orders"] {
        let new = NewTopic { name: name.to_owned(), partitions: 2, overrides: BTreeMap::new() };
        cluster.topics.create(new, false).unwrap();
    }
    let address = ([127, 0, 0, 1], 9092).into();
    let session = Session::plaintext(address, address);
    let cx = Context {
        cluster: &cluster,
        session: &session,
        client_id: request.client_id.clone(),
        version: request.version,
    };
    let asked = request.clone();
    let handler = pin!(dispatch(&cx, &mut request));
    let answered = without_panic(handler);
    // One that waits has not panicked either.
    if let Ok(answered) = timeout(Duration::from_secs(3_600), answered).await {
        assert!(answered.is_some(), "this panicked: {asked:?}");
    }
}
