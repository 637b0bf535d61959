//! What a person or a script did to dynowarden: the audit of pauses, their ends and manual restarts.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::ident::DynoName;
use crate::limits;
use crate::time::to_the_second;

/// One act, with who did it.
#[derive(Clone, Debug, PartialEq)]
pub struct AdminAct {
    pub by: Client,
    pub what: Act,
}

/// The sender of a request that was accepted. The password shows only that it may, so this is its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The user name that it gave, if any.
    user: Option<String>,
    /// Its address, as far as trusted proxies know it.
    pub address: String,
    pub through: Door,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Api,
    Hook,
    Page,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Pause {
        until: Timestamp,
        reason: Arc<str>,
    },
    Restart {
        /// Every running dyno of the listed process types if none.
        dyno: Option<DynoName>,
        /// The decisions, in a few words.
        result: String,
    },
    Resume,
}

impl Client {
    /// Keeps the printable start of a user name.
    pub fn new(user: Option<&str>, address: String, through: Door) -> Self {
        let printable = |user: &str| -> String {
            user.chars().filter(|c| !c.is_control()).take(limits::USER_CHARS_MAX).collect()
        };
        Self { user: user.map(printable).filter(|user| !user.is_empty()), address, through }
    }

    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or("-")
    }
}

impl AdminAct {
    /// Returns its kind in metrics, in the audit and in `notify.on`.
    pub fn label(&self) -> &'static str {
        match self.what {
            Act::Pause { .. } => "pause",
            Act::Restart { .. } => "manual_restart",
            Act::Resume => "resume",
        }
    }
}

impl fmt::Display for AdminAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            Act::Pause { until, reason } => {
                write!(f, "restarts paused until {}", to_the_second(*until))?;
                if !reason.is_empty() {
                    write!(f, " ({reason})")?;
                }
            }
            Act::Restart { dyno: Some(dyno), result } => write!(f, "restart of {dyno} requested: {result}")?,
            Act::Restart { dyno: None, result } => write!(f, "restart of all dynos requested: {result}")?,
            Act::Resume => f.write_str("restarts resumed")?,
        }
        write!(f, ", {}", self.by)
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, address, through } = self;
        match user {
            Some(user) => write!(f, "by {user:?} from {address} through {through}"),
            None => write!(f, "from {address} through {through}"),
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Api => "the API",
            Self::Hook => "the hook",
            Self::Page => "the status page",
        })
    }
}

/// A manual restart, with who requested it if that is known.
pub(super) fn manual_restart(asked_by: Option<&str>) -> String {
    asked_by.map_or_else(|| "manual restart".to_owned(), |by| format!("manual restart {by}"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Act, AdminAct, Client, Door};
    use crate::limits;

    #[test]
    fn an_act_names_who_and_what() {
        let of = |user, through| Client::new(user, "203.0.113.9".to_owned(), through);
        let until = Timestamp::UNIX_EPOCH;
        for (by, what, expect) in [
            (
                of(Some("alice"), Door::Api),
                Act::Pause { until, reason: "load test".into() },
                "restarts paused until 1970-01-01 00:00:00Z (load test), by \"alice\" from 203.0.113.9 through \
                 the API",
            ),
            (of(None, Door::Page), Act::Resume, "restarts resumed, from 203.0.113.9 through the status page"),
            (
                of(Some("\n"), Door::Hook),
                Act::Restart { dyno: None, result: "1 restarted".to_owned() },
                "restart of all dynos requested: 1 restarted, from 203.0.113.9 through the hook",
            ),
        ] {
            assert_eq!(AdminAct { by, what }.to_string(), expect);
        }
        let long = of(Some(&"é\n".repeat(1000)), Door::Api);
        assert_eq!(long.user(), "é".repeat(limits::USER_CHARS_MAX));
    }
}
