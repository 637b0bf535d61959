//! Notifiers: turn records into messages and deliver them, without ever delaying a restart.
//!
//! Other tasks use [`NotifierHandle`], which never waits: if its queue is full, it drops the record and
//! counts it. One task turns records into messages, with a separate incident state for each notifier. Each
//! notifier has its own task and a queue that drops its oldest message, so that one that is down does not
//! delay the others.

mod channel;
mod delivery;
mod discord;
mod email;
mod links;
mod outbox;
mod pagerduty;
#[cfg(test)]
mod samples;
mod slack;
mod teams;
#[cfg(test)]
mod tests;
mod webhook;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::clock::Clock;
use crate::config::settings::{ChannelSettings, NotifierSettings, Settings};
use crate::http_client::with_causes;
use crate::notify::channel::Channel;
use crate::notify::delivery::Delivery;
use crate::notify::email::EmailError;
use crate::notify::links::LinkMaker;
use crate::notify::outbox::Outbox;
use crate::traffic::TrafficBook;
use dynowarden_core::days::verdict::Judgement;
use dynowarden_core::ident::{AppId, ProcessType};
use dynowarden_core::incident::kind::Kind;
use dynowarden_core::incident::message::Message;
use dynowarden_core::incident::{Incidents, Input, Plan, WatchedApp};
use dynowarden_core::limits;
use dynowarden_core::record::Record;
use dynowarden_core::time::Now;

/// Sends records and releases to the notifiers; cheap to clone.
#[derive(Clone, Debug)]
pub struct NotifierHandle {
    /// None without any notifier.
    sender: Option<mpsc::Sender<NotifierInput>>,
    missed: Arc<AtomicU64>,
    outboxes: Arc<[Arc<Outbox>]>,
}

pub struct NotifierTask {
    clock: Clock,
    incidents: Vec<Incidents>,
    links: LinkMaker,
    /// Whether each notifier is a pager, which takes no quiet messages.
    are_pagers: Vec<bool>,
    retry: RetryPolicy,
    channels: Vec<Channel>,
    outboxes: Arc<[Arc<Outbox>]>,
    readings: Arc<TrafficBook>,
    seed: u64,
    /// Signalled when a notifier goes down or comes up.
    changed: Arc<Notify>,
    inputs: mpsc::Receiver<NotifierInput>,
}

/// A notifier's counters since startup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifierFigures {
    /// As in the settings.
    pub name: Arc<str>,
    pub delivered: u64,
    /// Messages that were given up.
    pub failed: u64,
    /// Messages evicted from a full queue.
    pub dropped: u64,
    /// Incidents dropped because too many were open.
    pub forgotten: u64,
    /// Records dropped because the queue of all notifiers was full.
    pub missed: u64,
    /// Waiting messages, including the one on its way.
    pub waiting: usize,
    pub is_down: bool,
}

impl NotifierFigures {
    /// Messages and records that were not delivered.
    pub fn lost(&self) -> u64 {
        [self.failed, self.dropped, self.forgotten, self.missed].into_iter().fold(0, u64::saturating_add)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    #[error("the notifier {name} cannot be used")]
    Email { name: Arc<str>, source: EmailError },
    /// A notifier that posts over HTTP.
    #[error("the notifier {name} cannot be used: HTTPS is not available here")]
    Http { name: Arc<str>, source: reqwest::Error },
}

/// A test message that did not arrive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undelivered(pub String);

#[derive(Debug)]
enum NotifierInput {
    Record(Box<Record>),
    Release { app: AppId, version: Option<u64> },
    Verdicts { app: AppId, verdicts: Vec<(ProcessType, Judgement)> },
}

/// Time-outs of receivers.
#[derive(Clone, Copy, Debug)]
struct RetryPolicy {
    /// Of one try.
    timeout: Duration,
    /// Between the first try and the second.
    wait_min: Duration,
    /// Between any two.
    wait_max: Duration,
}

const RETRY: RetryPolicy = RetryPolicy {
    timeout: limits::DELIVERY_TIMEOUT,
    wait_min: limits::DELIVERY_WAIT_MIN,
    wait_max: limits::DELIVERY_WAIT_MAX,
};

/// The notifiers of `settings`: the handle, and the task to run. `readings` has the dynos' figures. `seed`
/// makes the jitter and is part of incidents' ids, so it must differ for every process.
///
/// # Errors
/// A notifier cannot be used: its certificates, or TLS at all.
pub fn start(
    settings: &Settings,
    readings: Arc<TrafficBook>,
    clock: Clock,
    seed: u64,
) -> Result<(NotifierHandle, NotifierTask), NotifyError> {
    start_at(RETRY, settings, readings, (clock, seed))
}

fn start_at(
    retry: RetryPolicy,
    settings: &Settings,
    readings: Arc<TrafficBook>,
    (clock, seed): (Clock, u64),
) -> Result<(NotifierHandle, NotifierTask), NotifyError> {
    let (sender, inputs) = mpsc::channel(limits::QUEUED_NOTICES_MAX);
    let changed = Arc::new(Notify::new());
    let now = clock.now();
    let (mut channels, mut incidents, mut outboxes) = (Vec::new(), Vec::new(), Vec::new());
    for notifier in &settings.notifiers {
        channels.push(Channel::new(notifier, retry)?);
        incidents.push(Incidents::new(plan(settings, notifier, tag(seed)), now));
        outboxes.push(Arc::new(Outbox::new(notifier.name.clone(), changed.clone())));
    }
    let outboxes: Arc<[Arc<Outbox>]> = outboxes.into();
    let notices = NotifierHandle {
        sender: (!outboxes.is_empty()).then_some(sender),
        missed: Arc::default(),
        outboxes: outboxes.clone(),
    };
    let task = NotifierTask {
        clock,
        incidents,
        links: LinkMaker::new(settings),
        are_pagers: settings.notifiers.iter().map(is_pager).collect(),
        retry,
        channels,
        outboxes,
        readings,
        seed,
        changed,
        inputs,
    };
    Ok((notices, task))
}

fn is_pager(notifier: &NotifierSettings) -> bool {
    matches!(notifier.channel, ChannelSettings::PagerDuty { .. })
}

/// Sends a test message through every notifier of `settings`, one after the other.
pub async fn test_all(settings: &Settings, now: Now) -> Vec<(Arc<str>, Result<(), Undelivered>)> {
    let mut results = Vec::new();
    let links = LinkMaker::new(settings);
    for notifier in &settings.notifiers {
        let message = test_message(&notifier.name, now);
        let message = Message { links: links.of(&message), ..message };
        let result = match Channel::new(notifier, RETRY) {
            Ok(channel) => match channel.deliver(&message, now).await {
                Delivery::Sent => Ok(()),
                Delivery::Retry { why, .. } | Delivery::Refused { why } => Err(Undelivered(why)),
            },
            Err(error) => Err(Undelivered(with_causes(&error))),
        };
        results.push((notifier.name.clone(), result));
    }
    results
}

fn test_message(name: &str, now: Now) -> Message {
    let incident = format!("test-{name}-{}", now.wall.as_second());
    let body = format!("The notifier {name} works: `dynowarden check --notify` sent this message.");
    let text = ("test message from dynowarden".to_owned(), vec![body]);
    Message::single(incident, Kind::Test, text, now.wall)
}

fn plan(settings: &Settings, notifier: &NotifierSettings, tag: u32) -> Plan {
    let is_reported = |name| notifier.apps.as_ref().is_none_or(|apps| apps.contains(name));
    let apps =
        settings.apps.iter().map(|app| WatchedApp::new(&app.plan, is_reported(&app.plan.name))).collect();
    // A pager takes loud kinds only, and must learn of the end of what it was told.
    let mut on = notifier.on.clone();
    if is_pager(notifier) {
        on.retain(|kind| kind.is_loud());
        on.insert(Kind::Recovered);
    }
    Plan {
        apps,
        digest: notifier.digest.clone(),
        group: notifier.group,
        on,
        repeat: notifier.repeat,
        tag,
        window: settings.notifiers.iter().map(|notifier| notifier.group).max().unwrap_or_default(),
    }
}

fn tag(seed: u64) -> u32 {
    // Folded, because seeds may differ only in their upper half.
    (seed ^ (seed >> 32)) as u32
}

// === impl NotifierHandle ===

impl NotifierHandle {
    /// Returns a handle without notifiers, for commands that send no notifications.
    pub fn none() -> Self {
        Self { sender: None, missed: Arc::default(), outboxes: Arc::new([]) }
    }

    pub fn record(&self, record: &Record) {
        self.send(|| NotifierInput::Record(Box::new(record.clone())));
    }

    pub fn released(&self, app: AppId, version: Option<u64>) {
        self.send(|| NotifierInput::Release { app, version });
    }

    /// Passes on what the last lives of an app's process types say.
    pub fn judged(&self, app: AppId, verdicts: Vec<(ProcessType, Judgement)>) {
        self.send(|| NotifierInput::Verdicts { app, verdicts });
    }

    /// The notifiers that do not deliver, for `/readyz`; none if all of them do.
    pub fn trouble(&self) -> Option<String> {
        let down: Vec<String> = self
            .outboxes
            .iter()
            .filter_map(|outbox| Some(format!("{} is not delivering: {}", outbox.name(), outbox.trouble()?)))
            .collect();
        (!down.is_empty()).then(|| down.join("; "))
    }

    /// Each notifier's counters, in the order of the settings.
    pub fn figures(&self) -> Vec<NotifierFigures> {
        let missed = self.missed.load(Ordering::Relaxed);
        self.outboxes.iter().map(|outbox| NotifierFigures { missed, ..outbox.figures() }).collect()
    }

    fn send(&self, input: impl FnOnce() -> NotifierInput) {
        let Some(sender) = &self.sender else { return };
        if sender.try_send(input()).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// === impl NotifierTask ===

impl NotifierTask {
    /// Makes messages and delivers them until `shutdown`. Then held-back messages are sent, and messages on
    /// their way get a few more seconds.
    pub async fn run(mut self, shutdown: CancellationToken) {
        if self.incidents.is_empty() {
            return shutdown.cancelled().await;
        }
        let stop = CancellationToken::new();
        let mut senders = JoinSet::new();
        for (place, channel) in (0_u64..).zip(std::mem::take(&mut self.channels)) {
            let outbox = self.outboxes[place as usize].clone();
            senders.spawn(outbox.run(
                channel,
                (self.clock, self.retry, self.seed.wrapping_add(place)),
                stop.clone(),
            ));
        }
        let mut known_down = HashSet::new();
        loop {
            let wake = self.sleep_until_due();
            tokio::select! {
                () = shutdown.cancelled() => break,
                input = self.inputs.recv() => match input {
                    Some(input) => self.take(&input),
                    // All handles are gone.
                    None => break,
                },
                () = self.changed.notified() => self.report_notifiers(&mut known_down),
                () = tokio::time::sleep(wake) => {
                    self.readings.prune(self.clock.now());
                    self.input_to_all(|| Input::Wake);
                }
                Some(ended) = senders.join_next() => {
                    // A notifier never ends on its own; the others continue.
                    error!("a notifier's task failed: {ended:?}");
                }
            }
        }
        while let Ok(input) = self.inputs.try_recv() {
            self.take(&input);
        }
        self.input_to_all(|| Input::End);
        stop.cancel();
        let all_ended = async { while senders.join_next().await.is_some() {} };
        if tokio::time::timeout(limits::LAST_MESSAGES_WAIT, all_ended).await.is_err() {
            info!("messages in flight at shutdown are lost");
        }
    }

    fn sleep_until_due(&self) -> Duration {
        let due = self.incidents.iter().filter_map(Incidents::next_deadline).min();
        let now = self.clock.now().mono;
        due.map_or(IDLE_LOOK_EVERY, |due| self.clock.real(due.saturating_sub(now)).min(IDLE_LOOK_EVERY))
    }

    fn take(&mut self, input: &NotifierInput) {
        self.input_to_all(|| match input {
            NotifierInput::Record(record) => Input::Record(record),
            NotifierInput::Release { app, version } => Input::Release { app: *app, version: *version },
            NotifierInput::Verdicts { app, verdicts } => Input::Verdicts { app: *app, verdicts },
        });
    }

    /// All notifiers get an input at the same time, so that its incident has the same id in each.
    fn input_to_all<'a>(&mut self, input: impl Fn() -> Input<'a>) {
        let now = self.clock.now();
        (0..self.incidents.len()).for_each(|place| self.input_to(place, input(), now));
    }

    fn input_to(&mut self, place: usize, input: Input<'_>, now: Now) {
        for message in self.incidents[place].handle(input, &*self.readings, now) {
            if self.are_pagers[place] && !pagerduty::is_event(&message) {
                continue;
            }
            let message = Message { links: self.links.of(&message), ..message };
            self.outboxes[place].push(message, now);
        }
        self.outboxes[place].forgot(self.incidents[place].forgotten());
    }

    /// Notifies the other notifiers that one is down, and that it is up again.
    fn report_notifiers(&mut self, known_down: &mut HashSet<usize>) {
        for (place, outbox) in self.outboxes.clone().iter().enumerate() {
            let (name, trouble) = (outbox.name(), outbox.trouble());
            let input = match &trouble {
                Some(why) if known_down.insert(place) => Input::NotifierDown { name, why },
                None if known_down.remove(&place) => Input::NotifierRecovered { name },
                _ => continue,
            };
            let now = self.clock.now();
            for other in (0..self.incidents.len()).filter(|other| *other != place) {
                self.input_to(other, input.clone(), now);
            }
        }
    }
}

/// The wall clock may be set while nothing happens, and dynos go quiet.
const IDLE_LOOK_EVERY: Duration = Duration::from_secs(10 * 60);
