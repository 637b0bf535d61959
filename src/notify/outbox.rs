//! One notifier's queue, and the task that empties it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::notify::channel::Channel;
use crate::notify::delivery::Delivery;
use crate::notify::{NotifierFigures, RetryPolicy};
use dynowarden_core::backoff::Jitter;
use dynowarden_core::incident::message::Message;
use dynowarden_core::limits;
use dynowarden_core::time::Now;

/// A queue of messages for one receiver; when it is full, the oldest is dropped.
#[derive(Debug)]
pub(super) struct Outbox {
    changed: Arc<Notify>,
    name: Arc<str>,
    pushed: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    delivered: u64,
    dropped: u64,
    failed: u64,
    forgotten: u64,
    queue: VecDeque<Queued>,
    is_delivering: bool,
    /// Consecutive failed tries.
    failures: u32,
    /// The last error, once the notifier counts as down.
    trouble: Option<String>,
}

#[derive(Debug)]
struct Queued {
    message: Message,
    since: Duration,
}

impl Outbox {
    pub(super) fn new(name: Arc<str>, changed: Arc<Notify>) -> Self {
        Self { changed, name, pushed: Notify::new(), state: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    pub(super) fn figures(&self) -> NotifierFigures {
        let state = self.lock();
        NotifierFigures {
            name: self.name.clone(),
            delivered: state.delivered,
            failed: state.failed,
            dropped: state.dropped,
            forgotten: state.forgotten,
            missed: 0,
            waiting: state.queue.len() + usize::from(state.is_delivering),
            is_down: state.trouble.is_some(),
        }
    }

    /// Notes the number of forgotten incidents so far.
    pub(super) fn forgot(&self, incidents: u64) {
        self.lock().forgotten = incidents;
    }

    pub(super) fn push(&self, message: Message, now: Now) {
        let mut state = self.lock();
        if state.queue.len() >= limits::QUEUED_MESSAGES_MAX {
            state.queue.pop_front();
            state.dropped += 1;
        }
        state.queue.push_back(Queued { message, since: now.mono });
        drop(state);
        self.pushed.notify_one();
    }

    /// Delivers until `stop`; then each waiting message gets one try.
    pub(super) async fn run(
        self: Arc<Self>,
        channel: Channel,
        (clock, retry, seed): (Clock, RetryPolicy, u64),
        stop: CancellationToken,
    ) {
        let mut jitter = Jitter::new(seed);
        loop {
            while let Some(queued) = self.take() {
                self.deliver(&channel, &queued, (clock, retry, &mut jitter), &stop).await;
                self.lock().is_delivering = false;
            }
            if stop.is_cancelled() {
                return;
            }
            let _stopped = stop.run_until_cancelled(self.pushed.notified()).await;
        }
    }

    fn take(&self) -> Option<Queued> {
        let mut state = self.lock();
        let queued = state.queue.pop_front();
        state.is_delivering = queued.is_some();
        queued
    }

    /// Retries until the receiver accepts or rejects the message, or it is too old.
    async fn deliver(
        &self,
        channel: &Channel,
        queued: &Queued,
        (clock, retry, jitter): (Clock, RetryPolicy, &mut Jitter),
        stop: &CancellationToken,
    ) {
        let name = &*self.name;
        for tries in 0.. {
            let was_stopping = stop.is_cancelled();
            let (after, why) = match channel.deliver(&queued.message, clock.now()).await {
                Delivery::Sent => {
                    debug!(notifier = name, id = queued.message.id, "message delivered");
                    return self.went_well();
                }
                Delivery::Refused { why } => {
                    warn!(notifier = name, id = queued.message.id, "message rejected: {why}");
                    self.went_wrong(&why, true);
                    self.lock().failed += 1;
                    return;
                }
                Delivery::Retry { after, why } => (after, why),
            };
            self.went_wrong(&why, false);
            let wait = jitter.delay(retry.wait_min, tries, retry.wait_max).max(after.unwrap_or_default());
            let age = clock.now().mono.saturating_sub(queued.since);
            if was_stopping || clock.real(age) + wait > limits::MESSAGE_AGE_MAX {
                let tries = tries + 1;
                warn!(notifier = name, id = queued.message.id, tries, "gave up on message: {why}");
                self.lock().failed += 1;
                return;
            }
            info!(notifier = name, id = queued.message.id, "message not delivered, will retry: {why}");
            let _stopped = stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
    }

    fn went_well(&self) {
        let mut state = self.lock();
        state.delivered += 1;
        state.failures = 0;
        let was_down = state.trouble.take().is_some();
        drop(state);
        if was_down {
            info!(notifier = &*self.name, "notifier works again");
            self.changed.notify_one();
        }
    }

    fn went_wrong(&self, why: &str, is_final: bool) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        if !is_final && state.failures < limits::NOTIFIER_DOWN_TRIES {
            return;
        }
        let was_up = state.trouble.replace(why.to_owned()).is_none();
        drop(state);
        if was_up {
            warn!(notifier = &*self.name, "notifier is not delivering: {why}");
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent after every statement that changes it, so a panic elsewhere is harmless.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
