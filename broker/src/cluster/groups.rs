//! All groups of the broker, by their ids. Each has an [`Owner`]; what a group decides is in `group`.
//!
//! A member whose connection has gone is still counted in until its time-out, as Kafka does, which does not
//! notice a connection that goes meanwhile either.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use super::owner::{Owner, Surroundings};
use crate::{
    error_code::ErrorCode,
    event::TopicEvent,
    group::{
        Answer, Committer, Group, GroupSettings, JoinAnswer, JoinError, JoinRequest, Leaving, Left,
        NewOffset, SyncAnswer, SyncRequest,
    },
    settings::Settings,
};

/// The groups. This broker coordinates every one of them. The lock of the map is never held while a group's
/// own lock is taken, so that a busy group holds up nobody but its own members.
#[derive(Debug)]
pub(crate) struct Groups {
    settings: GroupSettings,
    surroundings: Surroundings,
    all: Mutex<BTreeMap<String, Arc<Owner<Group>>>>,
}

impl Groups {
    pub(crate) fn new(settings: &Settings, surroundings: Surroundings) -> Self {
        let size = |bytes| usize::try_from(bytes).unwrap_or(0);
        let settings = GroupSettings {
            initial_rebalance_delay: settings.group_initial_rebalance_delay_ms.into(),
            min_session_timeout: settings.group_min_session_timeout_ms.into(),
            max_session_timeout: settings.group_max_session_timeout_ms.into(),
            max_size: size(settings.group_max_size),
            offset_metadata_max: size(settings.offset_metadata_max_bytes),
            max_record_size: size(settings.message_max_bytes),
        };
        Self { settings, surroundings, all: Mutex::default() }
    }

    /// Joins a group, and waits until its generation begins. A client without a member id makes the group.
    pub(crate) async fn join(&self, group_id: &str, join: JoinRequest) -> JoinAnswer {
        join.check(&self.settings)?;
        let is_new = join.member_id.is_empty();
        let Some(group) = self.find(group_id, is_new) else {
            return Err(JoinError { error: ErrorCode::UnknownMemberId, member_id: join.member_id });
        };
        match group.ask(|group, request, now| group.join(join, request, now)).await {
            Some(Answer::Join(answer)) => answer,
            Some(Answer::Sync(_)) => unreachable!("a join is answered as a join"),
            None => Err(JoinError {
                error: ErrorCode::CoordinatorNotAvailable,
                member_id: String::new(),
            }),
        }
    }

    /// Asks for the member's assignment, and waits until the leader has made it.
    pub(crate) async fn sync(&self, group_id: &str, sync: SyncRequest) -> SyncAnswer {
        let group = self.find(group_id, false).ok_or(ErrorCode::UnknownMemberId)?;
        match group.ask(|group, request, now| group.sync(sync, request, now)).await {
            Some(Answer::Sync(answer)) => answer,
            Some(Answer::Join(_)) => unreachable!("a sync is answered as a sync"),
            None => Err(ErrorCode::CoordinatorNotAvailable),
        }
    }

    /// See [`Group::heartbeat`]; an unknown group is `UNKNOWN_MEMBER_ID`.
    pub(crate) fn heartbeat(
        &self,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        let group = self.find(group_id, false).ok_or(ErrorCode::UnknownMemberId)?;
        group.step(|group, now| group.heartbeat(member_id, instance_id, generation, now))
    }

    /// See [`Group::leave`]; in an unknown group every member is unknown.
    pub(crate) fn leave(
        &self,
        group_id: &str,
        leaving: Vec<Leaving>,
    ) -> Result<Vec<Left>, ErrorCode> {
        let Some(group) = self.find(group_id, false) else {
            let unknown = |Leaving { member_id, instance_id }| Left {
                member_id,
                instance_id,
                result: Err(ErrorCode::UnknownMemberId),
            };
            return Ok(leaving.into_iter().map(unknown).collect());
        };
        group.step(|group, now| group.leave(leaving, now))
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
        let group = self.find(group_id, is_simple).ok_or(ErrorCode::GroupIdNotFound)?;
        group.step(|group, now| group.commit(committer, offsets, now))
    }

    /// Asks a group something; `None` if there is no such group.
    pub(crate) fn read<T>(&self, group_id: &str, ask: impl FnOnce(&Group) -> T) -> Option<T> {
        Some(self.find(group_id, false)?.read(ask))
    }

    /// Asks every group something, in the order of their ids.
    pub(crate) fn read_all<T>(&self, mut ask: impl FnMut(&Group) -> T) -> Vec<T> {
        self.owners().iter().map(|group| group.read(&mut ask)).collect()
    }

    /// Deletes a group with its offsets.
    ///
    /// # Errors
    ///
    /// `GROUP_ID_NOT_FOUND`, or `NON_EMPTY_GROUP` while it has members.
    pub(crate) fn delete(&self, group_id: &str) -> Result<(), ErrorCode> {
        let group = self.find(group_id, false).ok_or(ErrorCode::GroupIdNotFound)?;
        group.step(|group, _| group.delete())?;
        self.all.lock().remove(group_id);
        Ok(())
    }

    /// See [`Group::delete_offsets`]; an unknown group is `GROUP_ID_NOT_FOUND`.
    pub(crate) fn delete_offsets(
        &self,
        group_id: &str,
        partitions: &[(Arc<str>, i32)],
    ) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
        let group = self.find(group_id, false).ok_or(ErrorCode::GroupIdNotFound)?;
        group.step(|group, _| group.delete_offsets(partitions))
    }

    /// See [`Group::topics_changed`].
    pub(crate) fn topics_changed(&self, events: &[TopicEvent]) {
        for group in self.owners() {
            group.step(|group, _| group.topics_changed(events));
        }
    }

    fn owners(&self) -> Vec<Arc<Owner<Group>>> {
        self.all.lock().values().cloned().collect()
    }

    fn find(&self, group_id: &str, or_make: bool) -> Option<Arc<Owner<Group>>> {
        let mut all = self.all.lock();
        if let Some(group) = all.get(group_id) {
            return Some(Arc::clone(group));
        }
        or_make.then(|| {
            let group = Group::new(group_id, self.settings);
            let group = Owner::new(group, self.surroundings.clone());
            all.insert(group_id.to_owned(), Arc::clone(&group));
            group
        })
    }
}

#[cfg(test)]
mod tests {
    //! On tokio's paused clock time only passes when everybody waits: then it jumps to the next deadline.

    use std::time::Duration;

    use bytes::Bytes;
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::{cluster::Clock, event::TopicChange, group::Protocol, time::Millis};

    const SESSION: Millis = 6_000;

    fn groups(overrides: &[(&str, &str)]) -> Arc<Groups> {
        groups_at(Clock::default(), overrides)
    }

    /// Unless `overrides` say otherwise, a new group does not wait for more members.
    fn groups_at(clock: Clock, overrides: &[(&str, &str)]) -> Arc<Groups> {
        let mut settings = Settings::default();
        settings.set("group.initial.rebalance.delay.ms", "0").unwrap();
        for (name, value) in overrides {
            settings.set(name, value).unwrap();
        }
        Arc::new(Groups::new(&settings, Surroundings::of_test(clock)))
    }

    fn joining(member_id: &str) -> JoinRequest {
        JoinRequest {
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

    fn syncing(
        member_id: &str,
        generation: i32,
        assignments: &[(&str, &'static str)],
    ) -> SyncRequest {
        let assignments = assignments
            .iter()
            .map(|(id, assignment)| ((*id).to_owned(), Bytes::from_static(assignment.as_bytes())));
        SyncRequest {
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
    async fn without_a_delay_the_first_assignment_needs_no_waiting() {
        let groups = groups(&[]);
        let before = Instant::now();
        let joined = groups.join("g", joining("")).await.unwrap();
        let id = joined.member_id.as_str();
        let synced = groups.sync("g", syncing(id, 1, &[(id, "all")])).await.unwrap();
        assert_eq!(synced.assignment, "all");
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    /// librdkafka opens a second connection 50 ms after its first, so consumers that start together join so.
    #[tokio::test(start_paused = true)]
    async fn two_members_that_join_50_ms_apart_begin_one_generation() {
        let groups = Groups::new(&Settings::default(), Surroundings::of_test(Clock::default()));
        let before = Instant::now();
        let late = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            groups.join("g", joining("")).await.unwrap()
        };
        let (first, second) = tokio::join!(groups.join("g", joining("")), late);
        assert_eq!((first.unwrap().generation, second.generation), (1, 1));
        assert!(before.elapsed() < Duration::from_millis(200));
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
        let long = JoinRequest { session_timeout: 60_000, ..joining("") };
        let joined = groups.join("g", long).await.unwrap();
        groups.sync("g", syncing(&joined.member_id, 1, &[])).await.unwrap();
        settle().await;
        let given = JoinRequest { needs_member_id: true, ..joining("") };
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

    #[tokio::test]
    async fn who_waits_for_a_busy_group_holds_up_no_other() {
        let groups = groups(&[]);
        for id in ["a", "b", "c"] {
            groups.find(id, true).unwrap();
        }
        std::thread::scope(|scope| {
            let (busy, is_busy) = std::sync::mpsc::channel();
            let (end, ends) = std::sync::mpsc::channel::<()>();
            let (listing, is_listing) = std::sync::mpsc::channel();
            let (done, is_done) = std::sync::mpsc::channel();
            let groups = &groups;
            scope.spawn(move || {
                groups.read("b", |_| {
                    busy.send(()).unwrap();
                    ends.recv().unwrap_or_default();
                })
            });
            is_busy.recv().unwrap();
            // A list of all groups asks `a`, and then has to wait for `b`.
            scope.spawn(move || groups.read_all(|group| listing.send(group.id().to_owned())));
            assert_eq!(is_listing.recv().unwrap(), "a");
            scope.spawn(move || done.send(groups.heartbeat("c", "m", None, 1)));
            let heard = is_done.recv_timeout(Duration::from_secs(10));
            drop(end);
            assert_eq!(heard, Ok(Err(ErrorCode::UnknownMemberId)));
        });
    }

    #[tokio::test(start_paused = true)]
    async fn groups_come_and_go() {
        let groups = groups(&[]);
        let nobody = Committer { member_id: String::new(), instance_id: None, generation: -1 };
        let member = Committer { generation: 1, ..nobody.clone() };
        let offset = NewOffset {
            topic: "orders".into(),
            partition: 0,
            offset: 5,
            leader_epoch: 0,
            metadata: String::new(),
        };
        let unknown = groups.join("g", joining("m")).await.unwrap_err();
        assert_eq!(unknown.error, ErrorCode::UnknownMemberId);
        let too_short = JoinRequest { session_timeout: 1, ..joining("") };
        let refused = groups.join("g", too_short).await.unwrap_err();
        assert_eq!(refused.error, ErrorCode::InvalidSessionTimeout);
        let refused = groups.commit("g", &member, vec![offset.clone()]);
        assert_eq!(refused, Err(ErrorCode::GroupIdNotFound));
        assert_eq!(groups.read("g", Group::state_name), None, "none of these made the group");

        assert_eq!(groups.commit("g", &nobody, vec![offset]), Ok(vec![Ok(())]));
        let committed = |group: &Group| group.committed("orders", 0).map(|found| found.offset);
        assert_eq!(groups.read("g", committed), Some(Some(5)));
        assert_eq!(groups.read_all(|group| group.id().to_owned()), ["g"]);
        let topic = "orders".to_owned();
        groups.topics_changed(&[TopicEvent { topic, change: TopicChange::Deleted }]);
        assert_eq!(groups.read("g", committed), Some(None));
        assert_eq!(groups.delete("g"), Ok(()));
        assert_eq!(groups.delete("g"), Err(ErrorCode::GroupIdNotFound));
    }
}
