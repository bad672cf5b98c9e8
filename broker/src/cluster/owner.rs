//! The owner of a state machine: its lock, the requests that wait for it, and its timer. What the machine
//! decides is in a pure room; here it is carried out.
//!
//! No lock is held while something waits. A request that waits is woken by the step that answers it; when its
//! connection goes, only the waiting ends, and the machine is not told.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    task::AbortHandle,
};

use super::{Clock, Events};
use crate::{
    event::Event,
    machine::{Effect, Machine, RequestId},
    time::Moment,
};

/// What all owners of a broker share.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) clock: Clock,
    pub(crate) events: Arc<Events>,
    /// Where the timers run: the broker's own runtime, whoever takes the step.
    pub(crate) runtime: Handle,
}

/// The owner of one machine.
#[derive(Debug)]
pub(crate) struct Owner<M: Machine> {
    surroundings: Surroundings,
    desk: Mutex<Desk<M>>,
    /// Wakes the timer when a deadline came up that is sooner than the one it sleeps for.
    sooner: Arc<Notify>,
}

/// What lies behind the lock.
#[derive(Debug)]
struct Desk<M: Machine> {
    machine: M,
    /// Where the answers to parked requests go.
    parked: HashMap<RequestId, oneshot::Sender<M::Answer>>,
    last_request: RequestId,
    timer: Option<Timer>,
}

/// The task that sleeps until the next deadline; there is none while the machine has no deadline.
#[derive(Debug)]
struct Timer {
    at: Moment,
    task: AbortHandle,
}

#[cfg(test)]
impl Surroundings {
    /// Those of a test: its clock, and its own runtime.
    pub(crate) fn of_test(clock: Clock) -> Self {
        Self { clock, events: Arc::default(), runtime: Handle::current() }
    }
}

impl<M: Machine> Owner<M> {
    pub(crate) fn new(machine: M, surroundings: Surroundings) -> Arc<Self> {
        let desk = Desk { machine, parked: HashMap::new(), last_request: 0, timer: None };
        Arc::new(Self { surroundings, desk: Mutex::new(desk), sooner: Arc::default() })
    }

    /// Asks the machine something that changes nothing.
    pub(crate) fn read<T>(&self, ask: impl FnOnce(&M) -> T) -> T {
        ask(&self.desk.lock().machine)
    }

    /// Takes one step, and carries out what comes of it.
    pub(crate) fn step<T>(self: &Arc<Self>, act: impl FnOnce(&mut M, Moment) -> T) -> T {
        self.at_the_desk(|desk, now| act(&mut desk.machine, now))
    }

    /// Takes a step whose answer may have to wait, and waits for it. `None`: the machine is gone.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        act: impl FnOnce(&mut M, RequestId, Moment),
    ) -> Option<M::Answer> {
        let (sender, answer) = oneshot::channel();
        self.at_the_desk(|desk, now| {
            desk.last_request += 1;
            desk.parked.insert(desk.last_request, sender);
            act(&mut desk.machine, desk.last_request, now);
        });
        answer.await.ok()
    }

    fn at_the_desk<T>(self: &Arc<Self>, act: impl FnOnce(&mut Desk<M>, Moment) -> T) -> T {
        let mut desk = self.desk.lock();
        let outcome = act(&mut desk, self.surroundings.clock.now());
        let events = desk.carry_out();
        self.set_timer(&mut desk);
        drop(desk);
        self.surroundings.events.tell(events);
        outcome
    }

    /// Sees to it that the timer wakes at the next deadline. One that wakes too early sleeps on, so heartbeats,
    /// which only ever move a deadline away, do not wake it.
    fn set_timer(self: &Arc<Self>, desk: &mut Desk<M>) {
        let Some(at) = desk.machine.next_deadline() else { return };
        match &mut desk.timer {
            Some(timer) if timer.at <= at => {}
            Some(timer) => {
                timer.at = at;
                self.sooner.notify_one();
            }
            None => {
                let Surroundings { clock, runtime, .. } = &self.surroundings;
                let (owner, sooner) = (Arc::downgrade(self), Arc::clone(&self.sooner));
                let task = runtime.spawn(keep_time(owner, clock.clone(), sooner));
                desk.timer = Some(Timer { at, task: task.abort_handle() });
            }
        }
    }

    /// Lets happen what is due, and says when to look again.
    fn tick(&self) -> Option<Moment> {
        let mut desk = self.desk.lock();
        desk.machine.tick(self.surroundings.clock.now());
        let events = desk.carry_out();
        let next = desk.machine.next_deadline();
        match (next, &mut desk.timer) {
            (Some(at), Some(timer)) => timer.at = at,
            _ => desk.timer = None,
        }
        drop(desk);
        self.surroundings.events.tell(events);
        next
    }
}

impl<M: Machine> Drop for Owner<M> {
    fn drop(&mut self) {
        if let Some(timer) = &self.desk.get_mut().timer {
            timer.task.abort();
        }
    }
}

impl<M: Machine> Desk<M> {
    /// Answers the parked requests, and returns what is to be told once the lock is released.
    fn carry_out(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for effect in self.machine.take_effects() {
            match effect {
                Effect::Happened(event) => events.push(event),
                Effect::Answer(request, answer) => {
                    let sender = self.parked.remove(&request);
                    let sender = sender.expect("a machine answers a parked request once");
                    // Nobody listens any more if the connection has gone.
                    drop(sender.send(answer));
                }
            }
        }
        events
    }
}

async fn keep_time<M: Machine>(owner: Weak<Owner<M>>, clock: Clock, sooner: Arc<Notify>) {
    // The machine is not kept alive by its timer.
    while let Some(at) = owner.upgrade().and_then(|owner| owner.tick()) {
        tokio::select! {
            () = clock.sleep_until(at) => {}
            () = sooner.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, timeout};

    use super::*;

    /// Answers a request when its time has come.
    #[derive(Debug, Default)]
    struct EggTimer {
        eggs: Vec<(Moment, RequestId)>,
        effects: Vec<Effect<&'static str>>,
    }

    impl Machine for EggTimer {
        type Answer = &'static str;

        fn next_deadline(&self) -> Option<Moment> {
            self.eggs.iter().map(|(at, _)| *at).min()
        }

        fn tick(&mut self, now: Moment) {
            let done = |(at, _): &mut (Moment, RequestId)| *at <= now;
            for (_, request) in self.eggs.extract_if(.., done) {
                self.effects.push(Effect::Answer(request, "done"));
            }
        }

        fn take_effects(&mut self) -> Vec<Effect<&'static str>> {
            std::mem::take(&mut self.effects)
        }
    }

    fn owner(clock: Clock) -> Arc<Owner<EggTimer>> {
        Owner::new(EggTimer::default(), Surroundings::of_test(clock))
    }

    #[tokio::test(start_paused = true)]
    async fn a_parked_request_is_answered_at_its_deadline_and_a_sooner_one_sooner() {
        let owner = owner(Clock::default());
        let started = Instant::now();
        let boil = async |span| {
            let answer = owner.ask(|timer, request, now| timer.eggs.push((now + span, request)));
            (answer.await, started.elapsed().as_millis())
        };
        let (long, short) = tokio::join!(boil(5_000), boil(3_000));
        assert_eq!((long, short), ((Some("done"), 5_000), (Some("done"), 3_000)));
    }

    #[tokio::test]
    async fn a_timer_runs_on_the_runtime_of_the_broker_whoever_takes_the_step() {
        let clock = Clock::held(0);
        let owner = owner(clock.clone());
        let (request, answer) = oneshot::channel();
        owner.desk.lock().parked.insert(7, request);
        // A thread without a runtime.
        let step = || owner.step(|timer, now| timer.eggs.push((now + 1, 7)));
        std::thread::scope(|scope| scope.spawn(step).join().unwrap());
        clock.advance(1);
        assert_eq!(timeout(Duration::from_secs(10), answer).await, Ok(Ok("done")));
    }

    #[tokio::test]
    async fn who_waits_for_a_machine_that_goes_is_told() {
        let owner = owner(Clock::held(0));
        let (request, answer) = oneshot::channel();
        owner.desk.lock().parked.insert(7, request);
        owner.step(|timer, now| timer.eggs.push((now + 1, 7)));
        drop(owner);
        assert!(answer.await.is_err());
    }
}
