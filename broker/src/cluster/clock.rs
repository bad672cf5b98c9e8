//! The one clock of a broker: it runs by itself, or it is held and moves only when told to.
//!
//! * [`Clock::wall`]: what records are stamped with and checked against. It follows the machine's clock, which can
//!   jump, as after a laptop's sleep.
//! * [`Clock::now`] and [`Clock::sleep_until`]: for deadlines. They never jump with the wall.
//! * [`Clock::real_now`]: real time even if the clock is held, for clients that wait: sockets and fetches.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::time::{Millis, Moment, Timestamp};

#[derive(Clone, Debug)]
pub(crate) struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Real {
        started: Instant,
    },
    #[cfg_attr(not(test), allow(dead_code, reason = "so far only tests hold a clock"))]
    Held(Arc<Held>),
}

/// A clock in somebody's hand.
#[derive(Debug)]
struct Held {
    wall: Mutex<Timestamp>,
    now: watch::Sender<Moment>,
}

impl Default for Clock {
    /// A clock that runs by itself.
    fn default() -> Self {
        Self(Source::Real { started: Self::real_now() })
    }
}

impl Clock {
    /// A clock that stands still until [`Clock::advance`].
    #[cfg(test)]
    pub(crate) fn held(wall: Timestamp) -> Self {
        let now = watch::Sender::new(Moment::default());
        Self(Source::Held(Arc::new(Held { wall: Mutex::new(wall), now })))
    }

    /// The time that a record made now has.
    pub(crate) fn wall(&self) -> Timestamp {
        match &self.0 {
            Source::Real { .. } => {
                let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                millis(since_epoch.unwrap_or_default())
            }
            Source::Held(held) => *held.wall.lock(),
        }
    }

    /// The moment from which deadlines count.
    pub(crate) fn now(&self) -> Moment {
        match &self.0 {
            Source::Real { started } => Moment(millis(started.elapsed())),
            Source::Held(held) => *held.now.borrow(),
        }
    }

    /// Waits until a moment; one that has passed is now.
    pub(crate) async fn sleep_until(&self, at: Moment) {
        match &self.0 {
            Source::Real { started } => {
                let after = Duration::from_millis(u64::try_from(at.0).unwrap_or(0));
                sleep_until(*started + after).await;
            }
            Source::Held(held) => {
                let mut now = held.now.subscribe();
                now.wait_for(|now| *now >= at).await.expect("the held clock is borrowed here");
            }
        }
    }

    /// Real time. Only connections and waiting fetches may use it: a client waits in real time.
    pub(crate) fn real_now() -> Instant {
        Instant::now()
    }
}

#[cfg(test)]
impl Clock {
    /// Moves a held clock: whoever sleeps until then wakes.
    pub(crate) fn advance(&self, by: Millis) {
        let Source::Held(held) = &self.0 else { panic!("only a held clock can be advanced") };
        *held.wall.lock() += by;
        held.now.send_modify(|now| *now = *now + by);
    }

    /// Lets the wall of a held clock jump, as a machine's does after its sleep.
    pub(crate) fn jump(&self, by: Millis) {
        let Source::Held(held) = &self.0 else { panic!("only a held clock can jump") };
        *held.wall.lock() += by;
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_held_clock_wakes_sleepers_when_it_is_advanced() {
        let clock = Clock::held(1_000);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(Moment(7_000)).await }
        });
        clock.advance(6_999);
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(1);
        sleeper.await.unwrap();
        assert_eq!((clock.wall(), clock.now()), (8_000, Moment(7_000)));
    }

    #[tokio::test]
    async fn a_wall_that_jumps_moves_no_deadline() {
        let clock = Clock::held(1_000);
        clock.jump(-500);
        assert_eq!((clock.wall(), clock.now()), (500, Moment(0)));
    }

    #[tokio::test]
    async fn the_real_clock_tells_the_wall_of_the_machine() {
        let clock = Clock::default();
        let machine = || millis(SystemTime::UNIX_EPOCH.elapsed().unwrap());
        let before = machine();
        let told = clock.wall();
        assert!((before..=machine()).contains(&told));
    }
}
