//! Lines as dynos, the dyno manager, the router and the API write them, before logplex frames them.

use jiff::Timestamp;

use dynowarden_core::ident::{AppName, InstanceId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub app: AppName,
    pub at: Timestamp,
    /// APP-NAME.
    pub source: Source,
    /// PROCID, such as `web.1`, `router` or `api`.
    pub procid: String,
    /// MSG, without the newline at its end; any bytes.
    pub text: Vec<u8>,
    /// The dyno instance that the line is about. Real lines do not have it; a simulation checks against it.
    pub instance: Option<InstanceId>,
}

/// APP-NAME: the platform, or the app (or another process in its name).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `app`: dyno output, and also the API's events and the add-ons' metrics.
    App,
    /// `heroku`: dyno manager, router, logplex.
    Heroku,
}

impl LogLine {
    pub fn heroku(app: AppName, procid: impl Into<String>, text: impl Into<Vec<u8>>, at: Timestamp) -> Self {
        let (procid, text) = (procid.into(), text.into());
        Self { app, at, source: Source::Heroku, procid, text, instance: None }
    }

    /// A line of the app, or of the API's events with the procid `api`.
    pub fn app(app: AppName, procid: impl Into<String>, text: impl Into<Vec<u8>>, at: Timestamp) -> Self {
        let (procid, text) = (procid.into(), text.into());
        Self { app, at, source: Source::App, procid, text, instance: None }
    }

    /// The octet-counted frames of this line: one, or several if it is split.
    ///
    /// A dyno's line over 10,000 bytes is split into chunks of that size. Each is a line of its own, and only
    /// the last has the newline (heroku.md §1.7).
    pub fn frames(&self, dialect: Dialect) -> Vec<Vec<u8>> {
        let chunks: Vec<&[u8]> =
            if self.text.is_empty() { vec![b""] } else { self.text.chunks(CHUNK_BYTES).collect() };
        let last = chunks.len() - 1;
        chunks.iter().enumerate().map(|(index, chunk)| self.frame(chunk, index == last, dialect)).collect()
    }

    fn frame(&self, text: &[u8], newline: bool, dialect: Dialect) -> Vec<u8> {
        let newline: &[u8] = if newline && dialect != Dialect::LogplexBare { b"\n" } else { b"" };
        let data = if dialect == Dialect::Space { "- " } else { "" };
        let (priority, time) = (self.priority(), clock_text(self.at));
        let head = format!("<{priority}>1 {time} host {} {} - {data}", self.source, self.procid);
        let octets = head.len() + text.len() + newline.len();
        [format!("{octets} {head}").as_bytes(), text, newline].concat()
    }

    /// PRI as seen since 2022 (heroku.md §2.1).
    fn priority(&self) -> u16 {
        match (self.source, self.procid.as_str()) {
            (Source::App, "api") => 133,
            (Source::App, _) => 190,
            (Source::Heroku, "logplex") => 172,
            (Source::Heroku, _) => 134,
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::App => "app",
            Self::Heroku => "heroku",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Logplex: no STRUCTURED-DATA, a newline at the end of MSG.
    Logplex,
    /// Logplex without the newline, as in the injected L10 of the public source.
    LogplexBare,
    /// Space logging and syslog drains: `-` for STRUCTURED-DATA.
    Space,
}

/// The text of `at` with 0 to 6 fraction digits, trailing zeros trimmed (heroku.md §1.2).
pub fn clock_text(at: Timestamp) -> String {
    let at = Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at);
    at.strftime("%Y-%m-%dT%H:%M:%S%.f+00:00").to_string()
}

const CHUNK_BYTES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::{Dialect, LogLine, clock_text};

    fn check(line: &LogLine, dialect: Dialect, expect: &str) {
        assert_eq!(String::from_utf8_lossy(&line.frames(dialect).concat()), expect);
    }

    fn line(procid: &str, text: &str, at: &str) -> LogLine {
        let app = "acme".parse().expect("a name");
        LogLine::heroku(app, procid, text, at.parse().expect("a time"))
    }

    #[test]
    fn frames_are_those_of_published_drains() {
        check(
            &line("web.1", "Error R14 (Memory quota exceeded)", "2025-08-08T06:59:08.592108Z"),
            Dialect::Logplex,
            "94 <134>1 2025-08-08T06:59:08.592108+00:00 host heroku web.1 - \
             Error R14 (Memory quota exceeded)\n",
        );
        check(
            &line(
                "logplex",
                "Error L10 (output buffer overflow): 1 messages dropped since 2015-05-09T20:19:03+00:00.",
                "2015-05-09T20:21:24Z",
            ),
            Dialect::LogplexBare,
            "142 <172>1 2015-05-09T20:21:24+00:00 host heroku logplex - Error L10 (output buffer overflow): \
             1 messages dropped since 2015-05-09T20:19:03+00:00.",
        );
        let mut empty = line("web.2", "", "2022-12-05T20:26:20.5Z");
        empty.source = super::Source::App;
        check(&empty, Dialect::Logplex, "53 <190>1 2022-12-05T20:26:20.5+00:00 host app web.2 - \n");
        check(&empty, Dialect::Space, "55 <190>1 2022-12-05T20:26:20.5+00:00 host app web.2 - - \n");
    }

    #[test]
    fn a_long_line_is_split_and_only_its_last_piece_ends_in_a_newline() {
        let frames = line("web.1", &"x".repeat(25_000), "2026-01-01T00:00:00Z").frames(Dialect::Logplex);
        let ends: Vec<bool> = frames.iter().map(|frame| frame.ends_with(b"\n")).collect();
        assert_eq!(ends, [false, false, true]);
        assert_eq!(frames.concat().iter().filter(|&&byte| byte == b'x').count(), 25_000);
    }

    #[test]
    fn trailing_zeros_of_the_fraction_are_trimmed() {
        for (read, written) in [
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00"),
            ("2026-01-01T00:00:00.66229Z", "2026-01-01T00:00:00.66229+00:00"),
            ("2026-01-01T00:00:00.000001999Z", "2026-01-01T00:00:00.000001+00:00"),
        ] {
            assert_eq!(clock_text(read.parse().expect("a time")), written);
        }
    }
}
