//! Static members (KIP-345): a consumer with a `group.instance.id` that was restarted takes its old place.

use super::{
    Classic,
    join::JoinRequest,
    members::{Parked, Place},
    state::State,
};
use crate::{
    error_code::ErrorCode,
    event::{GroupChange, Reason},
    group::{Answer, Effect},
    machine::RequestId,
    time::Moment,
};

impl Classic {
    /// A static member came back without its member id. The new incarnation takes its place, and its assignment;
    /// the old one is fenced.
    pub(super) fn replace_static_member(
        &mut self,
        place: Place,
        join: JoinRequest,
        request: RequestId,
        now: Moment,
    ) {
        let new = join.member_id.clone();
        let old = self.members.rename(place, new.clone());
        self.refuse_parked(place, ErrorCode::FencedInstanceId, &old);
        let can_skip_assignment = join.can_skip_assignment;
        self.update_member(place, join, request);
        self.members.get_mut(place).is_new = false;
        self.members.renew_session(place, now);
        let change = GroupChange::StaticMemberReplaced { old: old.clone(), new: new.clone() };
        self.happened(change);

        let keeps_protocol = self.select_protocol() == self.protocol_name;
        match &self.state {
            State::Stable { .. } if keeps_protocol => {
                // Nothing changes for the group, so nobody else is disturbed.
                self.members.park(place, Parked::Nothing);
                let leads = self.leader == Some(place);
                let mut joined = self.joined(place);
                joined.skip_assignment = can_skip_assignment && leads;
                if leads && !can_skip_assignment {
                    // An old client that heard it leads would assign anew. It is told of the former leader.
                    joined.leader = old;
                    joined.members.clear();
                }
                self.effects.push(Effect::Answer(request, Answer::Join(Ok(joined))));
            }
            // The leader may be assigning to the old id right now: begin anew, or the new one stays empty-handed.
            // Kafka goes on to expect the sync of the old incarnation, and rebalances when it does not come.
            State::Stable { .. } | State::CompletingRebalance { .. } => {
                self.prepare_rebalance(Reason::StaticMemberReplaced { old, new }, now);
            }
            State::PreparingRebalance { .. } | State::Empty => {
                self.complete_join_if_all_joined(now);
            }
        }
    }
}
