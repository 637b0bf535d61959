//! State shared by the server's tasks.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dynowarden_core::limits;
use http::Request;
use jiff::Timestamp;
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::WorldClock;
use crate::line::LogLine;
use crate::logplex::Logplex;
use crate::platform::{Platform, Reply};
use crate::sender::{Outcome, Post};

/// A request to a drain and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedPost {
    /// When the response came or the request failed.
    pub at: Timestamp,
    pub outcome: Outcome,
    pub post: Post,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: WorldClock,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// The world or logplex has changed: the driver has to check.
    pub(crate) wake: Notify,
    pub(crate) changed: watch::Sender<()>,
    pub(crate) lines: broadcast::Sender<LogLine>,
    pub(crate) state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) logplex: Logplex,
    pub(crate) platform: Platform,
    pub(crate) posted_bytes: usize,
    pub(crate) posts: VecDeque<RecordedPost>,
}

impl Shared {
    /// Answers a call of the Platform API.
    pub(crate) fn answer(&self, request: &Request<Bytes>) -> Reply {
        let reply = self.lock().platform.answer(request, self.clock.now());
        self.stir();
        reply
    }

    /// Advances the world to now; returns the posts to send and the next time to call.
    pub(crate) fn step(&self) -> (Vec<Post>, Option<Timestamp>) {
        let now = self.clock.now();
        let mut guard = self.lock();
        let State { logplex, platform, .. } = &mut *guard;
        logplex.sync(&platform.world);
        let lines = platform.world.advance(now);
        for line in &lines {
            logplex.push(line, now);
        }
        let posts = std::iter::from_fn(|| logplex.poll(now)).collect();
        let next_at = [platform.world.next_event_at(), logplex.next_poll_at()].into_iter().flatten().min();
        drop(guard);
        for line in lines {
            // Without a subscriber the send fails, which is fine.
            let _sent = self.lines.send(line);
        }
        self.changed.send_replace(());
        (posts, next_at)
    }

    /// Handles the result of a request to a drain.
    pub(crate) fn delivered(&self, post: &Post, outcome: Outcome) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.logplex.answered(&post.lane, outcome, now);
        state.posted_bytes += post.body.len();
        state.posts.push_back(RecordedPost { at: now, outcome, post: post.clone() });
        while state.posts.len() > limits::SIM_RECORDS_MAX || state.posted_bytes > limits::SIM_POSTED_BYTES_MAX
        {
            let Some(oldest) = state.posts.pop_front() else { break };
            state.posted_bytes -= oldest.post.body.len();
        }
        drop(state);
        self.stir();
    }

    pub(crate) fn stir(&self) {
        self.wake.notify_one();
        self.changed.send_replace(());
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Only a test that failed while it held the lock can poison it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
