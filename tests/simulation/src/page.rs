//! The daemon's reader of Heroku's status page: the schedule of the real watchdog, the reading of the real
//! client, and pages that fail.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};

use dynowarden_core::api::json;
use dynowarden_core::health::schedule::Ask;
use dynowarden_core::health::watchdog::{self, Effect, Options, Watchdog};
use dynowarden_core::time::{Now, since};
use heroku_sim::platform::Reply;

use crate::api_faults::TIMEOUT;
use crate::daemon::Daemon;
use crate::scenario::secs;
use crate::{Due, Simulation, Wrong};

/// What happens to a request of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageCondition {
    Fair,
    /// The answer comes just before the client gives up.
    Late,
    /// No answer, or one of a gateway.
    Lost,
    /// The body ends early, or is another page.
    Garbled,
    /// It is another system that is red.
    Elsewhere,
}

impl Simulation {
    pub(super) fn start_watchdog(&mut self) {
        let Some(now) = self.daemon.as_ref().map(|daemon| self.now_of(daemon)) else { return };
        // Its looks at apps and drains are not simulated.
        let options = Options { reads_status: true, ..Options::default() };
        if let Some(daemon) = &mut self.daemon {
            daemon.watchdog = Some(Watchdog::new(options, now));
        }
        self.watch(watchdog::Input::Heard(Vec::new()));
    }

    fn now_of(&self, daemon: &Daemon) -> Now {
        Now { mono: since(daemon.born, self.now), wall: self.clock().wall() }
    }

    /// Passes an input to the watchdog, and carries out what it asks for.
    pub(super) fn watch(&mut self, input: watchdog::Input) {
        let Some(now) = self.daemon.as_ref().map(|daemon| self.now_of(daemon)) else { return };
        let Some(watchdog) = self.daemon.as_mut().and_then(|daemon| daemon.watchdog.as_mut()) else { return };
        for effect in watchdog.handle(input, now) {
            match effect {
                Effect::Ask(Ask::Status) => self.ask_page(),
                // An answer that never comes leaves the others alone.
                Effect::Ask(_) => {}
                Effect::Report(notice) => {
                    self.figures.did("page_notices", 1);
                    self.timeline.note(None, || format!("TELL   {}", notice.what), self.now);
                }
            }
        }
    }

    fn ask_page(&mut self) {
        let condition = match self.chance.below(100) {
            _ if self.is_page_away => PageCondition::Lost,
            0..70 => PageCondition::Fair,
            70..80 => PageCondition::Late,
            80..90 => PageCondition::Lost,
            90..96 => PageCondition::Garbled,
            _ => PageCondition::Elsewhere,
        };
        let life = self.life;
        if condition == PageCondition::Lost {
            self.figures.fault("page_lost");
            let gives_up = self.chance.span(Duration::ZERO, TIMEOUT);
            return self.plan_in(gives_up, Due::PageRead { life, is_red: None });
        }
        let way = match condition {
            PageCondition::Late => self.chance.span(secs(1), TIMEOUT / 2),
            _ => self.chance.span(Duration::from_millis(20), Duration::from_millis(400)),
        };
        self.plan_in(way, Due::PageAsked { life, condition });
    }

    /// The page is read as it is now, and the answer is on its way.
    pub(super) fn page_asked(&mut self, life: u32, condition: PageCondition) {
        let request = Request::builder().method(Method::GET).uri("/api/v4/current-status");
        let request = request.body(Bytes::new()).expect("a path is a URI");
        let Reply::Answer { response, .. } = self.platform.answer(&request, self.now) else { return };
        let body = response.into_body();
        let is_red = match condition {
            PageCondition::Garbled => {
                self.figures.fault("page_garbled");
                let is_cut = self.chance.hits(500);
                let cut = body.len() / 2;
                let body = if is_cut { body.slice(..cut) } else { Bytes::from_static(b"<!DOCTYPE html>") };
                json::are_apps_red(&body).ok()
            }
            PageCondition::Elsewhere => {
                let body = String::from_utf8_lossy(&body).replace("Apps", "Tools");
                json::are_apps_red(body.as_bytes()).ok()
            }
            PageCondition::Fair | PageCondition::Late | PageCondition::Lost => json::are_apps_red(&body).ok(),
        };
        let way = match condition {
            PageCondition::Late => self.chance.span(secs(1), TIMEOUT / 2),
            _ => self.chance.span(Duration::from_millis(20), Duration::from_millis(400)),
        };
        self.plan_in(way, Due::PageRead { life, is_red });
    }

    pub(super) fn page_read(&mut self, life: u32, is_red: Option<bool>) -> Result<(), Wrong> {
        let is_stopping = self.daemon.as_ref().is_none_or(Daemon::is_stopping);
        if !self.is_alive(life) || is_stopping {
            return Ok(());
        }
        self.timeline.note(None, || format!("PAGE   {is_red:?}"), self.now);
        if let Some(is_red) = is_red {
            self.invariants.lights.read(is_red, self.now);
            self.input(dynowarden_core::engine::Input::PlatformStatus { is_red })?;
        }
        self.watch(watchdog::Input::Status { is_red });
        Ok(())
    }
}
