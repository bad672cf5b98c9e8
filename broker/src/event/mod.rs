//! What can happen in a broker, in types and in words.
//!
//! An event is told after the fact. A pure room returns it as an effect; `cluster::events` writes it to the
//! log and hands it to those who listen. Names that come from clients are escaped in the words, so that no
//! name can forge a log line.

use std::fmt;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Topic(TopicEvent),
    Group(GroupEvent),
}

/// A topic has changed. For groups this is an input, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicEvent {
    pub(crate) topic: String,
    pub(crate) change: TopicChange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopicChange {
    /// A client created the topic.
    Created {
        partitions: i32,
    },
    /// A client used a topic that was not there (`auto.create.topics.enable`).
    CreatedOnDemand {
        partitions: i32,
    },
    /// It has this many partitions now.
    Grown {
        partitions: i32,
    },
    Deleted,
}

/// A group has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupEvent {
    pub(crate) group: String,
    pub(crate) generation: i32,
    pub(crate) change: GroupChange,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GroupChange {
    /// Members must join again.
    PreparingRebalance(Reason),
    /// A generation begins; its leader is to assign.
    AllJoined { members: usize },
    /// Every member can learn what it is to do.
    Stable,
    /// The last member has gone.
    Empty,
    /// A member is no member any more.
    MemberGone { member: String, why: Gone },
    /// A member id that was given out in advance has lapsed (KIP-394).
    MemberIdUnused { member: String },
    /// A static member was restarted (KIP-345).
    StaticMemberReplaced { old: String, new: String },
    /// The group was deleted with its offsets.
    Deleted,
}

/// Why a member is no member any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    Left,
    FellSilent,
    DidNotRejoin,
    DidNotSync,
}

/// Why a group rebalances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    NewMember(String),
    LeaderRejoined(String),
    ChangedMetadata(String),
    StaticMemberReplaced { old: String, new: String },
    FellSilent(String),
    MembersLeft,
    DidNotSync,
    AssignmentTooLarge,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Topic(TopicEvent { topic, change }) => {
                write!(f, "topic {}: {change}", topic.escape_debug())
            }
            Event::Group(GroupEvent { group, generation, change }) => {
                write!(f, "group {}, generation {generation}: {change}", group.escape_debug())
            }
        }
    }
}

impl fmt::Display for TopicChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created { partitions } => write!(f, "created with {partitions} partition(s)"),
            Self::CreatedOnDemand { partitions } => {
                write!(f, "created with {partitions} partition(s) because a client asked for it")
            }
            Self::Grown { partitions } => write!(f, "has {partitions} partitions now"),
            Self::Deleted => f.write_str("deleted"),
        }
    }
}

impl fmt::Display for GroupChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreparingRebalance(reason) => write!(f, "preparing to rebalance: {reason}"),
            Self::AllJoined { members } => write!(f, "all {members} member(s) have joined"),
            Self::Stable => f.write_str("stable: the leader has sent the assignment"),
            Self::Empty => f.write_str("the group is empty"),
            Self::MemberGone { member, why } => {
                let member = member.escape_debug();
                match why {
                    Gone::Left => write!(f, "member {member} leaves"),
                    Gone::FellSilent => {
                        write!(f, "member {member} sent no heartbeat in time and is removed")
                    }
                    Gone::DidNotRejoin => {
                        write!(f, "member {member} did not rejoin in time and is removed")
                    }
                    Gone::DidNotSync => {
                        write!(f, "member {member} did not sync in time and is removed")
                    }
                }
            }
            Self::MemberIdUnused { member } => {
                write!(f, "member id {} was not used in time", member.escape_debug())
            }
            Self::StaticMemberReplaced { old, new } => {
                let (old, new) = (old.escape_debug(), new.escape_debug());
                write!(f, "static member {new} takes the place of {old}")
            }
            Self::Deleted => f.write_str("deleted"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewMember(member) => write!(f, "new member {}", member.escape_debug()),
            Self::LeaderRejoined(member) => {
                write!(f, "the leader {} rejoined", member.escape_debug())
            }
            Self::ChangedMetadata(member) => {
                write!(f, "member {} changed its metadata", member.escape_debug())
            }
            Self::StaticMemberReplaced { old, new } => {
                let (old, new) = (old.escape_debug(), new.escape_debug());
                write!(f, "static member {new} replaced {old}")
            }
            Self::FellSilent(member) => {
                write!(f, "member {} sent no heartbeat in time", member.escape_debug())
            }
            Self::MembersLeft => f.write_str("members have left"),
            Self::DidNotSync => f.write_str("members did not sync in time"),
            Self::AssignmentTooLarge => f.write_str("the assignment is too large to be kept"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_its_names_hold() {
        let member = "m\n2026-01-01 INFO forged".to_owned();
        let change = GroupChange::PreparingRebalance(Reason::NewMember(member));
        let event = Event::Group(GroupEvent { group: "g\r\n".to_owned(), generation: 3, change });
        assert_eq!(
            event.to_string(),
            r"group g\r\n, generation 3: preparing to rebalance: new member m\n2026-01-01 INFO forged"
        );
    }
}
