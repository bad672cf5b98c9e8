//! Fuzzing: whatever frames come, no handler panics, and a valid request is answered.
//!
//! It runs for a moment with the other tests, on stable Rust. `make fuzz` runs it for longer. A failure names the seed
//! to repeat it with (`BOLERO_RANDOM_SEED`).

use std::{
    cell::Cell,
    net::{Ipv4Addr, SocketAddr},
    panic,
    pin::pin,
    sync::{Arc, Once},
    task::{Context, Poll, Waker},
};

use bolero::TypeGenerator;
use bytes::Bytes;

use crate::{
    api::{self, Session},
    cluster::{Clock, Cluster, NewTopic},
    settings::Settings,
    threads::Threads,
    wire::{
        Request,
        schema::{
            self,
            tests::filled::{fill, sparingly},
        },
    },
};

/// One frame: a valid request, unless it is damaged or cut off.
#[derive(Clone, Debug, TypeGenerator)]
struct Shot {
    api: u8,
    version: u8,
    /// What stands in the fields.
    choices: Vec<u8>,
    /// Where bytes are replaced, and by what.
    damage: Vec<(u16, u8)>,
    cut: Option<u16>,
}

impl Shot {
    /// The frame, and whether it is valid.
    fn frame(&self) -> (Bytes, bool) {
        let api = &api::APIS[usize::from(self.api) % api::APIS.len()];
        let versions = usize::try_from(api.max - api.min).unwrap() + 1;
        let version = api.min + i16::try_from(usize::from(self.version) % versions).unwrap();
        let key = api.key as i16;
        let message = &schema::api(key).unwrap().request;
        let mut body = fill(message, version, &mut sparingly(&self.choices));
        let length = body.len();
        for (at, byte) in self.damage.iter().filter(|_| length > 0) {
            body[usize::from(*at) % length] = *byte;
        }
        if let Some(cut) = self.cut {
            body.truncate(usize::from(cut) % (length + 1));
        }
        let mut frame = [key, version].map(i16::to_be_bytes).concat();
        frame.extend([0, 0, 0, 7, 0, 1, b'c']);
        // No tagged fields in the header.
        frame.extend((schema::request_header_version(key, version) == Some(2)).then_some(0));
        frame.extend(body);
        (frame.into(), self.damage.is_empty() && self.cut.is_none())
    }
}

#[test]
fn any_frames_are_answered_or_end_their_connection() {
    bolero::check!().with_type::<Vec<Shot>>().for_each(|shots| {
        let threads = Threads::shared().unwrap();
        let _runtime = threads.handle().enter();
        let mut settings = Settings::default();
        settings.set("group.initial.rebalance.delay.ms", "0").unwrap();
        let cluster = Arc::new(Cluster::new(settings, Clock::held(0), threads.clone(), None));
        let new = NewTopic { name: "orders".to_owned(), partitions: 2, overrides: [].into() };
        cluster.topics.create(new, false).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9092));
        let session = Session::plaintext(address, address);
        for shot in shots {
            let (frame, is_valid) = shot.frame();
            let answered = panics(|| answer_at_once(&cluster, &session, &frame));
            // The schema is stricter than what may be in a frame, so a damaged one can still be valid.
            assert!(
                answered || !is_valid,
                "{shot:?} is valid, and it was not answered: {frame:02x?}"
            );
        }
    });
}

/// Is the frame answered, or does the request wait? Its client does not, and goes.
fn answer_at_once(cluster: &Arc<Cluster>, session: &Session, frame: &Bytes) -> bool {
    let Ok(request) = Request::parse(frame) else { return false };
    let answer = pin!(api::answer(cluster, session, request));
    match answer.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answered) => answered.is_ok(),
        Poll::Pending => true,
    }
}

thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// Does something, and fails if a panic was caught on the way: a client would only see an error code.
fn panics<T>(act: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
    let before = PANICS.get();
    let done = act();
    assert_eq!(PANICS.get(), before, "a handler has panicked");
    done
}
