//! Heroku's status page, as `GET https://status.heroku.com/api/v4/current-status` shows it.

use serde_json::{Value, json};

/// The light of one system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Light {
    #[default]
    Green,
    Yellow,
    Red,
}

impl Light {
    fn word(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }
}

/// The path below which the status page answers, without a token and without a rate limit.
pub(crate) const PATH: &str = "/api/v4/current-status";

/// The body, while the system `Apps` shows this light.
pub(crate) fn current(apps: Light) -> Value {
    let system = |name: &str, light: Light| json!({ "system": name, "status": light.word() });
    json!({
        "status": [system("Apps", apps), system("Data", Light::Green), system("Tools", Light::Green)],
        "incidents": [],
        "scheduled": [],
    })
}
