//! `/decisions`: the whole history by day, with filters that work without a script.

use maud::{Markup, html};

use crate::ui::decisions;
use crate::ui::facts::Facts;
use crate::ui::layout::{Layout, PageKind, page};
use crate::ui::words::coarse;
use dynowarden_core::time::since;

/// The fields of the filter, as they were typed.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub app: String,
    pub dyno: String,
    pub kind: String,
    pub code: String,
    pub since: String,
}

/// The page of all decisions that the filter selects. `older` is where the next page begins.
pub fn decisions_page(layout: &Layout<'_>, facts: &Facts, asked: &Asked, older: Option<&str>) -> Markup {
    let oldest = facts.decisions.last().map(|decision| since(decision.at, facts.now));
    let content = html! {
        div.title {
            h1 { "Decisions" }
            @if let Some(oldest) = oldest { p.sub { "newest first, back to " (coarse(oldest)) " ago" } }
        }
        (filter(facts, asked))
        section.reading aria-label="Decisions, newest first" {
            @if facts.decisions.is_empty() {
                p.none { "No such decisions." @if asked.is_set() { " " a href="/decisions" { "Show all" } } }
            } @else {
                (decisions::by_day(&facts.decisions, facts.now))
            }
            @if let Some(older) = older {
                nav.pages aria-label="Pages of decisions" {
                    a href={ "/decisions?" (asked.query()) "cursor=" (older) } rel="next" { "Older →" }
                }
            }
        }
    };
    page(layout, PageKind::Decisions, "Decisions", content)
}

const KINDS: [(&str, &str); 4] = [
    ("", "Restarts, give-ups and notifications"),
    ("all", "Everything"),
    ("restart", "Restarts"),
    ("hold", "Not restarted"),
];

const SPANS: [(&str, &str); 4] =
    [("", "All time"), ("1h", "Last hour"), ("24h", "Last 24 hours"), ("7days", "Last 7 days")];

fn filter(facts: &Facts, asked: &Asked) -> Markup {
    html! {
        form.filter method="get" action="/decisions" role="search" aria-label="Filter of decisions" {
            label { "App "
                select name="app" {
                    option value="" { "All" }
                    @for app in &facts.apps {
                        @let name = app.name.as_str();
                        option value=(name) selected[name == asked.app] { (name) }
                    }
                }
            }
            label { "Dyno " input type="text" name="dyno" value=(asked.dyno) placeholder="web.1" size="8"; }
            label { "Show "
                select name="kind" {
                    @for (value, word) in KINDS {
                        option value=(value) selected[value == asked.kind] { (word) }
                    }
                }
            }
            label { "Reason "
                input type="text" name="code" value=(asked.code) placeholder="cooling_down" size="14";
            }
            label { "Since "
                select name="since" {
                    @for (value, word) in SPANS {
                        option value=(value) selected[value == asked.since] { (word) }
                    }
                }
            }
            button type="submit" { "Filter" }
            @if asked.is_set() { a.button href="/decisions" { "Clear" } }
        }
    }
}

impl Asked {
    fn fields(&self) -> [(&'static str, &str); 5] {
        [
            ("app", &self.app),
            ("dyno", &self.dyno),
            ("kind", &self.kind),
            ("code", &self.code),
            ("since", &self.since),
        ]
    }

    fn is_set(&self) -> bool {
        self.fields().iter().any(|(_, value)| !value.is_empty())
    }

    /// The filter as a query, to be followed by another field.
    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.fields().iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        let query = query.finish();
        if query.is_empty() { query } else { format!("{query}&") }
    }
}
