//! The two text formats of a scrape, and the conversion between them.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics 1.0, for a scraper that asks for it.
    OpenMetrics,
    /// The Prometheus text format 0.0.4, which everything reads.
    Prometheus,
}

impl Exposition {
    /// The format that an `Accept` header asks for.
    pub fn accepted_by(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Converts an OpenMetrics page to this format.
    pub fn of_open_metrics(self, page: String) -> String {
        match self {
            Self::OpenMetrics => page,
            Self::Prometheus => to_prometheus(&page),
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Converts an OpenMetrics page to the older format. There, a counter's `HELP` and `TYPE` carry the name of
/// its sample, including `_total`, and there are no units and no end mark
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
fn to_prometheus(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    let mut help: Option<(&str, &str)> = None;
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, text)) = help.take() {
                out.push_str(&format!("# HELP {name}{suffix} {text}\n"));
            }
            out.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Exposition;

    #[test]
    fn the_older_format_names_counters_by_their_samples() {
        let page = "# HELP n_frames Frames.\n# TYPE n_frames counter\nn_frames_total{app=\"a\"} 3\n\
                    # HELP n_age_seconds Age.\n# TYPE n_age_seconds gauge\n# UNIT n_age_seconds seconds\n\
                    n_age_seconds 1.5\n# EOF\n";
        let expect = "# HELP n_frames_total Frames.\n# TYPE n_frames_total counter\n\
                      n_frames_total{app=\"a\"} 3\n\
                      # HELP n_age_seconds Age.\n# TYPE n_age_seconds gauge\nn_age_seconds 1.5\n";
        assert_eq!(Exposition::Prometheus.of_open_metrics(page.to_owned()), expect);
        assert_eq!(Exposition::OpenMetrics.of_open_metrics(page.to_owned()), page);
    }

    #[test]
    fn a_scraper_gets_the_format_it_accepts() {
        for (accept, expect) in [
            ("", Exposition::Prometheus),
            ("*/*", Exposition::Prometheus),
            ("text/plain;version=0.0.4;q=0.5", Exposition::Prometheus),
            ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3", Exposition::OpenMetrics),
        ] {
            assert_eq!(Exposition::accepted_by(accept), expect, "{accept}");
        }
    }
}
