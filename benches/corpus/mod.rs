//! A corpus as logplex would send it: the same octets for the same seed, on every machine.
//!
//! Of a thousand frames about 450 are router lines, 450 are an app's own lines of 80 to 400 octets, 90
//! are runtime metrics, 9 are about a dyno's life or memory, and one is an R14. Batches are cut as
//! logplex cuts them, at 102,400 octets, or after so many frames.

#![allow(dead_code, reason = "several benches share it, and each uses a part")]

/// Where logplex splits batches (`http_drain_target_bytes`).
const BATCH_BYTES: usize = 102_400;

pub(super) struct Corpus {
    pub batches: Vec<Vec<u8>>,
    pub frames: usize,
    pub bytes: usize,
    pub kinds: Kinds,
}

/// The number of frames of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds {
    /// The app's own lines.
    pub app: usize,
    /// `Error R14`.
    pub errors: usize,
    /// About a dyno's life, or its memory next to an R14.
    pub life: usize,
    pub metrics: usize,
    pub router: usize,
}

impl Corpus {
    /// Full batches with at least `frames` frames in total.
    pub(super) fn new(seed: u64, frames: usize) -> Self {
        Self::cut(seed, frames, usize::MAX)
    }

    /// The same in batches of at most `batch_frames` frames.
    pub(super) fn cut(seed: u64, frames: usize, batch_frames: usize) -> Self {
        let mut corpus = Self { batches: vec![Vec::new()], frames, bytes: 0, kinds: Kinds::default() };
        let mut writer = Writer { dice: Dice(seed), millis: 0 };
        let mut in_batch = 0;
        for _ in 0..frames {
            let line = writer.line(&mut corpus.kinds);
            let frame = format!("{} {line}", line.len());
            corpus.bytes += frame.len();
            match corpus.batches.last_mut() {
                Some(batch) if batch.len() + frame.len() <= BATCH_BYTES && in_batch < batch_frames => {
                    batch.extend_from_slice(frame.as_bytes());
                    in_batch += 1;
                }
                _ => {
                    corpus.batches.push(frame.into_bytes());
                    in_batch = 1;
                }
            }
        }
        corpus
    }

    /// Checks the mix described above: to a tenth, and to a half for rare kinds.
    pub(super) fn check(&self) {
        let Kinds { app, errors, life, metrics, router } = self.kinds;
        assert_eq!(app + errors + life + metrics + router, self.frames);
        for (kind, count, permille, tolerance) in [
            ("router", router, 450, 0.1),
            ("app", app, 450, 0.1),
            ("metrics", metrics, 90, 0.1),
            ("life", life, 9, 0.5),
            ("errors", errors, 1, 0.5),
        ] {
            let (count, expect) = (count as f64, self.frames as f64 * f64::from(permille) / 1000.0);
            assert!((count - expect).abs() <= expect * tolerance, "{count} of {kind} in {}", self.frames);
        }
    }
}

/// A lower bound: follows the counts and splits the six header fields, without checks and meaning. Returns
/// the number of frames.
pub(super) fn floor(body: &[u8]) -> usize {
    let (mut rest, mut frames) = (body, 0);
    while !rest.is_empty() {
        let space = memchr::memchr(b' ', rest).expect("a good batch");
        let counted = rest[..space].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
        let (mut line, next) = rest[space + 1..].split_at(counted);
        let mut fields: [&[u8]; 6] = [&[]; 6];
        for field in &mut fields {
            let end = memchr::memchr(b' ', line).expect("a good header");
            (*field, line) = (&line[..end], &line[end + 1..]);
        }
        std::hint::black_box((&fields, line));
        frames += 1;
        rest = next;
    }
    frames
}

/// SplitMix64: small, fast enough and stable.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

struct Writer {
    dice: Dice,
    millis: u64,
}

impl Writer {
    fn line(&mut self, kinds: &mut Kinds) -> String {
        self.millis += self.dice.below(20);
        let web = 1 + self.dice.below(20);
        match self.dice.below(1000) {
            0 => {
                kinds.errors += 1;
                self.framed(134, "heroku", &format!("web.{web}"), "Error R14 (Memory quota exceeded)")
            }
            1..=9 => {
                kinds.life += 1;
                let msg = match self.dice.below(4) {
                    0 => "Process running mem=646M(126.2%)",
                    1 => "State changed from starting to up",
                    2 => "Stopping all processes with SIGTERM",
                    _ => "Process exited with status 143",
                };
                self.framed(134, "heroku", &format!("web.{web}"), msg)
            }
            10..=99 => {
                kinds.metrics += 1;
                self.metrics(web)
            }
            100..=549 => {
                kinds.router += 1;
                self.router(web)
            }
            _ => {
                kinds.app += 1;
                self.app(web)
            }
        }
    }

    fn framed(&mut self, pri: u8, app: &str, procid: &str, msg: &str) -> String {
        let (millis, micros) = (self.millis, self.dice.below(1000));
        let (hour, minute, second) = (millis / 3_600_000 % 24, millis / 60_000 % 60, millis / 1000 % 60);
        let milli = millis % 1000;
        format!(
            "<{pri}>1 2026-03-10T{hour:02}:{minute:02}:{second:02}.{milli:03}{micros:03}+00:00 \
             host {app} {procid} - {msg}\n"
        )
    }

    fn request_id(&mut self) -> String {
        let (high, low) = (self.dice.next(), self.dice.next());
        let (a, b, c, d) = (high >> 32, high >> 16 & 0xffff, high & 0xfff, low >> 48 & 0xfff);
        format!("{a:08x}-{b:04x}-4{c:03x}-8{d:03x}-{:012x}", low & 0xffff_ffff_ffff)
    }

    fn router(&mut self, web: u64) -> String {
        let level = match self.dice.below(100) {
            0 => "at=error code=H12 desc=\"Request timeout\"",
            1 => "sock=client at=warning code=H27 desc=\"Client Request Interrupted\"",
            _ => "at=info",
        };
        let (id, page, host) = (self.request_id(), self.dice.below(100_000), self.dice.below(255));
        let (service, bytes) = (self.dice.below(3000), self.dice.below(90_000));
        let msg = format!(
            "{level} method=GET path=\"/orders/{page}?page=2\" host=acme-production.herokuapp.com \
             request_id={id} fwd=\"203.0.113.{host}\" dyno=web.{web} connect=0ms service={service}ms \
             status=200 bytes={bytes} protocol=http1.1 tls=true tls_version=tls1.3"
        );
        self.framed(134, "heroku", "router", &msg)
    }

    fn metrics(&mut self, web: u64) -> String {
        let (id, load, memory) = (self.request_id(), self.dice.below(300), 20_000 + self.dice.below(30_000));
        let dyno = format!("source=web.{web} dyno=heroku.261104379.{id}");
        let msg = if self.dice.below(2) == 0 {
            let load = format!("{}.{:02}", load / 100, load % 100);
            format!("{dyno} sample#load_avg_1m={load} sample#load_avg_5m={load} sample#load_avg_15m={load}")
        } else {
            let memory = format!("{}.{:02}MB", memory / 100, memory % 100);
            format!(
                "{dyno} sample#memory_total={memory} sample#memory_rss={memory} sample#memory_cache=3.70MB \
                 sample#memory_swap=0.00MB sample#memory_pgpgin=149293pages \
                 sample#memory_pgpgout=123257pages sample#memory_quota=512.00MB"
            )
        };
        self.framed(134, "heroku", &format!("web.{web}"), &msg)
    }

    fn app(&mut self, web: u64) -> String {
        const WORDS: &[&str] = &[
            "Started",
            "GET",
            "\"/orders\"",
            "for",
            "203.0.113.7",
            "Processing",
            "by",
            "OrdersController#show",
            "as",
            "HTML",
            "Rendered",
            "Completed",
            "200",
            "OK",
            "in",
            "38ms",
            "(Views:",
            "21.4ms)",
            "user=4711",
        ];
        let length = 80 + self.dice.below(321);
        let mut line = self.framed(190, "app", &format!("web.{web}"), "");
        line.pop();
        while (line.len() as u64) < length {
            line.push_str(WORDS[self.dice.below(WORDS.len() as u64) as usize]);
            line.push(' ');
        }
        line.push('\n');
        line
    }
}
