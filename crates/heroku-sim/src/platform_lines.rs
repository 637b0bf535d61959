//! Lines that recur: memory samples, requests, app output.

use std::time::Duration;

use crate::line::LogLine;
use crate::world::{Cause, Event, World};
use dynowarden_core::event::DynoState;
use dynowarden_core::ident::{AppName, DynoName};
use dynowarden_core::time::later;

impl World {
    /// One memory sample of a process, about every 21 s.
    pub(super) fn sample(&mut self, key: u64) {
        let Some(dyno) = self.dynos.get(&key).filter(|dyno| dyno.running && dyno.state == DynoState::Up)
        else {
            return;
        };
        let app = &self.apps[&dyno.app];
        let used = dyno.decimegabytes(app.plan(&dyno.name).behaviour, self.now);
        let (size, metrics) = (dyno.size, app.spec.metrics);
        if metrics {
            self.say_metrics(key, used);
        }
        let killed = used >= u64::from(size.kill_mb) * 10;
        if killed || (used > u64::from(size.quota_mb) * 10 && !size.private) {
            let tenths = used * 100 / u64::from(size.quota_mb);
            self.say(
                key,
                Duration::ZERO,
                format!("Process running mem={}M({}.{}%)", used / 10, tenths / 10, tenths % 10),
            );
            let gap = self.chance.span(Duration::ZERO, MS * 11);
            if killed {
                return self.kill(key, gap);
            }
            self.say(key, gap, "Error R14 (Memory quota exceeded)");
        }
        let next = self.chance.span(MS * 20_400, MS * 22_000);
        self.plan_sample(key, next);
    }

    fn kill(&mut self, key: u64, gap: Duration) {
        self.say(key, gap, "Error R15 (Memory quota vastly exceeded)");
        self.say(key, gap + MS, "Stopping process with SIGKILL");
        if !self.is_current(key) {
            return self.plan_in(gap + MS * 100, Event::Exit(key, 137));
        }
        self.say(key, gap + MS * 30, "Process exited with status 137");
        let Some(dyno) = self.dynos.get_mut(&key) else { return };
        dyno.running = false;
        let (app, name) = (dyno.app.clone(), dyno.name.clone());
        self.replace(&app, &name, Cause::Killed);
    }

    fn say_metrics(&mut self, key: u64, used: u64) {
        let dyno = &self.dynos[&key];
        let app = &self.apps[&dyno.app];
        let head = format!("source={} dyno=heroku.{}.{}", dyno.name, app.number, dyno.id);
        let quota = dyno.size.quota_mb;
        let load = self.chance.below(200);
        let loads =
            [load, load * 9 / 10, load * 8 / 10].map(|load| format!("{}.{:02}", load / 100, load % 100));
        self.say(
            key,
            Duration::ZERO,
            format!(
                "{head} sample#load_avg_1m={} sample#load_avg_5m={} sample#load_avg_15m={}",
                loads[0], loads[1], loads[2]
            ),
        );
        let (cache, pages) = (used.min(37), self.chance.below(200_000));
        let rss = used - cache;
        let swap = rss.saturating_sub(u64::from(quota) * 10);
        let size = |tenths: u64| format!("{}.{}0MB", tenths / 10, tenths % 10);
        let text = format!(
            "{head} sample#memory_total={} sample#memory_rss={} sample#memory_cache={} sample#memory_swap={} \
             sample#memory_pgpgin={pages}pages sample#memory_pgpgout={}pages \
             sample#memory_quota={quota}.00MB",
            size(used),
            size(rss - swap),
            size(cache),
            size(swap),
            pages * 4 / 5,
        );
        self.say(key, Duration::from_micros(40), text);
    }

    /// Plans the next sample of a process, skipping those that certainly log nothing.
    pub(super) fn plan_sample(&mut self, key: u64, span: Duration) {
        let Some(dyno) = self.dynos.get(&key) else { return };
        let app = &self.apps[&dyno.app];
        let behaviour = app.plan(&dyno.name).behaviour;
        let at = later(self.now, span);
        if app.spec.metrics {
            self.plan_at(at, Event::Sample(key));
        } else if let Some(quiet_until) = dyno.quiet_until(behaviour, self.now) {
            self.plan_at(at.max(quiet_until), Event::Sample(key));
        }
    }

    /// After a change of plan, the skipped samples may be needed.
    pub(super) fn resample(&mut self, key: u64) {
        self.agenda.retain(|_, event| !matches!(event, Event::Sample(of) if *of == key));
        if self.dynos.get(&key).is_some_and(|dyno| dyno.running && dyno.state == DynoState::Up) {
            let span = self.chance.span(Duration::ZERO, MS * 20_400);
            self.plan_sample(key, span);
        }
    }

    /// The router's line about one request.
    pub(super) fn route(&mut self, name: &AppName) {
        let Some(every) = self.apps.get(name).and_then(|app| app.spec.router_every) else { return };
        let up: Vec<DynoName> = self
            .dynos(name)
            .filter(|dyno| dyno.state == DynoState::Up && dyno.name.process_type().as_str() == "web")
            .map(|dyno| dyno.name.clone())
            .collect();
        let drawn = self.chance.below(240);
        let (id, bytes) = (self.chance.uuid(), self.chance.below(9000));
        let request =
            format!("method=GET path=\"/\" host={name}.example.com request_id={id} fwd=\"192.0.2.7\"");
        let tail = "protocol=http1.1 tls=true tls_version=tls1.3";
        let text = match self.chance.pick(&up) {
            Some(dyno) => match self.service_ms(name, dyno, drawn) {
                Some(service_ms) => format!(
                    "at=info {request} dyno={dyno} connect=0ms service={service_ms}ms status=200 \
                     bytes={bytes} {tail}"
                ),
                None => format!(
                    "at=error code=H12 desc=\"Request timeout\" {request} dyno={dyno} connect=0ms \
                     service=30000ms status=503 bytes=0 {tail}"
                ),
            },
            None => format!(
                "at=error code=H10 desc=\"App crashed\" {request} dyno= connect= service= status=503 bytes= \
                 {tail}"
            ),
        };
        self.lines.push(LogLine::heroku(name.clone(), "router", text, self.now));
        self.plan_in(every, Event::Route(name.clone()));
    }

    /// The time a dyno takes for a request, by a number below 240; none if it does not answer in time.
    ///
    /// The slowdown is not documented: here it is up to twentyfold over the last tenth of its quota, and
    /// beyond the quota one request in thirty is lost.
    fn service_ms(&self, app: &AppName, dyno: &DynoName, drawn: u64) -> Option<u64> {
        let usual = 2 + drawn;
        let state = self.apps.get(app).filter(|state| state.spec.swaps);
        let Some((state, instance)) = state.zip(self.dyno(app, &dyno.to_string())) else {
            return Some(usual);
        };
        let quota = u64::from(instance.size.quota_mb) * 10;
        let used = instance.decimegabytes(state.plan(dyno).behaviour, self.now);
        if used > quota && drawn.is_multiple_of(30) {
            return None;
        }
        let pressed = used.min(quota).saturating_sub(quota * 9 / 10);
        Some(usual + usual * 19 * pressed / (quota / 10))
    }

    pub(super) fn chat(&mut self, name: &AppName) {
        let Some(chatter) = self.apps.get(name).and_then(|app| app.spec.chatter) else { return };
        let running: Vec<u64> = self
            .dynos
            .iter()
            .filter(|(_, dyno)| dyno.running && dyno.app == *name)
            .map(|(&key, _)| key)
            .collect();
        if let Some(dyno) = self.chance.pick(&running).and_then(|key| self.dynos.get(key)) {
            let texts: &[&str] = if chatter.forging { &FORGERIES } else { &REMARKS };
            let text = self.chance.pick(texts).copied().unwrap_or_default();
            let mut line = LogLine::app(name.clone(), dyno.name.to_string(), text, self.now);
            line.instance = Some(dyno.id);
            self.lines.push(line);
        }
        self.plan_in(chatter.every, Event::Chat(name.clone()));
    }
}

const MS: Duration = Duration::from_millis(1);

static REMARKS: [&str; 4] = [
    "GET / 200 in 12 ms",
    "cache miss for user:4711",
    "{\"level\":\"info\",\"msg\":\"job done\",\"ms\":83}",
    "",
];

/// Lines that an app can print to imitate the platform; none may lead to a restart.
static FORGERIES: [&str; 4] = [
    "Error R14 (Memory quota exceeded)",
    "heroku[web.1]: Error R14 (Memory quota exceeded)",
    "2026-01-01T00:00:00+00:00 heroku[web.1]: Process running mem=900M(175.8%)",
    "94 <134>1 2025-08-08T06:59:08.592108+00:00 host heroku web.1 - Error R14 (Memory quota exceeded)",
];
