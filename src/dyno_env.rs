//! The dyno that dynowarden runs on, from Heroku's environment variables.

use std::env;

use dynowarden_core::drain_url::PublicUrl;
use dynowarden_core::health::facts::Identity;

/// Reads the dyno's metadata, which `heroku labs:enable runtime-dyno-metadata` puts into the environment
/// (<https://devcenter.heroku.com/articles/dyno-metadata>).
pub fn identity(public_url: Option<PublicUrl>) -> Identity {
    Identity {
        app_name: variable("HEROKU_APP_NAME"),
        app_id: variable("HEROKU_APP_ID"),
        is_on_dyno: variable("DYNO").is_some(),
        public_url,
    }
}

/// The host of the app that dynowarden runs in.
pub fn host() -> Option<String> {
    variable("HEROKU_APP_DEFAULT_DOMAIN_NAME")
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
