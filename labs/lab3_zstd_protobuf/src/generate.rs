//! Events as a web site would send them. The same seed gives the same events.
//!
//! Compression uses what repeats, so every figure of this lab depends on this mix:
//!
//! * 10 % of the events are registrations, 50 % logins, 40 % logouts.
//! * There are 2,000 users at first. A few of them come often, and most come rarely.
//! * A user keeps one browser and one address.
//! * The ids of events and sessions are random, like all UUIDs. No codec makes them smaller.

use crate::event::{EventType, UserEvent, UserEventData};
use fake::Fake as _;
use fake::faker::internet::en::{FreeEmail, IPv4, UserAgent, Username};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::{BTreeMap, VecDeque};

/// Users who registered before the first event.
const USERS: usize = 2_000;
/// Browsers in the world, more or less.
const BROWSERS: usize = 40;

/// Events without end, from this moment on (milliseconds since 1970).
pub fn events(seed: u64, start: i64) -> Events {
    let mut rng = StdRng::seed_from_u64(seed);
    let browsers: Vec<String> =
        (0..BROWSERS).map(|_| UserAgent().fake_with_rng(&mut rng)).collect();
    let mut events =
        Events { rng, now: start, browsers, users: Vec::new(), sessions: VecDeque::new() };
    for _ in 0..USERS {
        events.new_user();
    }
    events
}

#[derive(Debug)]
pub struct Events {
    rng: StdRng,
    now: i64,
    browsers: Vec<String>,
    users: Vec<User>,
    /// Who is logged in, the longest first.
    sessions: VecDeque<Session>,
}

#[derive(Debug, Clone)]
struct User {
    id: String,
    email: String,
    username: String,
    browser: String,
    ip: String,
}

#[derive(Debug)]
struct Session {
    user: usize,
    id: String,
    since: i64,
}

impl Iterator for Events {
    type Item = UserEvent;

    fn next(&mut self) -> Option<UserEvent> {
        Some(self.another())
    }
}

impl Events {
    pub fn another(&mut self) -> UserEvent {
        self.now += self.rng.random_range(1..200);
        match self.rng.random_range(0..10) {
            0 => self.registered(),
            1..6 => self.login(),
            _ => self.logout(),
        }
    }

    fn registered(&mut self) -> UserEvent {
        let user = self.new_user();
        let source = self.pick(&["search", "newsletter", "friend", "advertisement"]);
        let locale = self.pick(&["en-US", "en-GB", "de-DE", "fr-FR", "ja-JP"]);
        let User { email, username, browser, ip, .. } = self.users[user].clone();
        let metadata =
            [("ip", ip), ("locale", locale), ("source", source), ("user_agent", browser)];
        self.event(user, EventType::UserRegistered, Some((email, username)), metadata)
    }

    fn login(&mut self) -> UserEvent {
        // The square of a number below 1 is mostly small: the first users come most often.
        let often = self.rng.random::<f64>().powi(2);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the number of users"
        )]
        let user = (often * self.users.len() as f64) as usize;
        let id = self.uuid();
        self.sessions.push_back(Session { user, id: id.clone(), since: self.now });
        let method = self.pick(&["password", "password", "passkey", "oauth"]);
        let User { browser, ip, .. } = self.users[user].clone();
        let metadata =
            [("ip", ip), ("method", method), ("session_id", id), ("user_agent", browser)];
        self.event(user, EventType::UserLogin, None, metadata)
    }

    fn logout(&mut self) -> UserEvent {
        let Some(Session { user, id, since }) = self.sessions.pop_front() else {
            return self.login();
        };
        let seconds = (self.now - since) / 1000;
        let reason = self.pick(&["user", "user", "timeout"]);
        let metadata =
            [("duration_s", seconds.to_string()), ("reason", reason), ("session_id", id)];
        self.event(user, EventType::UserLogout, None, metadata)
    }

    #[allow(clippy::needless_update, reason = "the exercise adds fields to the schema")]
    fn event<const N: usize>(
        &mut self,
        user: usize,
        event_type: EventType,
        names: Option<(String, String)>,
        metadata: [(&str, String); N],
    ) -> UserEvent {
        let (email, username) = names.unzip();
        let metadata: BTreeMap<_, _> =
            metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        UserEvent {
            event_id: self.uuid(),
            timestamp: self.now,
            user_id: self.users[user].id.clone(),
            event_type: event_type.into(),
            data: Some(UserEventData { email, username, metadata }),
            ..UserEvent::default()
        }
    }

    fn new_user(&mut self) -> usize {
        let n = self.users.len();
        let rng = &mut self.rng;
        self.users.push(User {
            id: format!("user-{n:06}"),
            email: FreeEmail().fake_with_rng(rng),
            username: Username().fake_with_rng(rng),
            browser: self.browsers.choose(rng).cloned().unwrap_or_default(),
            ip: IPv4().fake_with_rng(rng),
        });
        n
    }

    fn pick(&mut self, words: &[&str]) -> String {
        words.choose(&mut self.rng).copied().unwrap_or_default().to_owned()
    }

    fn uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.rng.random()).into_uuid().to_string()
    }
}

/// `bytes` letters and digits that no codec makes much smaller than three quarters.
pub fn noise(seed: u64, bytes: usize) -> String {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..bytes).map(|_| char::from(rng.sample(rand::distr::Alphanumeric))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_seed_gives_the_same_events() {
        let first: Vec<_> = events(7, 0).take(100).collect();
        assert_eq!(first, events(7, 0).take(100).collect::<Vec<_>>());
        assert_ne!(first, events(8, 0).take(100).collect::<Vec<_>>());
    }

    #[test]
    fn the_mix_is_the_promised_one() {
        let events: Vec<_> = events(1, 0).take(10_000).collect();
        let share = |wanted: EventType| {
            events.iter().filter(|event| event.event_type == i32::from(wanted)).count()
        };
        assert!((900..1100).contains(&share(EventType::UserRegistered)));
        assert!((4800..5200).contains(&share(EventType::UserLogin)));
        assert!((3800..4200).contains(&share(EventType::UserLogout)));
        let ids: BTreeSet<_> = events.iter().map(|event| &event.event_id).collect();
        assert_eq!(ids.len(), events.len());
        assert!(events.is_sorted_by_key(|event| event.timestamp));
    }

    #[test]
    fn nobody_logs_out_who_did_not_log_in() {
        let mut sessions = BTreeSet::new();
        for event in events(3, 0).take(5_000) {
            let mut data = event.data.unwrap();
            let session = data.metadata.remove("session_id");
            match EventType::try_from(event.event_type).unwrap() {
                EventType::UserLogin => assert!(sessions.insert(session.unwrap())),
                EventType::UserLogout => assert!(sessions.remove(&session.unwrap())),
                _ => assert!(data.email.is_some()),
            }
        }
    }
}
