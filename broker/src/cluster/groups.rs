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
    runtime::Handle,
    sync::{Notify, oneshot},
    task::AbortHandle,
};

use super::Clock;
use crate::{
    error_code::ErrorCode,
    group::{
        self, Committer, Effect, Group, Join, JoinAnswer, Leaving, Left, NewOffset, Refused,
        RequestId, Sync, SyncAnswer,
    },
    settings::Settings,
    time::Moment,
};

/// All groups of the broker, which coordinates every one of them.
#[derive(Debug)]
pub(crate) struct Groups {
    settings: group::Settings,
    clock: Clock,
    runtime: Handle,
    all: Mutex<BTreeMap<String, Arc<Coordinator>>>,
}

impl Groups {
    pub(crate) fn new(settings: &Settings, clock: Clock, runtime: Handle) -> Self {
        let settings = group::Settings {
            initial_rebalance_delay: settings.group_initial_rebalance_delay_ms.into(),
            min_session_timeout: settings.group_min_session_timeout_ms.into(),
            max_session_timeout: settings.group_max_session_timeout_ms.into(),
            max_size: usize::try_from(settings.group_max_size).unwrap_or(0),
            offset_metadata_max: usize::try_from(settings.offset_metadata_max_bytes).unwrap_or(0),
        };
        Self { settings, clock, runtime, all: Mutex::default() }
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
            let coordinator = Coordinator::new(group, self.clock.clone(), self.runtime.clone());
            let coordinator = Arc::new(coordinator);
            all.insert(group_id.to_owned(), Arc::clone(&coordinator));
            coordinator
        })
    }
}

/// The owner of one group.
#[derive(Debug)]
struct Coordinator {
    clock: Clock,
    /// Where its timer runs.
    runtime: Handle,
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
    at: Moment,
    task: AbortHandle,
}

impl Coordinator {
    fn new(group: Group, clock: Clock, runtime: Handle) -> Self {
        let desk = Desk { group, waiting: HashMap::new(), last_request: 0, timer: None };
        Self { clock, runtime, desk: Mutex::new(desk), sooner: Arc::default() }
    }

    /// Does one thing with the group and carries out what comes of it.
    fn step<T>(self: &Arc<Self>, act: impl FnOnce(&mut Desk, Moment) -> (T, Vec<Effect>)) -> T {
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
                let task = self.runtime.spawn(keep_time(Arc::downgrade(self), clock, sooner));
                desk.timer = Some(Timer { at, task: task.abort_handle() });
            }
        }
    }

    /// Lets happen what is due, and says when to look again.
    fn tick(&self) -> Option<Moment> {
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
            () = clock.sleep_until(at) => {}
            () = sooner.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    //! On tokio's paused clock time only passes when everybody waits: then it jumps to the next deadline.

    use std::time::Duration;

    use bytes::Bytes;
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::{group::Protocol, time::Millis};

    const SESSION: Millis = 6_000;

    fn groups(overrides: &[(&str, &str)]) -> Arc<Groups> {
        groups_at(Clock::default(), overrides)
    }

    fn groups_at(clock: Clock, overrides: &[(&str, &str)]) -> Arc<Groups> {
        let mut settings = Settings::default();
        for (name, value) in overrides {
            settings.set(name, value).unwrap();
        }
        Arc::new(Groups::new(&settings, clock, Handle::current()))
    }

    fn joining(member_id: &str) -> Join {
        Join {
            member_id: member_id.to_owned(),
            instance_id: None,
            client_id: "c".to_owned(),
            client_host: String::new(),
            session_timeout: SESSION,
            rebalance_timeout: 60_000,
            protocol_type: "consumer".to_owned(),
            protocols: vec![Protocol { name: "range".to_owned(), metadata: Bytes::new() }],
            needs_member_id: false,
            can_skip_assignment: true,
            uuid: uuid::Uuid::new_v4().to_string(),
        }
    }

    fn syncing(member_id: &str, generation: i32, assignments: &[(&str, &'static str)]) -> Sync {
        let assignments = assignments
            .iter()
            .map(|(id, assignment)| ((*id).to_owned(), Bytes::from_static(assignment.as_bytes())));
        Sync {
            member_id: member_id.to_owned(),
            instance_id: None,
            generation,
            protocol_type: None,
            protocol_name: None,
            assignments: assignments.collect(),
        }
    }

    fn state(groups: &Groups) -> &'static str {
        groups.read("g", Group::state_name).unwrap()
    }

    /// Lets what was spawned run until it waits.
    async fn settle() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_assignment_needs_no_waiting() {
        let groups = groups(&[]);
        let before = Instant::now();
        let joined = groups.join("g", joining("")).await.unwrap();
        let id = joined.member_id.as_str();
        let synced = groups.sync("g", syncing(id, 1, &[(id, "all")])).await.unwrap();
        assert_eq!(synced.assignment, "all");
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_initial_delay_is_waited_for_when_it_is_set() {
        let groups = groups(&[("group.initial.rebalance.delay.ms", "3000")]);
        let before = Instant::now();
        let (one, two) = tokio::join!(groups.join("g", joining("")), groups.join("g", joining("")));
        assert_eq!((one.unwrap().generation, two.unwrap().generation), (1, 1));
        // The second member came while the first was waiting, and extended the delay once.
        assert_eq!(before.elapsed(), Duration::from_secs(6));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_members_are_woken_by_the_leader() {
        let groups = groups(&[]);
        let m1 = groups.join("g", joining("")).await.unwrap().member_id;
        groups.sync("g", syncing(&m1, 1, &[])).await.unwrap();

        let before = Instant::now();
        let second = tokio::spawn({
            let groups = Arc::clone(&groups);
            async move {
                let joined = groups.join("g", joining("")).await.unwrap();
                groups.sync("g", syncing(&joined.member_id, joined.generation, &[])).await.unwrap()
            }
        });
        settle().await;
        let refused = groups.heartbeat("g", &m1, None, 1);
        assert_eq!(refused, Err(ErrorCode::RebalanceInProgress));
        let joined = groups.join("g", joining(&m1)).await.unwrap();
        settle().await;
        assert!(!second.is_finished(), "no assignment before the leader has made it");
        let m2 = &joined.members[1].id;
        groups.sync("g", syncing(&m1, joined.generation, &[(m2, "half")])).await.unwrap();
        assert_eq!(second.await.unwrap().assignment, "half");
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_member_is_removed_when_its_session_ends() {
        let groups = groups(&[]);
        let joined = groups.join("g", joining("")).await.unwrap();
        groups.sync("g", syncing(&joined.member_id, 1, &[])).await.unwrap();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(5_999)).await;
            groups.heartbeat("g", &joined.member_id, None, 1).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(5_999)).await;
        settle().await;
        assert_eq!(state(&groups), "Stable");
        tokio::time::sleep(Duration::from_millis(1)).await;
        settle().await;
        assert_eq!(state(&groups), "Empty");
    }

    #[tokio::test]
    async fn a_held_clock_ends_a_session_when_it_is_advanced_and_not_when_the_wall_jumps() {
        let clock = Clock::held(0);
        let groups = groups_at(clock.clone(), &[]);
        let joined = groups.join("g", joining("")).await.unwrap();
        groups.sync("g", syncing(&joined.member_id, 1, &[])).await.unwrap();
        clock.jump(SESSION);
        settle().await;
        assert_eq!(state(&groups), "Stable");
        clock.advance(SESSION);
        settle().await;
        assert_eq!(state(&groups), "Empty");
    }

    #[tokio::test(start_paused = true)]
    async fn a_nearer_deadline_wakes_the_timer() {
        let groups = groups(&[]);
        let long = Join { session_timeout: 60_000, ..joining("") };
        let joined = groups.join("g", long).await.unwrap();
        groups.sync("g", syncing(&joined.member_id, 1, &[])).await.unwrap();
        settle().await;
        let given = Join { needs_member_id: true, ..joining("") };
        let refused = groups.join("g", given).await.unwrap_err();
        assert_eq!(refused.error, ErrorCode::MemberIdRequired);
        tokio::time::sleep(Duration::from_secs(6)).await;
        settle().await;
        let late = groups.join("g", joining(&refused.member_id)).await.unwrap_err();
        assert_eq!(late.error, ErrorCode::UnknownMemberId);
    }

    #[tokio::test(start_paused = true)]
    async fn a_join_whose_connection_has_gone_holds_nobody_up_for_ever() {
        let groups = groups(&[]);
        let m1 = groups.join("g", joining("")).await.unwrap().member_id;
        groups.sync("g", syncing(&m1, 1, &[])).await.unwrap();
        let given_up = timeout(Duration::from_millis(1), groups.join("g", joining(""))).await;
        assert!(given_up.is_err());

        // It is a member of the next generation, and leaves it by not syncing.
        let joined = groups.join("g", joining(&m1)).await.unwrap();
        assert_eq!(joined.members.len(), 2);
        groups.sync("g", syncing(&m1, joined.generation, &[])).await.unwrap();
        let alone = async {
            loop {
                tokio::time::sleep(Duration::from_secs(3)).await;
                if groups.heartbeat("g", &m1, None, joined.generation).is_err() {
                    return groups.join("g", joining(&m1)).await.unwrap().members.len();
                }
            }
        };
        assert_eq!(alone.await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_runs_only_while_there_is_something_to_wait_for() {
        let groups = groups(&[]);
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        let joined = groups.join("g", joining("")).await.unwrap();
        settle().await;
        assert_eq!(tasks(), before + 1);
        let leaving = Leaving { member_id: joined.member_id, instance_id: None };
        groups.leave("g", vec![leaving]).unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        settle().await;
        assert_eq!((state(&groups), tasks()), ("Empty", before));

        groups.join("g", joining("")).await.unwrap();
        settle().await;
        assert_eq!(tasks(), before + 1);
        drop(groups);
        settle().await;
        assert_eq!(tasks(), before, "the timer does not outlive the broker");
    }

    #[tokio::test(start_paused = true)]
    async fn groups_come_and_go() {
        let groups = groups(&[]);
        let nobody = Committer { member_id: String::new(), instance_id: None, generation: -1 };
        let member = Committer { generation: 1, ..nobody.clone() };
        let offset = NewOffset {
            topic: "orders".to_owned(),
            partition: 0,
            offset: 5,
            leader_epoch: 0,
            metadata: String::new(),
        };
        let unknown = groups.join("g", joining("m")).await.unwrap_err();
        assert_eq!(unknown.error, ErrorCode::UnknownMemberId);
        let too_short = Join { session_timeout: 1, ..joining("") };
        let refused = groups.join("g", too_short).await.unwrap_err();
        assert_eq!(refused.error, ErrorCode::InvalidSessionTimeout);
        let refused = groups.commit("g", &member, vec![offset.clone()]);
        assert_eq!(refused, Err(ErrorCode::GroupIdNotFound));
        assert_eq!(groups.read("g", Group::state_name), None, "none of these made the group");

        assert_eq!(groups.commit("g", &nobody, vec![offset]), Ok(vec![Ok(())]));
        let committed = |group: &Group| group.committed("orders", 0).map(|found| found.offset);
        assert_eq!(groups.read("g", committed), Some(Some(5)));
        assert_eq!(groups.read_all(|id, _| id.to_owned()), ["g"]);
        groups.forget_topic("orders");
        assert_eq!(groups.read("g", committed), Some(None));
        assert_eq!(groups.delete("g"), Ok(()));
        assert_eq!(groups.delete("g"), Err(ErrorCode::GroupIdNotFound));
    }
}
