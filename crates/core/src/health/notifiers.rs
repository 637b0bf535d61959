//! The notifiers: whether there are any, and whether each delivers a test message.

use crate::health::facts::NotifierFact;
use crate::health::finding::{Finding, Subject};

pub(super) fn check(notifiers: &[NotifierFact], notify_asked: bool) -> Vec<Finding> {
    if notifiers.is_empty() && notify_asked {
        let text = "none is configured, so no notifications are sent";
        let fix = "add a [[notify]] table to the settings file; dynowarden.example.toml shows one";
        return vec![Finding::warning(Subject::Notifier, text, fix)];
    }
    let finding = |NotifierFact { name, test }: &NotifierFact| match test {
        None => Finding::ok(Subject::Notifier, format!("{name}: not tested; --notify sends a test message")),
        Some(Ok(())) => Finding::ok(Subject::Notifier, format!("{name}: accepted the test message")),
        Some(Err(what)) => {
            let fix = "try again; if it fails again, correct its address or secret in the [[notify]] table";
            Finding::error(Subject::Notifier, format!("{name}: {what}"), fix)
        }
    };
    notifiers.iter().map(finding).collect()
}
