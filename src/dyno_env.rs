//! The dyno that the program runs in, from its environment.

use std::env;

use dynowarden_core::health::check::facts::Home;

/// Reads the dyno's metadata, if any: `heroku labs:enable runtime-dyno-metadata` puts the app's name into the
/// environment (<https://devcenter.heroku.com/articles/dyno-metadata>).
pub fn here() -> Home {
    Home {
        app_name: variable("HEROKU_APP_NAME"),
        app_id: variable("HEROKU_APP_ID"),
        is_on_dyno: variable("DYNO").is_some(),
    }
}

/// The host under which Heroku serves the app that the program runs in.
pub fn host() -> Option<String> {
    variable("HEROKU_APP_DEFAULT_DOMAIN_NAME")
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
