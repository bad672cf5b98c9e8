//! One member of a group.

use bytes::Bytes;

use super::RequestId;
use super::join::Join;
use crate::time::{Millis, Moment};

/// An assignor that a member can use, with what it tells that assignor (for consumers: its subscription).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Protocol {
    pub(crate) name: String,
    pub(crate) metadata: Bytes,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: String,
    /// Set for static members (KIP-345): the name that outlives a restart.
    pub(super) instance_id: Option<String>,
    client_id: String,
    client_host: String,
    pub(super) session_timeout: Millis,
    pub(super) rebalance_timeout: Millis,
    /// In the member's order of preference.
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    pub(super) waiting: Waiting,
    /// When silence ends the membership. `None` while the member waits for the group and not the other way round.
    pub(super) session_ends: Option<Moment>,
    /// Has not been answered since it joined, so it does not know its id and cannot send heartbeats.
    pub(super) is_new: bool,
}

/// The request of a member that is parked until the group moves on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Waiting {
    Nothing,
    Join(RequestId),
    Sync(RequestId),
}

impl Member {
    pub(super) fn new(join: Join, request: RequestId) -> Self {
        Member {
            id: join.member_id,
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            protocols: join.protocols,
            assignment: Bytes::new(),
            waiting: Waiting::Join(request),
            session_ends: None,
            is_new: true,
        }
    }

    pub(super) fn awaits_join(&self) -> bool {
        matches!(self.waiting, Waiting::Join(_))
    }

    /// A sign of life: the session starts over.
    pub(super) fn renew_session(&mut self, now: Moment) {
        self.session_ends = Some(now + self.session_timeout);
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|supported| supported.name == protocol)
    }

    /// What the member tells this assignor; nothing if it does not have it.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|supported| supported.name == protocol);
        found.map(|supported| supported.metadata.clone()).unwrap_or_default()
    }

    pub(super) fn describe(&self, protocol: Option<&str>) -> DescribedMember<'_> {
        DescribedMember {
            id: &self.id,
            instance_id: self.instance_id.as_deref(),
            client_id: &self.client_id,
            client_host: &self.client_host,
            metadata: protocol.map(|protocol| self.metadata(protocol)).unwrap_or_default(),
            assignment: self.assignment.clone(),
        }
    }
}

/// A group as DescribeGroups shows it.
#[derive(Debug)]
pub(crate) struct Described<'a> {
    pub(crate) state: &'static str,
    pub(crate) protocol_type: &'a str,
    /// The assignor; empty unless the group is stable.
    pub(crate) protocol: &'a str,
    pub(crate) members: Vec<DescribedMember<'a>>,
}

/// A member as DescribeGroups shows it.
#[derive(Debug)]
pub(crate) struct DescribedMember<'a> {
    pub(crate) id: &'a str,
    pub(crate) instance_id: Option<&'a str>,
    pub(crate) client_id: &'a str,
    pub(crate) client_host: &'a str,
    /// What it told the assignor; empty unless the group is stable.
    pub(crate) metadata: Bytes,
    pub(crate) assignment: Bytes,
}
