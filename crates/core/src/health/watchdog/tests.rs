//! The vigil in simulated time, against a Heroku that answers as it is told to.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;

use super::{AppIdentity, Ask, DrainActivity, Effect, Input, Options, Watchdog, leads_here};
use crate::api::ApiError;
use crate::api::json::Drain;
use crate::drain_url::PublicUrl;
use crate::ident::{AppId, AppName, DrainToken};
use crate::limits;
use crate::record::NoticeKind;
use crate::time::Now;

/// What everybody says, until a test changes it.
struct World {
    watchdog: Watchdog,
    now: Now,
    hearings: Vec<DrainActivity>,
    /// Batches come this often from every app, with a sample in each or without.
    batches: Option<(Duration, bool)>,
    drains: Result<bool, ApiError>,
    dynos: Result<usize, ApiError>,
    probe: Result<u32, ApiError>,
    /// What the API's clock says.
    date: Option<Timestamp>,
    app: Result<AppIdentity, ApiError>,
    by_id: Result<AppIdentity, ApiError>,
    red: Option<Vec<String>>,
    /// Whose calls are never answered.
    hanging: BTreeSet<AppId>,
    /// Answers that are on their way: each takes a tenth of a second.
    on_the_way: Vec<(Duration, Input)>,
    asked: Vec<(Duration, Ask)>,
    told: Vec<String>,
    most_at_once: usize,
}

fn sight(name: &str) -> AppIdentity {
    AppIdentity { id: "the-id".to_owned(), name: name.to_owned(), is_fir: false }
}

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

impl World {
    fn new(options: Options) -> Self {
        let now = Now { mono: secs(5), wall: Timestamp::UNIX_EPOCH };
        let hearings = options.apps.iter().map(|_| DrainActivity::default()).collect();
        Self {
            watchdog: Watchdog::new(options, now),
            now,
            hearings,
            batches: Some((secs(20), true)),
            drains: Ok(true),
            dynos: Ok(2),
            probe: Ok(limits::API_TOKENS_MAX),
            date: None,
            app: Ok(sight("acme")),
            by_id: Err(ApiError::NoSuchApp),
            red: Some(Vec::new()),
            hanging: BTreeSet::new(),
            on_the_way: Vec::new(),
            asked: Vec::new(),
            told: Vec::new(),
            most_at_once: 0,
        }
    }

    fn acme() -> Self {
        Self::new(Options { apps: vec![name("acme")], ..Options::default() })
    }

    /// Lets `span` pass, from deadline to deadline.
    fn run(&mut self, span: Duration) -> &mut Self {
        let end = self.now.mono + span;
        let mut steps = 0;
        while self.now.mono < end {
            steps += 1;
            assert!(steps < 200_000, "it never sleeps");
            let answer = self.on_the_way.iter().map(|(at, _)| *at).min().unwrap_or(Duration::MAX);
            let at = self.watchdog.next_deadline().min(answer).min(end).max(self.now.mono);
            self.now = self.now.after(at - self.now.mono);
            let place = self.on_the_way.iter().position(|(due, _)| *due <= at);
            let input = match place {
                Some(place) => self.on_the_way.remove(place).1,
                None => {
                    self.send_batches();
                    Input::Heard(self.hearings.clone())
                }
            };
            for effect in self.watchdog.handle(input, self.now) {
                match effect {
                    Effect::Ask(ask) => self.take(ask),
                    Effect::Tell(notice) => {
                        let NoticeKind::Health(alert) = &notice.what else { panic!("{notice:?}") };
                        self.told.push(format!("{} {alert}", alert.label()));
                    }
                }
            }
        }
        self
    }

    fn send_batches(&mut self) {
        let Some((every, sampled)) = self.batches else { return };
        let times = self.now.mono.as_secs() / every.as_secs();
        let at = Some(secs(times * every.as_secs())).filter(|_| times > 0);
        for hearing in &mut self.hearings {
            hearing.last_batch_at = at.max(hearing.last_batch_at);
            hearing.last_sample_at = if sampled { hearing.last_batch_at } else { hearing.last_sample_at };
        }
    }

    fn take(&mut self, ask: Ask) {
        let (app, input) = match &ask {
            Ask::App { app, id: None } => (*app, Input::App { app: *app, answer: self.app.clone() }),
            Ask::App { app, id: Some(_) } => (*app, Input::App { app: *app, answer: self.by_id.clone() }),
            Ask::Drains(app) => (*app, Input::Drains { app: *app, answer: self.drains.clone() }),
            Ask::Dynos(app) => (*app, Input::Dynos { app: *app, answer: self.dynos.clone() }),
            Ask::Probe => (AppId(u32::MAX), Input::Probed { answer: self.probe.clone(), date: self.date }),
            Ask::Status => (AppId(u32::MAX), Input::Status { red: self.red.clone() }),
        };
        self.asked.push((self.now.mono, ask));
        if !self.hanging.contains(&app) {
            self.on_the_way.push((self.now.mono + Duration::from_millis(100), input));
        }
        let paid = |input: &Input| !matches!(input, Input::Probed { .. } | Input::Status { .. });
        self.most_at_once = self.most_at_once.max(self.on_the_way.iter().filter(|(_, i)| paid(i)).count());
    }

    #[track_caller]
    fn expect(&mut self, told: &[&str]) -> &mut Self {
        let said = std::mem::take(&mut self.told);
        assert_eq!(said.len(), told.len(), "{said:#?}");
        for (said, expect) in said.iter().zip(told) {
            assert!(said.contains(expect), "{said} / {expect}");
        }
        self
    }

    fn calls(&self) -> usize {
        self.asked.iter().filter(|(_, ask)| !matches!(ask, Ask::Probe | Ask::Status)).count()
    }
}

fn name(text: &str) -> AppName {
    text.parse().expect("an app")
}

#[test]
fn a_day_on_which_all_is_well_has_nothing_to_tell() {
    let mut world = World::acme();
    world.run(secs(86_400)).expect(&[]);
    let probes = world.asked.iter().filter(|(_, ask)| *ask == Ask::Probe).count();
    assert_eq!(probes, 144, "every ten minutes");
    assert!(world.asked.iter().all(|(_, ask)| *ask != Ask::Status), "nobody wants the status page");
}

#[test]
fn two_hundred_apps_cost_two_calls_each_and_later_a_fifth_of_the_refill() {
    let apps: Vec<_> = (0..200).map(|place| name(&format!("app-{place}"))).collect();
    let mut world = World::new(Options { apps, ..Options::default() });
    world.app = Err(ApiError::Unreachable { what: String::new() });
    world.run(minutes(1));
    let drains_listed = world.asked.iter().filter(|(_, ask)| matches!(ask, Ask::Drains(_)));
    assert_eq!(drains_listed.clone().count(), 200);
    let last = drains_listed.map(|(at, _)| *at).max().expect("some");
    assert!(last <= secs(9), "all drains are listed soon, not {last:?} after the start");
    assert_eq!((world.calls(), world.most_at_once), (400, limits::ROUND_CALLS_AT_ONCE));
    world.app = Ok(sight("app"));
    world.told.clear();
    world.run(minutes(60));
    let before = world.calls();
    world.run(minutes(600));
    let per_minute = (world.calls() - before) as f64 / 600.0;
    assert!((10.0..=15.5).contains(&per_minute), "{per_minute} calls a minute");
}

#[test]
fn silence_is_told_once_somebody_has_looked_and_ends_with_the_next_batch() {
    let mut world = World::acme();
    world.run(minutes(30)).expect(&[]);
    world.batches = None;
    world.run(secs(170)).expect(&[]);
    world.run(secs(40)).expect(&["drain_silent no logs from its drain for 3m"]);
    assert_eq!(world.watchdog.standing().silent, [true]);
    world.run(minutes(300)).expect(&[]);
    world.batches = Some((secs(20), true));
    world.run(minutes(1)).expect(&["recovered logs arrive from its drain again"]);
    assert_eq!(world.watchdog.standing().silent, [false]);
}

#[test]
fn without_samples_silence_takes_longer_and_a_quiet_app_teaches_its_gaps() {
    let mut world = World::acme();
    world.batches = Some((secs(60), false));
    world.run(minutes(60)).expect(&[]);
    world.batches = None;
    world.run(minutes(29)).expect(&[]);
    world.run(minutes(2)).expect(&["drain_silent no logs from"]);
    world.run(minutes(89));
    world.batches = Some((secs(7200), false));
    world.run(minutes(24 * 60)).expect(&["recovered"]);
}

#[test]
fn silence_is_told_where_the_token_may_not_list_drains() {
    let mut world = World::acme();
    world.drains = Err(ApiError::Forbidden { status: 403, id: "forbidden".to_owned() });
    world.run(minutes(30)).expect(&[]);
    world.batches = None;
    world.run(minutes(5)).expect(&["drain_silent no logs from its drain for 3m"]);
}

#[test]
fn where_nothing_runs_nothing_speaks() {
    let mut world = World::acme();
    world.run(minutes(30));
    world.batches = None;
    world.dynos = Ok(0);
    world.run(minutes(120)).expect(&[]);
    let looks = world.asked.iter().filter(|(_, ask)| matches!(ask, Ask::Dynos(_))).count();
    assert!((5..=13).contains(&looks), "{looks} looks in two hours");
    world.dynos = Ok(1);
    world.run(minutes(15)).expect(&["drain_silent"]);
}

#[test]
fn a_drain_that_is_gone_is_told_unless_batches_come() {
    let mut world = World::acme();
    world.drains = Ok(false);
    world.run(minutes(30)).expect(&[]);
    world.batches = None;
    world.run(minutes(5)).expect(&["drain_silent no drain of the app delivers here"]);
    let mut never = World::acme();
    never.batches = None;
    never.drains = Ok(false);
    never.run(secs(50)).expect(&[]).run(secs(30)).expect(&["no drain of the app"]);
    never.run(minutes(100)).expect(&[]);
}

#[test]
fn a_set_silence_counts_instead_of_the_usual_one() {
    let options = Options { apps: vec![name("acme")], silent_after: Some(secs(2)), ..Options::default() };
    let mut world = World::new(options);
    world.batches = Some((secs(1), false));
    world.run(secs(30)).expect(&[]);
    world.batches = None;
    world.run(secs(5)).expect(&["drain_silent"]);
}

#[test]
fn a_revoked_token_is_told_once_and_so_is_its_return() {
    let mut world = World::acme();
    world.run(minutes(15)).expect(&[]);
    assert_eq!(world.watchdog.standing().token_accepted, Some(true));
    world.probe = Err(ApiError::Unauthorized);
    world.drains = Err(ApiError::Unauthorized);
    world.app = Err(ApiError::Unauthorized);
    world.run(minutes(120)).expect(&["failure the API does not accept the token (401)"]);
    assert_eq!(world.watchdog.standing().token_accepted, Some(false));
    world.probe = Ok(4000);
    world.drains = Ok(true);
    world.app = Ok(sight("acme"));
    world.run(minutes(15)).expect(&["recovered the API accepts the token again"]);
}

#[test]
fn a_clock_that_is_ahead_of_the_apis_is_told_once_and_so_is_its_mending() {
    let mut world = World::acme();
    world.date = Some(world.now.wall);
    world.run(minutes(1)).expect(&[]);
    // The API's clock stands still here, so ours gets ahead.
    world.run(minutes(60)).expect(&["failure this machine's clock is"]);
    world.date = Some(world.now.after(minutes(15)).wall);
    world.run(minutes(15)).expect(&["recovered this machine's clock is right again"]);
}

#[test]
fn a_call_that_is_not_authorized_is_worth_a_probe_at_once() {
    let mut world = World::acme();
    world.run(minutes(5));
    world.probe = Err(ApiError::Unauthorized);
    world.app = Err(ApiError::Unauthorized);
    let before = world.asked.len();
    world.run(minutes(5) + secs(2)).expect(&["failure the API does not accept"]);
    let asked: Vec<_> = world.asked[before..].iter().map(|(_, ask)| ask).collect();
    assert!(asked.contains(&&Ask::Probe), "{asked:?}");
}

#[test]
fn an_api_that_is_away_is_told_after_some_probes() {
    let mut world = World::acme();
    world.probe = Err(ApiError::Unreachable { what: "no answer".to_owned() });
    world.run(secs(100)).expect(&[]);
    world.run(minutes(20)).expect(&["failure nothing is restarted"]);
    assert!(world.watchdog.standing().api_away);
    world.probe = Ok(4000);
    world.run(minutes(15)).expect(&["recovered the API answers again"]);
}

#[test]
fn an_app_can_vanish_come_back_and_change_its_name() {
    let mut world = World::acme();
    world.run(minutes(1));
    world.app = Err(ApiError::NoSuchApp);
    world.run(minutes(30)).expect(&["failure no access to the app"]);
    assert_eq!(world.watchdog.standing().hidden, [true]);
    world.app = Ok(sight("acme"));
    world.by_id = Ok(sight("acme"));
    world.run(minutes(30)).expect(&["recovered the app is accessible again"]);
    world.app = Err(ApiError::NoSuchApp);
    world.by_id = Ok(sight("apex"));
    world.run(minutes(60)).expect(&["failure renamed to apex"]);
    let mut fir = World::acme();
    fir.app = Ok(AppIdentity { is_fir: true, ..sight("acme") });
    fir.batches = None;
    fir.drains = Ok(false);
    fir.run(minutes(120)).expect(&["failure a Fir app"]);
}

#[test]
fn lost_lines_are_told_once_an_hour() {
    let mut world = World::acme();
    world.run(minutes(1));
    world.hearings[0].lost_messages = 7;
    world.run(minutes(1)).expect(&["failure logplex lost 7 lines"]);
    world.hearings[0].lost_messages = 10;
    world.run(minutes(30)).expect(&[]);
    world.hearings[0].lost_messages = 20;
    world.run(minutes(31)).expect(&["failure logplex lost 13 lines"]);
}

#[test]
fn where_calls_run_short_the_rounds_wait() {
    let mut world = World::acme();
    world.probe = Ok(600);
    world.run(secs(3)).expect(&[]);
    let early = world.calls();
    world.probe = Ok(4000);
    world.run(minutes(3));
    assert_eq!(world.calls(), early, "300 calls are missing from the reserve: four minutes");
    let mut throttled = World::acme();
    throttled.drains = Err(ApiError::Throttled { wait: Some(minutes(5)) });
    throttled.app = Err(ApiError::Throttled { wait: Some(minutes(5)) });
    throttled.run(secs(1));
    let early = throttled.calls();
    throttled.probe = Err(ApiError::Throttled { wait: None });
    throttled.run(minutes(4)).expect(&[]);
    assert_eq!(throttled.calls(), early);
}

#[test]
fn an_app_that_hangs_holds_up_nobody() {
    let apps = vec![name("hung"), name("acme")];
    let mut world = World::new(Options { apps, ..Options::default() });
    world.hanging.insert(AppId(0));
    world.run(minutes(30));
    world.batches = None;
    world.told.clear();
    world.run(minutes(5)).expect(&["drain_silent"]);
    let hung = world.asked.iter().filter(|(_, ask)| matches!(ask, Ask::Drains(AppId(0)))).count();
    assert_eq!(hung, 1, "what is not answered is not asked again");
}

#[test]
fn a_red_status_page_is_told_when_it_is_to_be_read() {
    let mut world =
        World::new(Options { apps: vec![name("acme")], reads_status: true, ..Options::default() });
    world.run(minutes(10)).expect(&[]);
    world.red = Some(vec!["Apps".to_owned(), "Tools".to_owned()]);
    world.run(minutes(10)).expect(&["failure Heroku's status page shows red: Apps, Tools"]);
    world.red = None;
    world.run(minutes(10)).expect(&[]);
    world.red = Some(Vec::new());
    world.run(minutes(10)).expect(&["recovered"]);
}

#[test]
fn the_app_that_it_runs_in_is_a_loop_once_its_drain_leads_here() {
    let options = Options { apps: vec![name("acme")], home: vec!["acme".to_owned()], ..Options::default() };
    let mut world = World::new(options);
    world.run(minutes(60)).expect(&["failure this is the app that dynowarden runs in"]);
}

#[test]
fn a_drain_leads_here_by_its_token_or_by_its_address() {
    let token = |text: &str| -> DrainToken { text.parse().expect("a token") };
    let drain = |url: &str| Drain {
        id: "1".to_owned(),
        token: token("d.1"),
        url: SecretString::from(url),
        of_addon: false,
    };
    let public = PublicUrl::parse("https://w.example");
    for (url, heard, public, expect) in [
        ("https://u:p@w.example/logs/acme", "d.2", public.as_ref(), true),
        ("https://u:p@w.example/x", "d.2", public.as_ref(), true),
        ("https://u:p@other.example/logs/acme", "d.2", public.as_ref(), false),
        ("https://u:p@other.example/logs/acme", "d.1", public.as_ref(), true),
        ("https://u:p@other.example/logs/acme", "d.2", None, true),
        ("https://u:p@other.example/elsewhere", "d.2", None, false),
        ("no URL at all", "d.2", None, false),
    ] {
        let found = leads_here(&[drain(url)], &[token(heard)], public, &name("acme"));
        assert_eq!(found, expect, "{url} {heard}");
    }
}
