//! A verdict as part of a sentence.

use crate::days::verdict::{Judgement, Verdict};

/// What a process type's memory does, behind its name: `leaks about 35% of its quota a day since v214`. None
/// if it is unknown.
pub fn verdict(judgement: &Judgement) -> Option<String> {
    let since = judgement.since_release.map_or_else(String::new, |version| format!(" since v{version}"));
    let growth = judgement.growth_per_day.filter(|growth| *growth > 0.0);
    Some(match judgement.verdict {
        Verdict::Leaks => match growth {
            Some(growth) => format!("leaks about {:.0}% of its quota a day{since}", growth * 100.0),
            None => format!("leaks memory{since}"),
        },
        Verdict::LevelsOutAbove => format!("levels out above its quota{since}, which no restart changes"),
        Verdict::LevelsOutBelow => format!("levels out below its quota{since}"),
        Verdict::Spikes => format!("goes over its quota for minutes at a time{since}"),
        Verdict::Unknown => return None,
    })
}

/// Whether a person has something to do about it.
pub fn needs_person(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Leaks | Verdict::LevelsOutAbove)
}

#[cfg(test)]
mod tests {
    use super::verdict;
    use crate::days::verdict::{Judgement, Verdict};

    #[test]
    fn a_verdict_has_its_pace_and_its_release() {
        for (of, growth, since, expect) in [
            (Verdict::Leaks, Some(0.353), Some(214), Some("leaks about 35% of its quota a day since v214")),
            (Verdict::Leaks, None, None, Some("leaks memory")),
            (
                Verdict::LevelsOutAbove,
                Some(0.01),
                None,
                Some("levels out above its quota, which no restart changes"),
            ),
            (Verdict::LevelsOutBelow, None, Some(7), Some("levels out below its quota since v7")),
            (Verdict::Spikes, None, None, Some("goes over its quota for minutes at a time")),
            (Verdict::Unknown, Some(0.5), None, None),
        ] {
            let judgement = Judgement {
                verdict: of,
                unknown_because: None,
                since_release: since,
                growth_per_day: growth,
            };
            assert_eq!(verdict(&judgement).as_deref(), expect);
        }
    }
}
