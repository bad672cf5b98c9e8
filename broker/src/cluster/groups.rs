//! The groups as the connections share them: one owner each, with its lock, the requests that wait for it, and
//! its timer. What a group decides is in `group`; here it is carried out.
//!
//! No lock is held while something waits. A join or a sync that waits is woken by the step that answers it;
//! when its connection goes, only the waiting ends. The group still counts the member in until its time-out,
//! as Kafka does, which does not notice a connection that goes meanwhile either.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot},
    task::AbortHandle,
    time::sleep_until,
};

use super::Clock;
use crate::{
    ErrorCode, Millis,
    group::{
        self, Committer, Effect, Group, Join, JoinAnswer, Leaving, Left, NewOffset, Refused,
        RequestId, Sync, SyncAnswer,
    },
    settings::Settings,
};

/// All groups of the broker, which coordinates every one of them.
#[derive(Debug)]
pub(crate) struct Groups {
    settings: group::Settings,
    clock: Clock,
    all: Mutex<BTreeMap<String, Arc<Coordinator>>>,
}

impl Groups {
    pub(crate) fn new(settings: &Settings, clock: Clock) -> Self {
        let settings = group::Settings {
            initial_rebalance_delay: settings.group_initial_rebalance_delay_ms.into(),
            min_session_timeout: settings.group_min_session_timeout_ms.into(),
            max_session_timeout: settings.group_max_session_timeout_ms.into(),
            max_size: usize::try_from(settings.group_max_size).unwrap_or(0),
            offset_metadata_max: usize::try_from(settings.offset_metadata_max_bytes).unwrap_or(0),
        };
        Self { settings, clock, all: Mutex::default() }
    }

    /// Joins a group, and waits until its generation begins. A client without a member id makes the group.
    pub(crate) async fn join(&self, group_id: &str, join: Join) -> JoinAnswer {
        join.check(&self.settings)?;
        let is_new = join.member_id.is_empty();
        let Some(coordinator) = self.find(group_id, is_new) else {
            return Err(Refused { error: ErrorCode::UnknownMemberId, member_id: join.member_id });
        };
        let (sender, answer) = oneshot::channel();
        coordinator.step(|desk, now| {
            let request = desk.park(Waiting::Join(sender));
            ((), desk.group.join(join, request, now))
        });
        answer.await.unwrap_or_else(|_| {
            Err(Refused { error: ErrorCode::CoordinatorNotAvailable, member_id: String::new() })
        })
    }

    /// Asks for the member's assignment, and waits until the leader has made it.
    pub(crate) async fn sync(&self, group_id: &str, sync: Sync) -> SyncAnswer {
        let coordinator = self.find(group_id, false).ok_or(ErrorCode::UnknownMemberId)?;
        let (sender, answer) = oneshot::channel();
        coordinator.step(|desk, now| {
            let request = desk.park(Waiting::Sync(sender));
            ((), desk.group.sync(sync, request, now))
        });
        answer.await.unwrap_or(Err(ErrorCode::CoordinatorNotAvailable))
    }

    /// See [`Group::heartbeat`]; an unknown group is `UNKNOWN_MEMBER_ID`.
    pub(crate) fn heartbeat(
        &self,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        let coordinator = self.find(group_id, false).ok_or(ErrorCode::UnknownMemberId)?;
        coordinator.step(|desk, now| {
            (desk.group.heartbeat(member_id, instance_id, generation, now), Vec::new())
        })
    }

    /// See [`Group::leave`]; in an unknown group every member is unknown.
    pub(crate) fn leave(
        &self,
        group_id: &str,
        leaving: Vec<Leaving>,
    ) -> Result<Vec<Left>, ErrorCode> {
        let Some(coordinator) = self.find(group_id, false) else {
            let unknown = |Leaving { member_id, instance_id }| Left {
                member_id,
                instance_id,
                result: Err(ErrorCode::UnknownMemberId),
            };
            return Ok(leaving.into_iter().map(unknown).collect());
        };
        coordinator.step(|desk, now| match desk.group.leave(leaving, now) {
            Ok((left, effects)) => (Ok(left), effects),
            Err(error) => (Err(error), Vec::new()),
        })
    }

    /// See [`Group::commit`]. A simple consumer makes the group; for a member an unknown group is
    /// `GROUP_ID_NOT_FOUND`.
    pub(crate) fn commit(
        &self,
        group_id: &str,
        committer: &Committer,
        offsets: Vec<NewOffset>,
    ) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
        let is_simple = committer.generation < 0;
        let coordinator = self.find(group_id, is_simple).ok_or(ErrorCode::GroupIdNotFound)?;
        coordinator.step(|desk, now| (desk.group.commit(committer, offsets, now), Vec::new()))
    }

    /// Asks a group something; `None` if there is no such group.
    pub(crate) fn read<T>(&self, group_id: &str, ask: impl FnOnce(&Group) -> T) -> Option<T> {
        let coordinator = self.find(group_id, false)?;
        let desk = coordinator.desk.lock();
        Some(ask(&desk.group))
    }

    /// Asks every group something, in the order of their ids.
    pub(crate) fn read_all<T>(&self, mut ask: impl FnMut(&str, &Group) -> T) -> Vec<T> {
        let all = self.all.lock();
        all.iter().map(|(id, coordinator)| ask(id, &coordinator.desk.lock().group)).collect()
    }

    /// Deletes a group with its offsets.
    ///
    /// # Errors
    ///
    /// `GROUP_ID_NOT_FOUND`, or `NON_EMPTY_GROUP` while it has members.
    pub(crate) fn delete(&self, group_id: &str) -> Result<(), ErrorCode> {
        let mut all = self.all.lock();
        let coordinator = all.get(group_id).ok_or(ErrorCode::GroupIdNotFound)?;
        coordinator.desk.lock().group.delete()?;
        all.remove(group_id);
        Ok(())
    }

    /// See [`Group::delete_offsets`]; an unknown group is `GROUP_ID_NOT_FOUND`.
    pub(crate) fn delete_offsets(
        &self,
        group_id: &str,
        partitions: &[(String, i32)],
    ) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
        let coordinator = self.find(group_id, false).ok_or(ErrorCode::GroupIdNotFound)?;
        coordinator.desk.lock().group.delete_offsets(partitions)
    }

    /// The topic was deleted, and what was committed for it is void.
    pub(crate) fn forget_topic(&self, topic: &str) {
        for coordinator in self.all.lock().values() {
            coordinator.desk.lock().group.forget_topic(topic);
        }
    }

    fn find(&self, group_id: &str, or_make: bool) -> Option<Arc<Coordinator>> {
        let mut all = self.all.lock();
        if let Some(coordinator) = all.get(group_id) {
            return Some(Arc::clone(coordinator));
        }
        or_make.then(|| {
            let group = Group::new(group_id, self.settings);
            let coordinator = Arc::new(Coordinator::new(group, self.clock.clone()));
            all.insert(group_id.to_owned(), Arc::clone(&coordinator));
            coordinator
        })
    }
}

/// The owner of one group.
#[derive(Debug)]
struct Coordinator {
    clock: Clock,
    desk: Mutex<Desk>,
    /// Wakes the timer when a deadline came up that is sooner than the one it sleeps for.
    sooner: Arc<Notify>,
}

/// What lies behind the lock.
#[derive(Debug)]
struct Desk {
    group: Group,
    waiting: HashMap<RequestId, Waiting>,
    last_request: RequestId,
    timer: Option<Timer>,
}

/// Where the answer to a waiting request goes.
#[derive(Debug)]
enum Waiting {
    Join(oneshot::Sender<JoinAnswer>),
    Sync(oneshot::Sender<SyncAnswer>),
}

/// The task that sleeps until the group's next deadline; there is none while the group has no deadline.
#[derive(Debug)]
struct Timer {
    at: Millis,
    task: AbortHandle,
}

impl Coordinator {
    fn new(group: Group, clock: Clock) -> Self {
        let desk = Desk { group, waiting: HashMap::new(), last_request: 0, timer: None };
        Self { clock, desk: Mutex::new(desk), sooner: Arc::default() }
    }

    /// Does one thing with the group and carries out what comes of it.
    fn step<T>(self: &Arc<Self>, act: impl FnOnce(&mut Desk, Millis) -> (T, Vec<Effect>)) -> T {
        let mut desk = self.desk.lock();
        let (outcome, effects) = act(&mut desk, self.clock.now());
        desk.carry_out(effects);
        self.set_timer(&mut desk);
        outcome
    }

    /// Sees to it that the timer wakes at the next deadline. One that wakes too early sleeps on, so heartbeats,
    /// which only ever move a deadline away, do not wake it.
    fn set_timer(self: &Arc<Self>, desk: &mut Desk) {
        let Some(at) = desk.group.next_deadline() else { return };
        match &mut desk.timer {
            Some(timer) if timer.at <= at => {}
            Some(timer) => {
                timer.at = at;
                self.sooner.notify_one();
            }
            None => {
                let (clock, sooner) = (self.clock.clone(), Arc::clone(&self.sooner));
                let task = tokio::spawn(keep_time(Arc::downgrade(self), clock, sooner));
                desk.timer = Some(Timer { at, task: task.abort_handle() });
            }
        }
    }

    /// Lets happen what is due, and says when to look again.
    fn tick(&self) -> Option<Millis> {
        let mut desk = self.desk.lock();
        let effects = desk.group.tick(self.clock.now());
        desk.carry_out(effects);
        let next = desk.group.next_deadline();
        match (next, &mut desk.timer) {
            (Some(at), Some(timer)) => timer.at = at,
            _ => desk.timer = None,
        }
        next
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        if let Some(timer) = &self.desk.get_mut().timer {
            timer.task.abort();
        }
    }
}

impl Desk {
    fn park(&mut self, waiting: Waiting) -> RequestId {
        self.last_request += 1;
        self.waiting.insert(self.last_request, waiting);
        self.last_request
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let (Effect::Join(request, _) | Effect::Sync(request, _)) = &effect;
            // Nobody listens any more if the connection has gone.
            match (self.waiting.remove(request), effect) {
                (Some(Waiting::Join(sender)), Effect::Join(_, answer)) => drop(sender.send(answer)),
                (Some(Waiting::Sync(sender)), Effect::Sync(_, answer)) => drop(sender.send(answer)),
                _ => unreachable!("a group answers a request once, and in kind"),
            }
        }
    }
}

async fn keep_time(coordinator: Weak<Coordinator>, clock: Clock, sooner: Arc<Notify>) {
    // The group is not kept alive by its timer.
    while let Some(at) = coordinator.upgrade().and_then(|coordinator| coordinator.tick()) {
        tokio::select! {
            () = sleep_until(clock.instant(at)) => {}
            () = sooner.notified() => {}
        }
    }
}
