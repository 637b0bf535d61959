//! Logplex: carries the lines of the world to every registered drain.
//!
//! Contract of use: call [`Logplex::sync`] with the world after any change, and [`Logplex::push`] for every
//! line. Then call [`Logplex::poll`] until it returns none, send each post and report its result to
//! [`Logplex::answered`]. [`Logplex::next_poll_at`] is the next time to poll.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::line::LogLine;
use crate::rng::Chance;
use crate::sender::{DrainPolicy, DrainSender, Outcome, Post, SenderId};
use crate::world::World;
use dynowarden_core::ident::AppName;

/// The senders of all drains.
#[derive(Clone, Debug)]
pub struct Logplex {
    chance: Chance,
    lanes: BTreeMap<SenderId, (AppName, DrainSender)>,
    policy: DrainPolicy,
}

impl Logplex {
    /// Without a drain.
    pub fn new(policy: DrainPolicy, seed: u64) -> Self {
        Self { chance: Chance::new(seed), lanes: BTreeMap::new(), policy }
    }

    /// Starts serving drains that are new in `world`, and drops those that are gone, with all messages
    /// that waited for them.
    pub fn sync(&mut self, world: &World) {
        let drains = || world.apps().flat_map(|app| app.drains.iter().map(move |drain| (app, drain)));
        self.lanes.retain(|lane, _| drains().any(|(_, drain)| drain.token == lane.token));
        for (app, drain) in drains() {
            for node in 0..self.policy.nodes.max(1) {
                let lane = SenderId { token: drain.token.clone(), node };
                if let Some((name, sender)) = self.lanes.get_mut(&lane)
                    && name != app.name()
                {
                    name.clone_from(app.name());
                    sender.renamed(app.name().clone());
                }
                if !self.lanes.contains_key(&lane) {
                    let (app, url, chance) = (app.name().clone(), drain.url.clone(), self.chance.split());
                    let sender = DrainSender::new(app.clone(), lane.clone(), url, self.policy, chance);
                    self.lanes.insert(lane, (app, sender));
                }
            }
        }
    }

    /// Queues a line for every drain of its app; the node that sends it is random.
    pub fn push(&mut self, line: &LogLine, now: Timestamp) {
        let draw = self.chance.draw();
        for (lane, (app, node)) in &mut self.lanes {
            if *app == line.app && u64::from(lane.node) == draw % u64::from(self.policy.nodes.max(1)) {
                node.push(line, now);
            }
        }
    }

    /// A request to send now, if there is one.
    pub fn poll(&mut self, now: Timestamp) -> Option<Post> {
        let notices: Vec<LogLine> =
            self.lanes.values_mut().filter_map(|(_, node)| node.notice(now)).collect();
        for notice in notices {
            self.push(&notice, now);
        }
        self.lanes.values_mut().find_map(|(_, node)| node.poll(now))
    }

    pub fn answered(&mut self, lane: &SenderId, outcome: Outcome, now: Timestamp) {
        if let Some((_, node)) = self.lanes.get_mut(lane) {
            node.answered(outcome, now);
        }
    }

    /// When to poll again, apart from an answer or a new line.
    pub fn next_poll_at(&self) -> Option<Timestamp> {
        self.lanes.values().filter_map(|(_, node)| node.next_poll_at()).min()
    }

    /// Messages that wait anywhere.
    pub fn waiting(&self) -> usize {
        self.lanes.values().map(|(_, node)| node.waiting()).sum()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::Logplex;
    use crate::app::AppSpec;
    use crate::line::LogLine;
    use crate::sender::{DrainPolicy, Outcome};
    use crate::world::World;

    #[test]
    fn each_drain_gets_every_line_of_its_own_app_once() {
        let now = Timestamp::UNIX_EPOCH;
        let mut world = World::new(1, now);
        for name in ["acme", "other"] {
            world.add_app(AppSpec::new(name.parse().expect("a name"), 1), now);
        }
        let acme = "acme".parse().expect("a name");
        for url in ["http://one/", "http://two/"] {
            world.add_drain(&acme, url, now).expect("acme is there");
        }
        let mut logplex = Logplex::new(DrainPolicy { nodes: 2, ..DrainPolicy::default() }, 7);
        logplex.sync(&world);
        for text in ["a", "b", "c", "d", "e", "f"] {
            logplex.push(&LogLine::app(acme.clone(), "web.1", text, now), now);
            logplex.push(&LogLine::app("other".parse().expect("a name"), "web.1", text, now), now);
        }
        let mut counts = std::collections::BTreeMap::new();
        let mut lanes = std::collections::BTreeSet::new();
        while let Some(post) = logplex.poll(now) {
            *counts.entry(post.url.clone()).or_insert(0) += post.count;
            lanes.insert(post.lane.clone());
            logplex.answered(&post.lane, Outcome::Status(204), now);
        }
        assert_eq!(
            counts.into_iter().collect::<Vec<_>>(),
            [("http://one/".into(), 6), ("http://two/".into(), 6)]
        );
        assert_eq!(lanes.len(), 4, "both nodes of both drains");

        logplex.push(&LogLine::app(acme.clone(), "web.1", "late", now), now);
        world.remove_drain(&acme, "http://one/").expect("it was registered");
        logplex.sync(&world);
        assert_eq!(logplex.waiting(), 1, "what waited for a removed drain is gone");
    }
}
